//! Counters that are written behind: each visit is durable when it was counted, and SQLite gets one
//! row for many of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder::core::{Key, KeyTemplate, Value};
use larder::engine::Raw;
use larder::engine::behind::WriteBehind;
use larder::journal::JournalOptions;
use larder::sql::{Database, Format, Load, Options, Rows, SqlSink, SqlSource, WriteTables, Writes};
use larder::{Cache, Engine, Error, ErrorKind, LoadError};
use sqlx::SqlitePool;

/// How visits are read and added to.
fn statements() -> larder::Result<Writes> {
    let load = Load {
        key: KeyTemplate::parse("visits:{page:int}")?,
        sql: "SELECT n FROM visits WHERE page = {page}".to_owned(),
        rows: Rows::One,
        format: Format::Raw,
        tags: Vec::new(),
    };
    let add = "INSERT INTO visits VALUES ({page}, {delta})
        ON CONFLICT (page) DO UPDATE SET n = n + excluded.n RETURNING n";
    Ok(Writes { add: Some(add.to_owned()), ..Writes::new("visits", load) })
}

/// What a difference makes of a value, so that it is read before SQLite has it.
fn sum(held: Option<&Value>, difference: i64) -> larder::Result<Value> {
    let held = held.map_or(Some(0), |held| std::str::from_utf8(&held.bytes).ok()?.parse().ok());
    let sum = held.and_then(|held: i64| held.checked_add(difference));
    let sum = sum.ok_or_else(|| Error::new(ErrorKind::Refused, "it is no number, or too large"))?;
    Ok(Value::raw(sum.to_string()))
}

async fn open(
    engine: &Engine,
    shop: &Database,
    folder: &Path,
) -> larder::Result<(Cache<Key, Value>, WriteBehind)> {
    WriteTables::of(shop).install().await?; // what was applied is kept beside the data
    let journal = JournalOptions::new(folder).open()?;
    let behind = WriteBehind::over(Arc::new(journal));
    let visits = Cache::builder("visits")
        .engine(engine)
        .max_staleness(Duration::from_secs(60))
        .source(SqlSource::new(shop, statements()?.load)?)
        .sink(SqlSink::new(shop, statements()?)?)
        .behind(&behind, Raw) // MessagePack for types with serde
        .add_with(sum)
        .build()?;
    behind.start(engine).await?; // takes the cache over, and replays what an end left
    Ok((visits, behind))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), LoadError> {
    run().await
}

pub(crate) async fn run() -> Result<(), LoadError> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    let database = SqlitePool::connect(&format!("{url}?mode=rwc")).await?;
    let table = "CREATE TABLE visits (page INTEGER PRIMARY KEY, n INTEGER NOT NULL)";
    sqlx::query(table).execute(&database).await?;
    let stored = "SELECT coalesce(sum(n), 0) FROM visits";

    let engine = Engine::on_tokio()?;
    let shop = Database::open(&url, &Options::new("shop"))?;
    let (visits, behind) = open(&engine, &shop, &folder.path().join("journal")).await?;
    let page = Key::from("visits:7");
    for _ in 0..20 {
        visits.increment(&page, 1).await?; // durable when it returns
    }
    let seen = visits.get(&page).await?.expect("it was visited");
    assert_eq!(&seen.bytes[..], b"20"); // at once, wherever it is

    let stopped = behind.stop(&engine, Duration::from_secs(30)).await?;
    assert_eq!(stopped.left, 0);
    assert_eq!(sqlx::query_scalar::<_, i64>(stored).fetch_one(&database).await?, 20);
    let stats = visits.behind_stats().expect("it is written behind");
    assert_eq!(stats.acknowledged, 20);
    println!("{} visits in {} writes", stats.acknowledged, stats.applied);
    Ok(())
}
