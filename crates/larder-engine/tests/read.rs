//! The life of a read: fresh, stale, gone; what is kept and what is asked for again.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, S, settle};
use larder_core::{ErrorKind, Reason, State, Tier};
use larder_engine::Cache;
use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;
use larder_test::TestSource;

#[tokio::test]
async fn the_first_read_loads_and_the_next_ten_thousand_do_not() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let first = cache.ask(&7).await.unwrap();
    assert_eq!((first.value, first.tier, first.reason), (Some(49), Tier::Source, Reason::Loaded));
    for _ in 0..10_000 {
        assert_eq!(cache.get(&7).await.unwrap(), Some(49));
    }
    assert_eq!(bench.source.loads(), 1);
    let stats = cache.stats();
    assert_eq!((stats.hits(), stats.misses, stats.loads.count()), (10_000, 1, 1));
}

#[tokio::test]
async fn an_answer_tells_its_age_and_where_it_came_from() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    cache.get(&7).await.unwrap();
    bench.clock.advance(3 * S);
    let answer = cache.ask(&7).await.unwrap();
    assert_eq!((answer.age, answer.current), (3 * S, 3 * S));
    assert_eq!((answer.tier, answer.state), (Tier::Memory, State::Fresh));
    assert_eq!(answer.reason, Reason::Held);
}

#[tokio::test]
async fn an_entry_is_gone_just_after_the_promise() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    cache.get(&7).await.unwrap();
    bench.clock.advance(10 * S);
    cache.get(&7).await.unwrap();
    assert_eq!(bench.source.loads(), 1);
    bench.clock.advance(Duration::from_nanos(1));
    cache.get(&7).await.unwrap();
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test]
async fn an_absence_is_remembered_for_missing_for_and_no_longer() {
    let bench = Bench::with(TestSource::of([]));
    let cache = bench.builder().max_staleness(60 * S).missing_for(5 * S).build().unwrap();
    assert_eq!(cache.get(&1).await.unwrap(), None);
    bench.source.set(1, 100);
    bench.clock.advance(5 * S);
    assert_eq!(cache.get(&1).await.unwrap(), None);
    assert_eq!(bench.source.loads(), 1);
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(cache.get(&1).await.unwrap(), Some(100));
    assert_eq!(cache.stats().absent, 1);
}

#[tokio::test]
async fn a_stale_entry_is_served_while_exactly_one_flight_refreshes_it() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.builder().fresh_for(10 * S).stale_for(10 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(15 * S);
    bench.source.set(1, 20);
    bench.source.close();
    for _ in 0..100 {
        let answer = cache.ask(&1).await.unwrap();
        assert_eq!((answer.value, answer.state), (Some(10), State::Stale));
        assert_eq!(answer.reason, Reason::Refreshing);
    }
    bench.source.until_waiting(1).await;
    bench.source.open();
    settle().await;
    let answer = cache.ask(&1).await.unwrap();
    assert_eq!((answer.value, answer.state), (Some(20), State::Fresh));
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_stale_entry_until_it_is_gone() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.builder().fresh_for(10 * S).stale_for(10 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(20 * S);
    assert_eq!(cache.get(&1).await.unwrap(), Some(10));
    settle().await;
    assert_eq!(cache.get(&1).await.unwrap(), Some(10));
    settle().await;
    bench.clock.advance(S);
    assert_eq!(cache.get(&1).await.unwrap_err().kind(), ErrorKind::SourceDown);
}

#[tokio::test]
async fn an_error_is_not_kept_and_holds_the_sources_own() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let error = cache
        .get_or_load(&7, |_| async { Err(std::io::Error::other("disk on fire").into()) })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert_eq!(error.key(), Some("7"));
    assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().to_string(), "disk on fire");
    assert_eq!(cache.get(&7).await.unwrap(), Some(49));
}

#[tokio::test]
async fn jitter_keeps_entries_filled_together_from_expiring_together() {
    let bench = Bench::new();
    let cache = bench.builder().max_staleness(100 * S).jitter(50 * S).build().unwrap();
    for key in 0..100 {
        cache.get(&key).await.unwrap();
    }
    bench.clock.advance(75 * S);
    let held = (0..100).filter(|key| cache.peek(key).is_some()).count();
    assert!((20..80).contains(&held), "{held} of 100 are held");
}

#[tokio::test]
async fn get_or_load_runs_its_closure_once_and_not_when_the_value_is_held() {
    let bench = Bench::new();
    let cache = bench.builder().max_staleness(10 * S).build().unwrap();
    let load = |value| move |_| async move { Ok(Some(value)) };
    assert_eq!(cache.get_or_load(&1, load(5)).await.unwrap(), Some(5));
    assert_eq!(cache.get_or_load(&1, load(6)).await.unwrap(), Some(5));
    assert_eq!(bench.source.loads(), 0);
}

