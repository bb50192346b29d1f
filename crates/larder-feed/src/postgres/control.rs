//! The connection for statements: what the log's end is, what a snapshot sees, how slots stand.
//!
//! It is one connection, opened when it is needed and again after any error. A statement whose
//! answer isn't waited for takes the connection with it.

use std::time::Duration;

use larder_core::feed::FeedPosition;
use larder_core::{Error, ErrorKind, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::address::Address;
use super::config;
use super::snapshot::Snapshot;
use crate::pgoutput::Lsn;

/// So long a statement may take, with the time to connect.
const STATEMENT_WITHIN: Duration = Duration::from_secs(5);

/// See the module's documentation.
pub(super) struct Control {
    options: PgConnectOptions,
    /// What to do where the user may not do what is asked.
    advice: &'static str,
    connection: Mutex<Option<PgConnection>>,
}

/// A place in one run of a server's log, and the catalogue that was known there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which log it is: the system's number and its timeline, mixed. A promoted standby writes
    /// another one.
    pub(super) log: u32,
    pub(super) lsn: Lsn,
    /// How the tables were, all of it mixed: who goes on from there must find them so. Zero, the
    /// lowest, in an end that is asked for, so that only the place counts.
    pub(super) catalogue: u32,
}

impl Place {
    pub(super) fn position(self) -> FeedPosition {
        let log = u128::from(self.log) << 96;
        FeedPosition(log | u128::from(self.lsn.0) << 32 | u128::from(self.catalogue))
    }

    pub(super) fn of(position: FeedPosition) -> Self {
        #[allow(clippy::cast_possible_truncation)] // The parts are taken apart.
        let part = |shift: u32| (position.0 >> shift) as u32;
        let lsn = Lsn(u64::from(part(64)) << 32 | u64::from(part(32)));
        Self { log: part(96), lsn, catalogue: part(0) }
    }
}

impl Control {
    pub(super) fn new(address: &Address, advice: &'static str) -> Self {
        Self { options: address.control(), advice, connection: Mutex::new(None) }
    }

    /// The rows of a statement with these parameters.
    pub(super) async fn rows(&self, sql: &str, bound: &[&str]) -> Result<Vec<PgRow>> {
        self.rows_within(STATEMENT_WITHIN, sql, bound).await
    }

    /// The rows of a statement that may take longer than others.
    pub(super) async fn rows_within(
        &self,
        time: Duration,
        sql: &str,
        bound: &[&str],
    ) -> Result<Vec<PgRow>> {
        self.asked(time, sql, bound, self.advice).await
    }

    /// Executes a statement that takes other rights than the rest, with what to do without them.
    pub(super) async fn execute(&self, sql: &str, advice: &str) -> Result<()> {
        self.asked(STATEMENT_WITHIN, sql, &[], advice).await.map(drop)
    }

