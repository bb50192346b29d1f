//! The life of a read: fresh, stale, gone; who loads, who joins, who waits.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, S, settle};
use larder_core::{ErrorKind, Reason, State, Tier};
use larder_engine::{Bulkhead, BulkheadBounds, Cache};
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
async fn concurrent_readers_of_a_cold_key_make_one_load() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    bench.source.close();
    let readers: Vec<_> = (0..1000)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.ask(&7).await.unwrap() })
        })
        .collect();
    bench.source.until_waiting(1).await;
    settle().await;
    bench.source.open();
    let mut led = 0;
    for reader in readers {
        let answer = reader.await.unwrap();
        assert_eq!(answer.value, Some(49));
        led += u32::from(answer.reason == Reason::Loaded);
    }
    assert_eq!((bench.source.loads(), led, cache.stats().joined), (1, 1, 999));
    assert_eq!(cache.flights(), 0);
}

/// Callers of moka wait for ever when the one whose future runs the load is no longer polled
/// (moka#240).
#[tokio::test]
async fn a_leader_that_goes_away_takes_nobody_with_it() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    bench.source.close();
    let leader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&7).await }
    });
    bench.source.until_waiting(1).await;
    let joined = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&7).await }
    });
    settle().await;
    leader.abort();
    settle().await;
    bench.source.open();
    assert_eq!(joined.await.unwrap().unwrap(), Some(49));
    assert_eq!(bench.source.loads(), 1);
}

#[tokio::test]
async fn a_load_whose_callers_have_all_left_is_kept() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    bench.source.close();
    let only = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&7).await }
    });
    bench.source.until_waiting(1).await;
    only.abort();
    settle().await;
    bench.source.open();
    settle().await;
    assert_eq!(cache.peek(&7).unwrap().value, Some(49));
}

#[tokio::test]
async fn each_caller_has_its_own_deadline_and_the_load_goes_on() {
    let bench = Bench::new();
    let cache = bench.builder().max_staleness(60 * S).deadline(2 * S).build().unwrap();
    bench.source.close();
    let read = |cache: &Cache<u64, u64>| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get(&7).await })
    };
    let early = read(&cache);
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(S);
    let late = read(&cache);
    settle().await;
    bench.clock.advance(S);
    let error = early.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Timeout, Some("7")));
    bench.source.open();
    assert_eq!(late.await.unwrap().unwrap(), Some(49));
    assert_eq!(bench.source.loads(), 1);
}

#[tokio::test]
async fn a_load_that_hangs_ends_at_its_timeout_and_the_next_one_works() {
    let bench = Bench::new();
    let cache = bench.builder().max_staleness(60 * S).load_timeout(3 * S).build().unwrap();
    bench.source.close();
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&7).await }
    });
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(3 * S);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    bench.source.open();
    assert_eq!(cache.get(&7).await.unwrap(), Some(49));
    assert_eq!(cache.flights(), 0);
}

#[tokio::test]
async fn a_panic_reaches_every_caller_and_leaves_nothing_stuck() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    bench.source.panic_next(1);
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.get(&7).await })
        })
        .collect();
    for reader in readers {
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert!(error.to_string().contains("panicked"), "{error}");
    }
    assert_eq!(cache.flights(), 0);
    assert_eq!(cache.get(&7).await.unwrap(), Some(49));
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
async fn a_result_older_than_the_window_is_not_given_to_who_came_later() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.builder().max_staleness(2 * S).build().unwrap();
    bench.source.close();
    let read = || {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get(&1).await.unwrap() })
    };
    let early = read();
    bench.source.until_waiting(1).await;
    bench.source.set(1, 20);
    bench.clock.advance(3 * S);
    let late = read();
    settle().await;
    bench.source.let_pass(1);
    assert_eq!(early.await.unwrap(), Some(10));
    bench.source.until_waiting(1).await;
    bench.source.open();
    assert_eq!(late.await.unwrap(), Some(20));
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test]
async fn with_a_promise_of_zero_every_read_asks_and_joins_only_what_began_after_it() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.builder().max_staleness(Duration::ZERO).build().unwrap();
    cache.get(&1).await.unwrap();
    assert_eq!(cache.ask(&1).await.unwrap().reason, Reason::Uncached);
    assert_eq!(bench.source.loads(), 2);
    bench.source.close();
    let read = || {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get(&1).await.unwrap() })
    };
    let first = read();
    bench.source.until_waiting(1).await;
    bench.clock.advance(S);
    let others: Vec<_> = (0..10).map(|_| read()).collect();
    settle().await;
    bench.source.set(1, 20);
    bench.source.let_pass(1);
    assert_eq!(first.await.unwrap(), Some(10));
    bench.source.until_waiting(1).await;
    bench.source.open();
    for other in others {
        assert_eq!(other.await.unwrap(), Some(20));
    }
    assert_eq!(bench.source.loads(), 4);
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
async fn the_source_never_sees_more_loads_than_the_bulkhead_and_the_rest_is_shed() {
    let bench = Bench::new();
    let bounds = BulkheadBounds { loads_max: 3, loads_waiting_max: 4 };
    let bulkhead = Bulkhead::new(bounds);
    let cache = bench.builder().max_staleness(10 * S).bulkhead(bulkhead.clone()).build().unwrap();
    bench.source.close();
    let readers: Vec<_> = (0..10)
        .map(|key| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.get(&key).await })
        })
        .collect();
    bench.source.until_waiting(3).await;
    settle().await;
    assert_eq!((bench.source.running(), bulkhead.occupied()), (3, 7));
    bench.source.open();
    let mut shed = 0;
    for reader in readers {
        if let Err(error) = reader.await.unwrap() {
            assert_eq!(error.kind(), ErrorKind::Shed);
            assert!(error.retry_delay().is_some());
            shed += 1;
        }
    }
    assert_eq!((shed, bulkhead.shed(), bench.source.running_max()), (3, 3, 3));
    assert_eq!((bulkhead.occupied(), cache.flights()), (0, 0));
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
async fn get_or_load_without_a_source_loads_again_when_the_entry_is_stale() {
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
    assert_eq!(cache.get_or_load(&1, load(6)).await.unwrap(), Some(6));
    assert_eq!((cache.stats().hits(), cache.stats().misses), (0, 2));
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

#[test]
fn a_flight_whose_runtime_shuts_down_lands_as_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (bench, cache) = runtime.block_on(async {
        let bench = Bench::new();
        let cache = bench.ten_seconds();
        bench.source.close();
        let reader = cache.clone();
        tokio::spawn(async move { reader.get(&7).await });
        bench.source.until_waiting(1).await;
        (bench, cache)
    });
    assert_eq!(cache.flights(), 1);
    drop(runtime);
    assert_eq!(cache.flights(), 0);
    drop(bench);
}
