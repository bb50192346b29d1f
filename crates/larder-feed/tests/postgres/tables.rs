//! What can be followed, and what is said where it can't.

use larder_core::{ErrorKind, Feed as _};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::Postgres;

use crate::{Follower, database, feed_of};

fn feed(postgres: &Postgres, tables: &[&str]) -> PostgresFeed {
    PostgresFeed::new(&postgres.url(), PostgresFeedOptions::new(tables.iter().copied())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_could_not_be_changed_any_more_is_refused() {
    let postgres = database();
    postgres.psql(
        "CREATE TABLE nokey (id int);
         CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
         CREATE UNLOGGED TABLE fast (id int PRIMARY KEY);
         CREATE VIEW seen AS SELECT * FROM users;",
    );
    for (table, says) in [
        ("nokey", "REPLICA IDENTITY FULL"),
        ("nothing", "REPLICA IDENTITY FULL"),
        ("fast", "SET LOGGED"),
        ("seen", "is not a table"),
        ("missing", "there is no table missing"),
    ] {
        let error = feed(&postgres, &["users", table]).install().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{table}");
        assert!(error.to_string().contains(says), "{table}: {error}");
    }
    assert_eq!(postgres.psql("SELECT count(*) FROM pg_publication"), "0");
    postgres.psql("UPDATE nokey SET id = 1");
}

/// Each by the right that is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_the_rights_is_told_which() {
    let postgres = database();
    postgres.psql("CREATE ROLE app LOGIN; GRANT ALL ON users TO app");
    let url = postgres.url().replace("postgres@", "app@");
    let as_app = PostgresFeed::new(&url, PostgresFeedOptions::new(["users"])).unwrap();
    let refused = as_app.install().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
    assert!(refused.to_string().contains("GRANT CREATE ON DATABASE"), "{refused}");
    postgres.psql("GRANT CREATE ON DATABASE postgres TO app");
    let refused = as_app.install().await.unwrap_err();
    assert!(refused.to_string().contains("as the owner of the tables"), "{refused}");
    feed(&postgres, &["users"]).install().await.unwrap();
    let refused = as_app.follow(None).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
    assert!(refused.to_string().contains("the attribute REPLICATION"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_tells_of_old_rows_is_known_beforehand() {
    let postgres = database();
    postgres.psql(
        "CREATE TABLE \"Odd one\" (a int, \"B c\" int, d int, PRIMARY KEY (\"B c\", a));
         CREATE TABLE whole (a int, b int); ALTER TABLE whole REPLICA IDENTITY FULL;
         CREATE TABLE by_index (a int NOT NULL, b int);
         CREATE UNIQUE INDEX by_a ON by_index (a);
         ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_a;",
    );
    let feed = feed(&postgres, &["\"Odd one\"", "whole", "public.by_index"]);
    let standing = feed.check().await.unwrap();
    let identities: Vec<_> = standing.iter().map(|table| table.identity.clone()).collect();
    assert_eq!(identities, [vec!["a", "B c"], vec!["a", "b"], vec!["a"]]);
    feed.install().await.unwrap();
    let named = "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_publication_tables";
    assert_eq!(postgres.psql(named), "Odd one,by_index,whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_again_follows_exactly_what_is_named() {
    let postgres = database();
    postgres.psql("CREATE TABLE orders (id int PRIMARY KEY)");
    feed(&postgres, &["users", "orders"]).install().await.unwrap();
    let users = feed_of(&postgres);
    users.install().await.unwrap();
    assert_eq!(postgres.psql("SELECT tablename FROM pg_publication_tables"), "users");
    let mut follower = Follower::follow(&users, None).await.unwrap();
    postgres.psql("INSERT INTO orders VALUES (1); INSERT INTO users VALUES (1, 'x')");
    assert_eq!(follower.catch_up(&users).await, ["+1 x"]);
    let more = feed(&postgres, &["users", "orders"]).follow(None).await.err().unwrap();
    assert!(more.to_string().contains("doesn't name public.orders"), "{more}");
    drop(follower);
    users.remove().await.unwrap();
    assert_eq!(users.status().await.unwrap(), None);
    assert_eq!(postgres.psql("SELECT count(*) FROM pg_publication"), "0");
    let error = users.follow(None).await.err().unwrap();
    assert!(error.to_string().contains("install"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_log_rows_says_what_to_do() {
    let postgres = Postgres::start();
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    let error = feed_of(&postgres).install().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("wal_level = logical"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_of_all_tables_is_refused() {
    let postgres = database();
    postgres.psql("CREATE PUBLICATION larder FOR ALL TABLES");
    let error = feed_of(&postgres).install().await.unwrap_err();
    assert!(error.to_string().contains("of all tables"), "{error}");
}

#[test]
fn names_and_addresses_that_can_not_be_are_refused() {
    let url = "postgres://a:s%33cret@localhost/shop";
    let named = |name: &str| {
        let options =
            PostgresFeedOptions { name: name.to_owned(), ..PostgresFeedOptions::new(["users"]) };
        PostgresFeed::new(url, options)
    };
    for name in ["", "Larder", "1st", "a-b", "a b", "x'; DROP TABLE users; --", &"x".repeat(61)] {
        assert_eq!(named(name).unwrap_err().kind(), ErrorKind::Config, "{name}");
    }
    let shown = format!("{:?}", named("larder_2").unwrap());
    assert!(shown.contains("localhost") && !shown.contains("cret"), "{shown}");
    let none: [&str; 0] = [];
    PostgresFeed::new(url, PostgresFeedOptions::new(none)).unwrap_err();
    let half = format!("{url}?sslmode=require&sslcert=/a/file");
    let error = PostgresFeed::new(&half, PostgresFeedOptions::new(["users"])).unwrap_err();
    assert!(error.to_string().contains("sslkey"), "{error}");
}
