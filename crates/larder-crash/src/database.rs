//! A database with the tables of the shop, and what is asked of it beside larder.

use larder_test::Postgres;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tempfile::TempDir;

/// `items` takes every body but a bad one.
const TABLES: &str = "
    CREATE TABLE items (id bigint PRIMARY KEY, body text NOT NULL CHECK (body NOT LIKE 'bad%'));
    CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL);";

/// A database of the shop.
#[derive(Debug)]
pub enum TestDatabase {
    /// A file in a folder of its own.
    Sqlite(TempDir),
    /// A server of its own.
    Postgres(Box<Postgres>),
}

impl TestDatabase {
    /// An SQLite file with a write-ahead log.
    pub async fn sqlite() -> Self {
        let database = Self::Sqlite(TempDir::new().unwrap());
        database.sql(&format!("PRAGMA journal_mode = WAL; {TABLES}")).await;
        database
    }

    /// A real Postgres.
    #[must_use]
    pub fn postgres() -> Self {
        let postgres = Postgres::start();
        postgres.psql(TABLES);
        Self::Postgres(Box::new(postgres))
    }

    /// What it is called in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "pg",
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("shop.db").display()),
            Self::Postgres(postgres) => postgres.url(),
        }
    }

    /// Runs SQL on a connection of its own, and returns the rows as texts.
    pub async fn sql(&self, sql: &str) -> Vec<Vec<String>> {
        let folder = match self {
            Self::Sqlite(folder) => folder,
            Self::Postgres(postgres) => {
                let lines = tokio::task::block_in_place(|| postgres.psql(sql));
                let columns = |line: &str| line.split('|').map(str::to_owned).collect();
                return lines.lines().map(columns).collect();
            }
        };
        let file = folder.path().join("shop.db");
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let rows = connection.fetch_all(AssertSqlSafe(sql.to_owned())).await.unwrap();
        let columns = |row: &SqliteRow| (0..row.len()).map(|at| row.get_unchecked(at)).collect();
        rows.iter().map(columns).collect()
    }

    /// The one number that is asked for.
    pub async fn number(&self, sql: &str) -> u64 {
        self.sql(sql).await[0][0].parse().unwrap()
    }
}
