//! What is in use is loaded again as soon as it is invalidated, within bounds, and never brings
//! what was before.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::network::Network;
use common::{Bench, Numbers, S, asking, settle};
use larder_core::change::{Change, Changed, Field, Row, Table};
use larder_core::feed::Notice;
use larder_core::{ErrorKind, Reason};
use larder_engine::feeding::{Feeding, Touched};
use larder_engine::{Cache, CacheBuilder, Guard, GuardBounds, Invalidation, Reload};
use larder_memory::policy::PolicyKind;
use larder_test::{TestFeed, TestSource};

const HOUR: Duration = Duration::from_secs(3600);

fn changed(id: u64) -> Notice {
    let table = Table { schema: "public".into(), name: "numbers".into() };
    let row = Row::new(["id".into()].into(), [Field::Text(id.to_string().into())]);
    Notice::Changed(Change { table, changed: Changed::Inserted(row) })
}

fn route(notice: &Notice) -> Touched<u64> {
    let Notice::Changed(change) = notice else { return Touched::Everything };
    let id = |row: &Row| match row.get("id") {
        Field::Text(id) => str::from_utf8(id).unwrap().parse().ok(),
        Field::Null | Field::Unknown => None,
    };
    Touched::Keys(change.rows().filter_map(id).collect())
}

fn numbers() -> TestSource<u64, u64> {
    TestSource::of((0..10).map(|key| (key, key)))
}

fn long(builder: CacheBuilder<u64, u64>) -> CacheBuilder<u64, u64> {
    builder.max_staleness(2 * S).fresh_for(HOUR).refresh_at(1.0).xfetch(0.0)
}

/// A cache over a feed.
async fn fed(
    bench: &Bench,
    with: impl FnOnce(CacheBuilder<u64, u64>) -> CacheBuilder<u64, u64>,
) -> (Numbers, TestFeed) {
    let log = TestFeed::new();
    let feeding = Feeding::over("log", log.clone());
    let cache = with(long(bench.builder()).feed(&feeding, route)).build().unwrap();
    feeding.start(&bench.engine).unwrap();
    for _ in 0..10 {
        bench.clock.advance(S / 10);
        settle().await;
    }
    (cache, log)
}

async fn get(cache: &Numbers, key: u64) -> Option<u64> {
    cache.get(&key).await.unwrap()
}

#[tokio::test]
async fn what_is_in_use_is_loaded_before_anybody_asks() {
    for (reload, loads) in [(Reload::Never, [2, 3]), (Reload::Hot, [3, 3])] {
        let bench = Bench::with(numbers());
        let (cache, log) = fed(&bench, |builder| builder.reload(reload)).await;
        assert_eq!((get(&cache, 7).await, get(&cache, 7).await), (Some(7), Some(7)));
        // Loaded, and never read since.
        assert_eq!(get(&cache, 8).await, Some(8));
        bench.source.set(7, 70);
        bench.source.set(8, 80);
        log.commit([changed(7), changed(8)]);
        settle().await;
        assert_eq!(bench.source.loads(), loads[0], "{reload:?}");
        assert_eq!(cache.stats().reloads, u64::from(reload == Reload::Hot));
        assert_eq!(cache.stats().misses, 2, "nobody has asked: {reload:?}");
        assert_eq!(get(&cache, 7).await, Some(70));
        assert_eq!(bench.source.loads(), loads[1], "{reload:?}");
        assert_eq!(get(&cache, 8).await, Some(80));
    }
}

#[tokio::test]
async fn who_asks_meanwhile_joins_and_is_a_miss() {
    let bench = Bench::with(numbers());
    let (cache, log) = fed(&bench, |builder| builder.reload(Reload::Hot)).await;
    assert_eq!((get(&cache, 7).await, get(&cache, 7).await), (Some(7), Some(7)));
    bench.source.close();
    log.commit([changed(7)]);
    settle().await;
    let reader = asking(&cache, 7);
    settle().await;
    bench.source.open();
    assert_eq!(reader.await.unwrap().unwrap().reason, Reason::Joined);
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.joined, bench.source.loads()), (2, 1, 2));
}

/// What the load brings that a later change has overtaken is given to nobody who comes after it.
#[tokio::test]
async fn a_change_that_comes_while_it_is_loaded_is_seen() {
    let bench = Bench::with(numbers());
    let (cache, log) = fed(&bench, |builder| builder.reload(Reload::Hot)).await;
    assert_eq!((get(&cache, 7).await, get(&cache, 7).await), (Some(7), Some(7)));
    bench.source.close();
    log.commit([changed(7)]);
    settle().await;
    assert_eq!(bench.source.waiting(), 1);
    bench.source.set(7, 72);
    log.commit([changed(7)]);
    settle().await;
    let reader = asking(&cache, 7);
    settle().await;
    assert_eq!(bench.source.waiting(), 2, "the first one began before the second change");
    bench.source.open();
    assert_eq!(reader.await.unwrap().unwrap().value, Some(72));
    settle().await;
    assert_eq!(get(&cache, 7).await, Some(72));
}

