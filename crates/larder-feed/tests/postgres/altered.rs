//! What makes a SELECT answer otherwise although no row was changed, on a database where nothing
//! else happens: no later row brings it to light.

use larder_core::feed::FeedPosition;
use larder_core::{ErrorKind, Feed as _};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::Postgres;

use crate::{Follower, Session, database, installed};

fn feed(postgres: &Postgres, tables: &[&str]) -> PostgresFeed {
    PostgresFeed::new(&postgres.url(), PostgresFeedOptions::new(tables.iter().copied())).unwrap()
}

/// A feed of these tables, followed up to now.
async fn followed(postgres: &Postgres, tables: &[&str]) -> (PostgresFeed, Follower) {
    let feed = feed(postgres, tables);
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
         ALTER TABLE users ADD mood mood DEFAULT 'glad', ADD moods mood[];
         INSERT INTO users VALUES (1, 'Ada');",
    );
    let (feed, mut follower) = followed(&postgres, &["users"]).await;
    for altered in [
        "ALTER TABLE users ADD age int DEFAULT 7",
        "ALTER TABLE users ADD token float DEFAULT random()",
        "ALTER TABLE users ALTER name TYPE varchar USING upper(name)",
        "ALTER TABLE users ALTER name TYPE varchar USING lower(name)",
        "ALTER TABLE users RENAME age TO years",
        "ALTER TABLE users DROP years",
        "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'",
        "CREATE VIEW names AS SELECT id, name FROM users",
        "CREATE VIEW shouted AS SELECT id, upper(name) AS name FROM names",
        "CREATE OR REPLACE VIEW names AS SELECT id, reverse(name)::varchar AS name FROM users",
        "CREATE OR REPLACE VIEW shouted AS SELECT id, name || '!' AS name FROM names",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON users USING (name = current_user)",
        "ALTER POLICY own ON users USING (true)",
        "ALTER TABLE users RENAME TO people; ALTER TABLE people RENAME TO users",
        "ALTER SCHEMA public RENAME TO other; ALTER SCHEMA other RENAME TO public",
    ] {
        postgres.psql(altered);
        assert_eq!(follower.catch_up(&feed).await, ["altered users", "~users"], "{altered}");
        assert!(follower.catch_up(&feed).await.is_empty(), "{altered}: twice");
    }
    assert_eq!(follower.gaps, ["the slot is new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alters_no_value_is_not_told() {
    let (postgres, feed) = installed().await;
    postgres.psql("CREATE TABLE other (id int PRIMARY KEY)");
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
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

const EVENTS: &str = "
    CREATE TABLE events (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);
    INSERT INTO events VALUES (1, 'a'), (11, 'b');";

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_and_go_with_a_partition_are_told_as_all_rows() {
    let postgres = database();
    postgres.psql(EVENTS);
    let (feed, mut follower) = followed(&postgres, &["users", "events"]).await;
    let attach = "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (10) TO (20)";
    for altered in [
        "ALTER TABLE events DETACH PARTITION events_2",
        // No row of a table that isn't followed is told.
        "UPDATE events_2 SET name = 'c'",
        attach,
        "ALTER TABLE events DETACH PARTITION events_2 CONCURRENTLY",
        attach,
        "DROP TABLE events_1",
    ] {
        postgres.psql(altered);
        let told = follower.catch_up(&feed).await;
        if altered.starts_with("UPDATE") {
            assert!(told.is_empty(), "{altered}: {told:?}");
        } else {
            assert_eq!(told, ["altered events", "~events"], "{altered}");
        }
    }
    postgres.psql(&format!(
        "ALTER TABLE events DETACH PARTITION events_2; UPDATE events_2 SET name = 'd'; {attach}"
    ));
    assert_eq!(follower.catch_up(&feed).await, ["altered events", "~events"], "there and back");
    postgres.psql("UPDATE events SET name = 'e'");
    assert_eq!(follower.catch_up(&feed).await, ["11 e"]);
}

/// Each of these leaves changes of `users` out of what is told; only some of them for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_changes_are_not_told_any_more_is_not_vouched_for() {
    let (postgres, feed) = installed().await;
    postgres.psql("CREATE TABLE users_new (LIKE users INCLUDING ALL)");
    let mut position = None;
    // What is done, what is said then, and what is to be done besides installing again.
    for (altered, says, mend) in [
        ("ALTER PUBLICATION larder SET TABLE users_new", "doesn't name public.users", ""),
        (
            "ALTER PUBLICATION larder SET (publish = 'insert, delete')",
            "leaves out some kinds of changes",
            "",
        ),
        (
            "ALTER PUBLICATION larder SET TABLE users WHERE (id > 7)",
            "leaves out rows or columns of public.users",
            "",
        ),
        (
            "ALTER PUBLICATION larder SET TABLE users (id)",
            "leaves out rows or columns of public.users",
            "",
        ),
        (
            "DROP TABLE users; CREATE TABLE users (id int PRIMARY KEY, name text)",
            "doesn't name public.users",
            "",
        ),
        (
            "ALTER TABLE users RENAME TO users_old; ALTER TABLE users_new RENAME TO users",
            "doesn't name public.users",
            "",
        ),
        ("DROP PUBLICATION larder", "isn't there", ""),
        (
            "ALTER TABLE users RENAME TO people",
            "there is no table users",
            "ALTER TABLE people RENAME TO users",
        ),
        ("CREATE TABLE more () INHERITS (users)", "name more as well", "DROP TABLE more"),
        (
            "ALTER PUBLICATION larder SET TABLE users_old; \
             ALTER PUBLICATION larder SET TABLE users",
            "the publication was changed",
            "",
        ),
    ] {
        let mut follower = Follower::follow_soon(&feed, position).await;
        follower.catch_up(&feed).await;
        assert_eq!(follower.gaps.len(), 1, "before {altered}: {:?}", follower.gaps);
        // As one that goes on where it was.
        position = Some(follower.position);
        drop(follower);
        let mut follower = Follower::follow_soon(&feed, position).await;
        follower.catch_up(&feed).await;
        assert!(follower.gaps.is_empty(), "before {altered}: {:?}", follower.gaps);
        postgres.psql(altered);
        let refused = feed.end().await.unwrap_err();
        assert!(refused.to_string().contains(says), "{altered}: {refused}");
        let over = loop {
            match follower.next().await {
                Ok(_) => assert!(follower.told.is_empty(), "{altered}: {:?}", follower.told),
                Err(over) => break over,
            }
        };
        assert!(over.to_string().contains(says), "{altered}: {over}");
        assert!(feed.end().await.is_err(), "{altered}: it stays so");
        drop(follower);
        if over.kind() == ErrorKind::Config {
            let refused = feed.follow(position).await.err().unwrap();
            assert!(refused.to_string().contains(says), "{altered}: {refused}");
            postgres.psql(mend);
            feed.install().await.unwrap();
        }
    }
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
    assert!(follower.gaps.is_empty());
    drop(follower);
    postgres.psql("ALTER TABLE users ADD age int DEFAULT 7");
    let mut follower = Follower::follow_soon(&feed, Some(applied)).await;
    follower.catch_up(&feed).await;
    assert_eq!(follower.gaps, ["the tables were altered meanwhile"]);
    // Somebody who followed other tables has told nothing of these.
    let applied = follower.position;
    drop(follower);
    postgres.psql("CREATE TABLE orders (id int PRIMARY KEY)");
    let more = self::feed(&postgres, &["users", "orders"]);
    more.install().await.unwrap();
    let mut follower = Follower::follow_soon(&more, Some(applied)).await;
    follower.catch_up(&more).await;
    assert_eq!(follower.gaps, ["the tables were altered meanwhile"]);
}

/// What a transaction did before the publication named its table isn't told, although it is
/// committed after.
#[tokio::test(flavor = "multi_thread")]
async fn who_changed_a_table_before_it_was_named_is_waited_for() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    postgres.psql("ALTER PUBLICATION larder DROP TABLE users");
    let mut writer = Session::open(&postgres);
    writer.line("BEGIN; INSERT INTO users VALUES (1, 'left out');");
    while postgres.psql("SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass") == "0" {
    }
    postgres.psql("ALTER PUBLICATION larder ADD TABLE users");
    feed.end().await.unwrap_err();
    while follower.next().await.is_ok() {}
    let position = follower.position;
    drop(follower);
    while feed.status().await.unwrap().unwrap().is_followed {}
    let next = Follower::follow(&feed, Some(position));
    tokio::pin!(next);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut next).await;
    assert!(early.is_err(), "it follows before the change is committed");
    writer.line("COMMIT;");
    writer.end();
    let mut next = next.await.unwrap();
    assert!(next.catch_up(&feed).await.is_empty());
    assert_eq!(next.gaps, ["the tables were altered meanwhile"]);
    assert_eq!(postgres.psql("SELECT name FROM users"), "left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_the_log_says_nothing_about_are_refused() {
    let postgres = database();
    postgres.psql(EVENTS);
    let (feed, mut follower) = followed(&postgres, &["events"]).await;
    postgres.psql("ALTER TABLE events_2 SET UNLOGGED");
    let refused = feed.end().await.unwrap_err();
    assert!(refused.to_string().contains("ALTER TABLE events_2 SET LOGGED"), "{refused}");
    while follower.next().await.is_ok() {}
    drop(follower);
    let refused = feed.install().await.unwrap_err();
    assert!(refused.to_string().contains("ALTER TABLE events_2 SET LOGGED"), "{refused}");
    postgres.psql(
        "ALTER TABLE events_2 SET LOGGED;
         CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
         CREATE TABLE notes (id int) PARTITION BY RANGE (id);
         ALTER TABLE notes REPLICA IDENTITY FULL;
         CREATE FOREIGN TABLE notes_1 PARTITION OF notes FOR VALUES FROM (0) TO (9) SERVER far;",
    );
    let refused = self::feed(&postgres, &["notes"]).install().await.unwrap_err();
    assert!(refused.to_string().contains("DETACH PARTITION notes_1"), "{refused}");
    let both = self::feed(&postgres, &["events", "events_1"]);
    let refused = both.install().await.unwrap_err();
    assert!(refused.to_string().contains("name only one of them"), "{refused}");
    feed.install().await.unwrap();
}

