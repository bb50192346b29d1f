//! Refreshes: who begins one and when, who is served meanwhile, and what a failed one leaves.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Numbers, S, asking, at_once, settle};
use larder_core::{ErrorKind, Reason, State};
use larder_engine::{Fill, Guard, GuardBounds, Lookup};
use larder_test::TestSource;

const NANO: Duration = Duration::from_nanos(1);

/// Key 1 is 10 and held, fresh for ten seconds and stale for long.
async fn held(bench: &Bench) -> Numbers {
    let cache = bench.builder().fresh_for(10 * S).stale_for(1000 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    cache
}

fn ten() -> Bench {
    Bench::with(TestSource::of([(1, 10)]))
}

#[tokio::test]
async fn a_fresh_hit_past_the_threshold_begins_exactly_one_refresh_and_is_served() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(8 * S);
    for _ in 0..100 {
        at_once(cache.ask(&1)).unwrap();
    }
    settle().await;
    assert_eq!(bench.source.loads(), 1, "at the threshold it is calm");
    bench.clock.advance(NANO);
    bench.source.set(1, 20);
    bench.source.close();
    for _ in 0..100 {
        let answer = at_once(cache.ask(&1)).unwrap();
        assert_eq!((answer.value, answer.reason), (Some(10), Reason::Held));
        assert_eq!(answer.state, State::Fresh);
    }
    settle().await;
    assert_eq!(bench.source.waiting(), 1);
    bench.source.open();
    settle().await;
    assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(20));
    assert_eq!((bench.source.loads(), cache.stats().misses), (2, 1));
}

#[tokio::test]
async fn without_early_refresh_the_first_refresh_comes_with_the_first_stale_hit() {
    let bench = ten();
    let builder = bench.builder().fresh_for(10 * S).stale_for(S).refresh_at(1.0).xfetch(0.0);
    let cache = builder.build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(10 * S);
    at_once(cache.ask(&1)).unwrap();
    settle().await;
    assert_eq!(bench.source.loads(), 1);
    bench.clock.advance(NANO);
    at_once(cache.ask(&1)).unwrap();
    settle().await;
    assert_eq!(bench.source.loads(), 2);
}

/// The draw reaches at most 22.2 times cost and β before the end: 222 of 1000 seconds here.
#[tokio::test]
async fn what_took_long_to_load_is_refreshed_by_chance_before_the_end_and_not_while_it_is_calm() {
    let bench = ten();
    let builder = bench.builder().fresh_for(1000 * S).refresh_at(1.0).xfetch(10.0);
    let cache = builder.build().unwrap();
    let clock = bench.clock.clone();
    let slow = move |_| async move {
        clock.advance(S);
        Ok(Some(10))
    };
    cache.get_or_load(&1, slow).await.unwrap();
    let read_often = || {
        for _ in 0..200 {
            assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(10));
        }
    };
    bench.clock.advance(776 * S);
    read_often();
    settle().await;
    assert_eq!(bench.source.loads(), 0);
    bench.clock.advance(222 * S);
    bench.source.close();
    read_often();
    settle().await;
    assert_eq!(bench.source.loads(), 1);
}

/// In Caffeine a refresh that takes longer than the interval made readers wait (caffeine#1478), in
/// BentoCache a lock did (bentocache#103).
#[tokio::test]
async fn nobody_waits_for_a_refresh_that_takes_longer_than_the_lifetime() {
    let bench = ten();
    let builder = bench.builder().fresh_for(S).stale_for(1000 * S).load_timeout(500 * S);
    let cache = builder.build().unwrap();
    cache.get(&1).await.unwrap();
    bench.source.close();
    for _ in 0..100 {
        bench.clock.advance(3 * S);
        let answer = at_once(cache.ask(&1)).unwrap();
        assert_eq!((answer.value, answer.reason), (Some(10), Reason::Refreshing));
        settle().await;
    }
    assert_eq!((bench.source.loads(), bench.source.running_max()), (2, 1));
}

