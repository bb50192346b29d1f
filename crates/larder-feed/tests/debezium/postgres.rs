//! A real Postgres that beats.

use larder_core::ErrorKind;
use larder_core::change::Table;
use larder_feed::debezium::{Beat as _, PostgresBeat};
use larder_test::Postgres;

fn names(names: &std::collections::HashSet<Box<str>>) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(|name| &**name).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beat_stands_in_the_log_as_a_message_or_in_its_table() {
    let postgres = Postgres::start_with(&[("wal_level", "logical")]);
    postgres.psql("CREATE TABLE larder_heartbeat (id int PRIMARY KEY, beat text)");
    postgres.psql("SELECT pg_create_logical_replication_slot('s', 'test_decoding')");
    let told = || postgres.psql("SELECT data FROM pg_logical_slot_get_changes('s', NULL, NULL)");
    PostgresBeat::by_messages(&postgres.url()).unwrap().beat("larder 1 2").await.unwrap();
    let message = told();
    assert!(
        message.contains("prefix: larder-heartbeat") && message.contains("larder 1 2"),
        "{message}"
    );
    assert!(message.contains("transactional: 1"), "{message}");
    let table = PostgresBeat::by_table(&postgres.url()).unwrap();
    for text in ["larder 1 3", "larder 1 4"] {
        table.beat(text).await.unwrap();
        assert!(told().contains(text));
    }
    assert_eq!(postgres.psql("SELECT * FROM larder_heartbeat"), "1|larder 1 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_beats_that_is_not_there_is_a_mistake_of_the_configuration() {
    let postgres = Postgres::start();
    let table = PostgresBeat::by_table(&postgres.url()).unwrap();
    assert_eq!(table.beat("x").await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_not_seen() {
    let postgres = Postgres::start();
    postgres.psql("CREATE TABLE t (id int)");
    let beat = PostgresBeat::by_messages(&postgres.url()).unwrap();
    let number = || postgres.psql("SELECT pg_current_xact_id()").parse::<u64>().unwrap();
    let ended = number();
    let view = beat.view().await.unwrap().unwrap();
    // Asking takes a number itself.
    let begins = view.begun_below + 1;
    assert!((view.sees)(ended) && !(view.sees)(begins) && view.begun_below > ended);
    assert!(view.ended_below > ended && view.ended_below <= begins);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(now.as_millis().abs_diff(view.millis.try_into().unwrap()) < 60_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_says_which_columns_are_plain_and_which_are_told() {
    let postgres = Postgres::start();
    postgres.psql(
        "CREATE TYPE mood AS ENUM ('glad', 'sad');
         CREATE DOMAIN short AS text;
         CREATE TABLE users (id int PRIMARY KEY, name varchar(9), born date, paid numeric,
             raw bytea, mood mood, short short, at timestamptz, is_on boolean, old bigint);
         ALTER TABLE users DROP old;
         CREATE TABLE whole (id uuid, score float8);
         ALTER TABLE whole REPLICA IDENTITY FULL;
         CREATE TABLE by_index (id int, email text NOT NULL UNIQUE);
         ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_email_key;",
    );
    let beat = PostgresBeat::by_messages(&postgres.url()).unwrap();
    let catalog = beat.catalog().await.unwrap().unwrap();
    let of = |name: &str| &catalog.tables[&Table { schema: "public".into(), name: name.into() }];
    assert_eq!(names(&of("users").plain), ["id", "is_on", "mood", "name"]);
    assert_eq!(names(&of("users").identity), ["id"]);
    assert_eq!(names(&of("whole").plain), ["id"]);
    assert_eq!(names(&of("whole").identity), ["id", "score"]);
    assert_eq!(names(&of("by_index").identity), ["email"]);
    assert_eq!(catalog.tables.len(), 3);
}
