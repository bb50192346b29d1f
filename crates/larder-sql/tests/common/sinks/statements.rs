//! Statements: what may stand there, and what is said of what they return.

use larder_core::sink::{Applied, WriteFault};
use larder_core::{ErrorKind, Key, Sink, Value, Write, Written};
use larder_sql::{Rows, SqlSink, Writes};

use super::super::{answer, load, raw, source, tagged, text};
use super::{Shop, fates, held, numbered, user, user_writes, users};

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
    let tagged = tagged(user_writes().load, &["name:{name}"]);
    let (held, warnings) = write(Writes { load: tagged, ..store("RETURNING *") }).await;
    assert_eq!(held.as_deref(), Some("unsaid"));
    assert!(warnings.contains("has tags"), "{warnings}");
}

pub async fn with_terms_what_is_held_is_said_with_the_tags_of_a_load(shop: &impl Shop) {
    let of_row = ["users", "user {id}", "name:{name}", "mail:{email}"];
    let load = tagged(user_writes().load, &of_row);
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
        assert_eq!(text(Some(value.clone())), answer(&loads, "user:42").await);
        assert_eq!(
            tags(Some(&value)),
            crate::common::tags(&loads, &["user:42"]).await[0],
            "{name}"
        );
    }
    sink.write(&key, &Write::Delete).await.unwrap();
    assert_eq!(tags(None), crate::common::tags(&loads, &["user:42"]).await[0]);
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

/// A statement may have a condition of its own, and a value may be of many rows.
pub async fn that_nothing_is_held_is_only_said_where_it_is_certain(shop: &impl Shop) {
    shop.sql("INSERT INTO counters VALUES (1, 5); INSERT INTO counters VALUES (2, 7)").await;
    let one = || raw("counter:{id:int}", "SELECT n FROM counters WHERE id = {id}");
    let key = Key::from("counter:1");
    let enough = "UPDATE counters SET n = n + {delta} WHERE id = {id} AND n + {delta} >= 0";
    let writes = Writes { add: Some(enough.to_owned()), ..Writes::new("stock", one()) };
    let stock = SqlSink::new(shop.database(), writes).unwrap();
    let error = stock.write(&key, &Write::Add(-9)).await.unwrap_err();
    assert_eq!((error.fault, error.error.kind()), (WriteFault::Poison, ErrorKind::Refused));
    assert!(error.error.to_string().contains("its condition"), "{}", error.error);
    let epoch = stock.own("a").await.unwrap();
    let batch = [numbered("counter:1", Write::Add(-9), epoch, 1)];
    assert_eq!(fates(&stock.apply(epoch, &batch).await.unwrap()), ["unsaid"]);
    assert_eq!(shop.sql("SELECT n FROM counters ORDER BY id").await, "5\n7");

    let deletes = |delete: &str, load| {
        let writes = Writes { delete: Some(delete.to_owned()), ..Writes::new("gone", load) };
        SqlSink::new(shop.database(), writes).unwrap()
    };
    let large = deletes("DELETE FROM counters WHERE id >= {id} AND n > 6", one());
    assert_eq!(large.write(&key, &Write::Delete).await.unwrap(), Written::Unsaid);
    assert_eq!(shop.sql("SELECT n FROM counters").await, "5");
    let mut list = load("counter:{id:int}", "SELECT n FROM counters WHERE id = {id}");
    list.rows = Rows::Many;
    let all = deletes("DELETE FROM counters WHERE id = {id}", list.clone());
    assert_eq!(all.write(&key, &Write::Delete).await.unwrap(), Written::Unsaid);
    let loads = source(shop.database(), list);
    assert_eq!(answer(&loads, "counter:1").await.as_deref(), Some("[]"));
    let emptied = deletes("UPDATE counters SET n = 0 WHERE id = {id}", one());
    assert_eq!(emptied.write(&key, &Write::Delete).await.unwrap(), Written::Unsaid);
}
