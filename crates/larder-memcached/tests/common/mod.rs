//! What the tests have in common: tiers on real servers, envelopes, and patience.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]
#![allow(dead_code, reason = "each file of tests uses a part")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_core::envelope::{Envelope, Payload, encoding};
use larder_core::shared::{
    Incarnation, Invalidation, Lease, LeaseAsk, MarkClock, SharedEntry, SharedFill, SharedRead,
};
use larder_core::{Result, SharedTier};
use larder_memcached::{MemcachedOptions, MemcachedTier};
use larder_test::Memcached;

pub(crate) const LEASE: Duration = Duration::from_secs(30);
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);

/// A process of its own, as far as leases are concerned.
pub(crate) fn tier(server: &Memcached) -> MemcachedTier {
    tier_with(server, |_| {})
}

pub(crate) fn tier_with(
    server: &Memcached,
    change: impl FnOnce(&mut MemcachedOptions),
) -> MemcachedTier {
    let mut options = MemcachedOptions::new(&server.url()).unwrap();
    change(&mut options);
    MemcachedTier::connect(options).unwrap()
}

/// An envelope with this stamp and text.
pub(crate) fn envelope(stamp: u64, text: impl AsRef<[u8]>) -> Bytes {
    let bytes = Bytes::copy_from_slice(text.as_ref());
    let payload = Payload { encoding: encoding::RAW, is_compressed: false, bytes };
    Envelope {
        is_stale: false,
        stamp,
        incarnation: Incarnation(0),
        marks: 0,
        clock: MarkClock(0),
        lifetime: LIFETIME,
        fresh_for: LIFETIME,
        stale_for: Duration::ZERO,
        cost: Duration::ZERO,
        weight: None,
        schema: 0,
        tags: Vec::new(),
        validator: None,
        payload: Some(payload),
    }
    .encode()
}

pub(crate) fn is_stale(entry: &SharedEntry) -> bool {
    Envelope::decode(&entry.envelope).unwrap().is_stale
}

/// The text in an entry's envelope.
pub(crate) fn text(entry: &SharedEntry) -> Bytes {
    Envelope::decode(&entry.envelope).unwrap().payload.unwrap().bytes
}

pub(crate) async fn try_get(tier: &MemcachedTier, key: &[u8]) -> Result<Option<SharedEntry>> {
    tier.get_many(&[key]).await.pop().unwrap()
}

pub(crate) async fn get(tier: &MemcachedTier, key: &[u8]) -> Option<SharedEntry> {
    try_get(tier, key).await.unwrap()
}

pub(crate) async fn try_ask(
    tier: &MemcachedTier,
    key: &[u8],
    seen: Option<u64>,
    time: Duration,
) -> Result<SharedRead> {
    tier.lease_many(&[LeaseAsk { key, seen }], time).await.pop().unwrap()
}

pub(crate) async fn ask(tier: &MemcachedTier, key: &[u8]) -> SharedRead {
    try_ask(tier, key, None, LEASE).await.unwrap()
}

pub(crate) async fn ask_seen(tier: &MemcachedTier, key: &[u8], seen: u64) -> SharedRead {
    try_ask(tier, key, Some(seen), LEASE).await.unwrap()
}

/// The lease of who misses.
pub(crate) async fn miss(tier: &MemcachedTier, key: &[u8]) -> Lease {
    match ask(tier, key).await {
        SharedRead::Miss(lease) => lease,
        other => panic!("expected a miss: {other:?}"),
    }
}

/// What is stale, and the lease over it.
pub(crate) fn stale(read: SharedRead) -> (SharedEntry, Lease) {
    match read {
        SharedRead::Stale { entry, lease } => (entry, lease),
        other => panic!("expected a lease over what is stale: {other:?}"),
    }
}

pub(crate) async fn fill(
    tier: &MemcachedTier,
    key: &[u8],
    lease: &Lease,
    stamp: u64,
) -> SharedFill {
    let envelope = envelope(stamp, format!("value {stamp}"));
    tier.fill(key, lease, envelope, LIFETIME).await.unwrap()
}

/// Puts an entry with this stamp there.
pub(crate) async fn put(tier: &MemcachedTier, key: &[u8], stamp: u64) {
    let lease = miss(tier, key).await;
    assert_eq!(fill(tier, key, &lease, stamp).await, SharedFill::Stored);
}

pub(crate) async fn invalidate(tier: &MemcachedTier, key: &[u8], strike: Invalidation) {
    assert_eq!(tier.invalidate(&[key], strike, None).await.unwrap(), None);
}

/// Asks again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut answer: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = answer().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The server's own clock.
pub(crate) fn clock(server: &Memcached) -> u64 {
    let stats = server.ask("stats");
    let line = stats.lines().find_map(|line| line.strip_prefix("STAT time "));
    line.unwrap().parse().unwrap()
}

/// Waits until the server's clock shows `seconds` more than now.
pub(crate) async fn pass(server: &Memcached, seconds: u64) {
    let end = clock(server) + seconds;
    eventually("the server's clock goes on", async || (clock(server) >= end).then_some(())).await;
}
