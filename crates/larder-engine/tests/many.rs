//! Many keys with one call.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, S, settle};
use larder_core::{Error, ErrorKind, LoadContext, LoadError, Reason, Source};
use larder_engine::{Cache, Guard, GuardBounds};
use larder_test::TestSource;

fn squares() -> TestSource<u64, u64> {
    TestSource::answering(|key: &u64| (*key < 1000).then(|| key * key))
}

#[tokio::test]
async fn the_missing_keys_are_loaded_in_one_batch() {
    let bench = Bench::with(squares().batching(100));
    let cache = bench.ten_seconds();
    cache.get(&2).await.unwrap();
    let values = cache.get_many(&[1, 2, 3, 5000, 1]).await.unwrap();
    assert_eq!(values, [Some(1), Some(4), Some(9), None, Some(1)]);
    assert_eq!(bench.source.batches(), [3]);
    assert_eq!(cache.get_many(&[1, 2, 3, 5000]).await.unwrap().len(), 4);
    assert_eq!(bench.source.batches(), [3]);
}

#[tokio::test]
async fn more_keys_than_a_batch_takes_are_loaded_in_several() {
    let bench = Bench::with(squares().batching(10));
    let cache = bench.ten_seconds();
    let keys: Vec<u64> = (0..25).collect();
    let values = cache.get_many(&keys).await.unwrap();
    assert!(values.iter().zip(&keys).all(|(value, key)| *value == Some(key * key)));
    let mut batches = bench.source.batches();
    batches.sort_unstable();
    assert_eq!(batches, [5, 10, 10]);
}

#[tokio::test]
async fn a_source_without_batches_is_asked_key_by_key_and_concurrently() {
    let bench = Bench::with(squares());
    let cache = bench.ten_seconds();
    bench.source.close();
    let read = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_many(&[1, 2, 3]).await.unwrap() }
    });
    bench.source.until_waiting(3).await;
    bench.source.open();
    assert_eq!(read.await.unwrap(), [Some(1), Some(4), Some(9)]);
}

#[tokio::test]
async fn running_flights_are_joined_and_the_rest_is_loaded() {
    let bench = Bench::with(squares().batching(100));
    let cache = bench.ten_seconds();
    bench.source.close();
    let one = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&1).await.unwrap() }
    });
    bench.source.until_waiting(1).await;
    let many = tokio::spawn({
        let cache = cache.clone();
        async move { cache.ask_many(&[1, 2, 3]).await }
    });
    bench.source.until_waiting(2).await;
    let single = tokio::spawn({
        let cache = cache.clone();
        async move { cache.ask(&3).await.unwrap() }
    });
    settle().await;
    bench.source.open();
    assert_eq!(one.await.unwrap(), Some(1));
    let answers: Vec<_> = many.await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(answers[0].reason, Reason::Joined);
    assert_eq!(answers[2].reason, Reason::Loaded);
    assert_eq!(single.await.unwrap().reason, Reason::Joined);
    assert_eq!(bench.source.batches(), [2]);
    assert_eq!(bench.source.loads_of(&3), 1);
}

#[tokio::test]
async fn stale_keys_are_served_and_refreshed_in_the_same_batch() {
    let bench = Bench::with(squares().batching(100));
    let cache = bench.builder().fresh_for(S).stale_for(100 * S).build().unwrap();
    cache.get_many(&[1, 2]).await.unwrap();
    bench.clock.advance(2 * S);
    assert_eq!(cache.get_many(&[1, 2, 3]).await.unwrap(), [Some(1), Some(4), Some(9)]);
    assert_eq!(bench.source.batches(), [2, 3]);
}

#[tokio::test]
async fn an_invalidation_during_a_batch_concerns_its_key_only() {
    let bench = Bench::with(squares().batching(100));
    let cache = bench.ten_seconds();
    bench.source.close();
    let read = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_many(&[1, 2, 3]).await.unwrap() }
    });
    bench.source.until_waiting(1).await;
    bench.source.set(2, 222);
    cache.invalidate(&2).await.unwrap();
    bench.source.open();
    assert_eq!(read.await.unwrap(), [Some(1), Some(222), Some(9)]);
    assert_eq!((bench.source.loads_of(&1), bench.source.loads_of(&2)), (1, 2));
}