#[tokio::test]
async fn get_or_load_without_a_source_serves_a_stale_entry_and_refreshes_it_with_the_closure() {
    let bench = Bench::new();
    let cache: Cache<u64, u64> = Cache::builder("sourceless")
        .engine(&bench.engine)
        .fresh_for(S)
        .stale_for(10 * S)
        .jitter(Duration::ZERO)
        .build()
        .unwrap();
    let load = |value| move |_| async move { Ok(Some(value)) };
    assert_eq!(cache.get_or_load(&1, load(5)).await.unwrap(), Some(5));
    bench.clock.advance(2 * S);
    assert_eq!(cache.get_or_load(&1, load(6)).await.unwrap(), Some(5));
    settle().await;
    assert_eq!(cache.get_or_load(&1, load(7)).await.unwrap(), Some(6));
    assert_eq!((cache.stats().hits(), cache.stats().misses), (2, 1));
    assert_eq!(cache.get(&2).await.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn a_key_without_a_text_never_reaches_the_source() {
    let bench = Bench::new();
    let source: TestSource<String, u64> = TestSource::answering(|_| Some(1));
    let cache = Cache::builder("texts")
        .engine(&bench.engine)
        .max_staleness(S)
        .source(source.clone())
        .build()
        .unwrap();
    for key in ["a\nb".to_owned(), "x".repeat(1025)] {
        assert_eq!(cache.get(&key).await.unwrap_err().kind(), ErrorKind::BadKey);
        assert_eq!(cache.invalidate(&key).await.unwrap_err().kind(), ErrorKind::BadKey);
    }
    assert_eq!(cache.get(&"x".repeat(1024)).await.unwrap(), Some(1));
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn peek_neither_loads_nor_counts() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    assert_eq!(cache.peek(&1), None);
    cache.get(&1).await.unwrap();
    assert_eq!(cache.peek(&1).unwrap().value, Some(1));
    assert_eq!((bench.source.loads(), cache.stats().hits()), (1, 0));
}

fn owned(value: Option<&u64>) -> Option<u64> {
    value.copied()
}

#[tokio::test]
async fn fresh_reads_by_a_borrowed_key_and_never_the_stale() {
    let bench = Bench::new();
    let source: TestSource<String, u64> = TestSource::answering(|_| Some(1));
    let cache = Cache::builder("texts")
        .engine(&bench.engine)
        .fresh_for(S)
        .stale_for(S)
        .jitter(Duration::ZERO)
        .source(source)
        .build()
        .unwrap();
    let fresh = |cache: &Cache<String, u64>| cache.fresh("a", bench.engine.clock().now(), owned);
    assert_eq!(fresh(&cache), None);
    cache.get(&"a".to_owned()).await.unwrap();
    assert_eq!(fresh(&cache), Some(Some(1)));
    bench.clock.advance(S + Duration::from_nanos(1));
    assert_eq!(fresh(&cache), None);
    assert_eq!(cache.stats().hits(), 1);
}

#[tokio::test]
async fn a_value_too_heavy_to_keep_is_answered_uncached() {
    let bench = Bench::new();
    let cache = bench
        .builder()
        .max_staleness(10 * S)
        .bytes_max(64 << 10)
        .weigher(|_, _| 1 << 20)
        .build()
        .unwrap();
    for _ in 0..2 {
        let answer = cache.ask(&3).await.unwrap();
        assert_eq!((answer.value, answer.reason), (Some(9), Reason::Uncached));
    }
    assert_eq!(bench.source.loads(), 2);
}

#[test]
fn outside_a_runtime_the_builder_says_what_is_missing() {
    let built: larder_core::Result<Cache<u64, u64>> =
        Cache::builder("numbers").max_staleness(S).build();
    let error = built.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("tokio"), "{error}");
}

#[tokio::test]
async fn a_cache_keeps_to_its_bounds_whichever_policy_it_is_given() {
    for policy in PolicyKind::ALL {
        let bench = Bench::new();
        let builder = bench.builder().max_staleness(10 * S).entries_max(3).policy(policy);
        let cache = builder.candidates(Candidates::Expiring).build().unwrap();
        for key in 0..100 {
            assert_eq!(cache.get(&key).await.unwrap(), Some(key * key));
            assert!(cache.peek(&key).is_some(), "{policy} gave up what was just loaded");
        }
        let held = (0..100).filter(|key| cache.peek(key).is_some()).count();
        assert_eq!(held, 3, "{policy}");
    }
}

#[tokio::test]
async fn with_the_cost_policy_what_took_long_to_load_stays() {
    let bench = Bench::new();
    let cache = bench
        .builder()
        .max_staleness(1000 * S)
        .entries_max(64)
        .policy(PolicyKind::CostAware)
        .build()
        .unwrap();
    for key in 0..8 {
        let clock = bench.clock.clone();
        let slow = async move |_| {
            clock.advance(S);
            Ok(Some(1))
        };
        assert_eq!(cache.get_or_load(&key, slow).await.unwrap(), Some(1));
    }
    for key in 100..1000 {
        assert!(cache.get(&key).await.unwrap().is_some());
    }
    for key in 0..8 {
        assert!(cache.peek(&key).is_some(), "the slow load of {key} was given up");
    }
}
