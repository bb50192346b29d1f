//! MariaDB as a sink: what it does like every other database, types, and what goes wrong on the
//! way.

#![cfg(feature = "mysql")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod values;

use std::sync::Arc;
use std::time::Duration;

use common::checks::checks;
use common::sinks::{
    ADD, Shop, TABLES, batches, counters, fates, held, mail, numbered, statements, user,
    user_writes, users, writes,
};
use common::{letters, raw};
use larder_core::sink::{Applied, Sequence, WriteFault};
use larder_core::{ErrorKind, Key, Sink, Value, Write, Written};
use larder_sql::{Database, Options, SqlSink, WriteTables, Writes};
use larder_test::Mariadb;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

struct MariadbShop {
    mariadb: Mariadb,
    database: Database,
}

impl Shop for MariadbShop {
    fn database(&self) -> &Database {
        &self.database
    }

    async fn sql(&self, sql: &str) -> String {
        tokio::task::block_in_place(|| self.mariadb.sql(sql))
    }

    fn words(&self, sql: &str) -> String {
        let sql = sql.replace("ON CONFLICT (id) DO UPDATE SET", "ON DUPLICATE KEY UPDATE");
        let value = |sql: String, name| {
            sql.replace(&format!("EXCLUDED.{name}"), &format!("VALUES({name})"))
        };
        let sql = ["name", "email", "body"].into_iter().fold(sql, value);
        let sql = sql.replace("(cache, key, verb", "(cache, `key`, verb");
        // It returns nothing, and is asked instead.
        sql.split(" RETURNING ").next().unwrap().to_owned()
    }
}

async fn shop() -> MariadbShop {
    shop_with(&[]).await
}

async fn shop_with(settings: &[(&str, &str)]) -> MariadbShop {
    let mariadb = Mariadb::start_with(settings);
    mariadb.sql(&TABLES.replace("email text", "email varchar(255)"));
    let database = Database::open(&mariadb.url(), &Options::new("shop")).unwrap();
    WriteTables::of(&database).install().await.unwrap();
    MariadbShop { mariadb, database }
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
    that_nothing_is_held_is_only_said_where_it_is_certain,
    a_migration_between_writes_is_noticed,
);

/// `ON DUPLICATE KEY` means any unique key, so it may be another row that is updated. The load says
/// what this key then holds; an `INSERT` of its own is refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_that_meets_a_row_of_another_key_does_not_say_that_it_stored() {
    let shop = shop().await;
    let upserts = users(&shop);
    upserts.write(&Key::from("user:1"), &mail(1, "a@b")).await.unwrap();
    let written = upserts.write(&Key::from("user:2"), &mail(2, "a@b")).await.unwrap();
    assert_eq!(written, Written::Absent);
    let insert = "INSERT INTO users (id, name, email) VALUES ({id}, {name}, {email})";
    let writes = Writes { store: Some(insert.to_owned()), ..user_writes() };
    let inserts = SqlSink::new(shop.database(), writes).unwrap();
    let error = inserts.write(&Key::from("user:2"), &mail(2, "a@b")).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Poison, ErrorKind::Refused));
    assert_eq!(shop.sql("SELECT id, email FROM users").await, "1|a@b");
}

/// Another session, whose statements are its own.
async fn connect(shop: &MariadbShop) -> MySqlConnection {
    MySqlConnection::connect(&shop.mariadb.url()).await.unwrap()
}

