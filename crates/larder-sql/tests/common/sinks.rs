//! What sinks do alike, whichever the database.

use std::future::Future;

use larder_core::sink::{Applied, Numbered, Sequence, WriteFault};
use larder_core::{ErrorKind, Key, Sink, Value, Write, Written};
use larder_sql::{Database, SqlSink, WRITES_MAX, WriteTables, Writes};

use super::{answer, load, raw, source};

/// A database with the tables of [`TABLES`] and larder's own.
pub trait Shop: Sync {
    fn database(&self) -> &Database;
    /// Runs SQL on a connection of its own, and returns a line for each row, with `|` between
    /// columns.
    fn sql(&self, sql: &str) -> impl Future<Output = String> + Send;
    /// A statement that writes, which most databases understand, as this one does.
    fn words(&self, sql: &str) -> String {
        sql.to_owned()
    }
}

pub const TABLES: &str = "
    CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, email text UNIQUE);
    CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL CHECK (n < 1000000));
    CREATE TABLE notes (id bigint PRIMARY KEY, body text);";

pub const STORE: &str = "INSERT INTO users (id, name, email) VALUES ({id}, {name}, {email})
    ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, email = EXCLUDED.email RETURNING *";
pub const DELETE: &str = "DELETE FROM users WHERE id = {id}";
pub const ADD: &str = "UPDATE counters SET n = n + {delta} WHERE id = {id} RETURNING n";

/// Users that can be stored and deleted.
pub fn user_writes() -> Writes {
    Writes {
        store: Some(STORE.to_owned()),
        delete: Some(DELETE.to_owned()),
        ..Writes::new(
            "user",
            load("user:{id:int}", "SELECT id, name, email FROM users WHERE id = {id}"),
        )
    }
}

pub fn users(shop: &impl Shop) -> SqlSink {
    let writes = Writes { store: Some(shop.words(STORE)), ..user_writes() };
    SqlSink::new(shop.database(), writes).unwrap()
}

/// Counters that can be added to.
pub fn counters(shop: &impl Shop) -> SqlSink {
    let n = raw("counter:{id:int}", "SELECT n FROM counters WHERE id = {id}");
    let writes = Writes { add: Some(shop.words(ADD)), ..Writes::new("counter", n) };
    SqlSink::new(shop.database(), writes).unwrap()
}

