//! Invalidations against loads, fills and tickets: nothing that was read before comes back.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::thread;

use common::{Bench, S, settle};
use larder_core::{ErrorKind, Reason, State};
use larder_engine::{Cache, Fill, Lookup, Ticket, Token};
use larder_test::TestSource;

fn miss(lookup: Lookup<u64, u64>) -> Ticket<u64, u64> {
    match lookup {
        Lookup::Miss(ticket) => ticket,
        Lookup::Hit(answer) => panic!("{answer:?} is held"),
    }
}

/// The most repeated correctness bug of caches: FusionCache#535, #625, caffeine#193,
/// quick-cache#73, gocache's LoadableCache.
#[tokio::test]
async fn an_invalidation_during_a_load_refuses_the_fill_and_the_reader_reads_again() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.ten_seconds();
    bench.source.close();
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.ask(&1).await.unwrap() }
    });
    bench.source.until_waiting(1).await;
    bench.source.set(1, 20);
    assert_eq!(cache.invalidate(&1).await.unwrap().entries, 0);
    bench.source.open();
    let answer = reader.await.unwrap();
    assert_eq!((answer.value, answer.reason), (Some(20), Reason::Loaded));
    assert_eq!(cache.peek(&1).unwrap().value, Some(20));
    assert_eq!((bench.source.loads(), cache.stats().fills_refused), (2, 1));
}

#[tokio::test]
async fn a_caller_after_an_invalidation_never_joins_an_older_flight() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.ten_seconds();
    bench.source.close();
    let before = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&1).await.unwrap() }
    });
    bench.source.until_waiting(1).await;
    bench.source.set(1, 20);
    cache.invalidate(&1).await.unwrap();
    let after = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&1).await.unwrap() }
    });
    bench.source.until_waiting(2).await;
    bench.source.open();
    assert_eq!(after.await.unwrap(), Some(20));
    assert!(before.await.unwrap().is_some());
    assert_eq!(cache.flights(), 0);
}

#[tokio::test]
async fn a_reader_gives_up_rereading_and_answers_uncached() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    bench.source.close();
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.ask(&3).await.unwrap() }
    });
    for _ in 0..3 {
        bench.source.until_waiting(1).await;
        cache.invalidate(&3).await.unwrap();
        bench.source.let_pass(1);
        settle().await;
    }
    let answer = reader.await.unwrap();
    assert_eq!((answer.value, answer.reason), (Some(9), Reason::Uncached));
    assert_eq!(bench.source.loads(), 3);
}

#[tokio::test]
async fn an_invalidated_entry_is_loaded_again() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.ten_seconds();
    cache.get(&1).await.unwrap();
    bench.source.set(1, 20);
    assert_eq!(cache.invalidate(&1).await.unwrap().entries, 1);
    assert_eq!(cache.get(&1).await.unwrap(), Some(20));
}

#[tokio::test]
async fn an_entry_marked_stale_is_served_once_more_and_refreshed() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.ten_seconds();
    cache.get(&1).await.unwrap();
    bench.source.set(1, 20);
    assert_eq!(cache.mark_stale(&1).await.unwrap().entries, 1);
    let answer = cache.ask(&1).await.unwrap();
    assert_eq!((answer.value, answer.state), (Some(10), State::Stale));
    settle().await;
    assert_eq!(cache.ask(&1).await.unwrap().value, Some(20));
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test]
async fn a_load_that_began_before_a_stale_mark_does_not_make_the_entry_fresh_again() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.builder().fresh_for(S).stale_for(100 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(2 * S);
    bench.source.close();
    cache.get(&1).await.unwrap();
    bench.source.until_waiting(1).await;
    bench.source.set(1, 20);
    cache.mark_stale(&1).await.unwrap();
    bench.source.let_pass(1);
    settle().await;
    assert_eq!(cache.ask(&1).await.unwrap().state, State::Stale);
    bench.source.until_waiting(1).await;
    bench.source.open();
    settle().await;
    let answer = cache.ask(&1).await.unwrap();
    assert_eq!((answer.value, answer.state), (Some(20), State::Fresh));
}

#[tokio::test]
async fn a_ticket_fills_unless_the_key_was_invalidated_since() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let kept = miss(cache.lookup(&1).await);
    assert_eq!(kept.fill(Some(5)), Fill::Stored);
    assert!(matches!(cache.lookup(&1).await, Lookup::Hit(answer) if answer.value == Some(5)));
    let refused = miss(cache.lookup(&2).await);
    cache.invalidate(&2).await.unwrap();
    assert_eq!(refused.fill(Some(5)), Fill::Refused);
    assert_eq!(cache.peek(&2), None);
    assert_eq!(bench.source.loads(), 0);
}

#[tokio::test]
async fn of_two_tickets_the_one_taken_later_stays() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let early = miss(cache.lookup(&1).await);
    bench.clock.advance(S);
    let late = miss(cache.lookup(&1).await);
    assert_eq!(late.fill(Some(20)), Fill::Stored);
    assert_eq!(early.fill(Some(10)), Fill::Refused);
    assert_eq!(cache.peek(&1).unwrap().value, Some(20));
}

#[tokio::test]
async fn a_ticket_used_after_the_promise_keeps_nothing() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let ticket = miss(cache.lookup(&1).await);
    bench.clock.advance(11 * S);
    assert_eq!(ticket.fill(Some(1)), Fill::NotKept);
}

#[tokio::test]
async fn a_token_is_good_for_its_key_and_its_engine_only() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let other = bench.ten_seconds();
    let elsewhere = Bench::new().ten_seconds();
    let token: Token = miss(cache.lookup(&1).await).token().to_string().parse().unwrap();
    assert!(cache.redeem(&2, token).is_none());
    assert!(other.redeem(&1, token).is_none());
    assert!(elsewhere.redeem(&1, token).is_none());
    assert_eq!(cache.redeem(&1, token).unwrap().fill(Some(5)), Fill::Stored);
    for text in ["", "x", &"g".repeat(80), &"0".repeat(79), &"A".repeat(80)] {
        assert!(text.parse::<Token>().is_err(), "{text:?}");
    }
}

#[tokio::test]
async fn what_is_given_out_once_is_never_given_to_two_threads() {
    let bench = Bench::new();
    let give = || (0..50_000).map(|_| Token::unique(&bench.engine)).collect::<Vec<_>>();
    let given: Vec<Token> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(give)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let different: HashSet<&Token> = given.iter().collect();
    assert_eq!(different.len(), given.len());
}

/// A key without a valid text can't be named to others, but a ticket fills it: a prefix strikes it,
/// and so does whoever names the key.
#[tokio::test]
async fn what_has_no_text_is_invalidated_here() {
    let cache: Cache<String, u32> = Cache::builder("odd").max_staleness(10 * S).build().unwrap();
    let key = "a\u{1}".to_owned();
    for names_it in [true, false] {
        let Lookup::Miss(ticket) = cache.lookup(&key).await else { panic!("nothing is held") };
        let Lookup::Miss(late) = cache.lookup(&key).await else { panic!("nothing is held") };
        assert_eq!(ticket.fill(Some(1)), Fill::Stored);
        match names_it {
            true => {
                let fault = cache.invalidate(&key).await.unwrap_err();
                assert_eq!(fault.kind(), ErrorKind::BadKey);
            }
            false => assert_eq!(cache.invalidate_prefix("a").await.unwrap().entries, 1),
        }
        assert!(matches!(cache.lookup(&key).await, Lookup::Miss(_)), "names it: {names_it}");
        assert_eq!(late.fill(Some(1)), Fill::Refused);
    }
}