async fn execute(connection: &mut MySqlConnection, sql: &str) {
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_changes_nothing_is_not_taken_for_one_that_found_nothing() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 5); INSERT INTO users VALUES (1, 'a', NULL)").await;
    let counters = counters(&shop);
    let written = counters.write(&Key::from("counter:1"), &Write::Add(0)).await.unwrap();
    assert_eq!(written, Written::Value(Value::raw("5")));
    let epoch = counters.own("a").await.unwrap();
    let batch = [1, 2].map(|id| numbered(&format!("counter:{id}"), Write::Add(0), epoch, 1));
    assert_eq!(fates(&counters.apply(epoch, &batch).await.unwrap()), ["value", "absent"]);
    // Whose load is of another table is told by the rows alone.
    let other = raw("counter:{id:int}", "SELECT 1 + n FROM counters WHERE id = {id}");
    let writes = Writes { add: Some(shop.words(ADD)), ..Writes::new("other", other) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    let written = sink.write(&Key::from("counter:1"), &Write::Add(0)).await.unwrap();
    assert_eq!(written, Written::Unsaid);
    let written = sink.write(&Key::from("counter:2"), &Write::Add(0)).await.unwrap();
    assert_eq!(written, Written::Absent);
    let same = users(&shop).write(&Key::from("user:1"), &user(1, "a")).await.unwrap();
    assert_eq!(held(same).as_deref(), Some(r#"{"id":1,"name":"a","email":null}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_transactions_is_refused_with_the_cure() {
    let shop = shop().await;
    shop.sql("CREATE TABLE `old one` (id BIGINT PRIMARY KEY, n BIGINT) ENGINE = MyISAM").await;
    let n = raw("counter:{id:int}", "SELECT n FROM `old one` WHERE id = {id}");
    for table in ["`old one`", "shop.`old one`"] {
        let add = format!("UPDATE {table} SET n = n + {{delta}} WHERE id = {{id}}");
        let writes = Writes { add: Some(add), ..Writes::new("counter", n.clone()) };
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        let error = sink.prepare().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("ENGINE = InnoDB"), "{error}");
        let error = sink.write(&Key::from("counter:1"), &Write::Add(1)).await.unwrap_err();
        assert_eq!(error.fault, WriteFault::Transient);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_differ_little_or_are_long_are_keys_of_their_own() {
    let shop = shop().await;
    shop.sql("CREATE TABLE c (k VARBINARY(1024) PRIMARY KEY, n BIGINT NOT NULL)").await;
    let n = raw("c:{k:text}", "SELECT n FROM c WHERE k = {k}");
    let add = "INSERT INTO c VALUES ({k}, {delta}) ON DUPLICATE KEY UPDATE n = n + {delta}";
    let writes = Writes { add: Some(add.to_owned()), ..Writes::new("c", n) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    let epoch = sink.own("a").await.unwrap();
    let (long, longer) = ("x".repeat(1021), "x".repeat(1022));
    let keys = ["a", "A", "a ", "ä", "a\u{308}", "🦀", &long, &longer];
    let batch = |number| {
        let write = |key: &&str| numbered(&format!("c:{key}"), Write::Add(1), epoch, number);
        keys.iter().map(write).collect::<Vec<_>>()
    };
    assert_eq!(fates(&sink.apply(epoch, &batch(1)).await.unwrap()), ["value"; 8]);
    assert_eq!(fates(&sink.apply(epoch, &batch(1)).await.unwrap()), ["before"; 8]);
    assert_eq!(fates(&sink.apply(epoch, &batch(2)[..7]).await.unwrap()), ["value"; 7]);
    let texts = keys.map(|key| Key::from(format!("c:{key}").as_str()));
    let applied = sink.applied(&texts).await.unwrap();
    let numbers: Vec<_> = applied.iter().map(|at| at.unwrap().number).collect();
    assert_eq!(numbers, [2, 2, 2, 2, 2, 2, 2, 1]);
    assert_eq!(shop.sql("SELECT count(*), sum(n) FROM c").await, "8|15");
    // Longer than any key: what was none is kept as what people can read.
    let key = Key::new(&[0xff; 1024][..]);
    let odd = larder_core::sink::Numbered {
        key,
        write: Write::Delete,
        sequence: Sequence { epoch, number: 9 },
        letter: None,
    };
    sink.bury(epoch, &odd, "no text").await.unwrap();
    assert_eq!(shop.sql("SELECT length(`key`) FROM larder_dead_letters").await, "3072");
    for name in ["c ", &"c".repeat(256)] {
        let n = raw("c:{k:text}", "SELECT n FROM c WHERE k = {k}");
        let writes = Writes { add: Some(add.to_owned()), ..Writes::new(name, n) };
        let error = SqlSink::new(shop.database(), writes).unwrap_err();
        assert!(error.to_string().contains("at most 255 characters"), "{error}");
    }
}

/// 1. One batch finds no mark of a key, makes it, and waits for a row.
/// 2. Another one with the same write must find it, and not apply once more.
#[tokio::test(flavor = "multi_thread")]
async fn two_batches_with_one_write_apply_it_once() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 0)").await;
    let sink = Arc::new(counters(&shop));
    let epoch = sink.own("a").await.unwrap();
    sink.prepare().await.unwrap();
    let mut other = connect(&shop).await;
    execute(&mut other, "BEGIN").await;
    execute(&mut other, "UPDATE counters SET n = n + 100").await;
    let apply = || {
        let sink = Arc::clone(&sink);
        let batch = [numbered("counter:1", Write::Add(1), epoch, 1)];
        tokio::spawn(async move { sink.apply(epoch, &batch).await })
    };
    let (one, two) = (apply(), apply());
    waiting(&shop, "2").await;
    execute(&mut other, "COMMIT").await;
    let mut fates = [one.await.unwrap().unwrap(), two.await.unwrap().unwrap()]
        .map(|applied| matches!(applied[0], Applied::Now(_)));
    fates.sort_unstable();
    assert_eq!(fates, [false, true]);
    assert_eq!(shop.sql("SELECT n FROM counters").await, "101");
}

/// Until so many transactions wait for a lock.
async fn waiting(shop: &MariadbShop, count: &str) {
    let waiting =
        "SELECT count(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'";
    let start = std::time::Instant::now();
    while shop.sql(waiting).await != count {
        assert!(start.elapsed() < Duration::from_secs(30), "nobody waits");
        // Who asks again within 100 ms is answered from what was seen before, however often.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// 1. One applies under its epoch, and waits for a row within its transaction.
/// 2. Another run takes the cache over: it must not have it before 1 has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_the_batch_that_is_being_applied() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 0)").await;
    let sink = Arc::new(counters(&shop));
    let epoch = sink.own("a").await.unwrap();
    sink.apply(epoch, &[numbered("counter:1", Write::Add(1), epoch, 1)]).await.unwrap();
    let mut other = connect(&shop).await;
    execute(&mut other, "BEGIN").await;
    execute(&mut other, "UPDATE counters SET n = n + 100").await;
    let apply = {
        let sink = Arc::clone(&sink);
        let batch = [numbered("counter:1", Write::Add(1), epoch, 2)];
        tokio::spawn(async move { sink.apply(epoch, &batch).await })
    };
    waiting(&shop, "1").await;
    let own = {
        let sink = Arc::clone(&sink);
        tokio::spawn(async move { sink.own("a").await })
    };
    waiting(&shop, "2").await;
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
