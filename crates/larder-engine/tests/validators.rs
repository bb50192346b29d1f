//! What a loader is told of the value that is held, and a value that it says is still right.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Bench, Numbers, S, at_once, settle};
use larder_core::{ErrorKind, LoadContext, LoadError, Source, State};
use larder_engine::Cache;

/// What a loader was told: value, age, validator.
type Told = (Option<u64>, Option<Duration>, Option<String>);

/// Pages with a version; whoever has the current one is told that it is not modified.
#[derive(Clone, Default)]
struct Pages(Arc<Mutex<Shelf>>);

#[derive(Default)]
struct Shelf {
    value: u64,
    told: Vec<Told>,
}

impl Pages {
    fn set(&self, value: u64) {
        self.0.lock().unwrap().value = value;
    }

    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap().told)
    }
}

impl Source<u64, u64> for Pages {
    async fn load(&self, _: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        let value = {
            let mut pages = self.0.lock().unwrap();
            let validator = context.stale_validator().map(str::to_owned);
            pages.told.push((context.stale().copied(), context.stale_age(), validator));
            pages.value
        };
        tokio::task::yield_now().await;
        if context.stale_validator() == Some(&*format!("v{value}")) {
            return context.not_modified();
        }
        context.validator(format!("v{value}")).tag("pages").fresh_for(20 * S);
        Ok(Some(value))
    }
}

fn pages() -> (Bench, Pages, Numbers) {
    let (bench, pages) = (Bench::new(), Pages::default());
    pages.set(10);
    let builder = bench.builder().source(pages.clone()).fresh_for(10 * S).stale_for(100 * S);
    let cache = builder.stale_on_error(100 * S).build().unwrap();
    (bench, pages, cache)
}

async fn refresh(cache: &Numbers) {
    at_once(cache.ask(&1)).unwrap();
    settle().await;
}

#[tokio::test]
async fn the_loader_sees_the_value_its_age_and_its_validator() {
    let (bench, pages, cache) = pages();
    cache.get(&1).await.unwrap();
    assert_eq!(pages.told(), [(None, None, None)]);
    bench.clock.advance(25 * S);
    refresh(&cache).await;
    assert_eq!(pages.told(), [(Some(10), Some(25 * S), Some("v10".to_owned()))]);
}

#[tokio::test]
async fn a_value_that_is_not_modified_is_kept_and_fresh_again_with_its_validator() {
    let (bench, pages, cache) = pages();
    cache.get(&1).await.unwrap();
    for _ in 0..3 {
        bench.clock.advance(25 * S);
        assert_eq!(cache.peek(&1).unwrap().state, State::Stale);
        refresh(&cache).await;
        let answer = cache.peek(&1).unwrap();
        assert_eq!((answer.value, answer.state), (Some(10), State::Fresh));
        assert_eq!(answer.age, Duration::ZERO);
    }
    assert_eq!(pages.told().len(), 4);
    assert_eq!(cache.stats().unchanged, 3);
}

#[tokio::test]
async fn a_value_that_was_modified_brings_a_new_validator() {
    let (bench, pages, cache) = pages();
    cache.get(&1).await.unwrap();
    pages.set(20);
    bench.clock.advance(25 * S);
    refresh(&cache).await;
    bench.clock.advance(25 * S);
    refresh(&cache).await;
    let last = pages.told().pop().unwrap();
    assert_eq!((last.0, last.2.as_deref()), (Some(20), Some("v20")));
}

/// The tags came with the value, and so they stay with it: a tag that no longer reaches the entry
/// would be an invalidation that is lost.
#[tokio::test]
async fn a_value_that_is_not_modified_keeps_its_tags() {
    let (bench, pages, cache) = pages();
    cache.get(&1).await.unwrap();
    bench.clock.advance(25 * S);
    refresh(&cache).await;
    assert_eq!(cache.peek(&1).unwrap().state, State::Fresh);
    pages.set(20);
    cache.invalidate_tags(&["pages"]).await.unwrap();
    assert_eq!(cache.get(&1).await.unwrap(), Some(20));
}

#[tokio::test]
async fn tags_that_are_struck_while_the_loader_finds_nothing_modified_strike_the_value() {
    let (bench, pages, cache) = pages();
    cache.get(&1).await.unwrap();
    bench.clock.advance(25 * S);
    at_once(cache.ask(&1)).unwrap();
    while pages.told().is_empty() {
        tokio::task::yield_now().await;
    }
    pages.set(20);
    cache.invalidate_tags(&["pages"]).await.unwrap();
    settle().await;
    assert_eq!(cache.peek(&1), None);
    assert_eq!(cache.get(&1).await.unwrap(), Some(20));
}

#[tokio::test]
async fn an_invalidated_value_is_not_shown_to_the_loader() {
    let (_bench, pages, cache) = pages();
    for way in 0..4 {
        cache.get(&1).await.unwrap();
        match way {
            0 => drop(cache.invalidate(&1).await.unwrap()),
            1 => drop(cache.invalidate_tags(&["pages"]).await.unwrap()),
            2 => drop(cache.invalidate_all().await.unwrap()),
            _ => drop(cache.invalidate_prefix("1").await.unwrap()),
        }
        pages.told();
        cache.get(&1).await.unwrap();
        assert_eq!(pages.told(), [(None, None, None)], "{way}");
    }
}

#[tokio::test]
async fn a_value_beyond_the_promise_can_still_be_found_unmodified() {
    let (bench, pages, cache) = pages();
    cache.get(&1).await.unwrap();
    bench.clock.advance(150 * S);
    assert_eq!(cache.peek(&1), None);
    assert_eq!(cache.get(&1).await.unwrap(), Some(10));
    assert_eq!(pages.told().pop().unwrap().1, Some(150 * S));
    assert_eq!(cache.peek(&1).unwrap().state, State::Fresh);
}

#[tokio::test]
async fn not_modified_where_nothing_is_held_is_an_error_that_says_so() {
    let bench = Bench::new();
    let cache: Cache<u64, u64> = bench.ten_seconds();
    let error =
        cache.get_or_load(&1, |context| async move { context.not_modified() }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert!(error.to_string().contains("nothing is held"), "{error}");
    assert_eq!(cache.peek(&1), None);
}
