//! Single writes: what is stored is what a load gives, or it is said why not.

use larder_core::sink::WriteFault;
use larder_core::{ErrorKind, Key, Sink, Value, Write, Written};
use larder_sql::{SqlSink, Writes};

use super::super::{answer, raw, source};
use super::{Shop, counters, held, mail, user, user_writes, users};

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
