//! What can be followed, and what is said where it can't; partitions; installing and removing.

use larder_core::{ErrorKind, Feed as _};
use larder_feed::postgres_triggers::PostgresTriggers;
use larder_test::Postgres;

use crate::{Follower, PostgresTriggersOptions, Session, database, feed_with, options};

fn feed(postgres: &Postgres, tables: &[&str]) -> PostgresTriggers {
    let tables = tables.iter().map(|table| (*table).to_owned()).collect();
    feed_with(postgres, PostgresTriggersOptions { tables, ..options() })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_have_triggers_is_refused() {
    let postgres = database();
    postgres.psql(
        "CREATE VIEW seen AS SELECT * FROM users; CREATE ROLE app LOGIN;
         GRANT CREATE ON DATABASE postgres TO app;",
    );
    for (table, says) in [("seen", "is not a table"), ("missing", "there is no table missing")] {
        let error = feed(&postgres, &["users", table]).install().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{table}");
        assert!(error.to_string().contains(says), "{table}: {error}");
    }
    let as_app = postgres.url().replace("postgres@", "app@");
    let error = PostgresTriggers::new(&as_app, options()).unwrap().install().await.unwrap_err();
    assert!(error.to_string().contains("owner of public.users"), "{error}");
    assert_eq!(postgres.psql("SELECT to_regnamespace('larder') IS NULL"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_or_a_log_is_followed() {
    let postgres = database();
    postgres.psql("CREATE UNLOGGED TABLE fast (id int, name text)");
    let feed = feed(&postgres, &["fast"]);
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("INSERT INTO fast VALUES (1, 'x'); UPDATE fast SET id = 2; DELETE FROM fast");
    assert_eq!(follower.catch_up(&feed).await, ["+1 x", "1>2 x", "-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_told_as_their_table() {
    let postgres = database();
    postgres.psql(
        "CREATE TABLE events (id int, name text) PARTITION BY RANGE (id);
         CREATE TABLE low (name text, id int);
         ALTER TABLE events ATTACH PARTITION low FOR VALUES FROM (0) TO (10);",
    );
    let feed = feed(&postgres, &["events"]);
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    postgres.psql("CREATE TABLE high PARTITION OF events FOR VALUES FROM (10) TO (20)");
    assert_eq!(follower.catch_up(&feed).await, ["altered events", "~events"]);
    postgres.psql(
        "INSERT INTO events VALUES (1, 'a');
         INSERT INTO low VALUES ('b', 2);
         INSERT INTO high VALUES (11, 'c');
         SET session_replication_role = replica;
         INSERT INTO high VALUES (12, 'd');
         UPDATE events SET id = 13 WHERE id = 1;",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+1 a", "+2 b", "+11 c", "+12 d", "-1", "+13 a"]);
    // The one that was added later has no trigger of its own for it.
    for truncated in ["TRUNCATE low", "TRUNCATE events", "TRUNCATE high"] {
        postgres.psql(truncated);
        let told = follower.catch_up(&feed).await;
        assert!(told.contains(&"~events".to_owned()), "{truncated}: {told:?}");
    }
    drop(follower);
    // A partition that was added later is no reason to stop.
    Follower::follow_soon(&feed, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_again_follows_exactly_what_is_named() {
    let postgres = database();
    postgres.psql("CREATE TABLE orders (id int PRIMARY KEY)");
    feed(&postgres, &["users", "orders"]).install().await.unwrap();
    let users = feed(&postgres, &["users", "public.users"]);
    users.install().await.unwrap();
    let mut follower = Follower::follow(&users, None).await.unwrap();
    postgres.psql("INSERT INTO orders VALUES (1); INSERT INTO users VALUES (1, 'x')");
    assert_eq!(follower.catch_up(&users).await, ["+1 x"]);
    let applied = follower.position;
    drop(follower);
    let more = feed(&postgres, &["users", "orders"]).follow(None).await.err().unwrap();
    assert!(more.to_string().contains("triggers of public.orders are missing"), "{more}");
    // It has been noted that something may have been missed.
    let mut next = Follower::follow_soon(&users, Some(applied)).await;
    next.catch_up(&users).await;
    assert_eq!(next.gaps, ["the log is another one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_what_is_installed_changes_nothing() {
    let postgres = database();
    let feed = feed(&postgres, &["users"]);
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    // Nor does it wait for who writes.
    let writer = Session::begin(&postgres, "INSERT INTO users VALUES (1, 'x')");
    feed.install().await.unwrap();
    writer.end("COMMIT;");
    assert_eq!(follower.catch_up(&feed).await, ["+1 x"]);
    assert_eq!(follower.gaps.len(), 1, "{:?}", follower.gaps);
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_does_not_hold_up_writers_for_long() {
    let postgres = database();
    let writer = Session::begin(&postgres, "INSERT INTO users VALUES (1, 'x')");
    let error = feed(&postgres, &["users"]).install().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    writer.end("COMMIT;");
    feed(&postgres, &["users"]).install().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_leaves_nothing_but_what_is_somebody_elses() {
    let postgres = database();
    let feed = feed(&postgres, &["users"]);
    assert_eq!(feed.status().await.unwrap(), None);
    feed.remove().await.unwrap();
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    feed.remove().await.unwrap();
    postgres.psql("INSERT INTO users VALUES (1, 'x')");
    assert_eq!(postgres.psql("SELECT to_regnamespace('larder') IS NULL"), "t");
    while follower.next().await.is_ok() {}
    drop(follower);
    let error = feed.follow(None).await.err().unwrap();
    assert!(error.to_string().contains("install"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Config);
    postgres.psql("CREATE SCHEMA larder; CREATE TABLE larder.theirs (id int)");
    feed.install().await.unwrap();
    feed.remove().await.unwrap();
    assert_eq!(postgres.psql("SELECT count(*) FROM larder.theirs"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_were_disabled_are_noticed() {
    let postgres = database();
    let feed = feed(&postgres, &["users"]);
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    postgres.psql("ALTER TABLE users DISABLE TRIGGER ALL; INSERT INTO users VALUES (1, 'unheard')");
    // Not even the end is passed that is asked for now.
    let end = feed.end().await.unwrap();
    let error = follower.ended().await;
    assert!(follower.position < end, "nobody may vouch for it");
    assert!(error.to_string().contains("missing or disabled"), "{error}");
    drop(follower);
    assert!(feed.follow(Some(applied)).await.is_err());
    // Enabled by hand, they don't hide that something was missed.
    postgres.psql("ALTER TABLE users ENABLE ALWAYS TRIGGER larder_row");
    postgres.psql("ALTER TABLE users ENABLE ALWAYS TRIGGER larder_truncate");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the log is another one"]);
}

#[test]
fn names_and_addresses_that_can_not_be_are_refused() {
    let url = "postgres://a:s%33cret@localhost/shop";
    let named = |name: &str| {
        let options = PostgresTriggersOptions { name: name.to_owned(), ..options() };
        PostgresTriggers::new(url, options)
    };
    for name in ["", "Larder", "1st", "a-b", "x'; DROP TABLE users; --", "pg_larder"] {
        assert_eq!(named(name).unwrap_err().kind(), ErrorKind::Config, "{name}");
    }
    let shown = format!("{:?}", named("larder_2").unwrap());
    assert!(shown.contains("localhost") && !shown.contains("cret"), "{shown}");
    PostgresTriggers::new(url, PostgresTriggersOptions { tables: Vec::new(), ..options() })
        .unwrap_err();
    PostgresTriggers::new(url, PostgresTriggersOptions { rows_max: 0, ..options() }).unwrap_err();
}
