//! Two engines over one Memcached, which has no bus, with NATS beside it.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::{Changes, State, Tier};
use larder_engine::{Cache, Engine, MessagePack, Sharing};
use larder_memcached::{MemcachedOptions, MemcachedTier};
use larder_nats::{NatsBus, NatsOptions};
use larder_test::{Memcached, Nats, TestSource};

const WINDOW: Duration = Duration::from_secs(2);

async fn process(
    memcached: &Memcached,
    nats: Option<&Nats>,
    source: &TestSource<u64, u64>,
) -> (Engine, Cache<u64, u64>) {
    let options = MemcachedOptions::new(&memcached.url()).unwrap();
    let mut sharing = Sharing::over(Arc::new(MemcachedTier::connect(options).unwrap()));
    if let Some(nats) = nats {
        sharing = sharing.bus(Arc::new(NatsBus::connect(NatsOptions::new(nats.url())).unwrap()));
    }
    let engine = Engine::on_tokio().unwrap();
    engine.share(sharing).await.unwrap();
    let cache = Cache::builder("square")
        .engine(&engine)
        .max_staleness(WINDOW)
        .changes(Changes::Announced)
        .shared(MessagePack)
        .source(source.clone())
        .build()
        .unwrap();
    (engine, cache)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_over_memcached_hear_of_each_others_invalidations_and_read_their_own_writes() {
    let (memcached, nats) = (Memcached::start(), Nats::start());
    let source = TestSource::of([(7, 1), (8, 1)]);
    let (_a, in_a) = process(&memcached, Some(&nats), &source).await;
    let (_b, in_b) = process(&memcached, Some(&nats), &source).await;
    assert_eq!((in_a.get(&7).await.unwrap(), in_b.get(&7).await.unwrap()), (Some(1), Some(1)));
    for value in 2..20 {
        source.set(7, value);
        let position = in_a.invalidate(&7).await.unwrap().position.expect("NATS gives positions");
        let answer = in_b.read(&7).at(position).ask().await.unwrap();
        assert_eq!(answer.value, Some(value));
        assert_eq!(in_a.get(&7).await.unwrap(), Some(value));
    }
    // And tags, which Memcached keeps no marks for, in every process's memory.
    assert!(in_a.invalidate_tags(&["none"]).await.unwrap().position.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_outlives_the_window_as_long_as_the_bus_vouches_for_it() {
    let (memcached, nats) = (Memcached::start(), Nats::start());
    let source = TestSource::of([(7, 1)]);
    let (_a, cache) = process(&memcached, Some(&nats), &source).await;
    assert_eq!(cache.get(&7).await.unwrap(), Some(1));
    let begun = Instant::now();
    while begun.elapsed() < WINDOW * 2 {
        let answer = cache.ask(&7).await.unwrap();
        assert_eq!((answer.tier, answer.state), (Tier::Memory, State::Fresh));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(source.loads(), 1);
    // Without the bus the horizon stands still, and the window ends.
    nats.kill();
    let deadline = Instant::now() + Duration::from_secs(30);
    while source.loads() == 1 {
        assert!(Instant::now() < deadline, "nobody vouches for it any more");
        assert_eq!(cache.get(&7).await.unwrap(), Some(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What is invalidated meanwhile is carried out when it is back.
    source.set(7, 2);
    assert!(cache.invalidate(&7).await.is_err());
    nats.restart();
    let deadline = Instant::now() + Duration::from_secs(30);
    while cache.invalidate(&7).await.is_err() {
        assert!(Instant::now() < deadline, "the bus is used again");
    }
    assert_eq!(cache.get(&7).await.unwrap(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_bus_the_other_engine_serves_what_it_holds_for_the_window() {
    // What the first test would see if the bus did nothing.
    let memcached = Memcached::start();
    let source = TestSource::of([(7, 1)]);
    let (_a, in_a) = process(&memcached, None, &source).await;
    let (_b, in_b) = process(&memcached, None, &source).await;
    assert_eq!((in_a.get(&7).await.unwrap(), in_b.get(&7).await.unwrap()), (Some(1), Some(1)));
    source.set(7, 2);
    assert_eq!(in_a.invalidate(&7).await.unwrap().position, None);
    assert_eq!(in_b.get(&7).await.unwrap(), Some(1));
}
