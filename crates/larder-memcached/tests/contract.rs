//! The contract of the shared tier, held against real Memcached servers.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use larder_core::SharedTier;
use larder_memcached::{MemcachedOptions, MemcachedTier};
use larder_test::Memcached;
use larder_test::contract::{Passing, Subject, TIER};

#[tokio::test]
async fn one_memcached_keeps_the_contract() {
    let server = Memcached::start();
    check(&server.url()).await;
}

#[tokio::test]
async fn three_memcacheds_keep_the_contract() {
    let servers = [Memcached::start(), Memcached::start(), Memcached::start()];
    let addresses: Vec<_> = servers.iter().map(Memcached::address).collect();
    check(&format!("memcached://{}", addresses.join(","))).await;
}

async fn check(url: &str) {
    let tier = || -> Arc<dyn SharedTier> {
        Arc::new(MemcachedTier::connect(MemcachedOptions::new(url).unwrap()).unwrap())
    };
    let passing = Passing::waited(Duration::from_millis(250), tokio::time::sleep);
    let subject = Subject::new([tier(), tier()], passing);
    // Side by side: a server that counts in seconds takes its time for each.
    join_all(TIER.iter().map(|(name, behaviour)| {
        println!("{name}");
        behaviour(&subject)
    }))
    .await;
}
