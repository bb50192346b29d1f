//! Tags, generations and prefixes: what each strikes, and what it leaves alone.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Bench, Numbers, S, at_once, settle};
use larder_core::{Moment, State};
use larder_engine::{Cache, Invalidation, Plain, PlainChange, memory_tier};
use larder_memory::Bounds;
use larder_memory::policy::PolicyKind;
use larder_test::TestSource;

/// Keys 1 to 30, all held; each has its own tag, and one that all have.
async fn thirty(bench: &Bench) -> Numbers {
    let cache = bench.tagging().fresh_for(10 * S).stale_for(100 * S).build().unwrap();
    for key in 1..=30 {
        cache.get(&key).await.unwrap();
    }
    cache
}

fn held(cache: &Numbers) -> Vec<u64> {
    (1..=30).filter(|key| cache.peek(key).is_some()).collect()
}

fn stale(cache: &Numbers) -> Vec<u64> {
    let is_stale = |key: &u64| cache.peek(key).is_some_and(|held| held.state == State::Stale);
    (1..=30).filter(is_stale).collect()
}

#[tokio::test]
async fn a_tag_strikes_what_has_it_and_nothing_else() {
    let bench = Bench::new();
    let cache = thirty(&bench).await;
    cache.invalidate_tags(&["number:7", "number:9", "nobody's"]).await.unwrap();
    assert_eq!(held(&cache).len(), 28);
    assert!(cache.peek(&7).is_none() && cache.peek(&9).is_none());
    cache.invalidate_tags(&["numbers"]).await.unwrap();
    assert!(held(&cache).is_empty());
    cache.get(&7).await.unwrap();
    assert_eq!(held(&cache), [7]);
}

#[tokio::test]
async fn a_tag_that_is_marked_stale_leaves_what_it_strikes_servable() {
    let bench = Bench::new();
    let cache = thirty(&bench).await;
    cache.mark_tags_stale(&["number:7"]).await.unwrap();
    assert_eq!((held(&cache).len(), stale(&cache)), (30, vec![7]));
    assert_eq!(at_once(cache.ask(&7)).unwrap().value, Some(49));
    settle().await;
    assert_eq!((stale(&cache), bench.source.loads_of(&7)), (vec![], 2));
}

#[tokio::test]
async fn no_tags_strike_nothing() {
    let bench = Bench::new();
    let cache = thirty(&bench).await;
    cache.invalidate_tags::<&str>(&[]).await.unwrap();
    cache.mark_tags_stale::<&str>(&[]).await.unwrap();
    assert_eq!((held(&cache).len(), stale(&cache)), (30, vec![]));
}

/// Tags are the engine's: who changes a tenant need not know which caches show it.
#[tokio::test]
async fn a_tag_reaches_every_cache_of_its_engine_and_no_other_engine() {
    let (bench, elsewhere) = (Bench::new(), Bench::new());
    let (one, two, other) = (thirty(&bench).await, thirty(&bench).await, thirty(&elsewhere).await);
    one.invalidate_tags(&["number:7"]).await.unwrap();
    assert!(one.peek(&7).is_none() && two.peek(&7).is_none());
    assert_eq!(held(&other).len(), 30);
    bench.engine.invalidate_tags_here(&["number:8"], Invalidation::MarkStale);
    assert_eq!((stale(&one), stale(&two)), (vec![8], vec![8]));
}

#[tokio::test]
async fn everything_of_a_cache_goes_and_its_neighbour_stays() {
    let bench = Bench::new();
    let (one, two) = (thirty(&bench).await, thirty(&bench).await);
    one.invalidate_all().await.unwrap();
    assert_eq!((held(&one).len(), held(&two).len()), (0, 30));
    two.mark_all_stale().await.unwrap();
    assert_eq!(stale(&two).len(), 30);
    assert_eq!((one.stats().sweeps, two.stats().sweeps), (1, 1));
}

