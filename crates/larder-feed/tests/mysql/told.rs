//! What is told, in which order, and when.

use std::time::Duration;

use larder_core::Feed as _;
use larder_feed::mysql::{MysqlFeed, MysqlFeedOptions};
use tokio::time::timeout;

use crate::{Follower, database_with, feed_of, followed};

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_in_the_order_of_their_commits() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql(
        "INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob');
         UPDATE users SET name = 'Ada L.' WHERE id = 1;
         UPDATE users SET id = 3 WHERE id = 2;
         DELETE FROM users WHERE id = 3;
         REPLACE INTO users VALUES (1, NULL);
         TRUNCATE users;",
    );
    assert_eq!(
        follower.catch_up(&feed).await,
        [
            "+1 Ada",
            "+2 Bob",
            "1 Ada>1 Ada L.",
            "2 Bob>3 Bob",
            "-3 Bob",
            "1 Ada L.>1 null",
            "~users"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_is_not_told_and_holds_nobody_up() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql(
        "BEGIN; INSERT INTO users VALUES (1, 'never'); ROLLBACK;
         BEGIN; INSERT INTO users VALUES (2, 'kept'); SAVEPOINT a;
         INSERT INTO users VALUES (3, 'never'); ROLLBACK TO a; COMMIT;",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+2 kept"]);
    let url = mariadb.url();
    let mut open = mysql_async::Conn::from_url(&url).await.unwrap();
    execute(&mut open, "BEGIN").await;
    execute(&mut open, "INSERT INTO users VALUES (4, 'later')").await;
    mariadb.sql("INSERT INTO users VALUES (5, 'now')");
    assert_eq!(follower.catch_up(&feed).await, ["+5 now"]);
    execute(&mut open, "COMMIT").await;
    assert_eq!(follower.catch_up(&feed).await, ["+4 later"]);
}

async fn execute(connection: &mut mysql_async::Conn, sql: &str) {
    use mysql_async::prelude::Queryable as _;
    connection.query_drop(sql).await.unwrap();
}

/// A commit that waits for a replica is in the log, and no reader sees it: who loaded now would
/// load what was before.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_reader_sees_yet_is_not_told() {
    let mariadb = database_with(&[
        ("rpl-semi-sync-master-wait-point", "AFTER_SYNC"),
        ("rpl-semi-sync-master-timeout", "1000000"),
    ]);
    mariadb.sql("INSERT INTO users VALUES (1, 'old')");
    let feed = feed_of(&mariadb, &["users"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let before = feed.end().await.unwrap();
    mariadb.sql("SET GLOBAL rpl_semi_sync_master_enabled = 1");
    let url = mariadb.url();
    let writer = tokio::spawn(async move {
        let mut writer = mysql_async::Conn::from_url(&url).await.unwrap();
        execute(&mut writer, "UPDATE users SET name = 'new' WHERE id = 1").await;
    });
    // It is in the log by now.
    while feed.end().await.unwrap() == before {}
    assert_eq!(mariadb.sql("SELECT name FROM users"), "old");
    let told = timeout(Duration::from_millis(500), async {
        loop {
            follower.next().await.unwrap();
            if !follower.told.is_empty() {
                return;
            }
        }
    });
    assert!(told.await.is_err(), "told: {:?}", follower.told);
    assert!(follower.position < feed.end().await.unwrap());
    // Who begins now begins in front of it.
    let other = MysqlFeedOptions { name: "other".to_owned(), ..MysqlFeedOptions::new(["users"]) };
    let other = MysqlFeed::new(&mariadb.url(), other).unwrap();
    let mut second = Follower::follow(&other, None).await.unwrap();
    second.next().await.unwrap();
    assert_eq!(second.gaps.len(), 1);
    assert_eq!(mariadb.sql("SELECT name FROM users"), "old");
    mariadb.sql("SET GLOBAL rpl_semi_sync_master_enabled = 0");
    writer.await.unwrap();
    assert_eq!(follower.catch_up(&feed).await, ["1 old>1 new"]);
    assert_eq!(second.catch_up(&other).await, ["1 old>1 new"]);
    assert_eq!(mariadb.sql("SELECT name FROM users"), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_too_large_is_told_by_its_tables() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO users SELECT seq, 'x' FROM seq_1_to_70000");
    mariadb.sql("INSERT INTO users VALUES (0, 'after')");
    assert_eq!(follower.catch_up(&feed).await, ["~users", "+0 after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tables_are_told_in_one_transaction() {
    let mariadb = database_with(&[]);
    mariadb.sql("CREATE TABLE orders (id int PRIMARY KEY, user int)");
    let feed = feed_of(&mariadb, &["users", "orders"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql(
        "BEGIN; INSERT INTO users VALUES (1, 'a'); INSERT INTO orders VALUES (7, 1);
         UPDATE users, orders SET users.name = 'b', orders.user = 2; COMMIT;",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+1 a", "+7 1", "1 a>1 b", "7 1>7 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_transactions_are_told() {
    let mariadb = database_with(&[]);
    mariadb.sql(
        "CREATE TABLE mine (id int PRIMARY KEY) ENGINE = MyISAM;
         CREATE TABLE aria (id int PRIMARY KEY) ENGINE = Aria;",
    );
    let feed = feed_of(&mariadb, &["users", "mine", "aria"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql(
        "INSERT INTO mine VALUES (1);
         INSERT INTO aria VALUES (2);
         BEGIN; INSERT INTO users VALUES (3, 'never'); INSERT INTO mine VALUES (4); ROLLBACK;",
    );
    let told = follower.catch_up(&feed).await;
    assert_eq!(told[..2], ["+1", "+2"]);
    assert!(told.contains(&"+4".to_owned()), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_is_told() {
    let mariadb = database_with(&[("log-bin-compress", "1"), ("log-bin-compress-min-len", "10")]);
    let feed = feed_of(&mariadb, &["users"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let long = "x".repeat(300);
    mariadb.sql(&format!(
        "INSERT INTO users VALUES (1, '{long}');
         UPDATE users SET name = 'short' WHERE id = 1;
         DELETE FROM users;
         TRUNCATE TABLE users /* {long} */;"
    ));
    let compressed = mariadb.sql("SHOW BINLOG EVENTS");
    assert!(compressed.contains("_compressed"), "{compressed}");
    assert_eq!(
        follower.catch_up(&feed).await,
        [
            format!("+1 {long}"),
            format!("1 {long}>1 short"),
            "-1 short".to_owned(),
            "~users".to_owned()
        ]
    );
}
