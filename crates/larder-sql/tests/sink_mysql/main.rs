//! MariaDB as a sink: what it does like every other database, types, and what goes wrong on the
//! way.

#![cfg(feature = "mysql")]
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::sinks::{
    self, Shop, TABLES, counters, fates, held, numbered, user, user_writes, users,
};
use common::{answer, load, raw, source, tagged};
use larder_core::sink::{Applied, Sequence, WriteFault};
use larder_core::{ErrorKind, Key, Sink, Value, Write, Written};
use larder_sql::{Database, Options, SqlSink, WriteTables, Writes};
use larder_test::{Mariadb, Proxy};
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

/// One test for each check, each with a database of its own.
macro_rules! checks {
    ($($check:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $check() {
            sinks::$check(&shop().await).await;
        }
    )+};
}

mod letters {
    use super::common::letters as sinks;
    use super::shop;

    checks!(
        letters_are_listed_in_pages_of_one_cache_or_of_all,
        what_a_letter_says_is_shown_as_text_and_bounded,
        requeued_letters_are_what_the_owner_takes,
        a_dropped_letter_is_never_applied,
        of_a_drop_and_an_apply_exactly_one_finds_the_letter,
        what_was_applied_can_be_asked_from_outside,
        without_the_tables_it_is_said_that_they_are_missing,
    );
}

checks!(
    a_write_tells_what_the_load_would_give,
    what_can_not_be_written_is_poison_and_says_why,
    a_batch_that_comes_twice_changes_nothing_the_second_time,
    who_owned_a_cache_before_is_refused,
    one_write_that_is_refused_rolls_the_batch_back,
    a_dead_letter_counts_as_applied_and_is_applied_once_when_requeued,
    every_add_counts_once_however_the_journal_is_replayed,
    replacing_writes_only_over_what_is_expected,
    replacing_loses_no_update_between_writers,
    limits_are_told,
    statements_that_do_not_write_are_refused_with_the_cure,
    a_migration_between_writes_is_noticed,
    the_tables_are_made_once_and_kept_while_they_are_needed,
);

