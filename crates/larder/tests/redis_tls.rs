//! The feature `redis-tls`: a cache over a Redis that speaks TLS only.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::sync::Arc;
use std::time::Duration;

use larder::engine::{MessagePack, Sharing, SharingBounds};
use larder::redis::{RedisOptions, RedisTier};
use larder::{Cache, Changes, Engine, Tier};
use larder_test::{Redis, TestSource};

async fn process(redis: &Redis) -> Cache<u64, u32> {
    let mut options = RedisOptions::new(redis.url());
    options.certificates = Some(std::fs::read(redis.ca_file()).unwrap().into());
    let tier = RedisTier::connect(options).unwrap();
    let bus = Arc::new(tier.bus());
    let engine = Engine::on_tokio().unwrap();
    let bounds = SharingBounds { read_within: Duration::from_secs(30), ..Default::default() };
    engine.share(Sharing::over(Arc::new(tier)).own_bus(bus).bounds(bounds)).await.unwrap();
    let cache = Cache::builder("price")
        .engine(&engine)
        .max_staleness(Duration::from_secs(60))
        .changes(Changes::Announced)
        .shared(MessagePack)
        .source(TestSource::of([(7, 700)]));
    cache.build().unwrap()
}

#[tokio::test]
async fn processes_share_over_tls() {
    let redis = Redis::start_tls();
    assert!(redis.url().starts_with("rediss://"));
    let (one, other) = (process(&redis).await, process(&redis).await);
    let position = one.invalidate(&7).await.unwrap().position.unwrap();
    assert_eq!(one.get(&7).await.unwrap(), Some(700));
    let answer = other.read(&7).at(position).ask().await.unwrap();
    assert_eq!((answer.value, answer.tier), (Some(700), Tier::Shared));
}
