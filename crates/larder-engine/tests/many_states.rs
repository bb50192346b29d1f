//! Many keys with one call, each in a state of its own: fresh, due, stale, resting, failing, gone.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Numbers, S, asking, at_once, settle};
use larder_core::{Answer, ErrorKind, LoadError, Reason, Result, State, Tier};
use larder_test::TestSource;

/// A source of squares that takes ten keys at a time.
fn squares() -> Bench {
    Bench::with(TestSource::answering(|key: &u64| (*key < 1000).then(|| key * key)).batching(10))
}

/// Ten seconds fresh, ten stale, twenty on error.
fn cache(bench: &Bench) -> Numbers {
    let builder = bench.tagging().fresh_for(10 * S).stale_for(10 * S);
    builder.stale_on_error(20 * S).build().unwrap()
}

fn reasons(answers: &[Result<Answer<u64>>]) -> Vec<Reason> {
    answers.iter().map(|answer| answer.as_ref().unwrap().reason).collect()
}

#[tokio::test]
async fn fresh_due_stale_and_missing_keys_are_answered_together() {
    let bench = squares();
    let cache = cache(&bench);
    cache.get(&3).await.unwrap();
    bench.clock.advance(6 * S);
    cache.get(&2).await.unwrap();
    bench.clock.advance(9 * S);
    cache.get(&1).await.unwrap();
    let loads = bench.source.loads();
    let answers = cache.ask_many(&[1, 2, 3, 4]).await;
    assert_eq!(reasons(&answers), [Reason::Held, Reason::Held, Reason::Refreshing, Reason::Loaded]);
    settle().await;
    assert_eq!(bench.source.batches(), [3], "one is due, one is stale, one is missing");
    assert_eq!(bench.source.loads(), loads);
    let held = [1, 2, 3, 4].map(|key| cache.peek(&key).unwrap().state);
    assert_eq!(held, [State::Fresh; 4]);
}

#[tokio::test]
async fn nobody_waits_when_all_can_be_served() {
    let bench = squares();
    let cache = cache(&bench);
    cache.get_many(&[1, 2]).await.unwrap();
    bench.clock.advance(15 * S);
    cache.get(&3).await.unwrap();
    bench.source.close();
    for _ in 0..10 {
        assert_eq!(at_once(cache.get_many(&[1, 2, 3])).unwrap(), [Some(1), Some(4), Some(9)]);
    }
    settle().await;
    assert_eq!(bench.source.batches(), [2, 2]);
}

#[tokio::test]
async fn where_the_source_fails_some_stand_in_and_the_others_have_errors_of_their_own() {
    let bench = squares();
    let cache = cache(&bench);
    cache.get_many(&[1, 2]).await.unwrap();
    bench.clock.advance(25 * S);
    bench.source.fail(ErrorKind::SourceDown);
    let answers = cache.ask_many(&[1, 3, 2]).await;
    for at in [0, 2] {
        let answer = answers[at].as_ref().unwrap();
        assert_eq!((answer.reason, answer.tier), (Reason::Failing, Tier::Memory));
    }
    let error = answers[1].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::SourceDown, Some("3")));
    assert_eq!(error.retry_delay(), Some(S));
    assert_eq!((cache.stats().stood_in_age.count(), cache.flights()), (2, 0));
}

#[tokio::test]
async fn resting_keys_are_left_out_of_the_question() {
    let bench = squares();
    let cache = cache(&bench);
    cache.get_many(&[1, 2]).await.unwrap();
    bench.clock.advance(25 * S);
    bench.source.fail_next(1, ErrorKind::SourceDown);
    cache.ask_many(&[1, 2]).await;
    let answers = cache.ask_many(&[1, 2, 3]).await;
    assert_eq!(reasons(&answers), [Reason::Failing, Reason::Failing, Reason::Loaded]);
    assert_eq!((bench.source.batches(), bench.source.loads_of(&3)), (vec![2, 2], 1));
    bench.clock.advance(S);
    let answers = cache.ask_many(&[1, 2, 3]).await;
    assert_eq!(reasons(&answers), [Reason::Loaded, Reason::Loaded, Reason::Held]);
}

#[tokio::test]
async fn slow_keys_stand_in_after_one_wait_for_all() {
    let bench = squares();
    let cache = cache(&bench);
    cache.get_many(&[1, 2, 3]).await.unwrap();
    bench.clock.advance(25 * S);
    bench.source.close();
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.ask_many(&[1, 2, 3]).await }
    });
    bench.source.until_waiting(1).await;
    settle().await;
    bench.clock.advance(Duration::from_millis(100));
    assert_eq!(reasons(&reader.await.unwrap()), [Reason::Slow; 3]);
    bench.source.open();
    settle().await;
    assert_eq!(cache.peek(&3).unwrap().state, State::Fresh);
}

#[tokio::test]
async fn a_refresh_under_way_is_joined_by_no_second_question() {
    let bench = squares();
    let cache = cache(&bench);
    cache.get_many(&[1, 2]).await.unwrap();
    bench.clock.advance(15 * S);
    bench.source.close();
    at_once(cache.ask(&1)).unwrap();
    bench.source.until_waiting(1).await;
    at_once(cache.get_many(&[1, 2])).unwrap();
    settle().await;
    assert_eq!((bench.source.loads_of(&1), bench.source.loads_of(&2)), (2, 2));
}

#[tokio::test]
async fn tags_struck_during_a_batch_make_their_keys_and_no_others_be_read_again() {
    let bench = squares();
    let cache = cache(&bench);
    bench.source.close();
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_many(&[1, 2, 3]).await.unwrap() }
    });
    bench.source.until_waiting(1).await;
    let late = asking(&cache, 3);
    settle().await;
    bench.source.set(2, 222);
    cache.invalidate_tags(&["number:2"]).await.unwrap();
    bench.source.open();
    assert_eq!(reader.await.unwrap(), [Some(1), Some(222), Some(9)]);
    assert_eq!(late.await.unwrap().unwrap().reason, Reason::Joined);
    assert_eq!([1, 2, 3].map(|key| bench.source.loads_of(&key)), [1, 2, 1]);
}

/// Whose answers have the wrong number fails, and like any other source that fails it is left
/// alone for a while.
#[tokio::test]
async fn a_batch_of_the_wrong_length_is_a_failure_like_any_other() {
    struct Forgetful(TestSource<u64, u64>);
    impl larder_core::Source<u64, u64> for Forgetful {
        async fn load(
            &self,
            key: &u64,
            context: &mut larder_core::LoadContext,
        ) -> Result<Option<u64>, LoadError> {
            self.0.load(key, context).await
        }
        async fn load_many(
            &self,
            keys: &[u64],
            context: &mut larder_core::LoadContext,
        ) -> Result<Vec<Option<u64>>, LoadError> {
            self.0.load_many(keys, context).await.map(|_| vec![])
        }
        fn batch_max(&self) -> usize {
            10
        }
    }
    let bench = squares();
    let builder = bench.builder().source(Forgetful(bench.source.clone()));
    let cache = builder.max_staleness(10 * S).stale_on_error(100 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    cache.get(&2).await.unwrap();
    bench.clock.advance(20 * S);
    for _ in 0..3 {
        let answers = cache.ask_many(&[1, 2]).await;
        assert_eq!(reasons(&answers), [Reason::Failing, Reason::Failing]);
    }
    assert_eq!(bench.source.batches(), [2]);
    let error = cache.ask_many(&[3, 4]).await.remove(0).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("3")));
    assert_eq!(error.retry_delay(), Some(S));
}
