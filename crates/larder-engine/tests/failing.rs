//! A source that fails: what stands in, how it is told, how long, and what never does.
#![allow(clippy::unwrap_used)]

mod common;

use std::io;
use std::time::Duration;

use common::{Bench, Numbers, S, asking, at_once, settle};
use larder_core::{Error, ErrorKind, Reason, State, Tier};
use larder_test::TestSource;

const NANO: Duration = Duration::from_nanos(1);

/// A promise of ten seconds, and twenty more while the source fails.
fn lenient(bench: &Bench) -> Numbers {
    bench.tagging().max_staleness(10 * S).stale_on_error(20 * S).build().unwrap()
}

async fn held(bench: &Bench) -> Numbers {
    let cache = lenient(bench);
    cache.get(&1).await.unwrap();
    cache
}

fn ten() -> Bench {
    Bench::with(TestSource::of([(1, 10)]))
}

/// What Rails' cache hasn't (rails#45311).
#[tokio::test]
async fn beyond_the_promise_a_value_stands_in_says_so_and_is_counted() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(15 * S);
    let answer = cache.ask(&1).await.unwrap();
    assert_eq!((answer.value, answer.tier), (Some(10), Tier::Memory));
    assert_eq!((answer.state, answer.reason), (State::Stale, Reason::Failing));
    assert_eq!((answer.age, answer.current), (15 * S, 15 * S));
    let stats = cache.stats();
    assert_eq!((stats.stood_in_age.count(), stats.stood_in_age.sum), (1, 15 * S));
    assert_eq!((stats.hits(), stats.misses, stats.load_errors), (0, 2, 1));
}

#[tokio::test]
async fn it_stands_in_up_to_its_limit_and_not_a_nanosecond_longer() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(30 * S);
    assert_eq!(cache.ask(&1).await.unwrap().reason, Reason::Failing);
    bench.clock.advance(NANO);
    assert_eq!(cache.ask(&1).await.unwrap_err().kind(), ErrorKind::SourceDown);
}

#[tokio::test]
async fn nothing_stands_in_unless_that_was_declared() {
    let bench = ten();
    let cache = bench.ten_seconds();
    cache.get(&1).await.unwrap();
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(10 * S + NANO);
    assert_eq!(cache.ask(&1).await.unwrap_err().kind(), ErrorKind::SourceDown);
}

#[tokio::test]
async fn beyond_the_promise_a_source_that_works_is_asked() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.set(1, 20);
    bench.clock.advance(10 * S + NANO);
    let answer = cache.ask(&1).await.unwrap();
    assert_eq!((answer.value, answer.reason), (Some(20), Reason::Loaded));
}

/// What stands in is not renewed by it: it ends at the limit of its own load.
#[tokio::test]
async fn standing_in_makes_nothing_younger() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(11 * S);
    for age in 11..=30 {
        assert_eq!(cache.ask(&1).await.unwrap().age, S * age);
        bench.clock.advance(S);
    }
    assert_eq!(cache.ask(&1).await.unwrap_err().kind(), ErrorKind::SourceDown);
}

#[tokio::test]
async fn while_the_key_rests_the_source_is_not_asked_and_nobody_waits() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(11 * S);
    cache.ask(&1).await.unwrap();
    for _ in 0..100 {
        assert_eq!(at_once(cache.ask(&1)).unwrap().reason, Reason::Failing);
    }
    assert_eq!(bench.source.loads(), 2);
    bench.source.succeed();
    bench.source.set(1, 20);
    bench.clock.advance(S - NANO);
    assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(10));
    bench.clock.advance(NANO);
    assert_eq!(cache.ask(&1).await.unwrap().value, Some(20));
    assert_eq!(bench.source.loads(), 3);
}

/// "The product doesn't exist" is not to be said because the database doesn't answer.
#[tokio::test]
async fn an_absence_never_stands_in() {
    let bench = Bench::with(TestSource::of([]));
    let cache = lenient(&bench);
    assert_eq!(cache.get(&1).await.unwrap(), None);
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(11 * S);
    assert_eq!(cache.ask(&1).await.unwrap_err().kind(), ErrorKind::SourceDown);
}

/// A known absence takes the place of the value that it follows.
#[tokio::test]
async fn a_deleted_value_never_stands_in() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.remove(1);
    bench.clock.advance(11 * S);
    assert_eq!(cache.get(&1).await.unwrap(), None);
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(11 * S);
    assert_eq!(cache.ask(&1).await.unwrap_err().kind(), ErrorKind::SourceDown);
}