/// The rule of Caffeine: what a refresh brings is kept only if nothing newer came in between.
#[tokio::test]
async fn a_refresh_that_was_overtaken_by_a_fill_is_discarded() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(11 * S);
    bench.source.close();
    at_once(cache.ask(&1)).unwrap();
    bench.source.until_waiting(1).await;
    bench.clock.advance(S);
    let Lookup::Miss(ticket) = cache.lookup(&1).await else { panic!("it is stale") };
    assert_eq!(ticket.fill(Some(30)), Fill::Stored);
    bench.source.open();
    settle().await;
    assert_eq!(cache.peek(&1).unwrap().value, Some(30));
    assert_eq!(cache.stats().fills_refused, 1);
}

#[tokio::test]
async fn a_failing_refresh_is_tried_again_after_1_2_4_and_at_most_30_seconds() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(11 * S);
    bench.source.fail(ErrorKind::SourceDown);
    let read = async || {
        assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(10));
        settle().await;
        bench.source.loads()
    };
    let mut loads = read().await;
    assert_eq!(loads, 2);
    for rest in [1, 2, 4, 8, 16, 30, 30] {
        bench.clock.advance(rest * S - NANO);
        assert_eq!(read().await, loads, "it rests for {rest} s");
        bench.clock.advance(NANO);
        loads += 1;
        assert_eq!(read().await, loads, "after {rest} s it is tried again");
    }
}

#[tokio::test]
async fn a_success_resets_the_back_off() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(11 * S);
    let read = async || {
        assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(10));
        settle().await;
        bench.source.loads()
    };
    bench.source.fail_next(3, ErrorKind::Timeout);
    for rest in [0, 1, 2, 4] {
        bench.clock.advance(rest * S);
        read().await;
    }
    assert_eq!((bench.source.loads(), cache.peek(&1).unwrap().state), (5, State::Fresh));
    bench.clock.advance(11 * S);
    bench.source.fail_next(1, ErrorKind::Timeout);
    assert_eq!(read().await, 6);
    bench.clock.advance(S);
    assert_eq!(read().await, 7);
}

#[tokio::test]
async fn a_failing_early_refresh_backs_off_too_and_the_entry_stays_fresh() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(9 * S);
    for _ in 0..100 {
        assert_eq!(at_once(cache.ask(&1)).unwrap().state, State::Fresh);
        settle().await;
    }
    assert_eq!(bench.source.loads(), 2);
    bench.clock.advance(S);
    assert_eq!(at_once(cache.ask(&1)).unwrap().state, State::Fresh);
    settle().await;
    assert_eq!(bench.source.loads(), 3);
}

/// A dead owner blocks nobody (django-redis-cache#128, aiocache#235).
#[tokio::test]
async fn a_refresh_that_panics_leaves_the_entry_and_the_next_one_works() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.clock.advance(11 * S);
    bench.source.set(1, 20);
    bench.source.panic_next(1);
    at_once(cache.ask(&1)).unwrap();
    settle().await;
    assert_eq!((at_once(cache.ask(&1)).unwrap().value, cache.flights()), (Some(10), 0));
    bench.clock.advance(S);
    at_once(cache.ask(&1)).unwrap();
    settle().await;
    assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(20));
}

#[tokio::test]
async fn a_refresh_that_is_shed_costs_nobody_anything_and_the_next_reader_tries_again() {
    let bench = Bench::with(TestSource::of([(1, 10), (2, 2)]));
    let guard =
        Guard::new(GuardBounds { loads_max: 1, loads_waiting_max: 0, breaker: None }).unwrap();
    let builder = bench.builder().fresh_for(10 * S).stale_for(1000 * S).guard(guard.clone());
    let cache = builder.build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(11 * S);
    bench.source.close();
    let other = asking(&cache, 2);
    bench.source.until_waiting(1).await;
    assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(10));
    assert_eq!((guard.shed(), cache.flights()), (1, 1));
    bench.source.set(1, 20);
    bench.source.open();
    other.await.unwrap().unwrap();
    at_once(cache.ask(&1)).unwrap();
    settle().await;
    assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(20));
}
