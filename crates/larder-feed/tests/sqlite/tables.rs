//! What can be followed, and what is said where it can't; installing, altering and removing.

use larder_core::{ErrorKind, Feed as _};
use larder_feed::sqlite::SqliteTriggers;

use crate::{Database, Follower, SqliteTriggersOptions, followed, options};

fn feed(database: &Database, tables: &[&str]) -> SqliteTriggers {
    let tables = tables.iter().map(|table| (*table).to_owned()).collect();
    database.feed_with(SqliteTriggersOptions { tables, ..options() })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_followed_is_refused() {
    let database = Database::new();
    database.sqlite3(
        "CREATE VIEW seen AS SELECT * FROM users;
         CREATE VIRTUAL TABLE found USING fts5 (content);
         CREATE TABLE lower (id INT); CREATE UNIQUE INDEX l ON lower (id + 1);",
    );
    for (table, says) in [
        ("seen", "is not a table"),
        ("found", "is not a table"),
        ("lower", "index l makes an expression unique"),
        ("missing", "there is no table missing"),
    ] {
        let error = feed(&database, &["users", table]).install().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{table}");
        assert!(error.to_string().contains(says), "{table}: {error}");
    }
    assert_eq!(
        database.sqlite3("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'larder%'"),
        "0"
    );
    let error = feed(&database, &["users"]).follow(None).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("install it first"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_again_follows_exactly_what_is_named() {
    let database = Database::new();
    database.sqlite3("CREATE TABLE orders (id INTEGER PRIMARY KEY)");
    feed(&database, &["users", "orders"]).install().await.unwrap();
    let users = feed(&database, &["users", "USERS"]);
    assert!(users.check().await.unwrap()[0].is_installed);
    users.install().await.unwrap();
    let mut follower = Follower::follow(&users, None).await.unwrap();
    database.sqlite3("INSERT INTO orders VALUES (1); INSERT INTO users VALUES (1, 'x')");
    assert_eq!(follower.catch_up(&users).await, ["+1 x"]);
    users.install().await.unwrap();
    database.sqlite3("INSERT INTO users VALUES (2, 'y')");
    assert_eq!(follower.catch_up(&users).await, ["+2 y"]);
    assert_eq!(follower.gaps.len(), 1, "what is installed isn't installed again");
    let applied = follower.position;
    drop(follower);
    let more = feed(&database, &["users", "orders"]).follow(None).await.err().unwrap();
    assert!(more.to_string().contains("triggers of orders are missing"), "{more}");
    let mut next = Follower::follow(&users, Some(applied)).await.unwrap();
    next.catch_up(&users).await;
    assert_eq!(next.gaps, ["the log is another one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_altered_is_told_and_followed_on() {
    let (database, feed, mut follower) = followed().await;
    database.sqlite3("ALTER TABLE users ADD COLUMN age INT; INSERT INTO users VALUES (1, 'x', 7);");
    assert_eq!(follower.catch_up(&feed).await, ["altered users", "~users", "+1 x"]);
    assert!(!feed.check().await.unwrap()[0].is_installed, "the new column isn't told");
    let applied = follower.position;
    drop(follower);
    let mut next = Follower::follow(&feed, Some(applied)).await.unwrap();
    database.sqlite3("ALTER TABLE users RENAME COLUMN name TO title; UPDATE users SET id = 2;");
    assert_eq!(next.catch_up(&feed).await, ["altered users", "~users", "1>2 x"]);
    drop(next);
    feed.install().await.unwrap();
    let mut next = Follower::follow(&feed, Some(applied)).await.unwrap();
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the log is another one"]);
    assert!(feed.check().await.unwrap()[0].is_installed);
}

/// On a database to which nobody writes rows: none brings it to light.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_another_one_is_told_before_the_end_is_passed() {
    let (database, feed, mut follower) = followed().await;
    follower.catch_up(&feed).await;
    let first = "CREATE VIEW named AS SELECT id, name FROM users";
    let other = "CREATE VIEW named AS SELECT id, upper(name) AS name FROM users";
    for altered in [
        first.to_owned(),
        format!("BEGIN; DROP VIEW named; {other}; COMMIT"),
        format!("BEGIN; DROP VIEW named; {first}; DROP VIEW named; {other}; COMMIT"),
        "DROP VIEW named".to_owned(),
    ] {
        database.sqlite3(&altered);
        assert_eq!(follower.catch_up(&feed).await, ["altered users", "~users"], "{altered}");
        assert!(follower.catch_up(&feed).await.is_empty(), "{altered}: twice");
    }
    database.sqlite3("CREATE INDEX by_name ON users (name)");
    assert!(follower.catch_up(&feed).await.is_empty(), "an index is nothing to a reader");
    let applied = follower.position;
    drop(follower);
    let mut next = Follower::follow(&feed, Some(applied)).await.unwrap();
    next.catch_up(&feed).await;
    assert!(next.gaps.is_empty(), "{:?}", next.gaps);
    drop(next);
    database.sqlite3(first);
    let mut next = Follower::follow(&feed, Some(applied)).await.unwrap();
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the tables were altered meanwhile"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_are_missing_are_noticed() {
    for lost in [
        "DROP TABLE users; CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)",
        "DROP TRIGGER larder_users_delete",
        "CREATE UNIQUE INDEX i ON users (name)",
        "ALTER TABLE users RENAME TO people",
    ] {
        let (database, feed, mut follower) = followed().await;
        let applied = follower.position;
        database.sqlite3(lost);
        let error = follower.ended().await;
        assert!(error.to_string().contains("triggers of users are missing"), "{lost}: {error}");
        drop(follower);
        assert!(feed.follow(Some(applied)).await.is_err());
        if lost.contains("RENAME") {
            database.sqlite3("ALTER TABLE people RENAME TO users");
        }
        feed.install().await.unwrap();
        let mut next = Follower::follow(&feed, Some(applied)).await.unwrap();
        next.catch_up(&feed).await;
        assert_eq!(next.gaps, ["the log is another one"], "{lost}");
        database.sqlite3("INSERT INTO users VALUES (1, 'x')");
        assert_eq!(next.catch_up(&feed).await, ["+1 x"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_leaves_nothing_but_what_is_somebody_elses() {
    let (database, feed, mut follower) = followed().await;
    let other =
        database.feed_with(SqliteTriggersOptions { name: "larder_2".to_owned(), ..options() });
    other.install().await.unwrap();
    feed.remove().await.unwrap();
    database.sqlite3("INSERT INTO users VALUES (1, 'x')");
    assert_eq!(follower.ended().await.kind(), ErrorKind::Config);
    assert_eq!(feed.status().await.unwrap(), None);
    assert_eq!(database.sqlite3("SELECT count(*) FROM larder_2_change"), "1");
    other.remove().await.unwrap();
    assert_eq!(database.sqlite3("SELECT group_concat(name) FROM sqlite_schema"), "users");
    feed.remove().await.unwrap();
}

#[test]
fn names_and_places_that_can_not_be_are_refused() {
    let named = |place: &str, name: &str| {
        SqliteTriggers::new(place, SqliteTriggersOptions { name: name.to_owned(), ..options() })
    };
    for name in ["", "Larder", "1st", "_a", "a-b", "x'; DROP TABLE users; --", "sqlite_x"] {
        assert_eq!(named("shop.db", name).unwrap_err().kind(), ErrorKind::Config, "{name}");
    }
    for place in ["", "sqlite:", "sqlite::memory:", "sqlite:x?mode=memory"] {
        assert_eq!(named(place, "larder").unwrap_err().kind(), ErrorKind::Config, "{place}");
    }
    for options in [
        SqliteTriggersOptions { tables: Vec::new(), ..options() },
        SqliteTriggersOptions { rows_max: 0, ..options() },
    ] {
        SqliteTriggers::new("shop.db", options).unwrap_err();
    }
}