/// Who invalidates chooses: a hard invalidation leaves nothing to fall back on, a stale mark does
/// (bentocache#63, FusionCache#553).
#[tokio::test]
async fn what_was_invalidated_never_stands_in_and_what_was_marked_stale_does() {
    let bench = ten();
    for (way, stands_in) in (0..8).map(|way| (way, way >= 4)) {
        let cache = held(&bench).await;
        match way {
            0 => cache.invalidate(&1).await,
            1 => cache.invalidate_tags(&["number:1"]).await,
            2 => cache.invalidate_all().await,
            3 => cache.invalidate_prefix("1").await,
            4 => cache.mark_stale(&1).await,
            5 => cache.mark_tags_stale(&["number:1"]).await,
            6 => cache.mark_all_stale().await,
            _ => cache.mark_prefix_stale("1").await,
        }
        .unwrap();
        bench.source.fail(ErrorKind::SourceDown);
        bench.clock.advance(15 * S);
        let answer = cache.ask(&1).await;
        assert_eq!(answer.is_ok_and(|answer| answer.reason == Reason::Failing), stands_in, "{way}");
        bench.source.succeed();
    }
}

#[tokio::test]
async fn only_errors_that_say_that_the_source_fails_are_bridged() {
    for (kind, bridged) in [
        (ErrorKind::SourceDown, true),
        (ErrorKind::Timeout, true),
        (ErrorKind::Loader, true),
        (ErrorKind::Shed, true),
        (ErrorKind::BadKey, false),
        (ErrorKind::Refused, false),
        (ErrorKind::Config, false),
    ] {
        let bench = ten();
        let cache = held(&bench).await;
        bench.source.fail(kind);
        bench.clock.advance(15 * S);
        match cache.ask(&1).await {
            Ok(answer) => assert_eq!((answer.reason, bridged), (Reason::Failing, true), "{kind:?}"),
            Err(error) => assert_eq!((error.kind(), bridged), (kind, false)),
        }
    }
}

#[tokio::test]
async fn a_panic_of_the_loader_is_bridged() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.panic_next(1);
    bench.clock.advance(15 * S);
    assert_eq!(cache.ask(&1).await.unwrap().reason, Reason::Failing);
}

#[tokio::test]
async fn while_the_source_is_slow_a_value_stands_in_after_the_wait_and_the_load_is_kept() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.set(1, 20);
    bench.source.close();
    bench.clock.advance(15 * S);
    let reader = asking(&cache, 1);
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(Duration::from_millis(100) - NANO);
    settle().await;
    assert!(!reader.is_finished());
    bench.clock.advance(NANO);
    let answer = reader.await.unwrap().unwrap();
    assert_eq!((answer.value, answer.reason), (Some(10), Reason::Slow));
    assert_eq!((answer.state, cache.stats().stood_in_age.count()), (State::Stale, 1));
    bench.source.open();
    settle().await;
    assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(20));
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test]
async fn a_source_that_answers_within_the_wait_is_waited_for() {
    let bench = ten();
    let cache = held(&bench).await;
    bench.source.set(1, 20);
    bench.source.close();
    bench.clock.advance(15 * S);
    let reader = asking(&cache, 1);
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(Duration::from_millis(99));
    bench.source.open();
    assert_eq!(reader.await.unwrap().unwrap().value, Some(20));
}

#[tokio::test]
async fn an_error_says_when_to_ask_again_and_holds_the_sources_own() {
    let bench = ten();
    let cache = bench.ten_seconds();
    let broken = |_| async { Err(io::Error::other("disk on fire").into()) };
    let error = cache.get_or_load(&1, broken).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("1")));
    assert_eq!(error.retry_delay(), Some(S));
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), "disk on fire");
}

#[tokio::test]
async fn everybody_who_waits_gets_the_same_error_and_the_source_is_asked_once() {
    let bench = ten();
    let cache = bench.ten_seconds();
    bench.source.close();
    bench.source.fail_next(1, ErrorKind::SourceDown);
    let readers: Vec<_> = (0..100).map(|_| asking(&cache, 1)).collect();
    bench.source.until_waiting(1).await;
    settle().await;
    bench.source.open();
    for reader in readers {
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.retry_delay()), (ErrorKind::SourceDown, Some(S)));
    }
    assert_eq!((bench.source.loads(), cache.stats().load_errors), (1, 1));
    assert_eq!(cache.get(&1).await.unwrap(), Some(10));
}

#[tokio::test]
async fn what_the_source_says_of_when_to_ask_again_comes_first() {
    let bench = ten();
    let cache = bench.ten_seconds();
    let busy =
        |_| async { Err(Error::new(ErrorKind::SourceDown, "busy").retry_after(7 * S).into()) };
    assert_eq!(cache.get_or_load(&1, busy).await.unwrap_err().retry_delay(), Some(7 * S));
}
