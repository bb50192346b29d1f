//! Flights: who leads and who joins, how long anyone waits, and what a load may not leave behind.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, S, settle};
use larder_core::{ErrorKind, Reason};
use larder_engine::{Cache, Guard, GuardBounds};
use larder_test::TestSource;

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
async fn the_source_never_sees_more_loads_than_the_guard_and_the_rest_is_shed() {
    let bench = Bench::new();
    let bounds = GuardBounds { loads_max: 3, loads_waiting_max: 4, breaker: None };
    let guard = Guard::new(bounds).unwrap();
    let cache = bench.builder().max_staleness(10 * S).guard(guard.clone()).build().unwrap();
    bench.source.close();
    let readers: Vec<_> = (0..10)
        .map(|key| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.get(&key).await })
        })
        .collect();
    bench.source.until_waiting(3).await;
    settle().await;
    assert_eq!((bench.source.running(), guard.occupied()), (3, 7));
    bench.source.open();
    let mut shed = 0;
    for reader in readers {
        if let Err(error) = reader.await.unwrap() {
            assert_eq!(error.kind(), ErrorKind::Shed);
            assert!(error.retry_delay().is_some());
            shed += 1;
        }
    }
    assert_eq!((shed, guard.shed(), bench.source.running_max()), (3, 3, 3));
    assert_eq!((guard.occupied(), cache.flights()), (0, 0));
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
