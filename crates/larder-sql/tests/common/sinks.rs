//! What sinks do alike, whichever the database.

pub mod batches;
pub mod statements;
pub mod writes;

use std::future::Future;

use larder_core::sink::{Applied, Numbered, Sequence};
use larder_core::{Key, Value, Write, Written};
use larder_sql::{Database, SqlSink, Writes};

use super::{load, raw};

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

pub fn mail(id: i64, mail: &str) -> Write<Value> {
    Write::Store(Value::json(format!(r#"{{"id":{id},"name":"n","email":"{mail}"}}"#)))
}