/// The other half of what the source is asked at once is for readers.
#[tokio::test]
async fn a_change_of_many_keys_is_no_herd() {
    let bench = Bench::with(numbers());
    let bounds = GuardBounds { loads_max: 4, ..GuardBounds::default() };
    let guard = Guard::new(bounds).unwrap();
    let (cache, log) =
        fed(&bench, |builder| builder.reload(Reload::Hot).guard(guard.clone())).await;
    for key in [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] {
        assert_eq!(get(&cache, key).await, Some(key));
    }
    bench.source.close();
    log.commit((0..5).map(changed));
    settle().await;
    assert_eq!((bench.source.waiting(), guard.occupied()), (2, 2));
    // While those are loaded, none is begun.
    log.commit((0..5).map(changed));
    settle().await;
    assert_eq!((bench.source.waiting(), guard.shed()), (2, 0));
    bench.source.open();
    settle().await;
    let loads = bench.source.loads();
    for key in 0..5 {
        assert_eq!(get(&cache, key).await, Some(key));
    }
    assert_eq!(bench.source.loads() - loads, 5, "what was overtaken is loaded by who reads it");
}

#[tokio::test]
async fn a_load_that_fails_is_not_repeated_for_nobody() {
    let bench = Bench::with(numbers());
    let (cache, log) = fed(&bench, |builder| builder.reload(Reload::Hot)).await;
    assert_eq!((get(&cache, 7).await, get(&cache, 7).await), (Some(7), Some(7)));
    bench.source.fail(ErrorKind::SourceDown);
    log.commit([changed(7)]);
    settle().await;
    assert_eq!(bench.source.loads(), 2);
    log.commit([changed(7)]);
    bench.clock.advance(10 * S);
    settle().await;
    assert_eq!(bench.source.loads(), 2);
    bench.source.succeed();
    assert_eq!(get(&cache, 7).await, Some(7));
}

#[tokio::test]
async fn marks_tags_and_sweeps_load_nothing() {
    let bench = Bench::with(numbers());
    let builder = long(bench.tagging()).stale_for(Duration::ZERO);
    let cache = builder.max_staleness(HOUR).reload(Reload::Hot).build().unwrap();
    for strike in ["mark", "tag", "all", "prefix", "key"] {
        assert_eq!(get(&cache, 7).await, Some(7));
        settle().await;
        assert_eq!(get(&cache, 7).await, Some(7));
        let loads = bench.source.loads();
        match strike {
            "mark" => drop(cache.mark_stale(&7).await.unwrap()),
            "tag" => drop(cache.invalidate_tags(&["number:7"]).await.unwrap()),
            "all" => drop(cache.invalidate_all().await.unwrap()),
            "prefix" => drop(cache.invalidate_prefix("7").await.unwrap()),
            _ => drop(cache.invalidate_here(&[7], Invalidation::Drop).unwrap()),
        }
        settle().await;
        let begun = bench.source.loads() - loads;
        assert_eq!(begun, usize::from(strike == "key"), "{strike}");
    }
}

/// Each process knows what is in use there. One of them loads it, and the other finds it.
#[tokio::test]
async fn who_hears_of_it_over_the_bus_does_the_same() {
    let network = Network::with(numbers());
    let log = TestFeed::new();
    let (mut processes, mut caches) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let process = network.process().await;
        let feeding = Feeding::over("log", log.clone());
        let builder = long(process.builder()).feed(&feeding, route).reload(Reload::Hot);
        caches.push(builder.build().unwrap());
        feeding.start(&process.engine).unwrap();
        processes.push((process, feeding));
        network.pass(2 * S).await;
    }
    for cache in [&caches[0], &caches[0], &caches[1], &caches[1]] {
        assert_eq!(get(cache, 7).await, Some(7));
    }
    let before: Vec<u64> = caches.iter().map(|cache| cache.stats().misses).collect();
    assert_eq!(network.source.loads(), 1);
    network.source.set(7, 70);
    log.commit([changed(7)]);
    network.pass(S).await;
    assert_eq!(network.source.loads(), 2);
    for (cache, before) in caches.iter().zip(before) {
        assert_eq!(get(cache, 7).await, Some(70));
        assert_eq!((cache.stats().reloads, cache.stats().misses), (1, before));
    }
}

#[tokio::test]
async fn where_it_can_not_be_it_is_refused() {
    let bench = Bench::new();
    let fifo = bench.builder().max_staleness(S).policy(PolicyKind::Fifo).reload(Reload::Hot);
    let refused = fifo.build().unwrap_err();
    assert!(refused.to_string().contains("marks uses"), "{refused}");
    let aside = Cache::<u64, u64>::builder("aside").engine(&bench.engine).max_staleness(S);
    let refused = aside.reload(Reload::Hot).build().unwrap_err();
    assert!(refused.to_string().contains("has none"), "{refused}");
}
