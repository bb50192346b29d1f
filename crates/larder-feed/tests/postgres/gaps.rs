//! Who follows when, and what is known of the time between.

use std::pin::pin;
use std::time::Duration;

use larder_core::feed::FeedPosition;
use larder_core::{ErrorKind, Feed as _};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use tokio::time::timeout;

use crate::{Follower, Session, installed};

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_for_the_first_time_begins_with_a_gap() {
    let (postgres, feed) = installed().await;
    postgres.psql("INSERT INTO users VALUES (1, 'before')");
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    assert!(follower.catch_up(&feed).await.is_empty());
    assert_eq!(follower.gaps, ["the slot is new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_what_was_applied_goes_on_behind_it() {
    let (postgres, feed) = installed().await;
    let mut first = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("INSERT INTO users VALUES (1, 'applied')");
    first.catch_up(&feed).await;
    let applied = first.position;
    first.acknowledge();
    postgres.psql("INSERT INTO users VALUES (2, 'told')");
    assert_eq!(first.catch_up(&feed).await, ["+2 told"]);
    drop(first);
    postgres.psql("INSERT INTO users VALUES (3, 'missed')");
    let mut second = Follower::follow_soon(&feed, Some(applied)).await;
    let told = second.catch_up(&feed).await;
    // What was applied may come again; what wasn't must come.
    assert!(told.ends_with(&["+2 told".to_owned(), "+3 missed".to_owned()]), "{told:?}");
    assert!(second.gaps.is_empty());
    drop(second);
    let mut third = Follower::follow_soon(&feed, None).await;
    third.catch_up(&feed).await;
    assert_eq!(third.gaps, ["nobody knows what was applied before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_follows() {
    let (_postgres, feed) = installed().await;
    let first = Follower::follow(&feed, None).await.unwrap();
    let refused = Follower::follow(&feed, None).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    drop(first);
    Follower::follow_soon(&feed, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_dropped_is_a_gap() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let (applied, at) = (follower.position, feed.end().await.unwrap());
    assert!(applied >= at);
    drop(follower);
    while feed.status().await.unwrap().unwrap().is_followed {}
    postgres.psql("SELECT pg_drop_replication_slot('larder')");
    postgres.psql("INSERT INTO users VALUES (1, 'missed')");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert!(next.catch_up(&feed).await.is_empty());
    assert_eq!(next.gaps, ["the slot is new"]);
    drop(next);
    while feed.status().await.unwrap().unwrap().is_followed {}
    // Somebody else made it again.
    postgres.psql("SELECT pg_drop_replication_slot('larder')");
    postgres.psql("INSERT INTO users VALUES (2, 'missed')");
    postgres.psql("SELECT pg_create_logical_replication_slot('larder', 'pgoutput')");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the slot begins later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_too_far_behind_is_given_up() {
    let (postgres, _) = installed().await;
    let options = PostgresFeedOptions {
        behind_max: 4 << 20,
        look_every: Duration::from_millis(10),
        ..PostgresFeedOptions::new(["users"])
    };
    let feed = PostgresFeed::new(&postgres.url(), options).unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    // Nothing is acknowledged, and so the server keeps everything.
    postgres.psql(
        "INSERT INTO users SELECT n, repeat('x', 300) FROM generate_series(1, 40000) n;
         CHECKPOINT;",
    );
    let error = loop {
        if let Err(error) = follower.next().await {
            break error;
        }
    };
    assert!(error.to_string().contains("too far behind"), "{error}");
    let applied = follower.position;
    drop(follower);
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the slot was too far behind, and was made again"]);
    assert!(feed.status().await.unwrap().unwrap().behind < 4 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_log_the_server_threw_away_is_a_gap() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    drop(follower);
    postgres.psql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    postgres.psql("SELECT pg_reload_conf()");
    while feed.status().await.unwrap().is_some_and(|standing| !standing.is_lost) {
        postgres.psql(
            "INSERT INTO users SELECT n, repeat('x', 300) FROM generate_series(1, 40000) n;
             TRUNCATE users; SELECT pg_switch_wal(); CHECKPOINT;",
        );
    }
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the slot was too far behind, and was made again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_is_followed_on_without_a_gap() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("INSERT INTO users VALUES (1, 'before')");
    follower.catch_up(&feed).await;
    let applied = follower.position;
    follower.acknowledge();
    postgres.restart();
    while follower.next().await.is_ok() {}
    postgres.psql("INSERT INTO users VALUES (2, 'after')");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert!(next.catch_up(&feed).await.ends_with(&["+2 after".to_owned()]));
    assert!(next.gaps.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_under_the_same_address_is_a_gap() {
    let (_postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let of_another = FeedPosition(follower.position.0 ^ 1 << 100);
    drop(follower);
    let mut next = Follower::follow_soon(&feed, Some(of_another)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the log is another server's"]);
}

/// Nobody knows whether who made the slot has waited until what was committed before was visible: it
/// may have died meanwhile. Who loaded after the gap would load what was before, and never hear
/// of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_told_when_everything_before_it_is_visible() {
    let (postgres, feed) = installed().await;
    postgres.psql("INSERT INTO users VALUES (1, 'old')");
    drop(Follower::follow(&feed, None).await.unwrap());
    while feed.status().await.unwrap().unwrap().is_followed {}
    postgres.psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    postgres.psql("SELECT pg_reload_conf()");
    while postgres.psql("SHOW synchronous_standby_names") != "nobody" {}
    let mut writer = Session::open(&postgres);
    writer.line("UPDATE users SET name = 'new' WHERE id = 1;");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while postgres.psql(waits) == "0" {}
    // What is told begins behind it.
    postgres.psql("SELECT pg_replication_slot_advance('larder', pg_current_wal_flush_lsn())");
    assert_eq!(postgres.psql("SELECT name FROM users"), "old");
    let mut following = pin!(Follower::follow(&feed, None));
    let begun = timeout(Duration::from_millis(300), &mut following).await;
    assert!(begun.is_err(), "it begins while a commit isn't visible");
    postgres.psql("ALTER SYSTEM SET synchronous_standby_names = ''");
    postgres.psql("SELECT pg_reload_conf()");
    writer.end();
    let mut follower = following.await.unwrap();
    assert_eq!(postgres.psql("SELECT name FROM users"), "new");
    assert_eq!(follower.catch_up(&feed).await, [""; 0], "it is never told");
    assert_eq!(follower.gaps, ["nobody knows what was applied before"]);
}
