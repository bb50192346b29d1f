//! Wakers of those who wait for the same thing, and waits with an end.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

use larder_core::{BoxFuture, Clock, Moment};

/// The wakers of those who wait; each has one, however often it is polled.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

impl Wakers {
    /// Wakes this one at the next change. `place` is where it remembers its number.
    pub(super) fn register(&mut self, place: &mut Option<u64>, waker: &Waker) {
        let id = *place.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        match self.wakers.get_mut(&id) {
            Some(known) => known.clone_from(waker),
            None => drop(self.wakers.insert(id, waker.clone())),
        }
    }

    /// Forgets one that waits no longer.
    pub(super) fn forget(&mut self, place: Option<u64>) {
        if let Some(id) = place {
            self.wakers.remove(&id);
        }
    }

    /// All of them, to be woken when the lock around this is let go of.
    pub(super) fn take(&mut self) -> Vec<Waker> {
        self.wakers.drain().map(|(_, waker)| waker).collect()
    }
}

/// What `future` returns, or `None` if `until` comes first. What is there is taken even past it.
pub(super) async fn within<T>(
    clock: &dyn Clock,
    until: Moment,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut sleep: Option<BoxFuture<'static, ()>> = None;
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        let sleep = sleep.get_or_insert_with(|| clock.sleep_until(until));
        sleep.as_mut().poll(context).map(|()| None)
    })
    .await
}
