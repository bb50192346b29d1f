//! What makes a SELECT answer otherwise although no trigger tells a row, on a database where nothing
//! else happens: no later row brings it to light.

use larder_core::{ErrorKind, Feed as _};
use larder_feed::postgres_triggers::PostgresTriggers;
use larder_test::Postgres;

use crate::{Follower, PostgresTriggersOptions, database, feed_with, installed, options};

/// A feed of these tables, followed up to now.
async fn followed(postgres: &Postgres, tables: &[&str]) -> (PostgresTriggers, Follower) {
    let tables = tables.iter().map(|table| (*table).to_owned()).collect();
    let feed = feed_with(postgres, PostgresTriggersOptions { tables, ..options() });
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    (feed, follower)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alters_values_is_told_before_the_end_is_passed() {
    let postgres = database();
    postgres.psql(
        "CREATE TYPE mood AS ENUM ('glad', 'sad');
         ALTER TABLE users ADD mood mood DEFAULT 'glad';
         INSERT INTO users VALUES (1, 'Ada');",
    );
    let (feed, mut follower) = followed(&postgres, &["users"]).await;
    for altered in [
        "ALTER TABLE users ADD age int DEFAULT 7",
        "ALTER TABLE users ALTER name TYPE varchar USING upper(name)",
        "ALTER TABLE users RENAME age TO years",
        "ALTER TABLE users DROP years",
        "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'",
        "CREATE VIEW names AS SELECT id, name FROM users",
        "CREATE VIEW shouted AS SELECT id, upper(name) AS name FROM names",
        "CREATE OR REPLACE VIEW names AS SELECT id, reverse(name)::varchar AS name FROM users",
        "CREATE OR REPLACE VIEW shouted AS SELECT id, name || '!' AS name FROM names",
        "DROP VIEW shouted, names",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON users USING (name = current_user)",
        "BEGIN; ALTER TABLE users ADD x int; ALTER TABLE users DROP x; COMMIT",
        "BEGIN; ALTER TABLE users RENAME TO people; ALTER TABLE people RENAME TO users; COMMIT",
        "BEGIN; ALTER SCHEMA public RENAME TO o; ALTER SCHEMA o RENAME TO public; COMMIT",
    ] {
        postgres.psql(altered);
        assert_eq!(follower.catch_up(&feed).await, ["altered users", "~users"], "{altered}");
        assert!(follower.catch_up(&feed).await.is_empty(), "{altered}: twice");
    }
    postgres.psql("INSERT INTO users VALUES (2, 'EVE')");
    assert_eq!(follower.catch_up(&feed).await, ["+2 EVE"]);
    assert_eq!(follower.gaps.len(), 1, "{:?}", follower.gaps);
}

/// Rows that were changed while no trigger was executed are told by their table.
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_was_disabled_for_a_moment_hides_nothing() {
    let postgres = database();
    let (feed, mut follower) = followed(&postgres, &["users"]).await;
    postgres.psql(
        "BEGIN; ALTER TABLE users DISABLE TRIGGER larder_row;
         INSERT INTO users VALUES (1, 'unheard');
         ALTER TABLE users ENABLE ALWAYS TRIGGER larder_row; COMMIT;",
    );
    assert_eq!(follower.catch_up(&feed).await, ["altered users", "~users"]);
    postgres.psql("INSERT INTO users VALUES (2, 'heard')");
    assert_eq!(follower.catch_up(&feed).await, ["+2 heard"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alters_no_value_is_not_told() {
    let postgres = database();
    postgres.psql("CREATE TABLE other (id int PRIMARY KEY)");
    let (feed, mut follower) = followed(&postgres, &["users"]).await;
    postgres.psql(
        "INSERT INTO users VALUES (1, 'Ada');
         CREATE INDEX CONCURRENTLY by_name ON users (name);
         ANALYZE; VACUUM FREEZE; REINDEX TABLE users; CHECKPOINT;
         ALTER TABLE other ADD name text; CREATE TABLE another (id int);",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+1 Ada"]);
    feed.install().await.unwrap();
    assert!(follower.catch_up(&feed).await.is_empty());
}

/// As long as nobody commits anything, the catalogue isn't read again.
#[tokio::test(flavor = "multi_thread")]
async fn looking_at_an_idle_database_reads_no_catalogue() {
    let postgres = database();
    let (feed, mut follower) = followed(&postgres, &["users"]).await;
    let read = "%WITH RECURSIVE%named AS MATERIALIZED%";
    postgres.reset_calls();
    for _ in 0..20 {
        follower.next().await.unwrap();
    }
    let idle = postgres.calls(read);
    // What numbers its clock takes is a transaction now and then.
    assert!(idle <= 5, "{idle} of 20 looks read it");
    postgres.psql("INSERT INTO users VALUES (1, 'Ada')");
    assert_eq!(follower.catch_up(&feed).await, ["+1 Ada"]);
    assert!(postgres.calls(read) > idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_and_go_with_a_partition_are_told_as_all_rows() {
    let postgres = database();
    postgres.psql(
        "CREATE TABLE events (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
         CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);
         INSERT INTO events VALUES (1, 'a'), (11, 'b');",
    );
    let (feed, mut follower) = followed(&postgres, &["users", "events"]).await;
    for altered in [
        "ALTER TABLE events DETACH PARTITION events_2",
        "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (10) TO (20)",
        "DROP TABLE events_1",
    ] {
        postgres.psql(altered);
        assert_eq!(follower.catch_up(&feed).await, ["altered events", "~events"], "{altered}");
    }
    postgres.psql("UPDATE events SET name = 'e'");
    assert_eq!(follower.catch_up(&feed).await, ["11>11 e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_altered_while_nobody_followed_is_a_gap() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    drop(follower);
    let mut follower = Follower::follow_soon(&feed, Some(applied)).await;
    follower.catch_up(&feed).await;
    assert!(follower.gaps.is_empty(), "{:?}", follower.gaps);
    drop(follower);
    postgres.psql("ALTER TABLE users ADD age int DEFAULT 7");
    let mut follower = Follower::follow_soon(&feed, Some(applied)).await;
    follower.catch_up(&feed).await;
    assert_eq!(follower.gaps, ["the tables were altered meanwhile"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_for_which_no_trigger_is_executed_are_refused() {
    let postgres = database();
    let (feed, mut follower) = followed(&postgres, &["users"]).await;
    postgres.psql("CREATE TABLE more () INHERITS (users)");
    let error = follower.ended().await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("name more as well"), "{error}");
    drop(follower);
    let refused = feed.install().await.unwrap_err();
    assert!(refused.to_string().contains("name more as well"), "{refused}");
    assert!(feed.follow(None).await.is_err());
    followed(&postgres, &["users", "more"]).await;
    postgres.psql(
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
         CREATE TABLE notes (id int) PARTITION BY RANGE (id);
         CREATE FOREIGN TABLE notes_1 PARTITION OF notes FOR VALUES FROM (0) TO (9) SERVER far;",
    );
    let tables = vec!["notes".to_owned()];
    let notes = feed_with(&postgres, PostgresTriggersOptions { tables, ..options() });
    let refused = notes.install().await.unwrap_err();
    assert!(refused.to_string().contains("DETACH PARTITION notes_1"), "{refused}");
}

/// A crash empties such a table, and no trigger tells of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_empties_is_told_as_all_rows() {
    // With less in its log than by default, a server forgets the numbers of new sequences.
    let postgres = Postgres::start();
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text);
         CREATE UNLOGGED TABLE fast (id int PRIMARY KEY, name text);",
    );
    let (feed, follower) = followed(&postgres, &["users", "fast"]).await;
    drop(follower);
    // The first crash is a gap by itself: the numbers of new sequences are others behind it.
    postgres.kill();
    postgres.restart();
    let mut follower = Follower::follow_soon(&feed, None).await;
    follower.catch_up(&feed).await;
    postgres.psql("INSERT INTO fast VALUES (1, 'x')");
    assert_eq!(follower.catch_up(&feed).await, ["+1 x"]);
    let applied = follower.position;
    postgres.kill();
    postgres.restart();
    follower.ended().await;
    drop(follower);
    assert_eq!(postgres.psql("SELECT count(*) FROM fast"), "0");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    let told = next.catch_up(&feed).await;
    assert!(next.gaps.is_empty(), "{:?}", next.gaps);
    // What was told before isn't acknowledged, and is told again.
    assert_eq!(told, ["altered fast", "~fast", "+1 x"]);
}