#[tokio::test]
async fn a_full_guard_sheds_whole_batches() {
    let bench = Bench::with(squares().batching(2));
    let guard =
        Guard::new(GuardBounds { loads_max: 1, loads_waiting_max: 0, breaker: None }).unwrap();
    let cache = bench.builder().max_staleness(S).guard(guard).build().unwrap();
    let answers = cache.ask_many(&[1, 2, 3, 4]).await;
    let shed = |at: usize| answers[at].as_ref().is_err_and(|e| e.kind() == ErrorKind::Shed);
    assert_eq!((0..4).filter(|&at| shed(at)).count(), 2);
    assert_eq!(cache.flights(), 0);
}

/// A source with one key that no batch survives.
struct Choosy;

impl Source<u64, u64> for Choosy {
    async fn load(&self, key: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        match key {
            13 => Err(Error::new(ErrorKind::BadKey, "thirteen").into()),
            key => Ok(Some(*key)),
        }
    }

    fn batch_max(&self) -> usize {
        100
    }
}

#[tokio::test]
async fn a_bad_key_does_not_fail_its_neighbours() {
    let bench = Bench::new();
    let cache: Cache<u64, u64> = Cache::builder("choosy")
        .engine(&bench.engine)
        .max_staleness(S)
        .source(Choosy)
        .build()
        .unwrap();
    let answers = cache.ask_many(&[12, 13, 14]).await;
    assert_eq!(answers[0].as_ref().unwrap().value, Some(12));
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), ErrorKind::BadKey);
    assert_eq!(answers[1].as_ref().unwrap_err().key(), Some("13"));
    assert_eq!(answers[2].as_ref().unwrap().value, Some(14));
}

/// A source that knows a bad key without being asked.
struct Knowing(TestSource<u64, u64>);

impl Source<u64, u64> for Knowing {
    async fn load(&self, key: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        self.0.load(key, context).await
    }

    async fn load_many(
        &self,
        keys: &[u64],
        context: &mut LoadContext,
    ) -> Result<Vec<Option<u64>>, LoadError> {
        self.0.load_many(keys, context).await
    }

    fn check(&self, key: &u64) -> larder_core::Result<()> {
        match key {
            13 => Err(Error::new(ErrorKind::BadKey, "thirteen")),
            _ => Ok(()),
        }
    }

    fn batch_max(&self) -> usize {
        100
    }
}

#[tokio::test]
async fn a_key_that_is_known_to_be_bad_joins_no_batch_and_begins_no_load() {
    let bench = Bench::with(squares().batching(100));
    let cache: Cache<u64, u64> = Cache::builder("knowing")
        .engine(&bench.engine)
        .max_staleness(S)
        .source(Knowing(bench.source.clone()))
        .build()
        .unwrap();
    let answers = cache.ask_many(&[12, 13, 14]).await;
    assert_eq!(answers[1].as_ref().unwrap_err().key(), Some("13"));
    assert_eq!(answers[2].as_ref().unwrap().value, Some(196));
    assert_eq!(bench.source.batches(), [2]);
    assert_eq!(cache.get(&13).await.unwrap_err().kind(), ErrorKind::BadKey);
    assert_eq!(bench.source.loads(), 0);
}

/// A source that answers fewer keys than it was asked.
struct Forgetful;

impl Source<u64, u64> for Forgetful {
    async fn load(&self, key: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        Ok(Some(*key))
    }

    async fn load_many(
        &self,
        _: &[u64],
        _: &mut LoadContext,
    ) -> Result<Vec<Option<u64>>, LoadError> {
        Ok(vec![Some(1)])
    }

    fn batch_max(&self) -> usize {
        100
    }
}

#[tokio::test]
async fn a_batch_with_a_wrong_number_of_answers_is_an_error_and_fills_nothing() {
    let bench = Bench::new();
    let cache: Cache<u64, u64> = Cache::builder("forgetful")
        .engine(&bench.engine)
        .max_staleness(S)
        .source(Forgetful)
        .build()
        .unwrap();
    let error = cache.get_many(&[1, 2, 3]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert_eq!(cache.peek(&1), None);
}
