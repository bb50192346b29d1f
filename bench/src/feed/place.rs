//! Where it is measured: a Postgres, and a cache in this process that its log covers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::change::{Field, Row};
use larder_core::feed::Notice;
use larder_core::{LoadContext, LoadError, Source};
use larder_engine::feeding::{FeedStanding, Feeding, Touched};
use larder_engine::{Cache, Engine, Lookup, MessagePack, Sharing};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_redis::{RedisOptions, RedisTier};
use larder_test::{Postgres, Redis};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;

use super::writing::{Load, ROWS};

/// The row that is changed last.
const LAST: u64 = 0;
/// How many rows the reader reads in a millisecond.
const READ_AT_ONCE: u64 = 20;
/// How often a round that was disturbed is tried again.
const ATTEMPTS: usize = 5;
/// The slot of whoever receives the log once more.
const AGAIN: &str = "again";
/// How often is looked whether a row is held.
const LOOK_EVERY: Duration = Duration::from_micros(100);
/// So long something may take to become known.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than anything here takes: only a change takes an entry away.
const HOUR: Duration = Duration::from_secs(3600);

/// What lies behind memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    Memory,
    /// Redis, which is told of each change, too.
    Redis,
}

impl Tier {
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Redis];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }

    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Memory => "",
            Self::Redis => "_shared",
        }
    }
}

pub(super) struct Place {
    // Dropped in this order: who asks goes before who answers.
    reader: JoinHandle<()>,
    cache: Cache<u64, u64>,
    feeding: Feeding,
    engine: Engine,
    _redis: Option<Redis>,
    pub(super) postgres: Postgres,
}

/// A source that answers at once: it is the feed that is measured.
struct Zeros;

impl Source<u64, u64> for Zeros {
    async fn load(&self, _: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        Ok(Some(0))
    }
}

impl Place {
    pub(super) async fn new(tier: Tier) -> Result<Self, String> {
        let postgres = Postgres::start_with(&[("wal_level", "logical")]);
        // Half of each page is left free, so that no update has to touch the index.
        postgres.psql(&format!(
            "CREATE TABLE numbers (id bigint PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 50);
             INSERT INTO numbers SELECT id, 0 FROM generate_series(0, {ROWS}) id;
             VACUUM ANALYZE numbers;"
        ));
        let redis = (tier == Tier::Redis).then(Redis::start);
        let opened = open(&postgres, redis.as_ref()).await;
        let (engine, feeding, cache) = opened.map_err(|error| error.chain().to_string())?;
        let reader = tokio::spawn(read(cache.clone()));
        let place = Self { reader, cache, feeding, engine, _redis: redis, postgres };
        place.settled().await?;
        Ok(place)
    }

    /// Writes, and then waits until everything that was written isn't held any more. Returns how
    /// long that took from the moment on that `write` names.
    pub(super) async fn follow(
        &self,
        write: impl Fn() -> Result<(Load, Instant), String>,
    ) -> Result<(Load, Duration), String> {
        let mut connection = self.connect().await?;
        for _ in 0..ATTEMPTS {
            self.settled().await?;
            self.hold(LAST).await?;
            let before = self.standing();
            let (load, from) = tokio::task::block_in_place(&write)?;
            change(&mut connection, LAST).await?;
            let known = self.gone(LAST)?;
            let standing = self.standing();
            // A gap, of the feed or of the bus, drops everything at once. That is no figure.
            let told = (standing.notices - before.notices) as f64;
            if standing.gaps == before.gaps && told >= load.changes {
                return Ok((load, known - from));
            }
        }
        Err(format!("something was missed in each of {ATTEMPTS} attempts: {:?}", self.standing()))
    }

