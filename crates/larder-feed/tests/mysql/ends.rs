//! The end of the log, and passing it.

use crate::{Follower, database, feed_of, followed};

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_passed_while_nothing_happens() {
    let (_mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    for _ in 0..3 {
        assert!(follower.catch_up(&feed).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_tables_that_are_not_followed_are_passed() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql(
        "CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1); TRUNCATE other;
         CREATE DATABASE elsewhere; CREATE TABLE elsewhere.users (id int);
         INSERT INTO elsewhere.users VALUES (1);",
    );
    // A table of the same name is named by its definition, but its rows are others.
    assert_eq!(follower.catch_up(&feed).await, ["altered users", "~users"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_on_in_another_file() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    for name in ["a", "b", "c"] {
        mariadb.sql(&format!("INSERT INTO users VALUES (1, '{name}'); FLUSH BINARY LOGS"));
        assert_eq!(follower.catch_up(&feed).await, [format!("+1 {name}")]);
        mariadb.sql("DELETE FROM users");
        assert_eq!(follower.catch_up(&feed).await, [format!("-1 {name}")]);
    }
    assert_eq!(follower.gaps.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_are_followed_at_once() {
    let mariadb = database();
    mariadb.sql("CREATE DATABASE stock; CREATE TABLE stock.`odd one` (id int PRIMARY KEY)");
    let feed = feed_of(&mariadb, &["users", "stock.`odd one`"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO stock.`odd one` VALUES (7); INSERT INTO users VALUES (1, 'a')");
    assert_eq!(follower.catch_up(&feed).await, ["+7", "+1 a"]);
}
