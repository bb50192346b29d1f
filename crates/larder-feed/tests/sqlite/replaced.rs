//! REPLACE, which deletes rows without executing their triggers: what they were is told.

use crate::{Database, Follower, SqliteTriggersOptions, options};

async fn told(create: &str, sql: &str) -> Vec<String> {
    let database = Database::new();
    database.sqlite3(create);
    let tables = vec!["t".to_owned()];
    let feed = database.feed_with(SqliteTriggersOptions { tables, ..options() });
    feed.install().await.unwrap();
    let before = "INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')";
    database.sqlite3(before);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    database.sqlite3(sql);
    let mut told = follower.catch_up(&feed).await;
    // In which order triggers are executed nobody promises, but what is new comes last.
    let last = told.len() - 1;
    told[..last].sort_unstable();
    told
}

const BY_NUMBER: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)";

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_an_insert_replaces_is_told() {
    for (create, sql, expected) in [
        // By the number of the row, and by what else is unique.
        (BY_NUMBER, "REPLACE INTO t VALUES (1, 'x')", vec!["-1", "+1 x"]),
        (BY_NUMBER, "REPLACE INTO t VALUES ('1', 'x')", vec!["-1", "+1 x"]),
        (BY_NUMBER, "INSERT OR REPLACE INTO t VALUES (9, 'b')", vec!["-2", "+9 b"]),
        (BY_NUMBER, "REPLACE INTO t VALUES (1, 'b')", vec!["-1", "-2", "+1 b"]),
        (BY_NUMBER, "REPLACE INTO t (name) VALUES ('c')", vec!["-3", "+4 c"]),
        (BY_NUMBER, "INSERT INTO t VALUES (4, 'd')", vec!["+4 d"]),
        // With the writer's triggers on it is told twice.
        (
            BY_NUMBER,
            "PRAGMA recursive_triggers = on; REPLACE INTO t VALUES (1, 'x')",
            vec!["-1", "-1", "+1 x"],
        ),
        // Where nothing was replaced, it may be told for nothing.
        (BY_NUMBER, "INSERT OR IGNORE INTO t VALUES (1, 'x')", vec!["-1"]),
        (
            BY_NUMBER,
            "INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            vec!["-1", "1>1 x"],
        ),
        (
            "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID",
            "REPLACE INTO t VALUES ('1', 'x')",
            vec!["-1", "+1 x"],
        ),
        (
            "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT)",
            "REPLACE INTO t (rowid, id, name) VALUES (1, '7', 'x')",
            vec!["-1", "+7 x"],
        ),
        // The order of the index says what is alike, not that of the column.
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);
             CREATE UNIQUE INDEX i ON t (name COLLATE NOCASE)",
            "REPLACE INTO t VALUES (9, 'B')",
            vec!["-2", "+9 B"],
        ),
        (
            "CREATE TABLE t (id INTEGER, name TEXT COLLATE NOCASE, more INT DEFAULT 0,
               UNIQUE (more, id) ON CONFLICT REPLACE)",
            "INSERT INTO t VALUES (2, 'x', 0)",
            vec!["-2", "+2 x"],
        ),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);
             CREATE UNIQUE INDEX i ON t (name) WHERE id > 1;
             CREATE UNIQUE INDEX j ON t (name) WHERE id < 2",
            "REPLACE INTO t VALUES (9, 'b')",
            vec!["-2", "+9 b"],
        ),
    ] {
        assert_eq!(told(create, sql).await, expected, "{create}: {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_an_update_replaces_is_told() {
    for (create, sql, expected) in [
        (BY_NUMBER, "UPDATE OR REPLACE t SET name = 'b' WHERE id = 1", vec!["-2", "1>1 b"]),
        (BY_NUMBER, "UPDATE OR REPLACE t SET id = 3 WHERE id = 1", vec!["-3", "1>3 a"]),
        (BY_NUMBER, "UPDATE t SET name = 'x' WHERE id = 1", vec!["1>1 x"]),
        (BY_NUMBER, "UPDATE t SET id = 7 WHERE id = 1", vec!["1>7 a"]),
        (
            "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT UNIQUE) WITHOUT ROWID",
            "UPDATE OR REPLACE t SET name = 'c' WHERE id = '1'",
            vec!["-3", "1>1 c"],
        ),
    ] {
        assert_eq!(told(create, sql).await, expected, "{create}: {sql}");
    }
}