/// Its UPDATE and DELETE fail from then on, so that what is told is still everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_loses_its_identity_is_followed_on() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    postgres.psql("ALTER TABLE users REPLICA IDENTITY NOTHING");
    assert_eq!(follower.catch_up(&feed).await, ["altered users", "~users"]);
    postgres.psql("INSERT INTO users VALUES (1, 'Ada')");
    assert!(follower.catch_up(&feed).await.contains(&"+1 Ada".to_owned()));
    let failed = "DO $$ BEGIN UPDATE users SET name = 'x'; RAISE 'it was updated';
                  EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END $$";
    postgres.psql(failed);
    let problems = &feed.check().await.unwrap()[0].problems;
    assert!(problems[0].to_string().contains("REPLICA IDENTITY FULL"), "{problems:?}");
}

/// An end that was asked for while a change was being told isn't passed by what came before.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_behind_what_was_altered_before_it_was_asked_for() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let mut passed = FeedPosition::default();
    for round in 0..20 {
        follower.catch_up(&feed).await;
        assert!(follower.position >= passed);
        passed = follower.position;
        postgres.psql("ALTER TABLE users ALTER name TYPE text USING name || 'x'");
        // The log itself has been received before anybody asks.
        if round % 2 == 0 {
            follower.next().await.unwrap();
            passed = follower.position;
        }
        let end = feed.end().await.unwrap();
        assert!(end > passed, "round {round}: the end {end:?} was passed by {passed:?}");
        while follower.position < end {
            follower.next().await.unwrap();
        }
        assert!(follower.told.contains(&"~users".to_owned()), "round {round}");
    }
}
