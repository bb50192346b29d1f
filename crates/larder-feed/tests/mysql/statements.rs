//! What no row of the log tells: definitions, statements, foreign keys, prepared transactions.

use crate::{Follower, database, feed_of, followed};

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_tells_its_table_as_a_whole() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    for (sql, told) in [
        ("ALTER TABLE users ADD age int DEFAULT 7", vec!["altered users", "~users"]),
        ("INSERT INTO users VALUES (4, 'Eve', 8)", vec!["+4 Eve 8"]),
        ("ALTER TABLE users MODIFY age bigint FIRST", vec!["altered users", "~users"]),
        ("UPDATE users SET age = 9", vec!["8 4 Eve>9 4 Eve"]),
        ("/*!40000 ALTER TABLE `users` DISABLE KEYS */", vec!["altered users", "~users"]),
        ("RENAME TABLE users TO customers", vec!["altered users", "~users"]),
        ("INSERT INTO customers VALUES (1, 1, 'not followed')", vec![]),
        ("CREATE TABLE users (id int PRIMARY KEY, name text)", vec!["altered users", "~users"]),
        ("INSERT INTO users VALUES (5, 'new')", vec!["+5 new"]),
        ("CREATE OR REPLACE TABLE users (id int)", vec!["altered users", "~users"]),
        ("DROP TABLE customers", vec![]),
        ("DROP DATABASE shop", vec!["altered users", "~users"]),
    ] {
        mariadb.sql(sql);
        assert_eq!(follower.catch_up(&feed).await, told, "{sql}");
    }
}

/// Which tables are read through a view isn't in the statement: it may go over another view, or
/// over other tables than before.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_another_one_tells_every_table() {
    let mariadb = database();
    mariadb.sql("CREATE TABLE orders (id int PRIMARY KEY)");
    let feed = feed_of(&mariadb, &["users", "orders"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    for sql in [
        "CREATE VIEW named AS SELECT id, name FROM users",
        "CREATE VIEW outer_one AS SELECT id, name FROM named",
        "CREATE OR REPLACE VIEW outer_one AS SELECT id, upper(name) AS name FROM named",
        "ALTER VIEW outer_one AS SELECT 1 AS id, 'x' AS name",
        "CREATE OR REPLACE DEFINER = CURRENT_USER SQL SECURITY INVOKER VIEW named AS SELECT 1",
        "RENAME TABLE named TO other",
        "DROP VIEW other, outer_one",
    ] {
        mariadb.sql(sql);
        let told = follower.catch_up(&feed).await;
        assert_eq!(told, ["altered users", "~users", "altered orders", "~orders"], "{sql}");
    }
    mariadb.sql("CREATE PROCEDURE nothing () SELECT 1; CREATE TABLE unread (id int)");
    assert!(follower.catch_up(&feed).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_changed_behind_the_log_is_told_as_a_whole() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO users VALUES (1, 'a')");
    mariadb.sql("SET sql_log_bin = 0; ALTER TABLE users ADD age int FIRST");
    mariadb.sql("UPDATE users SET name = 'b'");
    assert_eq!(
        follower.catch_up(&feed).await,
        ["+1 a", "altered users", "~users", "null 1 a>null 1 b"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_instead_of_rows_tells_every_table() {
    let mariadb = database();
    mariadb.sql("CREATE TABLE orders (id int PRIMARY KEY)");
    let feed = feed_of(&mariadb, &["users", "orders"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("SET SESSION binlog_format = STATEMENT; INSERT INTO users VALUES (1, 'a')");
    assert_eq!(follower.catch_up(&feed).await, ["~users", "~orders"]);
    mariadb.sql(
        "CREATE TABLE other (id int PRIMARY KEY);
         CREATE TRIGGER hidden AFTER INSERT ON other FOR EACH ROW DELETE FROM users;
         SET SESSION binlog_format = STATEMENT; INSERT INTO other VALUES (1)",
    );
    assert!(follower.catch_up(&feed).await.ends_with(&["~users".to_owned(), "~orders".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_tells_every_table_when_it_is_committed() {
    let (mariadb, feed) = followed();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("XA START 'x'; INSERT INTO users VALUES (1, 'a'); XA END 'x'; XA PREPARE 'x'");
    assert!(follower.catch_up(&feed).await.is_empty());
    mariadb.sql("XA COMMIT 'x'");
    assert_eq!(follower.catch_up(&feed).await, ["~users"]);
    mariadb.sql("XA START 'x'; DELETE FROM users; XA END 'x'; XA PREPARE 'x'; XA ROLLBACK 'x'");
    assert!(follower.catch_up(&feed).await.is_empty());
    mariadb.sql("XA START 'x'; DELETE FROM users; XA END 'x'; XA COMMIT 'x' ONE PHASE");
    assert_eq!(follower.catch_up(&feed).await, ["-1 a"]);
}

/// InnoDB deletes and changes these rows by itself, and the log has only what caused it.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_tells_what_it_changes_as_a_whole() {
    let mariadb = database();
    mariadb.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, user int, KEY (user),
             FOREIGN KEY (user) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE items (id int PRIMARY KEY, part int,
             FOREIGN KEY (part) REFERENCES orders (id) ON DELETE SET NULL);
         INSERT INTO users VALUES (1, 'a'), (2, 'b');
         INSERT INTO orders VALUES (10, 1), (20, 2); INSERT INTO items VALUES (100, 10);",
    );
    let feed = feed_of(&mariadb, &["orders", "items"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("UPDATE users SET name = 'c' WHERE id = 1");
    assert!(follower.catch_up(&feed).await.is_empty(), "no key was changed");
    mariadb.sql("UPDATE users SET id = 3 WHERE id = 1");
    assert_eq!(mariadb.sql("SELECT user FROM orders WHERE id = 10"), "3");
    assert_eq!(follower.catch_up(&feed).await, ["~orders", "~items"]);
    mariadb.sql("DELETE FROM users WHERE id = 3");
    assert_eq!(mariadb.sql("SELECT part FROM items"), "NULL");
    assert_eq!(follower.catch_up(&feed).await, ["~orders", "~items"]);
    mariadb.sql("INSERT INTO items VALUES (101, 20); DELETE FROM orders");
    assert_eq!(follower.catch_up(&feed).await, ["+101 20", "~items", "-20 2"]);
    // One that is made later is followed from then on.
    mariadb.sql(
        "CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (1);
         ALTER TABLE items ADD note int REFERENCES notes (id) ON DELETE CASCADE;
         UPDATE items SET note = 1;",
    );
    follower.catch_up(&feed).await;
    mariadb.sql("DELETE FROM notes");
    assert_eq!(mariadb.sql("SELECT count(*) FROM items WHERE note IS NOT NULL"), "0");
    assert_eq!(follower.catch_up(&feed).await, ["~items"]);
}
