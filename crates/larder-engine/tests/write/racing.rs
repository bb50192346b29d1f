//! Writes beside others, loads and invalidations: what overlapped is never held.

use larder_core::Terms;
use larder_engine::{Install, Lookup, WriteMode};
use larder_test::sink::Step;

use super::{Written7, putting};
use crate::common::{S, settle};

/// 1. A begins, and commits 71,
/// 2. B begins, commits 72 and ends,
/// 3. A ends: what it was returned is older than the truth.
#[tokio::test]
async fn of_two_writers_the_second_to_end_leaves_nothing() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    test.sink.close(Step::AfterCommit);
    let a = putting(&cache, 71);
    test.sink.until_waiting(1).await;
    let b = putting(&cache, 72);
    test.sink.until_waiting(2).await;
    test.sink.open();
    a.await.unwrap().unwrap();
    b.await.unwrap().unwrap();
    assert!(cache.peek(&7).is_none());
    assert_eq!(cache.get(&7).await.unwrap(), Some(72));
}

/// Whatever invalidates the key while a write is under way keeps its value out of memory.
#[tokio::test]
async fn a_write_that_an_invalidation_overlapped_leaves_nothing() {
    for way in 0..5 {
        let test = Written7::new();
        let cache = test.through();
        cache.get(&7).await.unwrap();
        test.sink.close(Step::AfterCommit);
        let put = putting(&cache, 71);
        test.sink.until_waiting(1).await;
        test.bench.source.set(7, 72);
        match way {
            0 => drop(cache.invalidate(&7).await.unwrap()),
            1 => drop(cache.mark_stale(&7).await.unwrap()),
            2 => drop(cache.invalidate_all().await.unwrap()),
            3 => drop(cache.mark_all_stale().await.unwrap()),
            _ => drop(cache.invalidate_prefix("7").await.unwrap()),
        }
        // It is held again when the write ends, so that this alone isn't what keeps it out.
        cache.get(&7).await.unwrap();
        settle().await;
        assert_eq!(cache.peek(&7).unwrap().value, Some(72));
        test.sink.open();
        put.await.unwrap().unwrap();
        assert!(cache.peek(&7).is_none(), "way {way}");
        assert_eq!(cache.get(&7).await.unwrap(), Some(72));
    }
}

/// 1. A reader misses and reads 70,
/// 2. a write commits 71, and ends: something is held, or not,
/// 3. the reader comes to fill 70.
#[tokio::test]
async fn a_load_that_began_before_the_end_of_a_write_fills_nothing_after_it() {
    for mode in [WriteMode::Around, WriteMode::Through] {
        let test = Written7::new();
        let builder = test.builder().write(mode).written(|_, _| Terms::default());
        let install = if mode == WriteMode::Through { Install::Always } else { Install::IfHeld };
        let cache = builder.install(install).build().unwrap();
        test.bench.source.close();
        let reader = tokio::spawn({
            let cache = cache.clone();
            async move { cache.get(&7).await.unwrap() }
        });
        test.bench.source.until_waiting(1).await;
        cache.put(&7, 71).await.unwrap();
        test.bench.source.open();
        reader.await.unwrap();
        assert_eq!(cache.get(&7).await.unwrap(), Some(71), "{mode:?}");
    }
}

/// A load may read the old value while the commit is under way, and fill before the end.
#[tokio::test]
async fn what_was_loaded_during_a_write_is_replaced() {
    let test = Written7::new();
    let cache = test.through();
    test.sink.close(Step::BeforeCommit);
    let put = putting(&cache, 71);
    test.sink.until_waiting(1).await;
    test.bench.clock.advance(S);
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
    test.sink.open();
    put.await.unwrap().unwrap();
    assert_eq!((cache.get(&7).await.unwrap(), cache.stats().installed), (Some(71), 1));
}

#[tokio::test]
async fn a_ticket_from_before_the_end_of_a_write_fills_nothing_after_it() {
    let test = Written7::new();
    let cache = test.through();
    let Lookup::Miss(ticket) = cache.lookup(&7).await else { panic!("it is held") };
    cache.put(&7, 71).await.unwrap();
    assert_eq!(ticket.fill(Some(70)), larder_engine::Fill::Refused);
}

#[tokio::test]
async fn a_tag_that_is_struck_during_a_write_strikes_its_value() {
    let test = Written7::new();
    let said = |_: &u64, _: Option<&u64>| {
        let mut terms = Terms::default();
        terms.tag("numbers");
        terms
    };
    let builder = test.bench.tagging().max_staleness(10 * S).sink(test.sink.clone());
    let cache = builder.write(WriteMode::Through).written(said).build().unwrap();
    cache.get(&7).await.unwrap();
    test.sink.close(Step::AfterCommit);
    let put = putting(&cache, 71);
    test.sink.until_waiting(1).await;
    test.bench.source.set(7, 72);
    cache.invalidate_tags(&["numbers"]).await.unwrap();
    cache.get(&7).await.unwrap();
    test.sink.open();
    put.await.unwrap().unwrap();
    assert_eq!(cache.get(&7).await.unwrap(), Some(72));
}
