//! A database and a Redis, and the processes of each experiment over them.

use std::sync::Arc;

use larder_test::Redis;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, query, query_scalar};
use tempfile::TempDir;

use crate::mode::Mode;
use crate::process::{LIFETIME, Place, Process, WINDOW};
use crate::table::{Observed, Seen, Told};
use crate::turning::until;
use larder_crash::TestDatabase;

pub(crate) struct Scene {
    pub(crate) database: Arc<TestDatabase>,
    pub(crate) redis: Redis,
    /// Quicker than a program for each question. Of a Postgres.
    pool: Option<PgPool>,
    folder: TempDir,
}

/// A process that writes and one that reads. Both hold the value `old` of one row.
pub(crate) struct Pair {
    pub(crate) writer: Process,
    pub(crate) reader: Process,
    /// Where the writer is.
    pub(crate) place: Place,
    pub(crate) id: u64,
}

impl Scene {
    pub(crate) fn over(database: TestDatabase) -> Self {
        Self::with(&Arc::new(database), Redis::start())
    }

    pub(crate) fn with(database: &Arc<TestDatabase>, redis: Redis) -> Self {
        let pool = match &**database {
            TestDatabase::Postgres(postgres) => {
                Some(PgPoolOptions::new().max_connections(4).connect_lazy(&postgres.url()).unwrap())
            }
            TestDatabase::Sqlite(_) => None,
        };
        let folder = TempDir::new().unwrap();
        Self { database: Arc::clone(database), redis, pool, folder }
    }

    /// The place of a writer, whose cache and journal nobody else has.
    pub(crate) fn place(&self, mode: Mode, base: u64) -> Place {
        let cache = format!("item{}", base + mode.number());
        let journal = self.folder.path().join(&cache).display().to_string();
        let port = self.redis.port();
        let (database, journal) = (self.database.url(), Some(journal));
        Place { mode, cache, database, tier: port, bus: port, journal }
    }

    /// A row that holds `old`.
    pub(crate) async fn insert(&self, id: u64) {
        let sql = format!("INSERT INTO items VALUES ({id}, 'old')");
        match &self.pool {
            Some(pool) => drop(query(AssertSqlSafe(sql)).execute(pool).await.unwrap()),
            None => drop(self.database.sql(&sql).await),
        }
    }

    /// What the database has.
    pub(crate) async fn body(&self, id: u64) -> String {
        let sql = format!("SELECT body FROM items WHERE id = {id}");
        match &self.pool {
            Some(pool) => query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap(),
            None => self.database.sql(&sql).await.remove(0).remove(0),
        }
    }

    /// A reader that may have its bus elsewhere.
    pub(crate) async fn reader(&self, place: &Place, bus: Option<u16>) -> Process {
        let bus = bus.unwrap_or(place.bus);
        let database = self.database.url();
        let place = Place { journal: None, bus, database, ..place.clone() };
        let reader = Process::open(&place, None).await.unwrap();
        reader.joined().await;
        reader
    }

    pub(crate) async fn pair(&self, mode: Mode, base: u64, bus: Option<u16>) -> Pair {
        self.pair_at(self.place(mode, base), base, bus).await
    }

    /// The same with a writer at this place.
    pub(crate) async fn pair_at(&self, place: Place, base: u64, bus: Option<u16>) -> Pair {
        let id = base + place.mode.number();
        self.insert(id).await;
        let reader = self.reader(&place, bus).await;
        reader.hold(id).await;
        let writer = Process::open(&place, None).await.unwrap();
        writer.joined().await;
        writer.hold(id).await;
        Pair { writer, reader, place, id }
    }

    /// For how long a reader has the old value, if that has an end by itself. Nothing remains of it
    /// in Redis when an entry's life is over by the reader's clock.
    pub(crate) async fn seen_late(&self, reader: &Process, id: u64) -> Seen {
        reader.turn(LIFETIME, true).await;
        let pattern = format!("*{}*item:{id}*", reader.cache.name());
        let is_gone =
            || tokio::task::block_in_place(|| self.redis.cli(&["KEYS", &pattern])).is_empty();
        until("Redis has forgotten it", is_gone).await;
        match reader.read(id).await.as_deref() {
            Ok("new") => Seen::Lifetime,
            other => panic!("{:?}: {other:?} after its lifetime", reader.cache.name()),
        }
    }
}

/// What a reader has when it has heard what it can, and when its clock was turned by the window.
pub(crate) async fn seen_early(reader: &Process, id: u64, hears: bool) -> Option<Seen> {
    if hears {
        reader.catch_up().await;
    }
    match reader.read(id).await {
        Ok(body) if body == "new" => return Some(if hears { Seen::Heard } else { Seen::AtOnce }),
        Ok(_) => {}
        Err(kind) => return Some(Seen::Fails(kind)),
    }
    reader.turn(WINDOW + WINDOW / 10, hears).await;
    match reader.read(id).await {
        Ok(body) if body == "new" => Some(Seen::Window),
        Ok(_) => None,
        Err(kind) => Some(Seen::Fails(kind)),
    }
}

/// What the process that wrote reads then.
pub(crate) async fn here(writer: &Process, id: u64, told: Told) -> Seen {
    match writer.read(id).await {
        Ok(body) if body == "new" => Seen::AtOnce,
        Ok(body) if told.is_refused() && body == "old" => Seen::Unchanged,
        Ok(body) => panic!("it wrote, was told {told:?}, and reads {body}"),
        Err(kind) => Seen::Fails(kind),
    }
}

impl Pair {
    /// What was observed of it.
    pub(crate) fn observed(&self, told: Told, lost: bool, here: Seen, elsewhere: Seen) -> Observed {
        Observed { mode: self.place.mode, told, lost, here, elsewhere }
    }
}
