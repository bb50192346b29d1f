//! What is told, in which order, and when.

use std::time::Duration;

use larder_core::Feed as _;
use larder_test::Postgres;
use tokio::time::timeout;

use crate::{Follower, Session, database, feed_of, installed};

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_in_the_order_of_their_commits() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob');
         UPDATE users SET name = 'Ada L.' WHERE id = 1;
         UPDATE users SET id = 3 WHERE id = 2;
         DELETE FROM users WHERE id = 3;
         SELECT pg_logical_emit_message(true, 'larder', 'tag:x');
         SELECT pg_logical_emit_message(true, 'other', 'nothing to us');
         INSERT INTO users VALUES (4, 'Eve');",
    );
    assert_eq!(
        follower.catch_up(&feed).await,
        ["+1 Ada", "+2 Bob", "1 Ada L.", "2>3 Bob", "-3", "\"tag:x\"", "+4 Eve",]
    );
    // The catalogue says these as well.
    postgres.psql("ALTER TABLE users ADD age int; INSERT INTO users VALUES (5, 'Tom', 7)");
    let told = follower.catch_up(&feed).await;
    let at = |text: &str| told.iter().rposition(|told| told == text);
    assert!(at("altered users").is_some() && at("altered users") < at("+5 Tom"), "{told:?}");
    postgres.psql("TRUNCATE users");
    assert!(follower.catch_up(&feed).await.contains(&"~users".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_prepared_is_told_when_it_is_committed() {
    let postgres =
        Postgres::start_with(&[("wal_level", "logical"), ("max_prepared_transactions", "2")]);
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    let feed = feed_of(&postgres);
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "BEGIN; INSERT INTO users VALUES (1, 'kept'); PREPARE TRANSACTION 'one';
         BEGIN; INSERT INTO users VALUES (2, 'never'); PREPARE TRANSACTION 'two';",
    );
    assert!(follower.catch_up(&feed).await.is_empty());
    postgres.psql("ROLLBACK PREPARED 'two'; COMMIT PREPARED 'one'");
    assert_eq!(follower.catch_up(&feed).await, ["+1 kept"]);
}

/// Triggers can be switched off; the log can't.
#[tokio::test(flavor = "multi_thread")]
async fn who_writes_as_a_replica_is_told_too() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "SELECT pg_replication_origin_create('elsewhere');
         SET session_replication_role = replica;
         INSERT INTO users VALUES (1, 'replica');
         SELECT pg_replication_origin_session_setup('elsewhere');
         INSERT INTO users VALUES (2, 'elsewhere');",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+1 replica", "+2 elsewhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_is_not_told_and_holds_nobody_up() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let mut open = Session::open(&postgres);
    open.line("BEGIN; INSERT INTO users VALUES (1, 'later');");
    // Only to know that it has been executed.
    while postgres.psql("SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass") == "0" {
    }
    postgres.psql("INSERT INTO users VALUES (2, 'now')");
    assert_eq!(follower.catch_up(&feed).await, ["+2 now"]);
    open.line("COMMIT;");
    open.end();
    assert_eq!(follower.catch_up(&feed).await, ["+1 later"]);
}

/// A commit that waits for a synchronous standby is in the log, and no reader sees it: who loaded
/// now would load what was before.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_reader_sees_yet_is_not_told() {
    let postgres = database();
    postgres.psql("INSERT INTO users VALUES (1, 'old')");
    let feed = feed_of(&postgres);
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    postgres.psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    postgres.psql("SELECT pg_reload_conf()");
    while postgres.psql("SHOW synchronous_standby_names") != "nobody" {}
    let before = feed.end().await.unwrap();
    let mut writer = Session::open(&postgres);
    writer.line("UPDATE users SET name = 'new' WHERE id = 1;");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while postgres.psql(waits) == "0" {}
    assert_eq!(postgres.psql("SELECT name FROM users"), "old");
    // It is in the log by now, and a walsender has sent it.
    let sent = "SELECT sent_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication";
    while postgres.psql(sent) != "t" {}
    let told = timeout(Duration::from_millis(300), async {
        loop {
            follower.next().await.unwrap();
            if !follower.told.is_empty() {
                return;
            }
        }
    });
    assert!(told.await.is_err(), "told: {:?}", follower.told);
    assert!(follower.position <= feed.end().await.unwrap() && before < feed.end().await.unwrap());
    postgres.psql("ALTER SYSTEM SET synchronous_standby_names = ''");
    postgres.psql("SELECT pg_reload_conf()");
    writer.end();
    assert_eq!(follower.catch_up(&feed).await, ["1 new"]);
    assert_eq!(postgres.psql("SELECT name FROM users"), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_too_large_is_told_by_its_tables() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("INSERT INTO users SELECT n, 'x' FROM generate_series(1, 70000) n");
    postgres.psql("INSERT INTO users VALUES (0, 'after')");
    assert_eq!(follower.catch_up(&feed).await, ["~users", "+0 after"]);
}
