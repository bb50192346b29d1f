//! Absences: what the source doesn't have is remembered as exactly that, and not for ever.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, S, asking, at_once, settle};
use larder_core::{ErrorKind, Reason, State, Tier};
use larder_engine::{Fill, Lookup};
use larder_test::TestSource;

fn nothing() -> Bench {
    Bench::with(TestSource::of([]).batching(10))
}

/// Redisson gave out its own mark for "nothing" (redisson#7326).
#[tokio::test]
async fn an_absence_reads_as_no_value_on_every_way() {
    let bench = nothing();
    let cache = bench.ten_seconds();
    let loaded = cache.ask(&1).await.unwrap();
    assert_eq!((loaded.value, loaded.tier, loaded.reason), (None, Tier::Source, Reason::Loaded));
    let held = at_once(cache.ask(&1)).unwrap();
    assert_eq!((held.value, held.tier, held.state), (None, Tier::Memory, State::Fresh));
    assert_eq!(cache.get(&1).await.unwrap(), None);
    assert_eq!(cache.get_many(&[1, 2, 1]).await.unwrap(), [None, None, None]);
    assert_eq!(cache.read(&1).get().await.unwrap(), None);
    assert_eq!(cache.peek(&1).unwrap().value, None);
    assert!(matches!(cache.lookup(&1).await, Lookup::Hit(answer) if answer.value.is_none()));
    assert_eq!((cache.held_until(&1), bench.source.loads_of(&1)), (None, 1));
}

/// A loader that finds nothing left Redisson's callers waiting (redisson#1170).
#[tokio::test]
async fn everybody_who_waits_for_what_is_not_there_is_told() {
    let bench = nothing();
    let cache = bench.ten_seconds();
    bench.source.close();
    let readers: Vec<_> = (0..100).map(|_| asking(&cache, 1)).collect();
    bench.source.until_waiting(1).await;
    settle().await;
    bench.source.open();
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap().value, None);
    }
    assert_eq!((bench.source.loads_of(&1), cache.flights()), (1, 0));
}

/// Not cached at all, it is asked for with every read (hazelcast#122).
#[tokio::test]
async fn what_is_not_there_is_asked_for_once() {
    let bench = nothing();
    let cache = bench.ten_seconds();
    for _ in 0..1000 {
        assert_eq!(cache.get(&1).await.unwrap(), None);
    }
    assert_eq!((bench.source.loads(), cache.stats().absent), (1, 1));
}

/// Cached for ever, it hides what was created since (hazelcast#795).
#[tokio::test]
async fn what_was_created_is_seen_after_missing_for_or_an_invalidation() {
    let bench = nothing();
    let cache = bench.builder().max_staleness(3600 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    cache.get(&2).await.unwrap();
    bench.source.set(1, 10);
    bench.source.set(2, 20);
    assert_eq!(cache.invalidate(&2).await.unwrap().entries, 1);
    assert_eq!((cache.get(&1).await.unwrap(), cache.get(&2).await.unwrap()), (None, Some(20)));
    bench.clock.advance(30 * S + Duration::from_nanos(1));
    assert_eq!(cache.get(&1).await.unwrap(), Some(10));
}

#[tokio::test]
async fn an_error_is_no_absence() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.ten_seconds();
    bench.source.fail_next(1, ErrorKind::SourceDown);
    assert!(cache.get(&1).await.is_err());
    assert_eq!((cache.peek(&1), cache.stats().absent), (None, 0));
    assert_eq!(cache.get(&1).await.unwrap(), Some(10));
}

#[tokio::test]
async fn an_absence_is_never_refreshed_early_and_no_longer_served_when_its_time_is_over() {
    let bench = nothing();
    let builder = bench.builder().fresh_for(100 * S).stale_for(100 * S).missing_for(10 * S);
    let cache = builder.build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(10 * S);
    assert_eq!(at_once(cache.get(&1)).unwrap(), None);
    settle().await;
    assert_eq!(bench.source.loads(), 1);
    bench.source.set(1, 10);
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(cache.get(&1).await.unwrap(), Some(10));
}

#[tokio::test]
async fn an_absence_that_is_filled_with_a_ticket_is_held_as_one() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let Lookup::Miss(ticket) = cache.lookup(&7).await else { panic!("nothing is held") };
    assert_eq!(ticket.fill(None), Fill::Stored);
    assert_eq!((cache.get(&7).await.unwrap(), bench.source.loads()), (None, 0));
}

/// The cache must not invent an absence where it has nobody to ask.
#[tokio::test]
async fn a_cache_without_a_source_knows_of_no_absence_on_any_way() {
    let bench = Bench::new();
    let cache: common::Numbers = larder_engine::Cache::builder("sourceless")
        .engine(&bench.engine)
        .fresh_for(S)
        .stale_for(100 * S)
        .build()
        .unwrap();
    assert_eq!(cache.get(&1).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(cache.get_many(&[1]).await.unwrap_err().kind(), ErrorKind::Refused);
    for answer in cache.ask_many(&[1, 2]).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Refused);
    }
    assert_eq!((cache.peek(&1), cache.flights()), (None, 0));
    cache.get_or_load(&3, |_| async { Ok(Some(9)) }).await.unwrap();
    bench.clock.advance(2 * S);
    for _ in 0..3 {
        assert_eq!(cache.get_many(&[3]).await.unwrap(), [Some(9)], "a refresh took the value");
        settle().await;
    }
}
