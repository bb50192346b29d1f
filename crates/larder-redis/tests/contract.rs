//! The contracts of the shared tier and of the bus, held against a real Redis, a real cluster, and
//! a real Valkey where there is one.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::sync::Arc;
use std::time::Duration;

use larder_core::Bus;
use larder_redis::{RedisOptions, RedisTier};
use larder_test::contract::{Passing, Subject, check_tier};
use larder_test::{Redis, RedisCluster, skipped};

#[tokio::test]
async fn one_redis_keeps_the_contracts() {
    let redis = Redis::start();
    check(&redis.url()).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_contracts() {
    let cluster = RedisCluster::start(3, 0);
    check(&cluster.url()).await;
}

#[tokio::test]
async fn one_valkey_keeps_the_contracts() {
    let Some(valkey) = Redis::start_valkey() else { return skipped("valkey-server") };
    let server = valkey.cli(&["INFO", "server"]);
    assert!(server.contains("valkey_version:"), "{server}");
    check(&valkey.url()).await;
}

#[tokio::test]
async fn the_tracking_bus_of_one_redis_keeps_them_too() {
    let redis = Redis::start();
    check_with(&redis.url(), |tier| Arc::new(tier.tracking_bus())).await;
}

#[tokio::test]
async fn the_tracking_bus_of_a_cluster_keeps_them_too() {
    let cluster = RedisCluster::start(3, 0);
    check_with(&cluster.url(), |tier| Arc::new(tier.tracking_bus())).await;
}

async fn check(url: &str) {
    check_with(url, |tier| Arc::new(tier.bus())).await;
}

async fn check_with(url: &str, bus: fn(&RedisTier) -> Arc<dyn Bus>) {
    let tier = || Arc::new(RedisTier::connect(RedisOptions::new(url)).unwrap());
    let (a, b) = (tier(), tier());
    let buses = [&a, &b].map(|tier| bus(tier));
    let passing = Passing::waited(Duration::from_millis(250), tokio::time::sleep);
    check_tier(&Subject::new([a, b], passing).with_buses(buses)).await;
}