pub fn user(id: i64, name: &str) -> Write<Value> {
    let name = serde_json::to_string(name).unwrap();
    Write::Store(Value::json(format!(r#"{{"name":{name},"email":null,"id":{id}}}"#)))
}

pub fn numbered(key: &str, write: Write<Value>, epoch: u64, number: u64) -> Numbered<Key, Value> {
    let sequence = Sequence { epoch, number };
    Numbered { key: Key::from(key), write, sequence, letter: None }
}

pub fn held(written: Written<Value>) -> Option<String> {
    match written {
        Written::Value(value) => Some(String::from_utf8(value.bytes.to_vec()).unwrap()),
        Written::Absent => None,
        Written::Unsaid => Some("unsaid".to_owned()),
    }
}

/// What became of each write, in short.
pub fn fates(applied: &[Applied<Value>]) -> Vec<&'static str> {
    let fate = |applied: &Applied<Value>| match applied {
        Applied::Now(Written::Value(_)) => "value",
        Applied::Now(Written::Absent) => "absent",
        Applied::Now(Written::Unsaid) => "unsaid",
        Applied::Before => "before",
    };
    applied.iter().map(fate).collect()
}

pub async fn a_write_tells_what_the_load_would_give(shop: &impl Shop) {
    let users = users(shop);
    let report = users.prepare().await.unwrap();
    assert_eq!(report.warnings, []);
    assert!(report.statements.iter().any(|one| one.verb == "store" && one.returns));
    let key = Key::from("user:42");
    let loads = source(shop.database(), user_writes().load);
    for name in ["Ada", "Zoë \"Q\" \\ 🦀\n", "{name}", "'; DROP TABLE users; --", "$1", "?1", ""]
    {
        let written = users.write(&key, &user(42, name)).await.unwrap();
        let loaded = answer(&loads, "user:42").await;
        assert!(loaded.is_some());
        assert_eq!(held(written), loaded, "{name}");
    }
    assert_eq!(users.write(&key, &Write::Delete).await.unwrap(), Written::Absent);
    assert_eq!(answer(&loads, "user:42").await, None);
    assert_eq!(users.write(&key, &Write::Delete).await.unwrap(), Written::Absent);

    shop.sql("INSERT INTO counters VALUES (1, 40)").await;
    let counters = counters(shop);
    let written = counters.write(&Key::from("counter:1"), &Write::Add(2)).await.unwrap();
    assert_eq!(written, Written::Value(Value::raw("42")));
    let written = counters.write(&Key::from("counter:2"), &Write::Add(2)).await.unwrap();
    assert_eq!(written, Written::Absent);
}

pub async fn what_can_not_be_written_is_poison_and_says_why(shop: &impl Shop) {
    let users = users(shop);
    for (key, json, why) in [
        ("user:x", r#"{"id":1,"name":"a","email":null}"#, "not an int"),
        ("user:1", r#"{"id":1,"name":"a"}"#, "no field email"),
        ("user:1", r#"{"id":1,"nam":"a","email":null}"#, "did you mean nam?"),
        ("user:1", r#"{"id":2,"name":"a","email":null}"#, "the key says 1"),
        ("user:1", r#"{"id":1,"name":null,"email":null}"#, "refused the store"),
        ("user:1", r#"["name"]"#, "no JSON object"),
        ("user:1", "", "no JSON object"),
        ("user:1", r#"{"name":"a","name":"b","email":null}"#, "stands there twice"),
    ] {
        let write = Write::Store(Value::json(json));
        let error = users.write(&Key::from(key), &write).await.unwrap_err();
        assert_eq!(error.fault, WriteFault::Poison, "{json}: {}", error.error.chain());
        assert!(error.error.chain().contains(why), "{json}: {}", error.error.chain());
        // What only the database knows is all that is left to it.
        match users.check(&Key::from(key), &write) {
            Ok(()) => assert_eq!(why, "refused the store"),
            Err(error) => assert!(error.chain().contains(why), "{json}: {}", error.chain()),
        }
    }
    assert_eq!(
        users.check(&Key::from("user:1"), &Write::Add(1)).unwrap_err().kind(),
        ErrorKind::Refused
    );
    let error = users.write(&Key::from("user:1"), &Write::Add(1)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Poison, ErrorKind::Refused));
}

/// The one and the other constraint of a row.
pub async fn a_row_of_another_key_is_in_the_way(shop: &impl Shop) {
    let users = users(shop);
    users.write(&Key::from("user:1"), &mail(1, "a@b")).await.unwrap();
    let error = users.write(&Key::from("user:2"), &mail(2, "a@b")).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Poison, ErrorKind::Refused));
    assert!(error.error.downcast_ref::<sqlx::Error>().is_some());
    assert_eq!(shop.sql("SELECT id, email FROM users").await, "1|a@b");
}

pub fn mail(id: i64, mail: &str) -> Write<Value> {
    Write::Store(Value::json(format!(r#"{{"id":{id},"name":"n","email":"{mail}"}}"#)))
}

pub async fn a_batch_that_comes_twice_changes_nothing_the_second_time(shop: &impl Shop) {
    shop.sql("INSERT INTO counters SELECT value, 0 FROM (SELECT 1 AS value UNION SELECT 2) AS v")
        .await;
    let (users, counters) = (users(shop), counters(shop));
    let (of_users, of_counters) = (users.own("a").await.unwrap(), counters.own("a").await.unwrap());
    let batch = [
        numbered("user:2", user(2, "b"), of_users, 1),
        numbered("user:1", user(1, "a"), of_users, 2),
        numbered("user:3", Write::Delete, of_users, 3),
    ];
    assert_eq!(fates(&users.apply(of_users, &batch).await.unwrap()), ["value", "value", "absent"]);
    shop.sql("UPDATE users SET name = 'changed' WHERE id = 1").await;
    assert_eq!(fates(&users.apply(of_users, &batch).await.unwrap()), ["before"; 3]);
    assert_eq!(shop.sql("SELECT id, name FROM users ORDER BY id").await, "1|changed\n2|b");

    let adds = [
        numbered("counter:1", Write::Add(5), of_counters, 1),
        numbered("counter:2", Write::Add(-7), of_counters, 2),
        numbered("counter:3", Write::Add(1), of_counters, 3),
    ];
    let applied = counters.apply(of_counters, &adds).await.unwrap();
    assert_eq!(applied[0], Applied::Now(Written::Value(Value::raw("5"))));
    assert_eq!(fates(&applied), ["value", "value", "absent"]);
    for _ in 0..3 {
        assert_eq!(fates(&counters.apply(of_counters, &adds).await.unwrap()), ["before"; 3]);
    }
    // Only what is later than the last one of its key.
    let mixed = [
        numbered("counter:1", Write::Add(1), of_counters, 1),
        numbered("counter:2", Write::Add(1), of_counters, 4),
    ];
    assert_eq!(fates(&counters.apply(of_counters, &mixed).await.unwrap()), ["before", "value"]);
    assert_eq!(shop.sql("SELECT id, n FROM counters ORDER BY id").await, "1|5\n2|-6");
    let keys = ["counter:2", "counter:9", "counter:1"].map(Key::from);
    let at = |number| Some(Sequence { epoch: of_counters, number });
    assert_eq!(counters.applied(&keys).await.unwrap(), [at(4), None, at(1)]);
    // The other cache's keys are its own.
    assert_eq!(users.applied(&keys).await.unwrap(), [None; 3]);
    assert_eq!(counters.apply(of_counters, &[]).await.unwrap(), []);
}

pub async fn who_owned_a_cache_before_is_refused(shop: &impl Shop) {
    let users = users(shop);
    let first = users.own("a").await.unwrap();
    let error = users.own("b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("written behind by a"), "{error}");
    // The same one comes back after a crash, and what it was then counts no more.
    let second = users.own("a").await.unwrap();
    assert!(second > first);
    let late = [numbered("user:1", user(1, "late"), first, 9)];
    let error = users.apply(first, &late).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Disowned);
    let error = users.bury(first, &late[0], "late").await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Disowned);
    users.disown(first).await.unwrap();
    assert!(users.own("b").await.is_err());
    users.disown(second).await.unwrap();
    let error = users.apply(second, &late).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Disowned);
    let third = users.own("b").await.unwrap();
    assert!(third > second);
    assert_eq!(shop.sql("SELECT count(*) FROM users").await, "0");
    assert_eq!(shop.sql("SELECT count(*) FROM larder_applied").await, "0");
    assert_eq!(shop.sql("SELECT count(*) FROM larder_dead_letters").await, "0");
    // Even if its row is lost, the epoch is beyond what was applied.
    users.apply(third, &[numbered("user:1", user(1, "now"), third, 1)]).await.unwrap();
    shop.sql("DELETE FROM larder_owner").await;
    assert!(users.own("c").await.unwrap() > third);
}

pub async fn one_write_that_is_refused_rolls_the_batch_back(shop: &impl Shop) {
    shop.sql("INSERT INTO counters VALUES (1, 0); INSERT INTO counters VALUES (2, 999999)").await;
    let counters = counters(shop);
    let epoch = counters.own("a").await.unwrap();
    let batch = [
        numbered("counter:1", Write::Add(1), epoch, 1),
        numbered("counter:2", Write::Add(1), epoch, 2),
    ];
    for _ in 0..2 {
        let error = counters.apply(epoch, &batch).await.unwrap_err();
        assert_eq!(error.fault, WriteFault::Poison, "{}", error.error.chain());
        assert_eq!(shop.sql("SELECT n FROM counters ORDER BY id").await, "0\n999999");
        assert_eq!(shop.sql("SELECT count(*) FROM larder_applied").await, "0");
    }
    // By halves it is found.
    assert!(counters.apply(epoch, &batch[..1]).await.is_ok());
    let error = counters.apply(epoch, &batch[1..]).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
}

pub async fn a_dead_letter_counts_as_applied_and_is_applied_once_when_requeued(shop: &impl Shop) {
    shop.sql("INSERT INTO counters VALUES (1, 999999)").await;
    let counters = counters(shop);
    let epoch = counters.own("a").await.unwrap();
    let add = numbered("counter:1", Write::Add(1), epoch, 7);
    counters.bury(epoch, &add, "too\0 much").await.unwrap();
    counters.bury(epoch, &add, "too much, again").await.unwrap();
    let keys = [Key::from("counter:1")];
    let at = |number| Some(Sequence { epoch, number });
    assert_eq!(counters.applied(&keys).await.unwrap(), [at(7)]);
    let before = fates(&counters.apply(epoch, std::slice::from_ref(&add)).await.unwrap());
    assert_eq!(before, ["before"]);
    assert_eq!(counters.requeued(10).await.unwrap(), []);

    shop.sql("UPDATE larder_dead_letters SET requeued = TRUE").await;
    let letters = counters.requeued(10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.reason, "too\u{fffd} much");
    assert_eq!((letter.numbered.letter, &letter.numbered.write), (Some(letter.id), &Write::Add(1)));
    assert_eq!(letter.numbered.sequence, Sequence { epoch, number: 7 });
    assert_eq!(counters.requeued(0).await.unwrap(), []);
    // It still can't be written, and goes back to where it was.
    let again = Numbered { sequence: Sequence { epoch, number: 8 }, ..letter.numbered.clone() };
    let error = counters.apply(epoch, std::slice::from_ref(&again)).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    counters.bury(epoch, &again, "still too much").await.unwrap();
    assert_eq!(counters.requeued(10).await.unwrap(), []);
    assert_eq!(
        shop.sql("SELECT id, seq, reason FROM larder_dead_letters").await,
        format!("{}|8|still too much", letter.id)
    );
    // Now it can.
    shop.sql("UPDATE counters SET n = 0; UPDATE larder_dead_letters SET requeued = TRUE").await;
    let letters = counters.requeued(10).await.unwrap();
    let once = Numbered { sequence: Sequence { epoch, number: 9 }, ..letters[0].numbered.clone() };
    let batch = std::slice::from_ref(&once);
    assert_eq!(fates(&counters.apply(epoch, batch).await.unwrap()), ["value"]);
    assert_eq!(fates(&counters.apply(epoch, batch).await.unwrap()), ["before"]);
    // Requeued under yet another number, it still is the same letter.
    let later = Numbered { sequence: Sequence { epoch, number: 12 }, ..once.clone() };
    assert_eq!(fates(&counters.apply(epoch, &[later]).await.unwrap()), ["before"]);
    assert_eq!(shop.sql("SELECT n FROM counters").await, "1");
    assert_eq!(shop.sql("SELECT count(*) FROM larder_dead_letters").await, "0");

    let users = users(shop);
    let epoch = users.own("a").await.unwrap();
    users
        .bury(epoch, &numbered("user:1", user(1, "ü\"x"), epoch, 1), &"ü".repeat(5_000))
        .await
        .unwrap();
    users.bury(epoch, &numbered("user:2", Write::Delete, epoch, 2), "").await.unwrap();
    users.bury(epoch, &numbered("no key of ours", Write::Delete, epoch, 3), "").await.unwrap();
    shop.sql("UPDATE larder_dead_letters SET requeued = TRUE").await;
    let letters = users.requeued(2).await.unwrap();
    assert_eq!(letters[0].numbered.write, user(1, "ü\"x"));
    assert_eq!(letters[0].reason, "ü".repeat(2_048));
    assert_eq!((letters.len(), &letters[1].numbered.write), (2, &Write::Delete));
}

pub async fn replacing_writes_only_over_what_is_expected(shop: &impl Shop) {
    let users = users(shop);
    let key = Key::from("user:1");
    let held = |name: &str| Value::json(format!(r#"{{"id":1,"name":"{name}","email":null}}"#));
    let wrong = users.replace(&key, Some(&held("a")), &user(1, "b")).await.unwrap_err();
    assert_eq!((wrong.fault, wrong.error.kind()), (WriteFault::Conflict, ErrorKind::Conflict));
    let done = users.replace(&key, None, &user(1, "a")).await.unwrap();
    assert_eq!(done, Written::Value(held("a")));
    let wrong = users.replace(&key, None, &user(1, "b")).await.unwrap_err();
    assert_eq!(wrong.fault, WriteFault::Conflict);
    let wrong = users.replace(&key, Some(&held("b")), &Write::Delete).await.unwrap_err();
    assert_eq!(wrong.fault, WriteFault::Conflict);
    let done = users.replace(&key, Some(&held("a")), &user(1, "c")).await.unwrap();
    assert_eq!(done, Written::Value(held("c")));
    // What is refused whatever is held is no conflict.
    let null = Write::Store(Value::json(r#"{"name":null,"email":null}"#));
    let poison = users.replace(&key, Some(&held("c")), &null).await.unwrap_err();
    assert_eq!(poison.fault, WriteFault::Poison);
    let done = users.replace(&key, Some(&held("c")), &Write::Delete).await.unwrap();
    assert_eq!(done, Written::Absent);
    assert_eq!(shop.sql("SELECT count(*) FROM users").await, "0");
}

/// Batches are cut anywhere, come again from anywhere, and across takeovers: each write counts
/// once.
pub async fn every_add_counts_once_however_the_journal_is_replayed(shop: &impl Shop) {
    const KEYS: u64 = 5;
    shop.sql("INSERT INTO counters SELECT value, 0 FROM (SELECT 1 AS value UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) AS v").await;
    let sink = counters(shop);
    let mut state = 7_u64;
    let mut random = |below: u64| {
        // Knuth's linear congruential generator, TAOCP 3.3.4.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut epoch = sink.own("a").await.unwrap();
    let (mut journal, mut sums) = (Vec::new(), vec![0_i64; KEYS as usize]);
    for _ in 0..120 {
        let (id, delta) = (random(KEYS), i64::try_from(random(100)).unwrap() - 50);
        sums[id as usize] += delta;
        let number = journal.len() as u64 + 1;
        let key = format!("counter:{}", id + 1);
        journal.push(numbered(&key, Write::Add(delta), epoch, number));
        if random(4) > 0 {
            continue;
        }
        // From somewhere not later than what isn't applied yet, in batches of one write a key.
        let mut rest = &journal[random(journal.len() as u64) as usize / 2..];
        let from = journal.len() - rest.len();
        let known: Vec<Key> =
            (1..=KEYS).map(|id| Key::from(format!("counter:{id}").as_str())).collect();
        let applied = sink.applied(&known).await.unwrap();
        let is_applied = |write: &Numbered<Key, Value>| {
            let at = known.iter().position(|key| *key == write.key).unwrap();
            applied[at] >= Some(write.sequence)
        };
        if !journal[..from].iter().all(is_applied) {
            rest = &journal;
        }
        while !rest.is_empty() {
            let mut seen = std::collections::HashSet::new();
            let size = rest.iter().take_while(|write| seen.insert(write.key.clone())).count();
            let (batch, later) = rest.split_at(size.min(1 + random(KEYS) as usize));
            sink.apply(epoch, batch).await.unwrap();
            rest = later;
        }
        if random(5) == 0 {
            epoch = sink.own("a").await.unwrap();
        }
    }
    for write in &journal {
        sink.apply(epoch, std::slice::from_ref(write)).await.unwrap();
    }
    let expected: Vec<_> = sums.iter().map(ToString::to_string).collect();
    assert_eq!(shop.sql("SELECT n FROM counters ORDER BY id").await, expected.join("\n"));
}

/// Many increments by compare and write, side by side: none is lost.
pub async fn replacing_loses_no_update_between_writers(shop: &impl Shop) {
    const EACH: usize = 15;
    let body = raw("note:{id:int}", "SELECT body FROM notes WHERE id = {id}");
    let store = "INSERT INTO notes (id, body) VALUES ({id}, {value})
                 ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body RETURNING body";
    let writes = Writes { store: Some(shop.words(store)), ..Writes::new("note", body.clone()) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    let loads = source(shop.database(), body);
    let key = Key::from("note:1");
    let run = || async {
        let (mut done, mut conflicts) = (0, 0);
        while done < EACH {
            let held = answer(&loads, "note:1").await;
            let next = held.as_ref().map_or(1, |held| held.parse::<usize>().unwrap() + 1);
            let (held, next) = (held.map(Value::raw), Write::Store(Value::raw(next.to_string())));
            match sink.replace(&key, held.as_ref(), &next).await {
                Ok(_) => done += 1,
                Err(error) => {
                    assert_eq!(error.fault, WriteFault::Conflict, "{}", error.error.chain());
                    conflicts += 1;
                }
            }
        }
        conflicts
    };
    let (a, b, c, d) = tokio::join!(run(), run(), run(), run());
    assert_eq!(answer(&loads, "note:1").await, Some((4 * EACH).to_string()));
    assert!(a + b + c + d > 0, "they were never in each other's way");
}

pub async fn limits_are_told(shop: &impl Shop) {
    let sink = users(shop);
    let key = Key::from("user:1");
    let large = Write::Store(Value::json("x".repeat(larder_sql::RESULT_BYTES_MAX + 1)));
    let error = sink.write(&key, &large).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    assert!(error.error.to_string().contains("16777216 are the most"), "{}", error.error);

    let epoch = sink.own("a").await.unwrap();
    let delete = |at: usize| numbered(&format!("user:{at}"), Write::Delete, epoch, 1);
    let mut batch: Vec<_> = (0..WRITES_MAX).map(delete).collect();
    assert_eq!(sink.apply(epoch, &batch).await.unwrap().len(), WRITES_MAX);
    batch.push(delete(WRITES_MAX));
    let error = sink.apply(epoch, &batch).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    assert!(error.error.to_string().contains("10000 writes"), "{}", error.error);
    let error = sink.apply(epoch, &[delete(1), delete(1)]).await.unwrap_err();
    assert!(error.error.to_string().contains("two writes of one key"), "{}", error.error);

    let large = Value::json("x".repeat(larder_sql::RESULT_BYTES_MAX));
    let store = |at: u64| numbered(&format!("user:{at}"), Write::Store(large.clone()), epoch, 2);
    let batch: Vec<_> = (0..5).map(store).collect();
    let error = sink.apply(epoch, &batch).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Poison);
    assert!(error.error.to_string().contains("apply fewer at a time"), "{}", error.error);

    let names: Vec<_> = (0..1_000).map(|at| format!("{{f{at}}}")).collect();
    let store = format!("INSERT INTO users VALUES ({{id}}, {})", names.join(", "));
    let writes = Writes { store: Some(store), ..user_writes() };
    let error = SqlSink::new(shop.database(), writes).unwrap_err();
    assert!(error.to_string().contains("binds 1001 names, and 1000 are the most"), "{error}");
}

pub async fn statements_that_do_not_write_are_refused_with_the_cure(shop: &impl Shop) {
    for (store, cure) in [
        ("SELECT {id}", "a store writes: write INSERT, UPDATE, DELETE"),
        ("WITH x AS (SELECT 1) SELECT {id}", "a store writes"),
        ("DROP TABLE users", "begins with DROP"),
        ("BEGIN", "begins with BEGIN"),
        ("DELETE FROM users WHERE id = {id}; DROP TABLE users", "has two statements"),
        ("", "is empty: write INSERT"),
        ("INSERT INTO users VALUES ('{id}')", "inside a string"),
        ("DELETE FROM users", "names no parameter of the key"),
        ("UPDATE users SET name = 'x", "not closed"),
    ] {
        let writes = Writes { store: Some(store.to_owned()), ..user_writes() };
        let error = SqlSink::new(shop.database(), writes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(cure), "{store}: {error}");
    }
    for (add, cure) in [
        ("UPDATE counters SET n = n + 1 WHERE id = {id}", "does not name {delta}"),
        ("UPDATE counters SET n = n + {delat} WHERE id = {id}", "did you mean {delta}?"),
    ] {
        let writes = Writes { add: Some(add.to_owned()), ..user_writes() };
        let error = SqlSink::new(shop.database(), writes).unwrap_err();
        assert!(error.to_string().contains(cure), "{add}: {error}");
    }
    let none = Writes { store: None, delete: None, ..user_writes() };
    assert!(SqlSink::new(shop.database(), none).unwrap_err().to_string().contains("no statement"));
    // What only the database knows.
    for store in ["INSERT INTO nowhere (id) VALUES ({id})", "INSERT INTO users (nil) VALUES ({id})"]
    {
        let writes = Writes { store: Some(store.to_owned()), ..user_writes() };
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        assert_eq!(sink.prepare().await.unwrap_err().kind(), ErrorKind::Config);
        let error = sink.write(&Key::from("user:1"), &user(1, "a")).await.unwrap_err();
        assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::Config));
        assert!(error.error.to_string().contains("refuses every store"), "{}", error.error);
    }
}

pub async fn what_is_returned_otherwise_is_not_said(shop: &impl Shop) {
    let store = |returning: &str| {
        let store = "INSERT INTO users (id, name, email) VALUES ({id}, {name}, {email})
                     ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name";
        Writes { store: Some(format!("{store} {returning}")), ..user_writes() }
    };
    let write = |writes: Writes| async {
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        let report = sink.prepare().await.unwrap();
        let written = sink.write(&Key::from("user:1"), &user(1, "Ada")).await.unwrap();
        (
            held(written),
            report.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join(""),
        )
    };
    let ada = r#"{"id":1,"name":"Ada","email":null}"#;
    for returning in
        ["RETURNING *", "RETURNING email, name, id", "RETURNING id, name, email, 1 AS one"]
    {
        let (held, warnings) = write(store(returning)).await;
        assert_eq!((held.as_deref(), warnings.as_str()), (Some(ada), ""), "{returning}");
    }
    for (returning, why) in [
        ("", "write RETURNING"),
        ("RETURNING id, name", "does not return the column email"),
        ("RETURNING id, upper(name) AS name, email", "does not return the column name"),
        ("RETURNING id, email AS name, name AS email", "does not return the column name"),
    ] {
        let (held, warnings) = write(store(returning)).await;
        assert_eq!(held.as_deref(), Some("unsaid"), "{returning}");
        assert!(warnings.contains(why), "{returning}: {warnings}");
    }
    let computed =
        load("user:{id:int}", "SELECT id, upper(name) AS name, email FROM users WHERE id = {id}");
    let (held, warnings) = write(Writes { load: computed, ..store("RETURNING *") }).await;
    assert_eq!(held.as_deref(), Some("unsaid"));
    assert!(warnings.contains("the column name of load is computed there"), "{warnings}");
    let tagged = super::tagged(user_writes().load, &["name:{name}"]);
    let (held, warnings) = write(Writes { load: tagged, ..store("RETURNING *") }).await;
    assert_eq!(held.as_deref(), Some("unsaid"));
    assert!(warnings.contains("has tags"), "{warnings}");
}

pub async fn with_terms_what_is_held_is_said_with_the_tags_of_a_load(shop: &impl Shop) {
    let of_row = ["users", "user {id}", "name:{name}", "mail:{email}"];
    let load = super::tagged(user_writes().load, &of_row);
    let loads = source(shop.database(), load.clone());
    let sink = SqlSink::new(shop.database(), Writes { load, ..user_writes() }).unwrap();
    let (sink, terms) = sink.with_terms();
    assert_eq!(sink.prepare().await.unwrap().warnings, []);
    let key = Key::from("user:42");
    let tags = |value: Option<&Value>| {
        let terms = terms.of(&key, value);
        let mut tags: Vec<_> = terms.tags().iter().map(ToString::to_string).collect();
        tags.sort();
        tags
    };
    for name in ["Ada", "Zoë \"Q\" \\ 🦀\n", "12.50", "null"] {
        let Written::Value(value) = sink.write(&key, &user(42, name)).await.unwrap() else {
            panic!("unsaid");
        };
        assert_eq!(super::text(Some(value.clone())), answer(&loads, "user:42").await);
        assert_eq!(tags(Some(&value)), super::tags(&loads, &["user:42"]).await[0], "{name}");
    }
    sink.write(&key, &Write::Delete).await.unwrap();
    assert_eq!(tags(None), super::tags(&loads, &["user:42"]).await[0]);
}

pub async fn a_migration_between_writes_is_noticed(shop: &impl Shop) {
    let sink = users(shop);
    let key = Key::from("user:1");
    sink.write(&key, &user(1, "a")).await.unwrap();
    shop.sql("ALTER TABLE users RENAME TO people; CREATE TABLE users (email text, name text, id bigint PRIMARY KEY)").await;
    let written = sink.write(&key, &user(1, "b")).await.unwrap();
    assert_eq!(held(written).as_deref(), Some(r#"{"id":1,"name":"b","email":null}"#));
    let epoch = sink.own("a").await.unwrap();
    shop.sql("DROP TABLE users; CREATE TABLE users (name text, email text, id bigint PRIMARY KEY)")
        .await;
    let applied = sink.apply(epoch, &[numbered("user:1", user(1, "c"), epoch, 1)]).await.unwrap();
    let [Applied::Now(written)] = &applied[..] else { panic!("{applied:?}") };
    assert_eq!(held(written.clone()).as_deref(), Some(r#"{"id":1,"name":"c","email":null}"#));
    shop.sql("DROP TABLE users").await;
    let error = sink.write(&key, &user(1, "d")).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Transient, ErrorKind::Config));
    // Letters can be written down all the same.
    sink.bury(epoch, &numbered("user:1", user(1, "d"), epoch, 2), "no table").await.unwrap();
}

pub async fn the_tables_are_made_once_and_kept_while_they_are_needed(shop: &impl Shop) {
    let tables = WriteTables::of(shop.database());
    assert!(tables.ddl().matches("CREATE TABLE IF NOT EXISTS").count() == 3);
    let status = tables.status().await.unwrap();
    assert!(status.is_installed() && status.caches.is_empty());
    let (one, other) = tokio::join!(tables.install(), tables.install());
    one.unwrap();
    other.unwrap();
    let users = users(shop);
    let epoch = users.own("a").await.unwrap();
    let error = tables.remove().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("user is written behind by a"), "{error}");
    users.bury(epoch, &numbered("user:1", Write::Delete, epoch, 1), "odd").await.unwrap();
    users.disown(epoch).await.unwrap();
    let status = tables.status().await.unwrap();
    let [cache] = &status.caches[..] else { panic!("{status:?}") };
    assert_eq!((&*cache.cache, &cache.owner, cache.epoch), ("user", &None, epoch));
    assert_eq!((cache.letters, cache.requeued), (1, 0));
    let error = tables.remove().await.unwrap_err();
    assert!(error.to_string().contains("has 1 dead letters"), "{error}");
    shop.sql("DELETE FROM larder_dead_letters").await;
    tables.remove().await.unwrap();
    let status = tables.status().await.unwrap();
    assert_eq!(status.missing, ["larder_applied", "larder_owner", "larder_dead_letters"]);
    tables.remove().await.unwrap();
    // Without them nothing is written behind, and the error says what is missing.
    let error =
        users.apply(epoch, &[numbered("user:1", Write::Delete, epoch, 1)]).await.unwrap_err();
    assert_eq!(error.fault, WriteFault::Transient);
    assert!(error.error.chain().contains("larder_"), "{}", error.error.chain());
    tables.install().await.unwrap();
    users.own("a").await.unwrap();
    tables.remove_by_force().await.unwrap();
    assert!(!tables.status().await.unwrap().is_installed());
}
