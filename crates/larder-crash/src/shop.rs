//! What a process of the shop consists of: items that are stored and counters that are added to,
//! both written behind in one journal.

use std::sync::Arc;
use std::time::Duration;

use larder::core::{Journal, Key, KeyTemplate, Value};
use larder::engine::Raw;
use larder::engine::behind::{BehindBounds, Replayed, WriteBehind};
use larder::sql::{Database, Format, Load, Options, Rows, SqlSink, SqlSource, WriteTables, Writes};
use larder::{Cache, Engine, Result};

/// More than any test has waiting.
const MEMORY_BYTES: usize = 8 << 30;

/// A process of the shop.
#[derive(Debug)]
pub struct Shop {
    /// Its engine.
    pub engine: Engine,
    /// What both caches have in common.
    pub behind: WriteBehind,
    /// Bodies by number: `item:7`.
    pub items: Cache<Key, Value>,
    /// Counters: `counter:7`.
    pub counters: Cache<Key, Value>,
    /// The name under which it owns its caches.
    pub owner: String,
    /// What its start found.
    pub replayed: Replayed,
}

fn load(key: &str, sql: &str, format: Format) -> Result<Load> {
    let (key, sql) = (KeyTemplate::parse(key)?, sql.to_owned());
    Ok(Load { key, sql, rows: Rows::One, format, tags: Vec::new() })
}

fn items() -> Result<Writes> {
    let load = load("item:{id:int}", "SELECT id, body FROM items WHERE id = {id}", Format::Json)?;
    let store = "INSERT INTO items (id, body) VALUES ({id}, {body})
        ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body RETURNING *";
    Ok(Writes { store: Some(store.to_owned()), ..Writes::new("item", load) })
}

fn counters() -> Result<Writes> {
    let load = load("counter:{id:int}", "SELECT n FROM counters WHERE id = {id}", Format::Raw)?;
    let add = "INSERT INTO counters (id, n) VALUES ({id}, {delta})
        ON CONFLICT (id) DO UPDATE SET n = counters.n + EXCLUDED.n RETURNING n";
    Ok(Writes { add: Some(add.to_owned()), ..Writes::new("counter", load) })
}

fn number(value: Option<&Value>) -> i64 {
    value.map_or(0, |value| std::str::from_utf8(&value.bytes).unwrap().parse().unwrap())
}

impl Shop {
    /// Opens it, and returns when what the journal held waits again.
    ///
    /// # Errors
    ///
    /// When something of it can't be opened, or is owned by another process.
    pub async fn open(url: &str, journal: Arc<dyn Journal>, bounds: BehindBounds) -> Result<Self> {
        let engine = Engine::on_tokio()?;
        let options = Options { write_timeout: Duration::from_secs(5), ..Options::new("shop") };
        let database = Database::open(url, &options)?;
        WriteTables::of(&database).install().await?;
        let owner = journal.id().to_owned();
        let behind = WriteBehind::with(journal, bounds);
        let cache = |name: &str, writes: Writes| {
            let source = SqlSource::new(&database, writes.load.clone())?;
            Ok::<_, larder::Error>(
                Cache::builder(name)
                    .engine(&engine)
                    .max_staleness(Duration::from_secs(60))
                    // What may wait is said by the bounds alone.
                    .bytes_max(MEMORY_BYTES)
                    .source(source)
                    .sink(SqlSink::new(&database, writes)?)
                    .behind(&behind, Raw)
                    .add_with(|held, difference| {
                        Ok(Value::raw((number(held) + difference).to_string()))
                    }),
            )
        };
        let (items, counters) =
            (cache("item", items()?)?.build()?, cache("counter", counters()?)?.build()?);
        let replayed = behind.start(&engine).await?;
        Ok(Self { engine, behind, items, counters, owner, replayed })
    }

    /// Writes an item.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::put`].
    pub async fn put(&self, id: u64, body: &str) -> Result<()> {
        let value = Value::json(format!(r#"{{"id":{id},"body":"{body}"}}"#));
        self.items.put(&Key::from(&*format!("item:{id}")), value).await.map(drop)
    }

    /// Adds to a counter.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::increment`].
    pub async fn add(&self, id: u64, difference: i64) -> Result<()> {
        self.counters.increment(&Key::from(&*format!("counter:{id}")), difference).await.map(drop)
    }

    /// How many keys wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        [&self.items, &self.counters].map(|cache| cache.behind_stats().unwrap().keys).iter().sum()
    }

    /// How long the oldest write waits.
    #[must_use]
    pub fn oldest(&self) -> Duration {
        let oldest = |cache: &Cache<_, _>| cache.behind_stats().unwrap().oldest;
        oldest(&self.items).max(oldest(&self.counters)).unwrap_or_default()
    }
}
