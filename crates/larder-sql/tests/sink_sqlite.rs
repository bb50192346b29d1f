//! SQLite as a sink: what it does like every other database, types, and what goes wrong on the way.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::checks::checks;
use common::sinks::{Shop, TABLES, batches, counters, fates, held, numbered, statements, writes};
use common::{answer, letters, load, raw, source};
use larder_core::sink::{Applied, WriteFault};
use larder_core::{ErrorKind, Key, Sink, Value, Write, Written};
use larder_sql::{Database, Options, SqlSink, WriteTables, Writes};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tempfile::TempDir;
use tokio::sync::Mutex;

struct SqliteShop {
    folder: TempDir,
    writer: Mutex<SqliteConnection>,
    database: Database,
}

impl Shop for SqliteShop {
    fn database(&self) -> &Database {
        &self.database
    }

    async fn sql(&self, sql: &str) -> String {
        let mut writer = self.writer.lock().await;
        let rows = writer.fetch_all(AssertSqlSafe(sql.to_owned())).await.unwrap();
        let line = |row: &sqlx::sqlite::SqliteRow| {
            let texts = (0..row.len()).map(|at| row.get_unchecked::<String, _>(at));
            texts.collect::<Vec<_>>().join("|")
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

async fn shop() -> SqliteShop {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
    writer.execute(TABLES).await.unwrap();
    let url = format!("sqlite://{}", file.display());
    let database = Database::open(&url, &Options::new("shop")).unwrap();
    WriteTables::of(&database).install().await.unwrap();
    SqliteShop { folder, writer: Mutex::new(writer), database }
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

#[tokio::test(flavor = "multi_thread")]
async fn every_field_goes_to_its_column_as_what_it_is() {
    let shop = shop().await;
    shop.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BOOLEAN, y BLOB, n NUMERIC, x)")
        .await;
    let names = ["i", "r", "t", "b", "y", "n", "x"];
    let holes = names.map(|name| format!("{{{name}}}")).join(", ");
    let store = format!("INSERT OR REPLACE INTO t VALUES ({{id}}, {holes}) RETURNING *");
    let t = load("t:{id:int}", "SELECT * FROM t WHERE id = {id}");
    let writes = Writes { store: Some(store), ..Writes::new("t", t.clone()) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    assert_eq!(sink.prepare().await.unwrap().warnings, []);
    let loads = source(shop.database(), t);
    let full = concat!(
        r#"{"id":7,"i":9007199254740993,"r":0.1,"t":"ü\"\\\n🦀 {t} '","b":true,"y":"AP8=","n":1.5,"#,
        r#""x":"{\"deep\":[1]}"}"#
    );
    let null = r#"{"id":7,"i":null,"r":null,"t":null,"b":null,"y":null,"n":null,"x":null}"#;
    for json in [full, null, full] {
        let write = Write::Store(Value::json(json));
        let written = held(sink.write(&Key::from("t:7"), &write).await.unwrap());
        assert_eq!(written.as_deref(), Some(json));
        assert_eq!(answer(&loads, "t:7").await.as_deref(), Some(json));
    }
    assert_eq!(shop.sql("SELECT typeof(y), hex(y), typeof(i) FROM t").await, "blob|00FF|integer");
    for (name, json, stored) in [
        ("i", r#""12""#, Ok("12")),
        ("i", "1e3", Ok("1000")),
        ("t", "12", Ok(r#""12""#)),
        ("t", "[1, 2]", Ok(r#""[1, 2]""#)),
        ("b", "false", Ok("false")),
        ("i", "18446744073709551615", Err("more digits than SQLite keeps")),
        ("n", "12345678901234567890.5", Err("more digits than SQLite keeps")),
        ("y", r#""*""#, Err("no base64")),
        ("y", "1", Err("no string in base64")),
    ] {
        let json = null.replace(&format!(r#""{name}":null"#), &format!(r#""{name}":{json}"#));
        match (sink.write(&Key::from("t:7"), &Write::Store(Value::json(json))).await, stored) {
            (Ok(written), Ok(stored)) => {
                let written = held(written).unwrap();
                assert!(written.contains(&format!(r#""{name}":{stored},"#)), "{written}");
            }
            (Err(error), Err(why)) => {
                assert_eq!(error.fault, WriteFault::Poison, "{name}");
                assert!(error.error.chain().contains(why), "{name}: {}", error.error.chain());
            }
            (done, _) => panic!("{name}: {done:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_values_are_written_as_they_are() {
    let shop = shop().await;
    shop.sql("CREATE TABLE r (id INTEGER PRIMARY KEY, t TEXT, y BLOB)").await;
    for (column, bytes, class) in [
        ("t", &b"ue \xc3\xbc 'x'"[..], "text"),
        ("y", b"abc", "blob"),
        ("y", b"\x00\xff{value}", "blob"),
        ("t", b"\xff", "blob"),
    ] {
        let load = raw("r:{id:int}", &format!("SELECT {column} FROM r WHERE id = {{id}}"));
        let store = format!("REPLACE INTO r (id, {column}) VALUES ({{id}}, {{value}}) RETURNING *");
        let writes = Writes { store: Some(store), ..Writes::new("r", load) };
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        let value = Value::raw(bytes.to_vec());
        let written = sink.write(&Key::from("r:1"), &Write::Store(value.clone())).await.unwrap();
        assert_eq!(written, Written::Value(value));
        assert_eq!(shop.sql(&format!("SELECT typeof({column}) FROM r")).await, class);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_transient() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 0)").await;
    let options = Options { write_timeout: Duration::from_millis(300), ..Options::new("shop") };
    let url = format!("sqlite://{}", shop.folder.path().join("shop.db").display());
    let database = Database::open(&url, &options).unwrap();
    let shop = SqliteShop { database, ..shop };
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let epoch = sink.own("a").await.unwrap();
    let batch = [numbered("counter:1", Write::Add(10), epoch, 1)];
    // Another process writes.
    shop.sql("BEGIN IMMEDIATE").await;
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
    let error = sink.apply(epoch, &batch).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient);
    shop.sql("ROLLBACK").await;
    sink.write(&key, &Write::Add(1)).await.unwrap();
    assert_eq!(fates(&sink.apply(epoch, &batch).await.unwrap()), ["value"]);
    // A trigger's refusal is this write's own.
    shop.sql(
        "CREATE TRIGGER no BEFORE UPDATE ON counters WHEN NEW.n > 100 BEGIN SELECT RAISE(ABORT, 'odd'); END",
    )
    .await;
    let error = sink.write(&key, &Write::Add(100)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    assert_eq!(shop.sql("SELECT n FROM counters").await, "11");
    // A file that is gone is a database that is down.
    let file = shop.folder.path().join("shop.db");
    std::fs::rename(&file, file.with_extension("away")).unwrap();
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_given_up_is_rolled_back() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 0)").await;
    let sink = counters(&shop);
    let epoch = sink.own("a").await.unwrap();
    sink.prepare().await.unwrap();
    for number in 1..=20 {
        let batch = [numbered("counter:1", Write::Add(1), epoch, number)];
        // After so many turns; sooner or later it is within its transaction.
        let mut turns = number;
        let given_up = std::future::poll_fn(|context| {
            turns = turns.saturating_sub(1);
            context.waker().wake_by_ref();
            if turns == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        tokio::select! {
            biased;
            _ = sink.apply(epoch, &batch) => {}
            () = given_up => {}
        }
        let applied = sink.apply(epoch, &batch).await.unwrap();
        assert!(matches!(applied[0], Applied::Now(_) | Applied::Before));
        assert_eq!(shop.sql("SELECT n FROM counters").await, number.to_string());
    }
}
