//! `update`: what is written follows from the truth, however many write.

use larder_core::{ErrorKind, Write, Written};

use super::Written7;
use crate::common::S;

#[tokio::test]
async fn an_update_writes_what_follows_from_the_truth_and_not_from_what_is_held() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    test.bench.clock.advance(S);
    test.bench.source.set(7, 80); // behind our back, and within the window
    let wrote = cache.update(&7, |held| held.map(|held| Write::Store(held + 1))).await.unwrap();
    assert_eq!(wrote.written, Written::Value(81));
    assert_eq!((cache.get(&7).await.unwrap(), test.bench.source.value(&7)), (Some(81), Some(81)));
}

#[tokio::test]
async fn an_update_begins_again_when_somebody_wrote_in_between() {
    let test = Written7::new();
    let cache = test.around();
    let mut seen = Vec::new();
    let wrote = cache
        .update(&7, |held| {
            seen.push(held);
            if seen.len() == 1 {
                test.bench.source.set(7, 90);
            }
            held.map(|held| Write::Store(held + 1))
        })
        .await
        .unwrap();
    assert_eq!(wrote.written, Written::Value(91));
    assert_eq!(seen, [Some(70), Some(90)]);
}

#[tokio::test]
async fn an_update_gives_up_when_somebody_always_wrote_in_between() {
    let test = Written7::new();
    let cache = test.around();
    let mut others = 100;
    let updated = cache.update(&7, |_| {
        others += 1;
        test.bench.source.set(7, others);
        Some(Write::Delete)
    });
    assert_eq!(updated.await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!((others, test.bench.source.value(&7)), (108, Some(108)));
}

#[tokio::test]
async fn an_update_that_decides_nothing_writes_nothing() {
    let test = Written7::new();
    let cache = test.around();
    assert_eq!(cache.update(&7, |_| None).await.unwrap().written, Written::Value(70));
    assert_eq!(cache.update(&8, |_| None).await.unwrap().written, Written::Absent);
    assert_eq!(test.sink.writes(), 0);
}
