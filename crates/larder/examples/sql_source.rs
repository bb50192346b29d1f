//! A source without code: a query and a key template, for SQLite and Postgres. Values are JSON.

use std::time::Duration;

use larder::core::{Key, KeyTemplate, Value};
use larder::sql::{Database, Format, Load, Options, Rows, SqlSource};
use larder::{Cache, ErrorKind, LoadError};
use sqlx::SqlitePool;

async fn users(url: &str) -> larder::Result<Cache<Key, Value>> {
    let shop = Database::open(url, &Options::new("shop"))?;
    let source = SqlSource::new(
        &shop,
        Load {
            key: KeyTemplate::parse("user:{id:int}")?,
            sql: "SELECT id, name FROM users WHERE id = {id}".to_owned(), // bound, never pasted
            rows: Rows::One,
            format: Format::Json,
            tags: Vec::new(),
        },
    )?;
    for warning in source.prepare().await?.warnings {
        eprintln!("{warning}");
    }
    Cache::builder("user")
        .max_staleness(Duration::from_secs(2))
        .weigher(|key: &Key, value: Option<&Value>| {
            key.heap_bytes() + value.map_or(0, |value| value.bytes.len())
        })
        .source(source)
        .build()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), LoadError> {
    run().await
}

pub(crate) async fn run() -> Result<(), LoadError> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    let database = SqlitePool::connect(&format!("{url}?mode=rwc")).await?;
    for statement in [
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace')",
    ] {
        sqlx::query(statement).execute(&database).await?;
    }

    let users = users(&url).await?;
    let ada = users.get(&Key::from("user:1")).await?.expect("it was inserted");
    assert_eq!(&ada.bytes[..], br#"{"id":1,"name":"Ada"}"#);

    // One query for those that aren't held.
    let keys = ["user:1", "user:2", "user:3"].map(Key::from);
    let found = users.get_many(&keys).await?;
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(users.stats().loads.count(), 2);

    // No query for what can't be a user.
    for key in ["user:abc", "user:042"] {
        let error = users.get(&Key::from(key)).await.expect_err("it is no user");
        assert_eq!((error.kind(), error.key()), (ErrorKind::BadKey, Some(key)));
    }
    println!("{} queries", users.stats().loads.count());
    Ok(())
}
