//! A server that is full.

use bytes::Bytes;
use larder_core::shared::{Invalidation, Mark, SharedFill, SharedRead};
use larder_core::{Bus, SharedTier};
use larder_test::Redis;

use crate::support::{ask, envelope, fill, get, lease, put, tier, told};

/// Makes it full: what it has is more than it may have.
fn fill_up(redis: &Redis) {
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(redis.cli(&["SET", "x", "y"]).starts_with("OOM"));
}

#[tokio::test]
async fn a_full_server_that_evicts_nothing_refuses_fills_and_takes_invalidations() {
    let redis = Redis::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"]);
    let tier = tier(&redis);
    let bus = tier.bus();
    put(&tier, "held", 1, "a").await;
    put(&tier, "stale", 2, "b").await;
    let reader = lease(&tier, "k").await;
    fill_up(&redis);
    assert_eq!(told(&get(&tier, "held").await.unwrap()).1, "a");
    assert_eq!(fill(&tier, "k", &reader, envelope(1, "a")).await, SharedFill::Refused);
    // A lease is given, and is void from the beginning: the tier is full, not down.
    let void = lease(&tier, "k").await;
    assert_eq!(redis.cli(&["KEYS", "larder.l:*"]), "");
    assert_eq!(fill(&tier, "k", &void, envelope(1, "a")).await, SharedFill::Refused);
    assert!(matches!(ask(&tier, "held", None).await, SharedRead::Hit(_)));
    let announcement = || Some(Bytes::from_static(b"x"));
    let first =
        tier.invalidate(&[b"held"], Invalidation::Drop, announcement()).await.unwrap().unwrap();
    assert_eq!(get(&tier, "held").await, None);
    let second =
        tier.invalidate(&[b"stale"], Invalidation::MarkStale, announcement()).await.unwrap();
    assert!(first.is_followed_by(second.unwrap()));
    assert!(told(&get(&tier, "stale").await.unwrap()).0);
    let marked = tier.mark(&[Mark::All], Invalidation::Drop, announcement()).await.unwrap();
    assert_eq!(tier.marks().await.unwrap().marks.len(), 1);
    assert_eq!(marked.position.unwrap().number, 3);
    let marked = tier.mark(&[Mark::Tag(1)], Invalidation::MarkStale, announcement()).await.unwrap();
    assert_eq!(marked.position.unwrap().number, 4);
    assert_eq!(bus.publish("x".into(), None).await.unwrap().number, 5);
    let (end, _) = bus.subscribe().await.unwrap();
    assert_eq!(end.number, 5);
    // When there is room again everything is as before.
    redis.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
    put(&tier, "k", 3, "c").await;
}

#[tokio::test]
async fn a_server_that_evicts_everything_forgets_and_never_lies() {
    let redis =
        Redis::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-random"]);
    let tier = tier(&redis);
    let marks = tier.mark(&[Mark::All], Invalidation::Drop, None).await.unwrap();
    let reader = lease(&tier, "k").await;
    put(&tier, "held", 1, "a").await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let _ = redis.cli(&["SET", "x", "y"]);
    assert_eq!(redis.cli(&["DBSIZE"]), "0");
    redis.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
    assert_eq!(get(&tier, "held").await, None);
    assert_eq!(fill(&tier, "k", &reader, envelope(1, "a")).await, SharedFill::Refused);
    assert_ne!(tier.marks().await.unwrap().incarnation, marks.incarnation);
}

#[tokio::test]
async fn a_server_that_evicts_what_has_an_end_keeps_marks_and_bus() {
    let redis = Redis::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"]);
    let tier = tier(&redis);
    let marks = tier.mark(&[Mark::All], Invalidation::Drop, Some("m".into())).await.unwrap();
    put(&tier, "held", 1, "a").await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let _ = redis.cli(&["SET", "x", "y"]);
    redis.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
    assert_eq!(get(&tier, "held").await, None);
    assert_eq!(tier.marks().await.unwrap().incarnation, marks.incarnation);
    let next = tier.bus().publish("x".into(), None).await.unwrap();
    assert!(marks.position.unwrap().is_followed_by(next));
}

#[tokio::test]
async fn what_the_eviction_policy_means_is_said() {
    let redis = Redis::start_with(&["--maxmemory-policy", "allkeys-lfu"]);
    let tier = tier(&redis);
    let policy = tier.eviction_policy().await.unwrap();
    assert_eq!((policy.name(), policy.bytes_max()), ("allkeys-lfu", None));
    redis.cli(&["CONFIG", "SET", "maxmemory", "64mb"]);
    let policy = tier.eviction_policy().await.unwrap();
    assert_eq!(policy.bytes_max(), Some(64 << 20));
    assert!(policy.to_string().contains("marks and bus too"), "{policy}");
}
