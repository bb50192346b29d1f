//! Where it is written: a real Postgres and an SQLite file, with everything synced.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use larder_test::Postgres;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Encode, PgPool, SqlSafeStr, SqlitePool, Type};
use tempfile::TempDir;

use super::CONNECTIONS;
use super::workload::{KEYS, Kind, Workload, body};

const TABLES: &str = "
    CREATE TABLE items (id bigint PRIMARY KEY, body text NOT NULL);
    CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL);";

/// What a folder in memory says that it is: `TMPFS_MAGIC` of `statfs(2)`.
const IN_MEMORY: i64 = 0x0102_1994;

/// A database, and the program's own connections to it.
pub(super) struct Database {
    place: Place,
    pool: Pool,
    /// A folder on the disk where it lies.
    folder: TempDir,
}

enum Place {
    Postgres(Box<Postgres>),
    Sqlite,
}

/// The connections of a program that writes by itself.
#[derive(Clone)]
pub(super) enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// What both sides say to it, as larder takes it.
pub(super) struct Statements {
    pub(super) load: &'static str,
    pub(super) write: &'static str,
}

impl Database {
    pub(super) async fn postgres() -> Result<Self, String> {
        let folder = folder()?;
        let postgres = tokio::task::block_in_place(|| Postgres::start_with(&[("fsync", "on")]));
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS);
        let pool = pool.connect(&postgres.url()).await.map_err(|error| error.to_string())?;
        let place = Place::Postgres(Box::new(postgres));
        Self { place, pool: Pool::Postgres(pool), folder }.made().await
    }

    pub(super) async fn sqlite() -> Result<Self, String> {
        let folder = folder()?;
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("shop.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        let pool = pool.map_err(|error| error.to_string())?;
        Self { place: Place::Sqlite, pool: Pool::Sqlite(pool), folder }.made().await
    }

    async fn made(self) -> Result<Self, String> {
        self.pool.run(TABLES).await?;
        Ok(self)
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.place {
            Place::Postgres(_) => "pg",
            Place::Sqlite => "sqlite",
        }
    }

    pub(super) fn url(&self) -> String {
        match &self.place {
            Place::Postgres(postgres) => postgres.url(),
            Place::Sqlite => format!("sqlite:{}", self.folder.path().join("shop.db").display()),
        }
    }

    /// Where it listens, if it does.
    pub(super) fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Postgres(postgres) => Some(postgres.port()),
            Place::Sqlite => None,
        }
    }

    /// How many writes a run is: many enough that larder's side isn't over before it has begun,
    /// and in SQLite, which commits one at a time and takes long for it, fewer.
    pub(super) const fn writes(&self, is_quick: bool) -> usize {
        match (&self.place, is_quick) {
            (Place::Postgres(_), false) => 81_920,
            (Place::Postgres(_), true) => 40_960,
            (Place::Sqlite, false) => 20_480,
            (Place::Sqlite, true) => 10_240,
        }
    }

    pub(super) const fn statements(&self, kind: Kind) -> Statements {
        match kind {
            Kind::Counters => Statements {
                load: "SELECT n FROM counters WHERE id = {id}",
                write: "UPDATE counters SET n = n + {delta} WHERE id = {id} RETURNING n",
            },
            Kind::Rows => Statements {
                load: "SELECT id, body FROM items WHERE id = {id}",
                write: "INSERT INTO items (id, body) VALUES ({id}, {body})
                    ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body RETURNING *",
            },
        }
    }

    pub(super) const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// How many syncs its disk does in a second, one after the other, of bytes that replace others.
    pub(super) fn syncs(&self) -> f64 {
        let file = File::create(self.folder.path().join("synced")).expect("a file can be made");
        let write = |file: &File| {
            file.write_all_at(&[7; 4096], 0).expect("a file can be written");
            file.sync_data().expect("a file can be synced");
        };
        write(&file);
        let (start, mut count) = (Instant::now(), 0.0);
        while start.elapsed() < Duration::from_secs(1) {
            write(&file);
            count += 1.0;
        }
        count / start.elapsed().as_secs_f64()
    }

    /// Takes away what a run left, and leaves nothing of it to be written during the next one.
    pub(super) async fn empty(&self, kind: Kind) -> Result<(), String> {
        let (empty, mark) = match self.place {
            Place::Postgres(_) => ("TRUNCATE", "CHECKPOINT"),
            Place::Sqlite => ("DELETE FROM", "PRAGMA wal_checkpoint(TRUNCATE)"),
        };
        self.pool.run(&format!("{empty} items")).await?;
        self.pool.run(&format!("{empty} counters")).await?;
        // Only larder's side makes it. Its rows are those of keys that are new, too.
        let _ = self.pool.run(&format!("{empty} larder_applied")).await;
        if kind == Kind::Counters {
            let rows: Vec<_> = (0..KEYS).map(|id| format!("({id}, 0)")).collect();
            self.pool.run(&format!("INSERT INTO counters VALUES {}", rows.join(","))).await?;
        }
        self.pool.run(mark).await
    }

    /// Whether it holds exactly what was written.
    pub(super) async fn check(&self, workload: &Workload) -> Result<(), String> {
        let expected = workload.expected();
        let held: BTreeMap<i64, String> = match workload.kind {
            Kind::Counters => self.pool.rows("SELECT id, CAST(n AS text) FROM counters").await?,
            Kind::Rows => self.pool.rows("SELECT id, body FROM items").await?,
        };
        let text = |number: i64| match workload.kind {
            Kind::Counters => number.to_string(),
            Kind::Rows => body(number),
        };
        if held.len() != expected.len() {
            return Err(format!("{} keys are held, of {}", held.len(), expected.len()));
        }
        for (id, number) in expected {
            let (expected, held) = (text(number), held.get(&id));
            if held != Some(&expected) {
                return Err(format!("{id} must be {expected}, and is {held:?}"));
            }
        }
        Ok(())
    }
}