/// `ON DUPLICATE KEY` means any unique key, so it may be another row that is updated. The load says
/// what this key then holds; an `INSERT` of its own is refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_that_meets_a_row_of_another_key_does_not_say_that_it_stored() {
    let shop = shop().await;
    let upserts = users(&shop);
    upserts.write(&Key::from("user:1"), &sinks::mail(1, "a@b")).await.unwrap();
    let written = upserts.write(&Key::from("user:2"), &sinks::mail(2, "a@b")).await.unwrap();
    assert_eq!(written, Written::Absent);
    let insert = "INSERT INTO users (id, name, email) VALUES ({id}, {name}, {email})";
    let writes = Writes { store: Some(insert.to_owned()), ..user_writes() };
    let inserts = SqlSink::new(shop.database(), writes).unwrap();
    let error = inserts.write(&Key::from("user:2"), &sinks::mail(2, "a@b")).await.unwrap_err();
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
async fn every_field_goes_to_its_column_as_what_it_is() {
    let shop = shop().await;
    shop.sql(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, i BIGINT, u BIGINT UNSIGNED, n DECIMAL(30,10), r DOUBLE, f FLOAT,
            t TEXT, c VARCHAR(5) COLLATE utf8mb4_bin, b BOOLEAN, y BLOB, j JSON, d DATE, m DATETIME(6),
            z TIMESTAMP NULL, h TIME, e ENUM('glad', 'sad'), s SET('a', 'b'), bits BIT(10), x YEAR)",
    )
    .await;
    let names = "i u n r f t c b y j d m z h e s bits x".split(' ').collect::<Vec<_>>();
    let holes: Vec<_> = names.iter().map(|name| format!("{{{name}}}")).collect();
    let store = format!("REPLACE INTO t VALUES ({{id}}, {})", holes.join(", "));
    let t = load("t:{id:int}", "SELECT * FROM t WHERE id = {id}");
    let writes = Writes { store: Some(store), ..Writes::new("t", t.clone()) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    assert_eq!(sink.prepare().await.unwrap().warnings, []);
    let loads = source(shop.database(), t);
    let full = concat!(
        r#"{"id":7,"i":9007199254740993,"u":18446744073709551615,"n":12345678901234567890.1234567891,"r":0.1,"#,
        r#""f":0.5,"t":"ü\"\\\n🦀 {t} '","c":"a","b":true,"y":"AP8=","j":{"deep": [1, null]},"#,
        r#""d":"2024-02-29","m":"2024-02-29 12:00:00.25","z":"2024-02-29 12:00:00","h":"-01:02:03","#,
        r#""e":"sad","s":"a,b","bits":513,"x":2024}"#
    );
    let nulls: Vec<_> = names.iter().map(|name| format!(r#","{name}":null"#)).collect();
    let null = format!(r#"{{"id":7{}}}"#, nulls.concat());
    for json in [full, &null, full] {
        let write = Write::Store(Value::json(json.to_owned()));
        let written = held(sink.write(&Key::from("t:7"), &write).await.unwrap());
        assert_eq!(written.as_deref(), Some(json));
        assert_eq!(answer(&loads, "t:7").await.as_deref(), Some(json));
    }
    for (name, json, stored) in [
        ("i", r#""12""#, Ok("12")),
        ("t", "12", Ok(r#""12""#)),
        ("t", "[1, 2]", Ok(r#""[1, 2]""#)),
        ("t", "1.50", Ok(r#""1.50""#)),
        ("b", "false", Ok("false")),
        ("n", r#""1.5""#, Ok("1.5000000000")),
        ("j", r#""text""#, Ok(r#""text""#)),
        ("d", r#""0000-00-00""#, Ok(r#""0000-00-00""#)),
        ("i", "18446744073709551615", Err("Out of range")),
        ("u", "-1", Err("Out of range")),
        ("i", r#""1x""#, Err("Data truncated")),
        ("c", r#""123456""#, Err("too long")),
        ("e", r#""odd""#, Err("Data truncated")),
        ("d", r#""2024-02-30""#, Err("Incorrect date")),
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
    shop.sql("CREATE TABLE r (id BIGINT PRIMARY KEY, t TEXT, y BLOB)").await;
    for (column, bytes, is_written) in [
        ("t", &b"ue \xc3\xbc 'x' \\' {value}"[..], true),
        ("y", b"abc", true),
        ("y", b"\x00\xff{value}", true),
        ("t", b"\xff", false),
    ] {
        let load = raw("r:{id:int}", &format!("SELECT {column} FROM r WHERE id = {{id}}"));
        let store = format!("REPLACE INTO r (id, {column}) VALUES ({{id}}, {{value}})");
        let writes = Writes { store: Some(store), ..Writes::new("r", load) };
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        let value = Value::raw(bytes.to_vec());
        let written = sink.write(&Key::from("r:1"), &Write::Store(value.clone())).await;
        match is_written {
            true => assert_eq!(written.unwrap(), Written::Value(value)),
            false => assert_eq!(written.unwrap_err().fault, WriteFault::Poison),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_what_the_load_gives_or_is_not_said() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 0)").await;
    let write = |writes: Writes| async {
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        let report = sink.prepare().await.unwrap();
        let written = sink.write(&Key::from("user:1"), &user(1, "Ada")).await.unwrap();
        let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
        (held(written), warnings.concat())
    };
    let store = || Writes { store: Some(shop.words(sinks::STORE)), ..user_writes() };
    let ada = r#"{"id":1,"name":"Ada","email":null}"#;
    assert_eq!(write(store()).await, (Some(ada.to_owned()), String::new()));
    // What MariaDB returns is the same, and doesn't matter.
    let returning =
        Writes { store: Some(shop.words(sinks::STORE) + " RETURNING 1 AS one"), ..store() };
    assert_eq!(write(returning).await, (Some(ada.to_owned()), String::new()));
    let with = |sql: &str| Writes { load: load("user:{id:int}", sql), ..store() };
    // A row that the load doesn't give is not held, whatever was stored.
    let others = with("SELECT id, name, email FROM users WHERE id = {id} AND name <> 'Ada'");
    assert_eq!(write(others).await, (None, String::new()));
    for (sql, why) in [
        ("SELECT id, upper(name) AS name FROM users WHERE id = {id}", "the column name of load is"),
        ("SELECT u.id, c.n FROM users u JOIN counters c USING (id) WHERE id = {id}", "column n of"),
    ] {
        let (held, warnings) = write(with(sql)).await;
        assert_eq!(held.as_deref(), Some("unsaid"), "{sql}");
        assert!(warnings.contains(why), "{warnings}");
    }
    let tags = Writes { load: tagged(user_writes().load, &["name:{name}"]), ..store() };
    let (held, warnings) = write(tags).await;
    assert_eq!(held.as_deref(), Some("unsaid"));
    assert!(warnings.contains("has tags"), "{warnings}");
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
    let writes = Writes { add: Some(shop.words(sinks::ADD)), ..Writes::new("other", other) };
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

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_transient() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 0), (2, 0)").await;
    let options = Options { write_timeout: Duration::from_secs(1), ..Options::new("shop") };
    let database = Database::open(&shop.mariadb.url(), &options).unwrap();
    let shop = MariadbShop { database, ..shop };
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let epoch = sink.own("a").await.unwrap();
    let batch = [numbered("counter:1", Write::Add(10), epoch, 1)];
    // A row that another one holds.
    let mut other = connect(&shop).await;
    execute(&mut other, "BEGIN").await;
    execute(&mut other, "UPDATE counters SET n = n WHERE id = 1").await;
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient, "{}", error.error.chain());
    assert_eq!(sink.apply(epoch, &batch).await.unwrap_err().fault, WriteFault::Transient);
    execute(&mut other, "ROLLBACK").await;
    sink.write(&key, &Write::Add(1)).await.unwrap();
    assert_eq!(fates(&sink.apply(epoch, &batch).await.unwrap()), ["value"]);
    // A server that only reads, as a replica does.
    shop.sql(
        "REVOKE READ_ONLY ADMIN, SUPER ON *.* FROM larder@'127.0.0.1'; SET GLOBAL read_only = 1",
    )
    .await;
    let reopened = Database::open(&shop.mariadb.url(), &options).unwrap();
    let shop = MariadbShop { database: reopened, ..shop };
    let sink = counters(&shop);
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient, "{}", error.error.chain());
    assert_eq!(error.error.kind(), ErrorKind::SourceDown, "{}", error.error.chain());
    assert!(error.error.retry_delay().is_some());
    assert_eq!(shop.sql("SELECT n FROM counters WHERE id = 1").await, "11");
    // A server that is not there.
    shop.mariadb.stop();
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_raises_refuses_this_write_alone() {
    let shop = shop().await;
    shop.sql(
        "DELIMITER $$
         CREATE TRIGGER no BEFORE INSERT ON users FOR EACH ROW
            IF NEW.id = 13 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'odd'; END IF $$",
    )
    .await;
    let sink = users(&shop);
    sink.write(&Key::from("user:12"), &user(12, "a")).await.unwrap();
    let error = sink.write(&Key::from("user:13"), &user(13, "a")).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    assert!(error.error.chain().contains("odd"), "{}", error.error.chain());
    assert_eq!(shop.sql("SELECT id FROM users").await, "12");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_larger_than_the_server_takes_is_refused_before_it_is_sent() {
    let shop = shop_with(&[("max_allowed_packet", "1M")]).await;
    shop.sql("ALTER TABLE notes MODIFY body LONGTEXT").await;
    let load = raw("note:{id:int}", "SELECT body FROM notes WHERE id = {id}");
    let store = "REPLACE INTO notes VALUES ({id}, {value})".to_owned();
    let writes = Writes { store: Some(store), ..Writes::new("note", load) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    let key = Key::from("note:1");
    let store = |bytes: usize| Write::Store(Value::raw(vec![b'x'; bytes]));
    let error = sink.write(&key, &store(1 << 20)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    assert!(error.error.chain().contains("max_allowed_packet"), "{}", error.error.chain());
    let fits = (1 << 20) - 1024;
    sink.write(&key, &store(fits)).await.unwrap();
    assert_eq!(shop.sql("SELECT length(body) FROM notes").await, fits.to_string());
}

/// Whatever answer is lost, a batch counts once: what was not committed is rolled back, and what
/// was is known to have been.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_counts_once_whichever_answer_is_lost() {
    let MariadbShop { mariadb, .. } = shop().await;
    mariadb.sql("INSERT INTO counters VALUES (1, 0)");
    let proxy = Proxy::to(("127.0.0.1", mariadb.port()));
    let url = mariadb.url().replace(&mariadb.port().to_string(), &proxy.port().to_string());
    let options = Options { write_timeout: Duration::from_secs(2), ..Options::new("shop") };
    let database = Database::open(&url, &options).unwrap();
    let shop = MariadbShop { mariadb, database };
    let sink = counters(&shop);
    let epoch = sink.own("a").await.unwrap();
    let batch = |number| [numbered("counter:1", Write::Add(1), epoch, number)];
    sink.apply(epoch, &batch(1)).await.unwrap();
    let start = proxy.counts().replies.passed;
    sink.apply(epoch, &batch(2)).await.unwrap();
    let answers = proxy.counts().replies.passed - start;
    let mut faults = std::collections::HashSet::new();
    let mut number = 2;
    for lost in (0..answers).rev().step_by(9) {
        number += 1;
        proxy.drop_replies_after(lost);
        match sink.apply(epoch, &batch(number)).await {
            Ok(_) => {}
            Err(error) => {
                let known = [WriteFault::Unknown, WriteFault::Transient];
                assert!(known.contains(&error.fault), "{}", error.error.chain());
                faults.insert(error.fault == WriteFault::Unknown);
            }
        }
        proxy.heal();
        while sink.apply(epoch, &batch(number)).await.is_err() {}
        assert_eq!(shop.sql("SELECT n FROM counters").await, number.to_string());
    }
    assert_eq!(faults.len(), 2, "both the commit's answer and others were lost");
}
