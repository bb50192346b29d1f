//! Postgres as a sink: what it does like every other database, types, and what goes wrong on the way.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::sinks::{
    self, Shop, TABLES, counters, fates, held, numbered, user, user_writes, users,
};
use common::{answer, get_many, load, raw, source};
use larder_core::sink::{Applied, Sequence, WriteFault};
use larder_core::{ErrorKind, Key, Sink, Value, Write, Written};
use larder_sql::{Database, Options, SqlSink, WriteTables, Writes};
use larder_test::{Postgres, Proxy};

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
    a_row_of_another_key_is_in_the_way,
    a_batch_that_comes_twice_changes_nothing_the_second_time,
    who_owned_a_cache_before_is_refused,
    one_write_that_is_refused_rolls_the_batch_back,
    a_dead_letter_counts_as_applied_and_is_applied_once_when_requeued,
    every_add_counts_once_however_the_journal_is_replayed,
    replacing_writes_only_over_what_is_expected,
    replacing_loses_no_update_between_writers,
    limits_are_told,
    statements_that_do_not_write_are_refused_with_the_cure,
    what_is_returned_otherwise_is_not_said,
    with_terms_what_is_held_is_said_with_the_tags_of_a_load,
    a_migration_between_writes_is_noticed,
    the_tables_are_made_once_and_kept_while_they_are_needed,
);

