//! One process: an engine with a clock of its own, its tier and its bus, a cache, and a journal if
//! it writes behind.

use std::sync::Arc;
use std::time::Duration;

use larder::core::sink::{Sink, WriteError};
use larder::core::{Clock, Key, KeyTemplate, Terms, Value, Write};
use larder::engine::behind::{BehindBounds, WriteBehind};
use larder::engine::{Raw, Sharing, SharingBounds, Wrote};
use larder::journal::JournalOptions;
use larder::redis::{RedisOptions, RedisTier};
use larder::sql::{Database, Format, Load, Options, Rows, SqlSink, SqlSource, WriteTables, Writes};
use larder::{Cache, Changes, Engine, ErrorKind, Guard, GuardBounds, Result, Tier};
use larder_test::{ManualClock, PATIENCE};

use crate::mode::{Level, Mode, Way};
use crate::sink::StoppingSink;
use crate::table::Told;
use crate::turning::until;

/// What is promised of every entry.
pub(crate) const WINDOW: Duration = Duration::from_secs(2);
/// How long an entry lives where announcements vouch for it. Redis counts it by its own clock.
pub(crate) const LIFETIME: Duration = Duration::from_secs(6);
/// Longer than any clock here is turned.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// Where a process finds everything.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) mode: Mode,
    /// The name of its cache, which no other experiment has.
    pub(crate) cache: String,
    pub(crate) database: String,
    pub(crate) tier: u16,
    pub(crate) bus: u16,
    /// The folder of its journal, if it writes behind. Who writes has one in every mode.
    pub(crate) journal: Option<String>,
}

pub(crate) struct Process {
    pub(crate) cache: Cache<Key, Value>,
    pub(crate) engine: Engine,
    pub(crate) clock: ManualClock,
    pub(crate) mode: Mode,
    /// With which a program commits by itself.
    sink: Arc<StoppingSink>,
    behind: Option<WriteBehind>,
}

pub(crate) fn key(id: u64) -> Key {
    Key::from(&*format!("item:{id}"))
}

