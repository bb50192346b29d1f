//! The guard as one machine: what a failing, slow or crowded source costs, and when it is asked
//! again.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Numbers, S, settle};
use larder_core::{ErrorKind, Reason};
use larder_engine::guard::BreakerState;
use larder_engine::{Guard, GuardBounds};

fn guarded(bench: &Bench) -> (Numbers, Guard) {
    let guard = Guard::new(GuardBounds::default()).unwrap();
    let cache = bench.builder().max_staleness(S).guard(guard.clone()).build().unwrap();
    (cache, guard)
}

fn state(bench: &Bench, guard: &Guard) -> BreakerState {
    use larder_core::Clock;
    guard.breaker().unwrap().state(bench.clock.now())
}

#[tokio::test]
async fn a_source_that_fails_is_left_alone_and_asked_again_by_one_probe() {
    let bench = Bench::new();
    let (cache, guard) = guarded(&bench);
    bench.source.fail(ErrorKind::SourceDown);
    for key in 0..5 {
        assert_eq!(cache.get(&key).await.unwrap_err().kind(), ErrorKind::SourceDown);
    }
    assert_eq!(state(&bench, &guard), BreakerState::Open);

    // Nobody reaches it now, and everybody is told when to come back.
    let error = cache.get(&9).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_delay()), (ErrorKind::SourceDown, Some(5 * S)));
    assert_eq!(bench.source.loads(), 5);

    // One probe at a time; while it is under way the others are refused.
    bench.clock.advance(5 * S);
    bench.source.close();
    let probing = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get(&10).await })
    };
    bench.source.until_waiting(1).await;
    assert_eq!(cache.get(&11).await.unwrap_err().kind(), ErrorKind::SourceDown);
    assert_eq!(bench.source.loads(), 6);
    bench.source.open();
    assert!(probing.await.unwrap().is_err());

    // It failed, so the rest is twice as long; then one success closes it.
    bench.clock.advance(5 * S);
    assert_eq!(cache.get(&12).await.unwrap_err().kind(), ErrorKind::SourceDown);
    assert_eq!(bench.source.loads(), 6);
    bench.source.succeed();
    bench.clock.advance(5 * S);
    assert_eq!(cache.get(&12).await.unwrap(), Some(144));
    assert_eq!(state(&bench, &guard), BreakerState::Closed);
}

#[tokio::test]
async fn errors_that_do_not_speak_against_the_source_do_not_open_it() {
    let bench = Bench::new();
    let (cache, guard) = guarded(&bench);
    bench.source.fail(ErrorKind::Refused);
    for key in 0..50 {
        assert_eq!(cache.get(&key).await.unwrap_err().kind(), ErrorKind::Refused);
    }
    assert_eq!(state(&bench, &guard), BreakerState::Closed);
    assert_eq!(bench.source.loads(), 50);
}

#[tokio::test]
async fn loads_that_waited_while_it_opened_are_refused_when_their_turn_comes() {
    let bench = Bench::new();
    let guard = Guard::new(GuardBounds { loads_max: 5, ..GuardBounds::default() }).unwrap();
    let cache = bench.builder().max_staleness(S).guard(guard.clone()).build().unwrap();
    bench.source.close();
    bench.source.fail(ErrorKind::SourceDown);
    let reads: Vec<_> = (0..20)
        .map(|key| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.get(&key).await.unwrap_err().kind() })
        })
        .collect();
    bench.source.until_waiting(5).await;
    settle().await;
    bench.source.open();
    for read in reads {
        assert_eq!(read.await.unwrap(), ErrorKind::SourceDown);
    }
    assert_eq!(bench.source.loads(), 5, "those behind the five that failed reached the source");
}

#[tokio::test]
async fn while_it_is_open_stale_values_stand_in() {
    let bench = Bench::new();
    let guard = Guard::new(GuardBounds::default()).unwrap();
    let cache = bench
        .builder()
        .max_staleness(S)
        .stale_on_error(3600 * S)
        .guard(guard.clone())
        .build()
        .unwrap();
    cache.get(&7).await.unwrap();
    bench.source.fail(ErrorKind::SourceDown);
    for key in 100..105 {
        cache.get(&key).await.unwrap_err();
    }
    bench.clock.advance(2 * S);
    assert_eq!(state(&bench, &guard), BreakerState::Open);
    let answer = cache.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.reason), (Some(49), Reason::Failing));
    assert_eq!(bench.source.loads(), 6);
}

#[tokio::test]
async fn caches_over_one_source_share_its_guard() {
    let bench = Bench::new();
    let (one, guard) = guarded(&bench);
    let other: Numbers = bench.builder().max_staleness(S).guard(guard).build().unwrap();
    bench.source.fail(ErrorKind::Timeout);
    for key in 0..5 {
        one.get(&key).await.unwrap_err();
    }
    assert_eq!(other.get(&1).await.unwrap_err().kind(), ErrorKind::SourceDown);
}

#[tokio::test]
async fn bounds_that_contradict_themselves_are_refused() {
    let mut bounds = GuardBounds::default();
    bounds.breaker.as_mut().unwrap().window = Duration::ZERO;
    assert_eq!(Guard::new(bounds).unwrap_err().kind(), ErrorKind::Config);
}