#[tokio::test]
async fn a_prefix_strikes_the_keys_whose_text_begins_with_it() {
    let bench = Bench::new();
    let cache = thirty(&bench).await;
    assert_eq!(cache.invalidate_prefix("1").await.unwrap().entries, 11);
    assert_eq!(held(&cache).len(), 19);
    assert!((10..20).all(|key| cache.peek(&key).is_none()));
    assert_eq!(cache.mark_prefix_stale("3").await.unwrap().entries, 2);
    assert_eq!(stale(&cache), [3, 30]);
    assert_eq!(cache.invalidate_prefix("1").await.unwrap().entries, 0);
    assert_eq!(cache.invalidate_prefix("").await.unwrap().entries, 19);
}

/// FusionCache#627: one tag's removal took entries with it that hadn't that tag. Here two tags may
/// share a mark, which costs a load, so it must stay rare.
#[tokio::test]
async fn a_thousand_other_tags_strike_almost_nothing() {
    let bench = Bench::new();
    let cache = thirty(&bench).await;
    let tags: Vec<_> = (0..1000).map(|tag| format!("other:{tag}")).collect();
    cache.invalidate_tags(&tags).await.unwrap();
    assert!(held(&cache).len() >= 25, "{} are held", held(&cache).len());
}

/// A mark is for ever, though the entries come and go: an old one strikes nothing new.
#[tokio::test]
async fn a_tag_that_was_struck_often_strikes_only_what_was_loaded_before() {
    let bench = Bench::with(TestSource::of([(1, 0)]));
    let cache = bench.tagging().max_staleness(1000 * S).build().unwrap();
    for version in 0..100 {
        bench.source.set(1, version);
        cache.invalidate_tags(&["number:1"]).await.unwrap();
        assert_eq!(cache.get(&1).await.unwrap(), Some(version));
        assert_eq!(at_once(cache.get(&1)).unwrap(), Some(version));
    }
    assert_eq!(bench.source.loads(), 100);
}

/// The hard kind wins, in whichever order the two come.
#[tokio::test]
async fn a_stale_mark_brings_nothing_back_that_was_invalidated() {
    let bench = Bench::new();
    let cache = thirty(&bench).await;
    cache.mark_tags_stale(&["number:7"]).await.unwrap();
    cache.invalidate_tags(&["number:7"]).await.unwrap();
    cache.mark_tags_stale(&["number:7"]).await.unwrap();
    cache.mark_all_stale().await.unwrap();
    assert_eq!(cache.mark_stale(&7).await.unwrap().entries, 0);
    assert_eq!(cache.peek(&7), None);
}

/// What a mark says of when the entry was current is not changed by another mark.
#[tokio::test]
async fn an_entry_marked_stale_ends_with_its_promise_however_often_it_is_marked() {
    let bench = Bench::new();
    let cache = bench.tagging().max_staleness(10 * S).build().unwrap();
    bench.source.close();
    bench.source.let_pass(1);
    cache.get(&7).await.unwrap();
    for second in 1..=10 {
        bench.clock.advance(S);
        cache.mark_stale(&7).await.unwrap();
        cache.mark_tags_stale(&["numbers"]).await.unwrap();
        cache.mark_all_stale().await.unwrap();
        assert_eq!(cache.peek(&7).unwrap().current, S * second);
    }
    bench.clock.advance(S);
    assert_eq!(cache.peek(&7), None);
}

/// Plain keys have no source that could bring them back: a cache that shares their memory must
/// not take them.
#[tokio::test]
async fn a_prefix_of_a_cache_strikes_no_plain_key_in_the_same_memory() {
    let bench = Bench::new();
    let memory = Arc::new(memory_tier(Bounds::entries(100), PolicyKind::Lru, None));
    let plain: Plain<u64, u64> = Plain::new(&bench.engine, Arc::clone(&memory), |_, _| 0);
    let cache: Numbers = Cache::builder("numbers")
        .engine(&bench.engine)
        .source(bench.source.clone())
        .max_staleness(10 * S)
        .memory(memory)
        .build()
        .unwrap();
    let now = bench.engine.clock().now();
    let put = PlainChange::Put { value: 5, expires_at: Moment::MAX };
    plain.update(&100, now, |_| (put, ())).unwrap();
    cache.get(&10).await.unwrap();
    assert_eq!(cache.invalidate_prefix("10").await.unwrap().entries, 1);
    assert_eq!(cache.peek(&10), None);
    assert_eq!(plain.get(&100, now, |value, _| *value), Some(5));
}
