//! What these tests have in common: envelopes, and a tier whose errors are panics.
#![allow(dead_code, reason = "each test program uses its part")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_core::SharedTier;
use larder_core::bus::{BusEvent, Message, Position, Subscription};
use larder_core::envelope::{Envelope, Payload, encoding};
use larder_core::shared::{
    Incarnation, Lease, LeaseAsk, MarkClock, SharedEntry, SharedFill, SharedRead,
};
use larder_redis::{RedisOptions, RedisTier};
use larder_test::Redis;

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const LIFETIME: Duration = Duration::from_secs(3_600);

pub(crate) fn tier(redis: &Redis) -> RedisTier {
    tier_at(redis.url())
}

pub(crate) fn tier_at(url: impl Into<String>) -> RedisTier {
    RedisTier::connect(RedisOptions::new(url)).unwrap()
}

/// An entry whose payload is `text`.
pub(crate) fn envelope(stamp: u64, text: &str) -> Bytes {
    let envelope = Envelope {
        is_stale: false,
        stamp,
        incarnation: Incarnation(7),
        marks: 1,
        clock: MarkClock(2),
        lifetime: LIFETIME,
        fresh_for: LIFETIME,
        stale_for: Duration::ZERO,
        cost: Duration::ZERO,
        weight: None,
        schema: 0,
        tags: Vec::new(),
        validator: None,
        payload: Some(Payload {
            encoding: encoding::RAW,
            is_compressed: false,
            bytes: Bytes::copy_from_slice(text.as_bytes()),
        }),
    };
    envelope.encode()
}

/// What is told of an entry: whether it is stale, and its payload.
pub(crate) fn told(entry: &SharedEntry) -> (bool, String) {
    let envelope = Envelope::decode(&entry.envelope).unwrap();
    (envelope.is_stale, String::from_utf8(envelope.payload.unwrap().bytes.to_vec()).unwrap())
}

pub(crate) async fn get(tier: &RedisTier, key: &str) -> Option<SharedEntry> {
    tier.get_many(&[key.as_bytes()]).await.pop().unwrap().unwrap()
}

pub(crate) async fn ask(tier: &RedisTier, key: &str, seen: Option<u64>) -> SharedRead {
    let asks = [LeaseAsk { key: key.as_bytes(), seen }];
    tier.lease_many(&asks, LEASE).await.pop().unwrap().unwrap()
}

/// The lease of a key of which nothing is held.
pub(crate) async fn lease(tier: &RedisTier, key: &str) -> Lease {
    match ask(tier, key, None).await {
        SharedRead::Miss(lease) => lease,
        other => panic!("no miss: {other:?}"),
    }
}

pub(crate) async fn fill(
    tier: &RedisTier,
    key: &str,
    lease: &Lease,
    envelope: Bytes,
) -> SharedFill {
    tier.fill(key.as_bytes(), lease, envelope, LIFETIME).await.unwrap()
}

/// Fills a key of which nothing is held.
pub(crate) async fn put(tier: &RedisTier, key: &str, stamp: u64, text: &str) {
    let lease = lease(tier, key).await;
    assert_eq!(fill(tier, key, &lease, envelope(stamp, text)).await, SharedFill::Stored);
}

/// The next event of a subscription, which must come soon.
pub(crate) async fn next(subscription: &mut Subscription) -> BusEvent {
    let next = std::future::poll_fn(|context| subscription.as_mut().poll_next(context));
    let event = tokio::time::timeout(Duration::from_secs(30), next).await;
    event.expect("an event within half a minute").expect("a subscription never ends")
}

/// The next event, which must be a message.
pub(crate) async fn message(subscription: &mut Subscription) -> Message {
    match next(subscription).await {
        BusEvent::Message(message) => message,
        gap @ BusEvent::Gap(_) => panic!("{gap:?}"),
    }
}

/// The next event, which must be a gap: where what follows begins.
pub(crate) async fn gap(subscription: &mut Subscription) -> Position {
    match next(subscription).await {
        BusEvent::Gap(position) => position.unwrap(),
        message @ BusEvent::Message(_) => panic!("{message:?}"),
    }
}

/// Waits until something holds, for half a minute.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