    /// Waits until everything is known that was committed before.
    async fn settled(&self) -> Result<(), String> {
        let began = Instant::now();
        while self.standing().horizon_age.is_none_or(|age| age >= began.elapsed()) {
            if began.elapsed() > PATIENCE {
                return Err(format!("the feed doesn't get on: {:?}", self.standing()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Keeps the log from here on, so that it can be received once more.
    pub(super) fn record(&self) -> Again<'_> {
        let make = format!("SELECT pg_create_logical_replication_slot('{AGAIN}', 'pgoutput')");
        self.postgres.psql(&make);
        Again(&self.postgres)
    }

    fn standing(&self) -> FeedStanding {
        self.feeding.standing(&self.engine)
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, String> {
        PgConnection::connect(&self.postgres.url()).await.map_err(|error| error.to_string())
    }

    /// Changes a row, and returns how long it was held from before its COMMIT was sent on.
    pub(super) async fn probe(
        &self,
        connection: &mut PgConnection,
        row: u64,
    ) -> Result<Duration, String> {
        self.hold(row).await?;
        let began = change(connection, row).await?;
        Ok(self.gone(row)? - began)
    }

    async fn hold(&self, row: u64) -> Result<(), String> {
        self.cache.get(&row).await.map(drop).map_err(|error| error.chain().to_string())
    }

    /// When this isn't held any more.
    fn gone(&self, row: u64) -> Result<Instant, String> {
        let began = Instant::now();
        tokio::task::block_in_place(|| {
            while let Lookup::Hit(_) = self.cache.lookup_here(&row) {
                if began.elapsed() > PATIENCE {
                    return Err(format!("a change isn't known after {PATIENCE:?}"));
                }
                std::thread::sleep(LOOK_EVERY);
            }
            Ok(Instant::now())
        })
    }
}

/// The log, kept for somebody who receives it once more.
pub(super) struct Again<'a>(&'a Postgres);

impl Again<'_> {
    /// Receives it with Postgres's own program, which throws it away. Returns how long that took.
    pub(super) fn receive(&self) -> Result<Duration, String> {
        let end = self.0.psql("SELECT pg_current_wal_lsn()");
        let began = Instant::now();
        tokio::task::block_in_place(|| self.0.try_recvlogical(AGAIN, "larder", &end))?;
        Ok(began.elapsed())
    }
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        // Who has received it has just ended, and the server may not know it yet.
        let drop = format!(
            "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots
              WHERE slot_name = '{AGAIN}' AND active;
             SELECT pg_drop_replication_slot('{AGAIN}')"
        );
        self.0.psql(&drop);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What a program does at its start.
async fn open(
    postgres: &Postgres,
    redis: Option<&Redis>,
) -> larder_core::Result<(Engine, Feeding, Cache<u64, u64>)> {
    let engine = Engine::on_tokio()?;
    if let Some(redis) = redis {
        let tier = RedisTier::connect(RedisOptions::new(redis.url()))?;
        let bus = Arc::new(tier.bus());
        engine.share(Sharing::over(Arc::new(tier)).own_bus(bus)).await?;
    }
    let feed = PostgresFeed::new(&postgres.url(), PostgresFeedOptions::new(["numbers"]))?;
    feed.install().await?;
    let feeding = Feeding::over("numbers", feed);
    let builder = Cache::builder("numbers")
        .engine(&engine)
        .max_staleness(HOUR)
        .fresh_for(HOUR)
        // So is space: all rows have room.
        .entries_max(2 * ROWS as usize)
        .source(Zeros)
        .feed(&feeding, touched);
    let cache = match redis {
        Some(_) => builder.shared(MessagePack).build()?,
        None => builder.build()?,
    };
    feeding.start(&engine)?;
    Ok((engine, feeding, cache))
}

fn touched(notice: &Notice) -> Touched<u64> {
    let Notice::Changed(change) = notice else { return Touched::Nothing };
    let id = |row: &Row| match row.get("id") {
        Field::Text(id) => str::from_utf8(id).ok()?.parse().ok(),
        Field::Null | Field::Unknown => None,
    };
    match change.rows().filter_map(id).collect::<Vec<_>>() {
        none if none.is_empty() => Touched::Everything,
        ids => Touched::Keys(ids),
    }
}

/// Reads row after row, so that there is something to invalidate; not those that are probed.
async fn read(cache: Cache<u64, u64>) {
    let rows = (super::lag::PROBED + 1..=ROWS).cycle();
    for (row, count) in rows.zip(1_u64..) {
        // It can't fail, and what it costs is the same if it does.
        let _ = cache.get(&row).await;
        if count.is_multiple_of(READ_AT_ONCE) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Changes a row, and returns when its COMMIT was sent.
async fn change(connection: &mut PgConnection, row: u64) -> Result<Instant, String> {
    let failed = |error: sqlx::Error| error.to_string();
    let mut transaction = connection.begin().await.map_err(failed)?;
    let update = sqlx::query("UPDATE numbers SET n = n + 1 WHERE id = $1");
    update.bind(row.cast_signed()).execute(&mut *transaction).await.map_err(failed)?;
    let began = Instant::now();
    transaction.commit().await.map_err(failed)?;
    Ok(began)
}
