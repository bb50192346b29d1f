//! Connections to the file, and what their errors mean.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Sqlite};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::file::File;
use super::{BITS, config};

/// So long who writes is waited for.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// So long anything may take.
const WITHIN: Duration = Duration::from_secs(30);

/// A statement that is to be given its parameters.
pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// What a place says.
pub(super) fn parse(place: &str) -> Result<(SqliteConnectOptions, PathBuf)> {
    let parsed = if place.starts_with("sqlite:") {
        SqliteConnectOptions::from_str(place).map_err(|error| {
            config(format!("a feed of SQLite can't understand its URL: {error}"))
        })?
    } else {
        SqliteConnectOptions::new().filename(place)
    };
    let path = parsed.get_filename().to_owned();
    let in_memory = place.contains(":memory:") || place.contains("mode=memory");
    if path.as_os_str().is_empty() || in_memory {
        return Err(config(
            "a database in memory is another one in each connection: name a file, like \
             sqlite:shop.db",
        ));
    }
    let options = parsed
        .read_only(false)
        .create_if_missing(false)
        .busy_timeout(BUSY_MAX)
        .thread_name(|at| format!("larder-feed-{at}"))
        .disable_statement_logging();
    Ok((options, path))
}

/// An open database.
pub(super) struct Asked {
    inner: SqliteConnection,
    /// Which file it is.
    pub(super) identity: u64,
}

impl Asked {
    pub(super) async fn open(options: &SqliteConnectOptions, file: &File) -> Result<Self> {
        let identity = file.identity()?;
        let opened = timeout(WITHIN, options.connect()).await.map_err(|_| late())?;
        let inner = opened.map_err(|error| refused(&error))?;
        if file.identity()? != identity {
            let message = "the database was replaced while it was opened";
            return Err(Error::new(ErrorKind::SourceDown, message));
        }
        Ok(Self { inner, identity })
    }

    /// The rows of one statement.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        bind: impl FnOnce(Statement) -> Statement,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        // The SQL is larder's own, and what was quoted into it was quoted here.
        let query = bind(sqlx::query(AssertSqlSafe(sql.to_owned())));
        query.fetch_all(&mut self.inner).await
    }

    /// Executes several statements. A transaction among them that fails is rolled back.
    pub(super) async fn execute(&mut self, script: &str) -> Result<(), sqlx::Error> {
        let done = self.inner.execute(sqlx::raw_sql(AssertSqlSafe(script.to_owned()))).await;
        if done.is_err() {
            // It fails where none is open.
            let _ = self.inner.execute(sqlx::raw_sql(AssertSqlSafe("ROLLBACK".to_owned()))).await;
        }
        done.map(drop)
    }

    /// Which log it is that has this number.
    pub(super) fn log(&self, installed: i64) -> u64 {
        let mixed = installed.cast_unsigned() ^ self.identity.rotate_left(32);
        ((mixed ^ mixed >> 48) & BITS).max(1)
    }
}

/// The connection for everything but following. It is opened when it is needed, and again after
/// any error, and when the file is another one.
pub(super) struct Control {
    options: SqliteConnectOptions,
    file: File,
    place: Mutex<Option<Asked>>,
}

impl Control {
    pub(super) fn new(options: SqliteConnectOptions, file: File) -> Self {
        Self { options, file, place: Mutex::new(None) }
    }

    pub(super) fn options(&self) -> &SqliteConnectOptions {
        &self.options
    }

    /// Asks over it.
    pub(super) async fn with<T>(
        &self,
        ask: impl AsyncFnOnce(&mut Asked) -> Result<T, sqlx::Error>,
    ) -> Result<T> {
        let asking = async {
            let mut place = self.place.lock().await;
            let mut asked = match place.take() {
                Some(asked) if self.file.identity()? == asked.identity => asked,
                _ => Asked::open(&self.options, &self.file).await?,
            };
            let answer = ask(&mut asked).await.map_err(|error| refused(&error))?;
            // Not after an error: it may be the connection's.
            *place = Some(asked);
            Ok(answer)
        };
        timeout(WITHIN, asking).await.map_err(|_| late())?
    }
}

/// What a failed statement means to a caller.
pub(super) fn refused(error: &sqlx::Error) -> Error {
    if is_busy(error) {
        let message = format!("somebody else has been writing to the database: {error}");
        return Error::new(ErrorKind::Refused, message);
    }
    match error {
        sqlx::Error::RowNotFound => config("the feed isn't installed: install it first"),
        sqlx::Error::Database(says) if says.message().starts_with("no such table") => {
            config(format!("the feed isn't installed: {error}: install it first"))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            let message = format!("the table of changes says what nobody expects: {error}");
            Error::new(ErrorKind::Internal, message)
        }
        _ => {
            let message = format!("the table of changes can't be read: {error}");
            Error::new(ErrorKind::SourceDown, message)
        }
    }
}

/// Whether somebody else writes, or keeps us from writing (SQLITE_BUSY, in all its kinds).
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

fn late() -> Error {
    let message = format!("the table of changes can't be read: no answer in {WITHIN:?}");
    Error::new(ErrorKind::Timeout, message)
}
