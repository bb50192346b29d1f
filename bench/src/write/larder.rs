//! larder's side: a cache that is written behind, over a journal of its own.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Key, KeyTemplate, Value};
use larder_engine::behind::WriteBehind;
use larder_engine::{Cache, Engine, Raw};
use larder_journal::JournalOptions;
use larder_sql::{Format, Load, Options, Rows, SqlSink, SqlSource, WriteTables, Writes};
use tempfile::TempDir;

use super::CONNECTIONS;
use super::database::Database;
use super::run::Writer;
use super::workload::{Kind, One, Workload, body};

/// What waits at the end is applied within this.
const APPLIED_WITHIN: Duration = Duration::from_secs(300);

pub(super) struct Larder {
    engine: Engine,
    behind: WriteBehind,
    cache: Cache<Key, Value>,
    kind: Kind,
    _folder: TempDir,
}

impl Larder {
    pub(super) async fn new(database: &Database, workload: &Workload) -> Result<Self, String> {
        let opened = Self::open(database, workload.kind).await;
        opened.map_err(|error| error.chain().to_string())
    }

    async fn open(database: &Database, kind: Kind) -> larder_core::Result<Self> {
        let engine = Engine::on_tokio()?;
        let shop = shop(database.name(), &database.url()).await?;
        let folder = TempDir::new().expect("a folder for the journal can be made");
        let journal = JournalOptions::new(folder.path().join("journal")).open()?;
        let behind = WriteBehind::over(Arc::new(journal));
        let writes = writes(database, kind)?;
        let cache = Cache::builder(name(kind))
            .engine(&engine)
            .max_staleness(Duration::from_secs(60))
            .source(SqlSource::new(&shop, writes.load.clone())?)
            .sink(SqlSink::new(&shop, writes)?)
            .behind(&behind, Raw)
            .add_with(|held, more| Ok(Value::raw((number(held) + more).to_string())))
            .build()?;
        behind.start(&engine).await?;
        Ok(Self { engine, behind, cache, kind, _folder: folder })
    }
}

/// A database with larder's own tables.
pub(super) async fn shop(name: &str, url: &str) -> larder_core::Result<larder_sql::Database> {
    let options = Options { write_connections: CONNECTIONS as usize, ..Options::new(name) };
    let shop = larder_sql::Database::open(url, &options)?;
    WriteTables::of(&shop).install().await?;
    Ok(shop)
}

/// What a cache writes.
pub(super) fn writes(database: &Database, kind: Kind) -> larder_core::Result<Writes> {
    let statements = database.statements(kind);
    let load = Load {
        key: KeyTemplate::parse(&format!("{}:{{id:int}}", name(kind)))?,
        sql: statements.load.to_owned(),
        rows: Rows::One,
        format: match kind {
            Kind::Counters => Format::Raw,
            Kind::Rows => Format::Json,
        },
        tags: Vec::new(),
    };
    let sql = Some(statements.write.to_owned());
    let writes = Writes::new(name(kind), load);
    Ok(match kind {
        Kind::Counters => Writes { add: sql, ..writes },
        Kind::Rows => Writes { store: sql, ..writes },
    })
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counters => "counter",
        Kind::Rows => "item",
    }
}

fn number(value: Option<&Value>) -> i64 {
    let text = value.and_then(|value| std::str::from_utf8(&value.bytes).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

impl Writer for Larder {
    async fn write(&self, One { id, number }: One) -> Result<(), String> {
        let written = match self.kind {
            Kind::Counters => {
                let key = Key::from(format!("counter:{id}").as_str());
                self.cache.increment(&key, number).await.map(drop)
            }
            Kind::Rows => {
                let key = Key::from(format!("item:{id}").as_str());
                let value = format!(r#"{{"id":{id},"body":"{}"}}"#, body(number));
                self.cache.put(&key, Value::json(value)).await.map(drop)
            }
        };
        written.map_err(|error| error.chain().to_string())
    }

    async fn applied(&self) -> Result<(), String> {
        let stopped = self.behind.stop(&self.engine, APPLIED_WITHIN).await;
        match stopped.map_err(|error| error.chain().to_string())?.left {
            0 => Ok(()),
            left => Err(format!("{left} keys were not applied")),
        }
    }
}
