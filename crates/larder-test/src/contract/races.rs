//! What happens at the same time through two connections.

use std::future::poll_fn;
use std::task::Poll;

use larder_core::BoxFuture;
use larder_core::shared::{Invalidation, SharedRead};

use super::subject::{LONG, Subject, ask, fill, get, granted, strike};

/// How often two things are tried at once: a race is lost by chance.
const ROUNDS: usize = 50;

pub(super) async fn of_many_asks_at_once_one_gets_the_lease(subject: &Subject) {
    for round in 0..ROUNDS {
        let key = subject.key(&format!("race-{round}"));
        let asks = (0..8).map(|at| -> BoxFuture<'_, SharedRead> {
            let tier = [&subject.a, &subject.b][at % 2];
            Box::pin(ask(&**tier, &key, None, LONG))
        });
        let reads = all(asks.collect()).await;
        let granted = reads.iter().filter(|read| matches!(read, SharedRead::Miss(_))).count();
        let busy = reads.iter().filter(|read| matches!(read, SharedRead::Busy { .. })).count();
        assert_eq!((granted, busy), (1, 7), "not {reads:?}");
    }
}

pub(super) async fn a_fill_at_the_same_time_as_an_invalidation_leaves_nothing(subject: &Subject) {
    for round in 0..ROUNDS {
        let key = subject.key(&format!("fill-race-{round}"));
        let lease = granted(&*subject.a, &key).await;
        let late = subject.envelope(b"late");
        // Either the fill finds no lease, or the invalidation finds the entry.
        let filling: BoxFuture<'_, ()> = Box::pin(async {
            fill(&*subject.a, &key, &lease, late.clone()).await;
        });
        let striking: BoxFuture<'_, ()> = Box::pin(strike(&*subject.b, &key, Invalidation::Drop));
        let both = if round % 2 == 0 { vec![filling, striking] } else { vec![striking, filling] };
        all(both).await;
        assert_eq!(get(&*subject.a, &key).await, None);
    }
}

/// Waits for all of them, each as far as it comes.
async fn all<T>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut outputs: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(context)
            {
                *output = Some(done);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