    async fn asked(
        &self,
        time: Duration,
        sql: &str,
        bound: &[&str],
        advice: &str,
    ) -> Result<Vec<PgRow>> {
        let asked = async {
            let mut place = self.connection.lock().await;
            let (mut connection, is_new) = match place.take() {
                Some(connection) => (connection, false),
                None => (self.open().await?, true),
            };
            let mut rows = fetch(&mut connection, sql, bound).await;
            // It may have ended while it wasn't used, with its server or by itself.
            if !is_new && rows.as_ref().is_err_and(has_ended) {
                connection = self.open().await?;
                rows = fetch(&mut connection, sql, bound).await;
            }
            // Not after an error: it may be the connection's, or it is in the middle of an answer.
            if rows.is_ok() {
                *place = Some(connection);
            }
            rows
        };
        match timeout(time, asked).await {
            Ok(rows) => rows.map_err(|error| refused(&error, advice)),
            Err(_) => {
                let message =
                    format!("the database's log can't be asked for: no answer in {time:?}");
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }

    /// Compiling a statement would take longer than executing it ever does here.
    async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        fetch(&mut connection, "SET jit = off", &[]).await?;
        Ok(connection)
    }

    /// The one row of a statement that always has one.
    async fn row(&self, sql: &str) -> Result<PgRow> {
        let row = self.rows(sql, &[]).await?.pop();
        row.ok_or_else(|| Error::new(ErrorKind::Internal, "the database answered without a row"))
    }

    /// Writes a mark into the log, and returns the place behind it. The mark is committed, because
    /// nobody may send what isn't on the disk; it waits for no standby.
    pub(super) async fn mark(&self) -> Result<Lsn> {
        let row = self
            .row(
                "SELECT set_config('synchronous_commit', 'local', true),
                        pg_logical_emit_message(true, 'larder.altered', '')::text",
            )
            .await?;
        text(&row, 1)?.parse().map_err(|error| internal(&error))
    }

    /// What a reader who begins now would see.
    pub(super) async fn snapshot(&self) -> Result<Snapshot> {
        let row = self
            .row(
                "SELECT pg_current_snapshot()::text,
                        (extract(epoch FROM clock_timestamp() - '2000-01-01 00:00+00')
                            * 1e6)::int8",
            )
            .await?;
        let mut snapshot: Snapshot = text(&row, 0)?.parse()?;
        snapshot.micros = row.try_get(1).map_err(|error| internal(&error))?;
        Ok(snapshot)
    }

    /// A number that is above those of all transactions that run or have ended. A snapshot's `xmax`
    /// isn't: it is above those that have *ended*, and the last ones to begin may be running.
    pub(super) async fn next_transaction(&self) -> Result<u64> {
        let row = self.row("SELECT pg_current_xact_id()::text").await?;
        text(&row, 0)?.parse().map_err(|error| internal(&error))
    }

    /// Whether the server writes a log that can be followed.
    pub(super) async fn check_server(&self) -> Result<()> {
        let row = self.row("SELECT current_setting('wal_level'), pg_is_in_recovery()").await?;
        let is_standby: bool = row.try_get(1).map_err(|error| internal(&error))?;
        if is_standby {
            return Err(config(
                "this is a standby: follow the primary, where commits are visible first",
            ));
        }
        match text(&row, 0)?.as_str() {
            "logical" => Ok(()),
            level => Err(config(format!(
                "the server's wal_level is {level}, with which its log says nothing about rows: \
                 ALTER SYSTEM SET wal_level = logical, and restart it"
            ))),
        }
    }
}

/// The SQL is larder's own; what was quoted into it was quoted by the server.
async fn fetch(
    connection: &mut PgConnection,
    sql: &str,
    bound: &[&str],
) -> Result<Vec<PgRow>, sqlx::Error> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    let query = bound.iter().fold(query, |query, text| query.bind((*text).to_owned()));
    query.fetch_all(connection).await
}

/// Whether the connection was over before the statement was executed.
fn has_ended(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // admin_shutdown, crash_shutdown
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| matches!(&*code, "57P01" | "57P02"))
        }
        _ => false,
    }
}

pub(super) fn text(row: &PgRow, column: usize) -> Result<String> {
    row.try_get(column).map_err(|error| internal(&error))
}

pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(ErrorKind::Internal, format!("the database's log says what nobody expects: {error}"))
}

/// Whether the server speaks no TLS, or has a certificate that isn't trusted.
fn is_untrusted(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// What a failed statement means to a caller.
pub(super) fn refused(error: &sqlx::Error, advice: &str) -> Error {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        // insufficient_privilege
        Some("42501") => config(format!("{error}: {advice}")),
        // object_in_use, duplicate_object, lock_not_available: somebody else is at it.
        Some("55006" | "42710" | "55P03") => Error::new(ErrorKind::Refused, error.to_string()),
        // invalid_catalog_name, invalid_password, invalid_authorization_specification,
        // undefined_table, syntax_error, configuration_limit_exceeded, wrong_object_type
        Some("3D000" | "28P01" | "28000" | "42P01" | "42601" | "53400" | "42809") => {
            config(error.to_string())
        }
        _ if is_untrusted(error) => {
            config(format!("the connection can't be made as private as sslmode asks for: {error}"))
        }
        _ => Error::new(
            ErrorKind::SourceDown,
            format!("the database's log can't be asked for: {error}"),
        ),
    }
}