/// A folder where the servers of the test kit have theirs, on a disk.
fn folder() -> Result<TempDir, String> {
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    if is_in_memory(folder.path())? {
        let path = folder.path().display();
        return Err(format!("{path} is in memory, where nothing is synced: set TMPDIR"));
    }
    Ok(folder)
}

fn is_in_memory(folder: &Path) -> Result<bool, String> {
    let said = rustix::fs::statfs(folder).map_err(|error| error.to_string())?;
    Ok(said.f_type as i64 == IN_MEMORY)
}

impl Pool {
    /// Opens all its connections, so that no run waits for that.
    pub(super) async fn open(&self) -> Result<(), String> {
        let Self::Postgres(pool) = self else { return Ok(()) };
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            held.push(pool.acquire().await.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// Writes one row, and returns how many there were.
    pub(super) async fn write<T>(&self, sql: &str, id: i64, value: T) -> Result<usize, String>
    where
        T: Send + 'static,
        T: for<'q> Encode<'q, sqlx::Postgres> + Type<sqlx::Postgres>,
        T: for<'q> Encode<'q, sqlx::Sqlite> + Type<sqlx::Sqlite>,
    {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        let done = match self {
            Self::Postgres(pool) => {
                let write = sqlx::query(sql).bind(id).bind(value);
                write.fetch_all(pool).await.map(|rows| rows.len())
            }
            Self::Sqlite(pool) => {
                let write = sqlx::query(sql).bind(id).bind(value);
                write.fetch_all(pool).await.map(|rows| rows.len())
            }
        };
        done.map_err(|error| error.to_string())
    }

    /// Runs statements that return nothing.
    async fn run(&self, sql: &str) -> Result<(), String> {
        let sql = AssertSqlSafe(sql.to_owned());
        let done = match self {
            Self::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
            Self::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
        };
        done.map_err(|error| error.to_string())
    }

    async fn rows(&self, sql: &'static str) -> Result<BTreeMap<i64, String>, String> {
        let rows: Result<Vec<(i64, String)>, _> = match self {
            Self::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await,
            Self::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await,
        };
        Ok(rows.map_err(|error| error.to_string())?.into_iter().collect())
    }
}
