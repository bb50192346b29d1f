//! Postgres as a sink: what it does like every other database, types, and what goes wrong on the way.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod values;

use std::sync::Arc;
use std::time::Duration;

use common::checks::checks;
use common::sinks::{
    Shop, TABLES, batches, counters, fates, mail, numbered, statements, user, user_writes, users,
    writes,
};
use common::{get_many, letters, raw, source};
use larder_core::sink::{Applied, Sequence, WriteFault};
use larder_core::{Key, Sink, Value, Write, Written};
use larder_sql::{Database, Options, SqlSink, WriteTables, Writes};
use larder_test::Postgres;

struct PostgresShop {
    postgres: Postgres,
    database: Database,
}

impl Shop for PostgresShop {
    fn database(&self) -> &Database {
        &self.database
    }

    async fn sql(&self, sql: &str) -> String {
        tokio::task::block_in_place(|| self.postgres.psql(sql))
    }
}

async fn shop() -> PostgresShop {
    let postgres = Postgres::start();
    postgres.psql(TABLES);
    let database = Database::open(&postgres.url(), &Options::new("shop")).unwrap();
    WriteTables::of(&database).install().await.unwrap();
    PostgresShop { postgres, database }
}

checks!(
    letters on shop().await;
    letters_are_listed_in_pages_of_one_cache_or_of_all,
    what_a_letter_says_is_shown_as_text_and_bounded,
    requeued_letters_are_what_the_owner_takes,
    a_dropped_letter_is_never_applied,
    of_a_drop_and_an_apply_exactly_one_finds_the_letter,
    what_was_applied_can_be_asked_from_outside,
    without_the_tables_it_is_said_that_they_are_missing,
);

checks!(
    writes on shop().await;
    a_write_tells_what_the_load_would_give,
    what_can_not_be_written_is_poison_and_says_why,
    a_row_of_another_key_is_in_the_way,
    replacing_writes_only_over_what_is_expected,
    replacing_loses_no_update_between_writers,
);

checks!(
    batches on shop().await;
    a_batch_that_comes_twice_changes_nothing_the_second_time,
    who_owned_a_cache_before_is_refused,
    one_write_that_is_refused_rolls_the_batch_back,
    a_dead_letter_counts_as_applied_and_is_applied_once_when_requeued,
    every_add_counts_once_however_the_journal_is_replayed,
    limits_are_told,
    the_tables_are_made_once_and_kept_while_they_are_needed,
);

checks!(
    statements on shop().await;
    statements_that_do_not_write_are_refused_with_the_cure,
    what_is_returned_otherwise_is_not_said,
    with_terms_what_is_held_is_said_with_the_tags_of_a_load,
    that_nothing_is_held_is_only_said_where_it_is_certain,
    a_migration_between_writes_is_noticed,
);