/// The shop behind a proxy that can be cut.
async fn shop_behind_a_proxy() -> (PostgresShop, Proxy) {
    let PostgresShop { postgres, .. } = shop().await;
    let proxy = Proxy::to(("127.0.0.1", postgres.port()));
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
    let options = Options { write_timeout: Duration::from_secs(2), ..Options::new("shop") };
    let database = Database::open(&url, &options).unwrap();
    (PostgresShop { postgres, database }, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_goes_to_its_column_as_what_it_is() {
    let shop = shop().await;
    shop.postgres.psql(
        "CREATE EXTENSION citext;
         CREATE TYPE mood AS ENUM ('glad', 'so so');
         CREATE DOMAIN small AS int CHECK (value < 100);
         CREATE TABLE t (id int PRIMARY KEY, i2 int2, i8 int8, n numeric, p numeric(10, 2), f float8, b bool, t text,
            v varchar(5), c char(4), ci citext, m mood, u uuid, d date, ts timestamptz, iv interval, j json,
            jb jsonb, a int[], ta text[], by bytea, s small, ip inet, x text);",
    );
    let names = [
        "i2", "i8", "n", "p", "f", "b", "t", "v", "c", "ci", "m", "u", "d", "ts", "iv", "j", "jb",
        "a", "ta", "by", "s", "ip", "x",
    ];
    let holes = names.map(|name| format!("{{{name}}}")).join(", ");
    let set = names.map(|name| format!("{name} = EXCLUDED.{name}")).join(", ");
    let store = format!(
        "INSERT INTO t (id, {}) VALUES ({{id}}, {holes}) ON CONFLICT (id) DO UPDATE SET {set} RETURNING *",
        names.join(", ")
    );
    let t = load("t:{id:int}", "SELECT * FROM t WHERE id = {id}");
    let sink =
        SqlSink::new(shop.database(), Writes { store: Some(store), ..Writes::new("t", t.clone()) })
            .unwrap();
    let loads = source(shop.database(), t);
    let report = sink.prepare().await.unwrap();
    assert_eq!(report.warnings, []);
    assert_eq!(report.statements[0].bindings[14], ("ts".into(), "timestamp with time zone".into()));
    let full = concat!(
        r#"{"id":7,"i2":-32768,"i8":9007199254740993,"n":123456789012345678901234567890.000000001,"#,
        r#""p":1.50,"f":0.1,"b":true,"t":"ü\"\\\n🦀 {t} '","v":"12345","c":"abcd","ci":"CiTe","m":"so so","#,
        r#""u":"0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4","d":"2024-02-29","#,
        r#""ts":"2024-02-29T10:00:00.5+00:00","iv":"1 day","j":{"k" : [1,  2]},"jb":{"k": [1, 2]},"a":[1,null],"#,
        r#""ta":["a b","\"c\"",null],"by":"AP8=","s":99,"ip":"10.0.0.1","x":"{\"deep\":[1]}"}"#,
    );
    let null = format!(r#"{{"id":7,{}}}"#, names.map(|name| format!(r#""{name}":null"#)).join(","));
    for json in [full, &null, full] {
        let write = Write::Store(Value::json(json.to_owned()));
        let written = held(sink.write(&Key::from("t:7"), &write).await.unwrap());
        assert_eq!(written.as_deref(), Some(json));
        assert_eq!(answer(&loads, "t:7").await.as_deref(), Some(json));
    }
    // In a batch they are the same.
    let epoch = sink.own("a").await.unwrap();
    let batch = [(7, full), (8, &null), (9, full)].map(|(id, json)| {
        let json = json.replace(r#""id":7"#, &format!(r#""id":{id}"#));
        numbered(&format!("t:{id}"), Write::Store(Value::json(json)), epoch, 1)
    });
    let applied = sink.apply(epoch, &batch).await.unwrap();
    for (applied, numbered) in applied.into_iter().zip(&batch) {
        let Write::Store(value) = &numbered.write else { unreachable!() };
        assert_eq!(applied, Applied::Now(Written::Value(value.clone())));
    }
    // An object in a column of text is its text, and a value of another kind is refused.
    for (name, json, stored) in [
        ("x", r#"{"deep" : 1}"#, Ok(r#""{\"deep\" : 1}""#)),
        ("x", "1.50", Ok(r#""1.50""#)),
        ("n", r#""12.10""#, Ok("12.10")),
        ("b", r#""yes""#, Ok("true")),
        ("p", "1.005", Ok("1.01")),
        ("i2", "32768", Err("out of range")),
        ("i8", "1.5", Err("invalid input syntax")),
        ("v", r#""123456""#, Err("too long")),
        ("m", r#""sad""#, Err("invalid input value for enum")),
        ("s", "100", Err("check constraint")),
        ("d", r#""2024-02-30""#, Err("out of range")),
        ("a", r#"{"a":1}"#, Err("is no array")),
        ("a", r#"["x"]"#, Err("invalid input syntax")),
        ("by", r#""***""#, Err("no base64")),
        ("by", "1", Err("no string in base64")),
        ("t", r#""\u0000""#, Err("invalid byte sequence")),
    ] {
        let json = null.replace(&format!(r#""{name}":null"#), &format!(r#""{name}":{json}"#));
        let done = sink.write(&Key::from("t:7"), &Write::Store(Value::json(json))).await;
        match (done, stored) {
            (Ok(written), Ok(stored)) => {
                let written = held(written).unwrap();
                assert!(
                    written.contains(&format!(r#""{name}":{stored},"#))
                        || written.contains(&format!(r#""{name}":{stored}}}"#)),
                    "{written}"
                );
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
    shop.postgres.psql("CREATE TABLE r (id int PRIMARY KEY, t text, b bytea, j jsonb)");
    for (column, bytes, expected) in [
        ("t", &b"ue \xc3\xbc 'x'"[..], Ok(&b"ue \xc3\xbc 'x'"[..])),
        ("b", b"\x00\xff{value}", Ok(b"\x00\xff{value}")),
        ("j", b"{\"a\":1}", Ok(b"{\"a\": 1}")),
        ("j", b"{", Err(())),
        ("t", b"\xff", Err(())),
    ] {
        let load = raw("r:{id:int}", &format!("SELECT {column} FROM r WHERE id = {{id}}"));
        let store = format!(
            "INSERT INTO r (id, {column}) VALUES ({{id}}, {{value}})
             ON CONFLICT (id) DO UPDATE SET {column} = EXCLUDED.{column} RETURNING {column}"
        );
        let sink =
            SqlSink::new(shop.database(), Writes { store: Some(store), ..Writes::new("r", load) })
                .unwrap();
        let done = sink.write(&Key::from("r:1"), &Write::Store(Value::raw(bytes.to_vec()))).await;
        match expected {
            Ok(expected) => {
                assert_eq!(
                    done.unwrap(),
                    Written::Value(Value::raw(expected.to_vec())),
                    "{column}"
                );
            }
            Err(()) => assert_eq!(done.unwrap_err().fault, WriteFault::Poison, "{column}"),
        }
    }
}

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
        numbered("user:1", sinks::mail(1, "same"), epoch, 1),
        numbered("user:2", sinks::mail(2, "same"), epoch, 2),
    ];
    assert_eq!(fates(&sink.apply(epoch, &batch).await.unwrap()), ["value", "unsaid"]);
    assert_eq!(shop.sql("SELECT id, email FROM users").await, "1|same");
    let written = sink.write(&Key::from("user:2"), &sinks::mail(2, "same")).await.unwrap();
    assert_eq!(written, Written::Unsaid);

    // The row that was written is that of another key, and is not taken for this one's.
    shop.postgres.psql("TRUNCATE users; INSERT INTO users VALUES (9, 'nine', 'nine')");
    let batch = [
        numbered("user:1", sinks::mail(1, "one"), epoch, 3),
        numbered("user:2", sinks::mail(2, "nine"), epoch, 4),
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
async fn a_counter_counts_once_when_the_answer_to_the_commit_is_lost() {
    /// What Postgres answers to COMMIT: its name, and that it is ready.
    const COMMITTED: u64 = 13 + 6 - 1;
    let (shop, proxy) = shop_behind_a_proxy().await;
    shop.postgres.psql("INSERT INTO counters SELECT i, 0 FROM generate_series(1, 3) AS g(i)");
    let sink = counters(&shop);
    let epoch = sink.own("a").await.unwrap();
    let batch = |number| {
        [1, 2, 3].map(|id| numbered(&format!("counter:{id}"), Write::Add(1), epoch, number))
    };
    // Everything is prepared, and then a batch has so many bytes of answers; some more if its
    // connection was idle and is asked first.
    sink.apply(epoch, &batch(1)).await.unwrap();
    let mut answers = u64::MAX;
    for number in 2..=6 {
        let start = proxy.counts().replies.passed;
        sink.apply(epoch, &batch(number)).await.unwrap();
        answers = answers.min(proxy.counts().replies.passed - start);
    }
    // Where it was asked first, what is lost is not yet the answer to the commit.
    for attempt in 0.. {
        proxy.drop_replies_after(answers - COMMITTED);
        let error = sink.apply(epoch, &batch(7)).await.unwrap_err();
        if error.fault == WriteFault::Unknown {
            break;
        }
        assert_eq!(error.fault, WriteFault::Transient, "{}", error.error.chain());
        assert_eq!(shop.sql("SELECT DISTINCT n FROM counters").await, "6");
        assert!(attempt < 20, "the answer to the commit is never lost");
        sink.prepare().await.unwrap();
        assert_eq!(fates(&sink.apply(epoch, &batch(6)).await.unwrap()), ["before"; 3]);
    }
    let keys = [1, 2, 3].map(|id| Key::from(format!("counter:{id}").as_str()));
    let at = |number| vec![Some(Sequence { epoch, number }); 3];
    assert_eq!(sink.applied(&keys).await.unwrap(), at(7));
    assert_eq!(fates(&sink.apply(epoch, &batch(7)).await.unwrap()), ["before"; 3]);
    assert_eq!(shop.sql("SELECT DISTINCT n FROM counters").await, "7");

    // Lost before the commit, nothing was written.
    sink.apply(epoch, &batch(8)).await.unwrap();
    proxy.drop_replies_after(answers - COMMITTED - 1);
    let error = sink.apply(epoch, &batch(9)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient, "{}", error.error.chain());
    assert_eq!(sink.applied(&keys).await.unwrap(), at(8));
    assert_eq!(shop.sql("SELECT DISTINCT n FROM counters").await, "8");
    assert_eq!(fates(&sink.apply(epoch, &batch(9)).await.unwrap()), ["value"; 3]);
    assert_eq!(shop.sql("SELECT DISTINCT n FROM counters").await, "9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_write_whose_answer_is_lost_is_unknown_and_not_repeated() {
    let (shop, proxy) = shop_behind_a_proxy().await;
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let n = async || shop.sql("SELECT n FROM counters").await.parse::<i64>().unwrap();
    // A connection that was idle is asked first, and then it is that answer which is lost.
    for attempt in 0.. {
        let before = n().await;
        sink.write(&key, &Write::Add(1)).await.unwrap();
        proxy.drop_replies_after(0);
        let done = sink.write(&key, &Write::Add(1)).await;
        assert_eq!(n().await, before + 2, "written once, whether it is known or not");
        if let Err(error) = done {
            assert_eq!(error.fault, WriteFault::Unknown, "{}", error.error.chain());
            break;
        }
        assert!(attempt < 20, "the answer to the write is never lost");
    }
    // One that is silent is given up, and is as unknown.
    for attempt in 0.. {
        let before = n().await;
        sink.write(&key, &Write::Add(1)).await.unwrap();
        proxy.stall_replies();
        let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
        if error.fault == WriteFault::Unknown {
            assert_eq!(n().await, before + 2);
            break;
        }
        assert_eq!((error.fault, n().await), (WriteFault::Transient, before + 1));
        assert!(attempt < 20, "the answer to the write is never lost");
        proxy.heal();
        let start = std::time::Instant::now();
        while sink.prepare().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "no recovery");
        }
    }
    proxy.cut();
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
    proxy.heal();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_writes_is_noticed_by_nobody() {
    let shop = shop().await;
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let epoch = sink.own("a").await.unwrap();
    for number in 1..=3 {
        sink.write(&key, &Write::Add(1)).await.unwrap();
        sink.apply(epoch, &[numbered("counter:1", Write::Add(10), epoch, number)]).await.unwrap();
        tokio::task::block_in_place(|| shop.postgres.restart());
    }
    assert_eq!(shop.sql("SELECT n FROM counters").await, "33");
    shop.postgres.stop();
    let error = sink.write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
    let error = sink.apply(epoch, &[]).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient);
    let error = sink.prepare().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceDown);
    shop.postgres.restart();
    let start = std::time::Instant::now();
    while sink.write(&key, &Write::Add(1)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "no recovery");
        tokio::task::yield_now().await;
    }
    assert_eq!(shop.sql("SELECT n FROM counters").await, "34");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_transient() {
    let shop = shop().await;
    shop.postgres.psql("INSERT INTO counters VALUES (1, 0)");
    let options = Options { write_timeout: Duration::from_millis(500), ..Options::new("shop") };
    let database = Database::open(&shop.postgres.url(), &options).unwrap();
    let shop = PostgresShop { database, ..shop };
    let sink = counters(&shop);
    let key = Key::from("counter:1");
    let fault = async || sink.write(&key, &Write::Add(1)).await.unwrap_err();
    sink.write(&key, &Write::Add(1)).await.unwrap();
    // Another one has the row.
    let mut other = connect(&shop).await;
    execute(&mut other, "BEGIN; UPDATE counters SET n = n + 100").await;
    let error = fault().await;
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::Timeout));
    execute(&mut other, "ROLLBACK").await;
    sink.write(&key, &Write::Add(1)).await.unwrap();
    // Nobody may write.
    shop.postgres.psql("ALTER DATABASE postgres SET default_transaction_read_only = on");
    let read_only = Database::open(&shop.postgres.url(), &options).unwrap();
    let read_only = PostgresShop { database: read_only, postgres: shop.postgres };
    let error = counters(&read_only).write(&key, &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::SourceDown));
    assert!(error.error.chain().contains("read-only"), "{}", error.error.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_raises_refuses_this_write_alone() {
    let shop = shop().await;
    shop.postgres.psql(
        "CREATE FUNCTION no() RETURNS trigger AS
            'BEGIN RAISE EXCEPTION ''odd'' USING ERRCODE = ''OD001''; END' LANGUAGE plpgsql;
         CREATE TRIGGER no BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.id = 13) EXECUTE FUNCTION no();
         ALTER TABLE counters ADD CONSTRAINT twice UNIQUE (n) DEFERRABLE INITIALLY DEFERRED;
         INSERT INTO counters VALUES (1, 1), (2, 2)",
    );
    let sink = users(&shop);
    sink.write(&Key::from("user:12"), &user(12, "a")).await.unwrap();
    let error = sink.write(&Key::from("user:13"), &user(13, "a")).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    // What only the commit finds out is as certain.
    let sink = counters(&shop);
    let error = sink.write(&Key::from("counter:1"), &Write::Add(1)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    let epoch = sink.own("a").await.unwrap();
    let batch = [numbered("counter:1", Write::Add(1), epoch, 1)];
    let error = sink.apply(epoch, &batch).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
    assert_eq!(sink.applied(&[Key::from("counter:1")]).await.unwrap(), [None]);
    assert_eq!(shop.sql("SELECT n FROM counters ORDER BY id").await, "1\n2");
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