fn value(id: u64, body: &str) -> Value {
    Value::json(format!(r#"{{"id":{id},"body":"{body}"}}"#))
}

fn writes(cache: &str) -> Result<Writes> {
    let load = Load {
        key: KeyTemplate::parse("item:{id:int}")?,
        sql: "SELECT id, body FROM items WHERE id = {id}".to_owned(),
        rows: Rows::One,
        format: Format::Json,
        tags: Vec::new(),
    };
    let store = "INSERT INTO items (id, body) VALUES ({id}, {body})
        ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body RETURNING *";
    Ok(Writes { store: Some(store.to_owned()), ..Writes::new(cache, load) })
}

impl Process {
    /// A process that reads, and writes if it has a journal.
    pub(crate) async fn open(place: &Place, stops: Option<fn()>) -> Result<Self> {
        let clock = ManualClock::new();
        let engine = Engine::with_clock(clock.clone())?;
        let mode = place.mode;
        if mode.level != Level::Alone {
            engine.share(sharing(place)?).await?;
        }
        let options = Options { connect_timeout: PATIENCE, ..Options::new("shop") };
        let database = Database::open(&place.database, &options)?;
        let writes = writes(&place.cache)?;
        let source = SqlSource::new(&database, writes.load.clone())?;
        let sink = Arc::new(StoppingSink { inner: SqlSink::new(&database, writes)?, stops });
        let mut builder = Cache::builder(place.cache.clone())
            .engine(&engine)
            .max_staleness(WINDOW)
            .refresh_at(1.0)
            .xfetch(0.0)
            .jitter(Duration::ZERO)
            .deadline(LONG)
            .load_timeout(LONG)
            .write_timeout(WINDOW)
            .consistency(mode.consistency())
            // Nothing is left alone for a time that a standing clock never ends.
            .guard(Guard::new(GuardBounds { breaker: None, ..GuardBounds::default() })?)
            .source(source);
        builder = match mode.level {
            Level::Alone => builder,
            _ => builder.changes(Changes::Announced).fresh_for(LIFETIME).shared(Raw),
        };
        let mut behind = None;
        if let Some(journal) = &place.journal {
            builder = builder.sink(Arc::clone(&sink));
            if mode.is_behind() {
                WriteTables::of(&database).install().await?;
                let journal = Arc::new(JournalOptions::new(journal).open()?);
                let bounds = BehindBounds { lanes: 1, ..BehindBounds::default() };
                let behind = behind.insert(WriteBehind::with(journal, bounds));
                builder = builder.behind(behind, Raw);
            } else {
                builder = builder.write(mode.write_mode());
                if mode.way == Way::Through {
                    builder = builder.written(|_, _| Terms::default());
                }
            }
        }
        let process = Self { cache: builder.build()?, engine, clock, mode, sink, behind };
        if let Some(behind) = &process.behind {
            process.drive(behind.start(&process.engine)).await?;
        }
        Ok(process)
    }

    /// Writes as its mode does, and says what the caller was told.
    pub(crate) async fn write(&self, id: u64, body: &str) -> Told {
        let told = match self.mode.way {
            Way::Aside => return self.write_aside(id, body).await,
            Way::Around | Way::Through | Way::Behind => self.put(id, body).await,
        };
        match told {
            Ok(wrote) if wrote.announced => Told::Success,
            Ok(_) => Told::Untold,
            Err(error) => {
                let fault = error.downcast_ref::<WriteError>().map(|error| error.fault);
                Told::Failed(error.kind(), fault)
            }
        }
    }

    pub(crate) async fn put(&self, id: u64, body: &str) -> Result<Wrote<Value>> {
        self.drive(self.cache.put(&key(id), value(id, body))).await
    }

    /// What a program does that has its own SQL.
    async fn write_aside(&self, id: u64, body: &str) -> Told {
        let (key, write) = (key(id), Write::Store(value(id, body)));
        // No longer than a write of the library waits.
        let until = self.clock.now() + WINDOW;
        let writing = async {
            tokio::select! {
                written = self.sink.write(&key, &write) => Some(written),
                () = self.clock.sleep_until(until) => None,
            }
        };
        let written = self.drive(writing).await;
        if let Some(Err(error)) = written {
            return Told::Failed(error.error.kind(), Some(error.fault));
        }
        match self.drive(self.cache.invalidate(&key)).await {
            Ok(_) if written.is_none() => Told::GaveUp,
            Ok(_) => Told::Success,
            Err(error) => Told::Uninvalidated(error.kind()),
        }
    }

    /// What a read gives: the body.
    pub(crate) async fn read(&self, id: u64) -> Result<String, ErrorKind> {
        let value = self.drive(self.cache.get(&key(id))).await.map_err(|error| error.kind())?;
        let value = value.expect("every row of an experiment is there");
        let text = std::str::from_utf8(&value.bytes).unwrap();
        let (_, rest) = text.split_once(r#""body":""#).unwrap();
        Ok(rest.trim_end_matches("\"}").to_owned())
    }

    /// Reads what is then held, here and in the tier.
    pub(crate) async fn hold(&self, id: u64) {
        assert_eq!(self.read(id).await.unwrap(), "old");
        until("it is held", || self.cache.peek(&key(id)).is_some()).await;
        // Whoever loaded it has put it into the tier, or is about to.
        if self.mode.level != Level::Alone && self.cache.stats().loads.count() > 0 {
            until("it is in the tier", || self.cache.stats().shared_fills > 0).await;
        }
    }

    /// Reads it, so that it is held, whatever it is.
    pub(crate) async fn held(&self, id: u64) {
        self.read(id).await.unwrap();
        let is_held = || self.waiting() > 0 || self.cache.peek(&key(id)).is_some();
        until("it is held", is_held).await;
    }

    /// From where a read comes.
    pub(crate) async fn tier_of(&self, id: u64) -> Tier {
        self.drive(self.cache.ask(&key(id))).await.unwrap().tier
    }

    /// Applies what waits in its journal.
    pub(crate) async fn apply(&self) {
        self.turn_until("all is applied", || self.waiting() == 0).await;
    }

    /// How many keys wait to be applied.
    pub(crate) fn waiting(&self) -> usize {
        self.cache.behind_stats().map_or(0, |stats| stats.keys)
    }

    /// Invalidations that the others haven't been told.
    pub(crate) fn untold(&self) -> usize {
        self.engine.shared_stats().unwrap().pending
    }
}

/// Its tier and its bus.
fn sharing(place: &Place) -> Result<Sharing> {
    let open = |port: u16| {
        let mut options = RedisOptions::new(format!("redis://127.0.0.1:{port}"));
        // Each experiment has a tier and a stream of its own.
        options.namespace = format!("{}-{}", place.cache, place.mode.number());
        RedisTier::connect(options)
    };
    let tier = open(place.tier)?;
    let bus = if place.tier == place.bus { tier.bus() } else { open(place.bus)?.bus() };
    let bounds = SharingBounds { read_within: LONG, fill_wait: LONG, ..SharingBounds::default() };
    Ok(Sharing::over(Arc::new(tier)).own_bus(Arc::new(bus)).bounds(bounds))
}
