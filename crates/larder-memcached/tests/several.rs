//! Several real Memcached servers as one tier.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod common;

use common::*;
use larder_core::shared::Invalidation;
use larder_core::{ErrorKind, SharedTier};
use larder_memcached::{MemcachedOptions, MemcachedTier};
use larder_test::Memcached;

const KEYS: u32 = 300;

fn on(servers: &[&Memcached]) -> MemcachedTier {
    let addresses: Vec<_> = servers.iter().map(|server| server.address()).collect();
    let url = format!("memcached://{}", addresses.join(","));
    MemcachedTier::connect(MemcachedOptions::new(&url).unwrap()).unwrap()
}

fn items(server: &Memcached) -> u32 {
    let stats = server.ask("stats");
    let line = stats.lines().find_map(|line| line.strip_prefix("STAT curr_items "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn keys_are_spread_found_by_all_and_answered_in_their_order() {
    let servers = [Memcached::start(), Memcached::start(), Memcached::start()];
    let [a, b, c] = &servers;
    let (one, other) = (on(&[a, b, c]), on(&[c, a, b]));
    let keys: Vec<_> = (0..KEYS).map(u32::to_be_bytes).collect();
    for (stamp, key) in keys.iter().enumerate() {
        put(&one, key, stamp as u64).await;
    }
    for server in &servers {
        assert!((60..140).contains(&items(server)), "{} of {KEYS}", items(server));
    }
    let all: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    for (stamp, entry) in other.get_many(&all).await.into_iter().enumerate() {
        assert_eq!(text(&entry.unwrap().unwrap()), format!("value {stamp}"));
    }
    other.invalidate(&all, Invalidation::Drop, None).await.unwrap();
    assert!(one.get_many(&all).await.iter().all(|entry| matches!(entry, Ok(None))));
}

#[tokio::test]
async fn a_server_that_is_down_keeps_its_keys_and_the_others_go_on() {
    let servers = [Memcached::start(), Memcached::start(), Memcached::start()];
    let [a, b, c] = &servers;
    let tier = on(&[a, b, c]);
    let keys: Vec<_> = (0..KEYS).map(u32::to_be_bytes).collect();
    let all: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    for key in &keys {
        put(&tier, key, 1).await;
    }
    let theirs = items(b);
    b.kill();
    let read = tier.get_many(&all).await;
    let (held, failed): (Vec<_>, Vec<_>) = read.iter().partition(|entry| entry.is_ok());
    assert_eq!(u32::try_from(failed.len()).unwrap(), theirs);
    assert!(held.iter().all(|entry| matches!(entry, Ok(Some(_)))));
    for error in failed {
        assert_eq!(error.as_ref().unwrap_err().kind(), ErrorKind::SharedDown);
    }
    // Their invalidations are done all the same, and it says that some are not.
    let error = tier.invalidate(&all, Invalidation::Drop, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert_eq!((items(a), items(c)), (0, 0));
    tier.probe().await.unwrap();

    b.restart();
    eventually("it is used again", async || {
        tier.invalidate(&all, Invalidation::Drop, None).await.ok()
    })
    .await;
    for key in &keys {
        put(&tier, key, 2).await;
    }
    assert_eq!(items(b), theirs, "its keys are its own again");
    servers.iter().for_each(|server| server.kill());
    assert_eq!(tier.probe().await.unwrap_err().kind(), ErrorKind::SharedDown);
}