/// The same batch by statements that are written for many keys at once, and by such that can't be.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_does_what_its_writes_do_one_by_one() {
    let shop = shop().await;
    let store = |statement: &str| Writes { store: Some(statement.to_owned()), ..user_writes() };
    let upsert = "INSERT INTO users (id, name, email) VALUES ({id}, {name}, {email})
                  ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, email = EXCLUDED.email";
    let volatile = "CREATE FUNCTION odd(t text) RETURNS text AS 'SELECT t' LANGUAGE sql VOLATILE";
    shop.postgres.psql(volatile);
    for (statement, batch_max, fate) in [
        (format!("{upsert} RETURNING *"), 1_000, "value"),
        (format!("{upsert} RETURNING id"), 1_000, "unsaid"),
        (upsert.to_owned(), 1_000, "unsaid"),
        (format!("{upsert} WHERE users.name <> 'kept' RETURNING *"), 1_000, "value"),
        (format!("{upsert} RETURNING *").replace("{name},", "odd({name}),"), 1, "value"),
        ("UPDATE users SET name = {name} WHERE id = {id} RETURNING *".to_owned(), 1_000, "value"),
        ("UPDATE users SET name = {name} WHERE id = {id}".to_owned(), 1_000, "unsaid"),
        ("UPDATE users SET name = {name} WHERE id + 0 = {id} RETURNING *".to_owned(), 1, "value"),
    ] {
        shop.postgres.psql(
            "TRUNCATE users, larder_applied;
             INSERT INTO users SELECT i, 'old', NULL FROM generate_series(1, 1500) AS g(i)",
        );
        let sink = SqlSink::new(shop.database(), store(&statement)).unwrap();
        let report = sink.prepare().await.unwrap();
        let of_store = report.statements.iter().find(|one| one.verb == "store").unwrap();
        assert_eq!(of_store.batch_max, batch_max, "{statement}");
        let epoch = sink.own("a").await.unwrap();
        let write =
            |id: i64| numbered(&format!("user:{id}"), user(id, &format!("n{id}")), epoch, 1);
        let batch: Vec<_> = (1..=1_500).rev().map(write).collect();
        let applied = sink.apply(epoch, &batch).await.unwrap();
        assert_eq!(fates(&applied), vec![fate; 1_500], "{statement}");
        if fate == "value" {
            let value = Value::json(r#"{"id":1500,"name":"n1500","email":null}"#);
            assert_eq!(applied[0], Applied::Now(Written::Value(value)), "{statement}");
            let value = Value::json(r#"{"id":1,"name":"n1","email":null}"#);
            assert_eq!(applied[1_499], Applied::Now(Written::Value(value)), "{statement}");
        }
        let same = shop.sql("SELECT count(*) FROM users WHERE name = 'n' || id").await;
        assert_eq!(same, "1500", "{statement}");
    }
    // A trigger may look at other rows, and then each is written alone.
    shop.postgres.psql(
        "CREATE FUNCTION count_them() RETURNS trigger AS
            'BEGIN NEW.name := (SELECT count(*) FROM users); RETURN NEW; END' LANGUAGE plpgsql;
         CREATE TRIGGER counts BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION count_them();
         TRUNCATE users, larder_applied",
    );
    let sink = users(&shop);
    let report = sink.prepare().await.unwrap();
    assert!(report.statements.iter().all(|one| one.batch_max == 1));
    let epoch = sink.own("a").await.unwrap();
    let write = |id: i64| numbered(&format!("user:{id}"), user(id, "x"), epoch, 1);
    sink.apply(epoch, &[write(1), write(2), write(3)]).await.unwrap();
    assert_eq!(shop.sql("SELECT name FROM users ORDER BY id").await, "0\n1\n2");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_that_meet_in_one_row_are_written_one_after_the_other() {
    let shop = shop().await;
    let store = "INSERT INTO users (id, name, email) VALUES ({id}, {name}, {email})
                 ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING *";
    let writes = Writes { store: Some(store.to_owned()), ..user_writes() };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    let epoch = sink.own("a").await.unwrap();
    let batch = [
        numbered("user:1", mail(1, "same"), epoch, 1),
        numbered("user:2", mail(2, "same"), epoch, 2),
    ];
    assert_eq!(fates(&sink.apply(epoch, &batch).await.unwrap()), ["value", "unsaid"]);
    assert_eq!(shop.sql("SELECT id, email FROM users").await, "1|same");
    let written = sink.write(&Key::from("user:2"), &mail(2, "same")).await.unwrap();
    assert_eq!(written, Written::Unsaid);

    // The row that was written is that of another key, and is not taken for this one's.
    shop.postgres.psql("TRUNCATE users; INSERT INTO users VALUES (9, 'nine', 'nine')");
    let batch = [
        numbered("user:1", mail(1, "one"), epoch, 3),
        numbered("user:2", mail(2, "nine"), epoch, 4),
    ];
    assert_eq!(fates(&sink.apply(epoch, &batch).await.unwrap()), ["value", "unsaid"]);
    let adds = "UPDATE counters SET n = n + {delta} WHERE id = {id}::bigint % 10 RETURNING n";
    let n = raw("counter:{id:int}", "SELECT n FROM counters WHERE id = {id}");
    let adds = Writes { add: Some(adds.to_owned()), ..Writes::new("counter", n) };
    let sink = SqlSink::new(shop.database(), adds).unwrap();
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let epoch = sink.own("a").await.unwrap();
    let batch = [1, 11, 21].map(|id| numbered(&format!("counter:{id}"), Write::Add(1), epoch, 1));
    sink.apply(epoch, &batch).await.unwrap();
    assert_eq!(shop.sql("SELECT n FROM counters").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_any_type_are_added_to_together() {
    let shop = shop().await;
    shop.postgres.psql(
        "CREATE EXTENSION citext;
         CREATE TABLE c (t text, v varchar, ci citext, u uuid, b bool, p char(4), n int DEFAULT 0);
         INSERT INTO c VALUES ('a', 'a', 'a', '00000000-0000-0000-0000-000000000001', true, 'abcd'),
            ('B', 'B', 'B', '00000000-0000-0000-0000-000000000002', false, 'abce')",
    );
    for (column, kind, one, other, batch_max) in [
        ("t", "text", "a", "B", 1_000),
        ("v", "text", "a", "B", 1_000),
        ("ci", "text", "A", "b", 1),
        ("p", "text", "abcd", "abce", 1),
        ("b", "bool", "true", "false", 1_000),
        (
            "u",
            "uuid",
            "00000000-0000-0000-0000-000000000001",
            "00000000-0000-0000-0000-000000000002",
            1_000,
        ),
    ] {
        let n = raw(&format!("c:{{k:{kind}}}"), &format!("SELECT n FROM c WHERE {column} = {{k}}"));
        let add = format!("UPDATE c SET n = n + {{delta}} WHERE {column} = {{k}} RETURNING n");
        let writes = Writes { add: Some(add), ..Writes::new(column, n.clone()) };
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        let report = sink.prepare().await.unwrap();
        assert_eq!(report.statements[0].batch_max, batch_max, "{column}");
        let epoch = sink.own("a").await.unwrap();
        let keys = [one, other].map(|key| format!("c:{key}"));
        let loads = source(shop.database(), n);
        let before = get_many(&loads, &keys).await.unwrap();
        assert!(before.iter().all(Option::is_some), "{column}: {before:?}");
        let batch = [0, 1].map(|at| numbered(&keys[at], Write::Add(1 + at as i64), epoch, 1));
        assert_eq!(fates(&sink.apply(epoch, &batch).await.unwrap()), ["value"; 2], "{column}");
    }
    assert_eq!(shop.sql("SELECT n FROM c ORDER BY t COLLATE \"C\" DESC").await, "6\n12");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_on_disk_before_it_is_answered_whatever_the_setting() {
    let shop = shop().await;
    // For sessions from now on.
    let database = Database::open(&shop.postgres.url(), &Options::new("shop")).unwrap();
    let shop = PostgresShop { database, ..shop };
    shop.postgres.psql(
        "ALTER DATABASE postgres SET synchronous_commit = off;
         CREATE FUNCTION tell() RETURNS trigger AS
            'BEGIN NEW.body := current_setting(''synchronous_commit''); RETURN NEW; END' LANGUAGE plpgsql;
         CREATE TRIGGER tell BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION tell()",
    );
    let load = raw("note:{id:int}", "SELECT body FROM notes WHERE id = {id}");
    let store = "INSERT INTO notes VALUES ({id}, {value}) RETURNING body";
    let writes = Writes { store: Some(store.to_owned()), ..Writes::new("note", load) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    let epoch = sink.own("a").await.unwrap();
    let value = || Write::Store(Value::raw("x"));
    let written = sink.write(&Key::from("note:1"), &value()).await.unwrap();
    assert_eq!(written, Written::Value(Value::raw("off")));
    let applied = sink.apply(epoch, &[numbered("note:2", value(), epoch, 1)]).await.unwrap();
    assert_eq!(applied, [Applied::Now(Written::Value(Value::raw("local")))]);
    let written = sink.write(&Key::from("note:3"), &value()).await.unwrap();
    assert_eq!(written, Written::Value(Value::raw("off")));
}

/// 1. One applies under its epoch, and waits for a row within its transaction.
/// 2. Another run takes the cache over: it must not have it before 1 has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_the_batch_that_is_being_applied() {
    let shop = shop().await;
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let sink = Arc::new(counters(&shop));
    let epoch = sink.own("a").await.unwrap();
    sink.apply(epoch, &[numbered("counter:1", Write::Add(1), epoch, 1)]).await.unwrap();
    let mut other = connect(&shop).await;
    execute(&mut other, "BEGIN; UPDATE counters SET n = n + 100").await;
    let apply = {
        let sink = Arc::clone(&sink);
        let batch = [numbered("counter:1", Write::Add(1), epoch, 2)];
        tokio::spawn(async move { sink.apply(epoch, &batch).await })
    };
    let waiting = async |count: &str| {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        let start = std::time::Instant::now();
        while shop.sql(waiting).await != count {
            assert!(start.elapsed() < Duration::from_secs(30), "nobody waits");
        }
    };
    waiting("1").await;
    let own = {
        let sink = Arc::clone(&sink);
        tokio::spawn(async move { sink.own("a").await })
    };
    waiting("2").await;
    assert!(!own.is_finished());
    execute(&mut other, "COMMIT").await;
    assert_eq!(fates(&apply.await.unwrap().unwrap()), ["value"]);
    let second = own.await.unwrap().unwrap();
    assert!(second > epoch);
    let keys = [Key::from("counter:1")];
    assert_eq!(sink.applied(&keys).await.unwrap(), [Some(Sequence { epoch, number: 2 })]);
    let late = [numbered("counter:1", Write::Add(1), epoch, 3)];
    assert_eq!(sink.apply(epoch, &late).await.unwrap_err().fault, WriteFault::Disowned);
    assert_eq!(shop.sql("SELECT n FROM counters").await, "102");
}

async fn connect(shop: &PostgresShop) -> sqlx::PgConnection {
    <sqlx::PgConnection as sqlx::Connection>::connect(&shop.postgres.url()).await.unwrap()
}

async fn execute(connection: &mut sqlx::PgConnection, sql: &'static str) {
    sqlx::Executor::execute(connection, sql).await.unwrap();
}
