//! The filter in front of a source: reads of keys that surely don't exist never reach it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, Numbers, S, settle};
use larder_core::{Changes, ErrorKind, Reason, State, keys_of};
use larder_engine::Cache;
use larder_engine::filter::BuildState;
use larder_test::TestSource;

/// A source with the keys below 100, and a cache whose filter was built from them.
async fn filtered() -> (Bench, Numbers) {
    let bench = Bench::with(TestSource::of((0..100_u64).map(|key| (key, key * 10))));
    let cache = bench
        .builder()
        .max_staleness(10 * S)
        .changes(Changes::Announced)
        .filter(keys_of(0..100_u64))
        .build()
        .unwrap();
    settle().await;
    assert!(matches!(cache.filter_progress().unwrap().state, BuildState::Done));
    (bench, cache)
}

#[tokio::test]
async fn a_key_that_surely_does_not_exist_never_reaches_the_source() {
    let (bench, cache) = filtered().await;
    for key in 0..100 {
        assert_eq!(cache.get(&key).await.unwrap(), Some(key * 10));
    }
    let before = bench.source.loads();
    let mut filtered = 0;
    for key in 1_000..2_000 {
        let answer = cache.ask(&key).await.unwrap();
        assert_eq!((answer.value, answer.state), (None, State::Fresh));
        filtered += usize::from(answer.reason == Reason::Filtered);
    }
    let asked = bench.source.loads() - before;
    assert_eq!(filtered + asked, 1_000);
    assert!(asked < 50, "{asked} of 1,000 reached the source; one in a hundred was promised");
    let stats = cache.stats();
    assert_eq!((stats.filtered, stats.misses), (filtered as u64, (100 + asked) as u64));
    let filter = cache.filter_stats().unwrap();
    assert_eq!(filter.false_positives, asked as u64);
    assert_eq!(filter.answered_absent, filtered as u64);
}

#[tokio::test]
async fn many_keys_are_filtered_each() {
    let (bench, cache) = filtered().await;
    let values = cache.get_many(&[1, 5_001, 2, 5_002]).await.unwrap();
    assert_eq!(values, [Some(10), None, Some(20), None]);
    assert!(bench.source.loads() <= 3);
}

#[tokio::test]
async fn an_insert_that_is_announced_by_its_key_is_found() {
    let (bench, cache) = filtered().await;
    let key = (1_000..).find(|key| cache_filters(&cache, *key)).unwrap();
    bench.source.set(key, 7);
    cache.invalidate(&key).await.unwrap();
    assert_eq!(cache.get(&key).await.unwrap(), Some(7));
}

fn cache_filters(cache: &Numbers, key: u64) -> bool {
    let before = cache.stats().filtered;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = Box::pin(cache.get(&key)).as_mut().poll(&mut context);
    cache.stats().filtered > before
}

#[tokio::test]
async fn whatever_names_no_key_voids_the_filter_until_it_is_built_again() {
    for how in ["all", "prefix", "tag"] {
        let (bench, cache) = filtered().await;
        if how == "tag" {
            let tagged = cache.get_or_load(&2_000, |context| async move {
                context.tag("products");
                Ok(Some(1))
            });
            assert_eq!(tagged.await.unwrap(), Some(1));
        }
        let key = (10_000..).find(|key| cache_filters(&cache, *key)).unwrap();
        bench.source.set(key, 7);
        match how {
            "all" => drop(cache.invalidate_all().await.unwrap()),
            "prefix" => drop(cache.invalidate_prefix("1").await.unwrap()),
            _ => drop(cache.invalidate_tags(&["products"]).await.unwrap()),
        };
        assert_eq!(cache.get(&key).await.unwrap(), Some(7), "{how}");
        // The list doesn't know the new key, which was loaded; others are filtered again.
        bench.clock.advance(2 * S);
        let _ = cache.get(&20_000).await.unwrap();
        settle().await;
        assert!((30_000..30_100).any(|key| cache_filters(&cache, key)), "{how}: not built again");
    }
}

#[tokio::test]
async fn a_closure_is_asked_whatever_the_filter_says() {
    let (_bench, cache) = filtered().await;
    let value = cache.get_or_load(&123_456, |_| async { Ok(Some(1)) }).await.unwrap();
    assert_eq!(value, Some(1));
}

#[tokio::test]
async fn where_inserts_are_unknown_a_filter_is_refused_with_the_reason() {
    let bench = Bench::new();
    let error = bench.builder().max_staleness(S).filter(keys_of(0..9_u64)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("Changes::Announced"), "{error}");
    let sourceless = Cache::<u64, u64>::builder("sourceless")
        .engine(&bench.engine)
        .max_staleness(S)
        .changes(Changes::Static)
        .filter(keys_of(0..9_u64));
    assert!(sourceless.build().unwrap_err().to_string().contains("source"));
}
