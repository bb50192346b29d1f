//! A master that Sentinels name, and its successor.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod support;

use larder_core::bus::Position;
use larder_core::shared::{Invalidation, SharedFill};
use larder_core::{Bus, ErrorKind, SharedTier};
use larder_redis::RedisBus;
use larder_test::{RedisSentinel, Reply, RespClient};

use support::{envelope, eventually, fill, gap, get, lease, message, put, tier_at, told};

/// Waits until the replica has everything that was written until now.
fn replicate(redis: &RedisSentinel) {
    let mut primary = RespClient::connect(("127.0.0.1", redis.primary().port()));
    let replies = primary.pipeline([&["SET", "x", "y"][..], &["WAIT", "1", "30000"]]);
    assert_eq!(replies[1], Reply::Integer(1));
}

#[tokio::test]
async fn the_tier_goes_on_with_the_new_master_and_trusts_nothing_of_the_old_one() {
    let redis = RedisSentinel::start();
    let tier = tier_at(redis.url());
    assert!(tier.name().starts_with("redis mymaster, by the sentinels at 127.0.0.1:"));
    put(&tier, "k", 1, "a").await;
    let before = get(&tier, "k").await.unwrap().incarnation;
    let reader = lease(&tier, "other").await;
    assert_eq!(reader.incarnation, before);
    replicate(&redis);
    let old = redis.primary().port();
    redis.kill_primary();
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
    assert_ne!(redis.primary().port(), old);
    // What the old one held is there, and says that it is of another run.
    let entry = get(&tier, "k").await.unwrap();
    assert_eq!(told(&entry).1, "a");
    assert_ne!(entry.incarnation, before);
    assert_eq!(fill(&tier, "other", &reader, envelope(2, "b")).await, SharedFill::Refused);
    tier.invalidate(&[b"k", b"other"], Invalidation::Drop, None).await.unwrap();
    put(&tier, "k", 3, "c").await;
    assert_eq!(told(&get(&tier, "k").await.unwrap()).1, "c");
    // The old one comes back as a replica, and is not asked.
    redis.replica().restart();
    redis.wait_until_replicated();
    assert_eq!(told(&get(&tier, "k").await.unwrap()).1, "c");
    tier.probe().await.unwrap();
}

#[tokio::test]
async fn a_master_that_is_only_silent_is_left_as_well() {
    let redis = RedisSentinel::start_with(3);
    let tier = tier_at(redis.url());
    put(&tier, "k", 1, "a").await;
    redis.wait_until_replicated();
    let old = redis.primary().port();
    redis.primary().pause();
    redis.wait_until_promoted(old);
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
    redis.replica().resume();
    redis.wait_until_replicated();
    tier.invalidate(&[b"k"], Invalidation::Drop, None).await.unwrap();
    assert_eq!(get(&tier, "k").await, None);
    put(&tier, "k", 2, "b").await;
}

#[tokio::test]
async fn a_master_that_only_its_sentinels_gave_up_is_left_within_seconds() {
    let redis = RedisSentinel::start();
    let tier = tier_at(redis.url());
    put(&tier, "k", 1, "a").await;
    let before = get(&tier, "k").await.unwrap().incarnation;
    let (_, mut subscription) = tier.bus().subscribe().await.unwrap();
    replicate(&redis);
    let old = redis.primary();
    // For them it is dead, and can't be told that it is a replica now; for us it answers.
    let forbidden = ["-ping", "-slaveof", "-replicaof", "-multi", "-client|kill"];
    old.cli(&[&["ACL", "SETUSER", "default"], &forbidden[..]].concat());
    redis.wait_until_promoted(old.port());
    assert!(old.cli(&["ROLE"]).starts_with("master"));
    eventually(async || {
        let got = tier.get_many(&[b"k"]).await.pop().unwrap();
        got.is_ok_and(|entry| entry.is_none_or(|entry| entry.incarnation != before))
    })
    .await;
    assert!(old.cli(&["ROLE"]).starts_with("master"));
    // So does the reader of the bus.
    let published = tier_at(redis.url()).bus().publish("new".into(), None).await.unwrap();
    assert_eq!(gap(&mut subscription).await, published);
}

/// Publishes, again and again until a master takes it.
async fn publish(bus: &RedisBus, text: &'static str) -> Position {
    let mut published = bus.publish(text.into(), None).await;
    eventually(async || {
        if published.is_err() {
            published = bus.publish(text.into(), None).await;
        }
        published.is_ok()
    })
    .await;
    published.unwrap()
}

#[tokio::test]
async fn a_reader_of_the_bus_goes_on_at_the_new_master_behind_a_gap() {
    let redis = RedisSentinel::start();
    let bus = tier_at(redis.url()).bus();
    let (_, mut subscription) = bus.subscribe().await.unwrap();
    let read = publish(&bus, "before").await;
    assert_eq!(message(&mut subscription).await.position, read);
    replicate(&redis);
    redis.kill_primary();
    let after = publish(&bus, "after").await;
    // Nothing was lost, which nobody knows.
    let position = gap(&mut subscription).await;
    assert!(position.reaches(after));
    let published = publish(&bus, "more").await;
    assert!(position.is_followed_by(published));
    assert_eq!(message(&mut subscription).await.position, published);
}

#[tokio::test]
async fn a_reader_of_the_bus_is_told_what_a_failover_may_have_lost_whether_or_not_it_was_read() {
    for is_read in [true, false] {
        let redis = RedisSentinel::start();
        let bus = tier_at(redis.url()).bus();
        let (_, mut subscription) = bus.subscribe().await.unwrap();
        replicate(&redis);
        // The replica is told nothing any more.
        redis.primary().cli(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
        redis.primary().cli(&["CLIENT", "KILL", "TYPE", "replica"]);
        let lost = publish(&bus, "lost").await;
        if is_read {
            assert_eq!(message(&mut subscription).await.position, lost);
        }
        redis.kill_primary();
        // It gets the same number.
        assert_eq!(publish(&bus, "after").await, lost);
        assert!(gap(&mut subscription).await.reaches(lost));
    }
}

#[tokio::test]
async fn a_sentinel_that_is_down_or_knows_no_such_master_is_passed_over() {
    let redis = RedisSentinel::start_with(3);
    let tier = tier_at(redis.url());
    redis.sentinels()[0].kill();
    put(&tier, "k", 1, "a").await;
    let tier = tier_at(redis.url().replace("mymaster", "nobody"));
    let error = tier.probe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert!(error.chain().contains("unknown to its sentinels"), "{}", error.chain());
    redis.sentinels()[1].kill();
    redis.sentinels()[2].kill();
    let tier = tier_at(redis.url());
    assert_eq!(tier.probe().await.unwrap_err().kind(), ErrorKind::SharedDown);
}
