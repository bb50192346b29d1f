//! `fresh`, the shortest way to a hit: it begins nothing, and reads nothing exactly where a refresh
//! is due that nobody sees to.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Numbers, S, at_once, settle};
use larder_core::ErrorKind;
use larder_test::TestSource;

const NANO: Duration = Duration::from_nanos(1);

fn ten() -> Bench {
    Bench::with(TestSource::of([(1, 10)]))
}

async fn held(bench: &Bench) -> Numbers {
    let cache = bench.tagging().fresh_for(10 * S).stale_for(100 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    cache
}

fn owned(value: Option<&u64>) -> Option<u64> {
    value.copied()
}

/// What `fresh` reads of key 1.
fn fresh(bench: &Bench, cache: &Numbers) -> Option<Option<u64>> {
    cache.fresh(&1, bench.engine.clock().now(), owned)
}

const TEN: Option<Option<u64>> = Some(Some(10));

#[tokio::test]
async fn it_reads_what_is_fresh_and_counts_a_hit() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(8 * S);
    assert_eq!(fresh(&bench, &cache), TEN);
    assert_eq!((cache.stats().hits(), cache.stats().fresh_hit_age.sum), (1, 8 * S));
}

#[tokio::test]
async fn it_reads_a_remembered_absence_and_no_missing_entry() {
    let bench = Bench::with(TestSource::of([]));
    let cache = bench.ten_seconds();
    assert_eq!(fresh(&bench, &cache), None);
    cache.get(&1).await.unwrap();
    assert_eq!(fresh(&bench, &cache), Some(None));
    assert_eq!((bench.source.loads(), cache.stats().misses), (1, 1));
}

#[tokio::test]
async fn an_early_refresh_that_is_due_makes_it_read_nothing_until_somebody_sees_to_it() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(8 * S + NANO);
    bench.source.close();
    for _ in 0..10 {
        assert_eq!(fresh(&bench, &cache), None);
    }
    settle().await;
    assert_eq!((bench.source.loads(), cache.stats().hits(), cache.flights()), (1, 0, 0));
    at_once(cache.ask(&1)).unwrap();
    assert_eq!(fresh(&bench, &cache), TEN, "a flight sees to it");
    bench.source.until_waiting(1).await;
    assert_eq!(fresh(&bench, &cache), TEN);
    bench.source.open();
    settle().await;
    assert_eq!((fresh(&bench, &cache), bench.source.loads()), (TEN, 2));
}

#[tokio::test]
async fn while_the_key_rests_it_reads_what_is_fresh_and_then_nothing() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(8 * S + NANO);
    bench.source.fail(ErrorKind::SourceDown);
    at_once(cache.ask(&1)).unwrap();
    settle().await;
    assert_eq!(fresh(&bench, &cache), TEN);
    bench.clock.advance(S - NANO);
    assert_eq!(fresh(&bench, &cache), TEN);
    bench.clock.advance(NANO);
    assert_eq!(fresh(&bench, &cache), None);
    assert_eq!(bench.source.loads(), 2);
}

/// Only the early refresh is somebody's to begin: what is stale is never read here.
#[tokio::test]
async fn it_reads_nothing_stale_though_a_refresh_runs() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(10 * S + NANO);
    bench.source.close();
    at_once(cache.ask(&1)).unwrap();
    bench.source.until_waiting(1).await;
    assert_eq!(fresh(&bench, &cache), None);
    bench.clock.advance(1000 * S);
    assert_eq!(fresh(&bench, &cache), None);
}

#[tokio::test]
async fn it_reads_nothing_that_was_invalidated_or_marked_stale() {
    for way in 0..8 {
        let bench = ten();
        let cache = held(&bench).await;
        assert_eq!(fresh(&bench, &cache), TEN);
        match way {
            0 => drop(cache.invalidate(&1).await.unwrap()),
            1 => drop(cache.invalidate_tags(&["number:1"]).await.unwrap()),
            2 => drop(cache.invalidate_all().await.unwrap()),
            3 => drop(cache.invalidate_prefix("1").await.unwrap()),
            4 => drop(cache.mark_stale(&1).await.unwrap()),
            5 => drop(cache.mark_tags_stale(&["number:1"]).await.unwrap()),
            6 => drop(cache.mark_all_stale().await.unwrap()),
            _ => drop(cache.mark_prefix_stale("1").await.unwrap()),
        }
        assert_eq!(fresh(&bench, &cache), None, "{way}");
    }
}

#[tokio::test]
async fn without_early_refresh_it_reads_to_the_last_nanosecond() {
    let bench = ten();
    let builder = bench.builder().fresh_for(10 * S).refresh_at(1.0).xfetch(0.0);
    let cache = builder.build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(10 * S);
    assert_eq!(fresh(&bench, &cache), TEN);
    bench.clock.advance(NANO);
    assert_eq!(fresh(&bench, &cache), None);
}
