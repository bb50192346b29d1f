//! One read with patience of its own.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Numbers, S, at_once, settle};
use larder_core::{Answer, ErrorKind, Reason, Result, State};
use larder_engine::Read;
use larder_test::TestSource;
use tokio::task::JoinHandle;

const NANO: Duration = Duration::from_nanos(1);

/// Key 1 is 10 and held; the source has 20, and its gate is closed.
async fn changed(bench: &Bench) -> Numbers {
    let builder = bench.builder().fresh_for(10 * S).stale_for(90 * S);
    let cache = builder.stale_on_error(100 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    bench.source.set(1, 20);
    bench.source.close();
    cache
}

fn ten() -> Bench {
    Bench::with(TestSource::of([(1, 10)]))
}

fn reading(
    cache: &Numbers,
    how: impl FnOnce(Read<'_, u64, u64>) -> Read<'_, u64, u64> + Send + 'static,
) -> JoinHandle<Result<Answer<u64>>> {
    let cache = cache.clone();
    tokio::spawn(async move { how(cache.read(&1)).ask().await })
}

#[tokio::test]
async fn a_read_as_it_is_does_what_ask_does() {
    let bench = ten();
    let cache = changed(&bench).await;
    bench.clock.advance(15 * S);
    let answer = at_once(cache.read(&1).ask()).unwrap();
    assert_eq!((answer.value, answer.reason), (Some(10), Reason::Refreshing));
}

#[tokio::test]
async fn with_a_wait_a_stale_value_is_taken_only_after_it() {
    let bench = ten();
    let cache = changed(&bench).await;
    bench.clock.advance(15 * S);
    let reader = reading(&cache, |read| read.wait(S));
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(S - NANO);
    settle().await;
    assert!(!reader.is_finished());
    bench.clock.advance(NANO);
    let answer = reader.await.unwrap().unwrap();
    assert_eq!((answer.value, answer.reason, answer.age), (Some(10), Reason::Slow, 16 * S));
    bench.source.open();
    settle().await;
    assert_eq!(at_once(cache.get(&1)).unwrap(), Some(20));
}

#[tokio::test]
async fn with_a_wait_a_value_that_comes_in_time_is_taken_and_a_fresh_one_at_once() {
    let bench = ten();
    let cache = changed(&bench).await;
    assert_eq!(at_once(cache.read(&1).wait(S).ask()).unwrap().state, State::Fresh);
    bench.clock.advance(15 * S);
    let reader = reading(&cache, |read| read.wait(S));
    bench.source.until_waiting(1).await;
    bench.source.open();
    let answer = reader.await.unwrap().unwrap();
    assert_eq!((answer.value, answer.reason), (Some(20), Reason::Loaded));
}

#[tokio::test]
async fn a_wait_of_nothing_takes_what_stands_in_at_once() {
    let bench = ten();
    let cache = changed(&bench).await;
    bench.clock.advance(15 * S);
    assert_eq!(at_once(cache.read(&1).wait(Duration::ZERO).get()).unwrap(), Some(10));
    bench.clock.advance(100 * S);
    let answer = at_once(cache.read(&1).wait(Duration::ZERO).ask()).unwrap();
    assert_eq!((answer.value, answer.reason), (Some(10), Reason::Slow));
}

#[tokio::test]
async fn a_deadline_of_its_own_ends_a_read_and_not_the_load() {
    let bench = ten();
    let cache = bench.ten_seconds();
    bench.source.close();
    let hurried = reading(&cache, |read| read.deadline(S));
    let patient = reading(&cache, |read| read.deadline(5 * S));
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(S);
    let error = hurried.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.retry_delay().is_some());
    bench.clock.advance(S);
    bench.source.open();
    assert_eq!(patient.await.unwrap().unwrap().value, Some(10));
    assert_eq!(bench.source.loads(), 1);
}

#[tokio::test]
async fn at_a_deadline_before_the_wait_the_stale_value_is_taken() {
    let bench = ten();
    let cache = changed(&bench).await;
    bench.clock.advance(15 * S);
    let reader = reading(&cache, |read| read.wait(60 * S).deadline(S));
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(S);
    assert_eq!(reader.await.unwrap().unwrap().value, Some(10));
}

#[tokio::test]
async fn what_is_older_than_the_read_takes_is_loaded_again_and_younger_is_taken() {
    let bench = ten();
    let cache = changed(&bench).await;
    bench.source.open();
    bench.clock.advance(3 * S);
    let at_most = |max| cache.read(&1).max_staleness(max).ask();
    assert_eq!(at_once(at_most(3 * S)).unwrap().value, Some(10));
    let answer = at_most(3 * S - NANO).await.unwrap();
    assert_eq!((answer.value, answer.reason), (Some(20), Reason::Loaded));
    assert_eq!(at_once(cache.get(&1)).unwrap(), Some(20));
}

#[tokio::test]
async fn more_than_the_promise_is_as_much_as_the_promise() {
    let bench = ten();
    let cache = bench.ten_seconds();
    cache.get(&1).await.unwrap();
    bench.source.set(1, 20);
    bench.clock.advance(11 * S);
    assert_eq!(cache.read(&1).max_staleness(3600 * S).get().await.unwrap(), Some(20));
}

#[tokio::test]
async fn a_read_that_takes_nothing_old_joins_no_load_begun_before_it() {
    let bench = ten();
    let cache = bench.ten_seconds();
    bench.source.close();
    let early = reading(&cache, |read| read);
    bench.source.until_waiting(1).await;
    settle().await;
    bench.source.set(1, 20);
    bench.clock.advance(S);
    let strict = reading(&cache, |read| read.max_staleness(Duration::ZERO));
    settle().await;
    bench.source.open();
    assert_eq!(early.await.unwrap().unwrap().value, Some(10));
    assert_eq!(strict.await.unwrap().unwrap().value, Some(20));
}

/// The reader named how old an answer may be, and a slow or failing source doesn't change that.
#[tokio::test]
async fn a_read_that_takes_nothing_old_is_given_nothing_old_by_a_slow_source() {
    let bench = ten();
    let cache = changed(&bench).await;
    bench.clock.advance(5 * S);
    let strict = reading(&cache, |read| read.max_staleness(S).deadline(3 * S));
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(3 * S);
    assert_eq!(strict.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_read_that_takes_nothing_old_is_given_nothing_old_by_a_failing_source() {
    let bench = ten();
    let cache = changed(&bench).await;
    bench.source.open();
    bench.source.fail(ErrorKind::SourceDown);
    bench.clock.advance(5 * S);
    for _ in 0..3 {
        let strict = cache.read(&1).max_staleness(S).get().await;
        assert_eq!(strict.unwrap_err().kind(), ErrorKind::SourceDown);
    }
    assert_eq!(cache.read(&1).max_staleness(5 * S).get().await.unwrap(), Some(10));
}

/// An absence within the promise is an answer; a reader that would rather have a fresh one takes
/// it in the end.
#[tokio::test]
async fn a_stale_absence_within_the_promise_is_taken_after_the_wait() {
    let bench = Bench::with(TestSource::of([]));
    let cache = bench.ten_seconds();
    assert_eq!(cache.get(&1).await.unwrap(), None);
    cache.mark_stale(&1).await.unwrap();
    bench.source.close();
    let reader = reading(&cache, |read| read.wait(S).deadline(2 * S));
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(S);
    settle().await;
    bench.clock.advance(S);
    assert_eq!(reader.await.unwrap().unwrap().value, None);
}

#[tokio::test]
async fn a_read_may_bring_its_own_loader() {
    let bench = ten();
    let cache = changed(&bench).await;
    bench.clock.advance(15 * S);
    let load = |_| async { Ok(Some(30)) };
    assert_eq!(cache.read(&1).wait(S).get_or_load(load).await.unwrap(), Some(30));
    assert_eq!(cache.peek(&1).unwrap().value, Some(30));
}
