//! Who follows when, and what is known of the time between.

use larder_core::feed::FeedPosition;
use larder_core::{ErrorKind, Feed as _};

use crate::{Follower, database_with, feed_of, followed};

const TOO_FAR_BACK: &str = "the log isn't what it was, or doesn't go back that far any more";

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_for_the_first_time_begins_with_a_gap() {
    let (mariadb, feed) = followed();
    mariadb.sql("INSERT INTO users VALUES (1, 'before')");
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    assert!(follower.catch_up(&feed).await.is_empty());
    assert_eq!(follower.gaps, ["nobody knows what was applied before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_what_was_applied_goes_on_behind_it() {
    let (mariadb, feed) = followed();
    let mut first = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO users VALUES (1, 'applied')");
    first.catch_up(&feed).await;
    let applied = first.position;
    mariadb.sql("INSERT INTO users VALUES (2, 'told')");
    assert_eq!(first.catch_up(&feed).await, ["+2 told"]);
    drop(first);
    mariadb.sql("FLUSH BINARY LOGS; INSERT INTO users VALUES (3, 'missed')");
    let mut second = Follower::follow_soon(&feed, Some(applied)).await;
    assert_eq!(second.catch_up(&feed).await, ["+2 told", "+3 missed"]);
    assert!(second.gaps.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_follows() {
    let (mariadb, feed) = followed();
    assert!(!feed.status().await.unwrap().is_followed);
    let mut first = Follower::follow(&feed, None).await.unwrap();
    assert!(feed.status().await.unwrap().is_followed);
    let refused = Follower::follow(&feed, None).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    // Whose lock is gone follows no longer: another one may.
    let holder = "SELECT IS_USED_LOCK('larder_feed_larder')";
    mariadb.sql(&format!("SET @holder = ({holder}); EXECUTE IMMEDIATE CONCAT('KILL ', @holder)"));
    while first.next().await.is_ok() {}
    drop(first);
    Follower::follow_soon(&feed, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_thrown_away_is_a_gap() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    drop(follower);
    mariadb.sql("INSERT INTO users VALUES (1, 'missed'); FLUSH BINARY LOGS");
    let last = "bin.000002";
    while mariadb.sql("SHOW BINARY LOGS").starts_with("bin.000001") {
        mariadb.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
    }
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert!(next.catch_up(&feed).await.is_empty());
    assert_eq!(next.gaps, [TOO_FAR_BACK]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_begun_anew_is_a_gap() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    drop(follower);
    // So that the file is begun in another second.
    let second = mariadb.sql("SELECT UNIX_TIMESTAMP()");
    while mariadb.sql("SELECT UNIX_TIMESTAMP()") == second {}
    mariadb.sql("RESET MASTER");
    // It is as long as it was, and longer.
    mariadb.sql("INSERT INTO users SELECT seq, repeat('x', 100) FROM seq_1_to_1000");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert!(next.catch_up(&feed).await.is_empty());
    assert_eq!(next.gaps, [TOO_FAR_BACK]);
    mariadb.sql("DELETE FROM users WHERE id = 7");
    assert_eq!(next.catch_up(&feed).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_log_that_is_begun_anew_passes_no_end_of_the_new_one() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO users VALUES (1, 'a')");
    follower.catch_up(&feed).await;
    mariadb.sql("RESET MASTER");
    mariadb.sql("UPDATE users SET name = 'b'");
    feed.end().await.unwrap_err();
    while follower.next().await.is_ok() {}
    let applied = follower.position;
    drop(follower);
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, [TOO_FAR_BACK]);
}

/// Nobody asked for the end while it was in front of what was told.
#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_log_that_is_begun_anew_and_longer_notices() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    mariadb.sql("RESET MASTER");
    mariadb.sql("INSERT INTO users SELECT seq, repeat('x', 100) FROM seq_1_to_1000");
    let end = feed.end().await.unwrap();
    while follower.next().await.is_ok() {}
    assert!(follower.position < end);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_is_followed_on_without_a_gap() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO users VALUES (1, 'before')");
    follower.catch_up(&feed).await;
    mariadb.restart();
    while follower.next().await.is_ok() {}
    let applied = follower.position;
    drop(follower);
    mariadb.sql("INSERT INTO users VALUES (2, 'after')");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert_eq!(next.catch_up(&feed).await, ["+2 after"]);
    assert!(next.gaps.is_empty());
}

/// Without a sync for each commit the last ones may be lost, after they were told.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_before_a_crash_may_be_lost() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO users VALUES (1, 'before')");
    follower.catch_up(&feed).await;
    let applied = follower.position;
    mariadb.kill();
    drop(follower);
    mariadb.restart();
    mariadb.sql("INSERT INTO users VALUES (2, 'after')");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert_eq!(next.catch_up(&feed).await, ["~users", "+2 after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_syncs_loses_nothing_by_a_crash() {
    let mariadb = database_with(&[("sync-binlog", "1"), ("innodb-flush-log-at-trx-commit", "1")]);
    let feed = feed_of(&mariadb, &["users"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO users VALUES (1, 'before')");
    follower.catch_up(&feed).await;
    let applied = follower.position;
    mariadb.kill();
    drop(follower);
    mariadb.restart();
    mariadb.sql("INSERT INTO users VALUES (2, 'after')");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert_eq!(next.catch_up(&feed).await, ["+2 after"]);
    assert!(next.gaps.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_under_the_same_address_is_a_gap() {
    let (_mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let of_another = FeedPosition(follower.position.0 ^ 1 << 100);
    drop(follower);
    let mut next = Follower::follow_soon(&feed, Some(of_another)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the log is another server's"]);
}
