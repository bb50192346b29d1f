//! The connection for statements: where the log ends, and how far readers see it.
//!
//! It is one connection, opened when it is needed and again after any error. A statement whose
//! answer isn't waited for takes the connection with it.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, Params, Row, Value};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::address::Address;
use super::config;

/// So long a statement may take, with the time to connect.
pub(super) const STATEMENT_WITHIN: Duration = Duration::from_secs(5);

/// See the module's documentation.
pub(super) struct Control {
    options: Opts,
    connection: Mutex<Option<Conn>>,
}

impl Control {
    pub(super) fn new(address: &Address) -> Self {
        Self { options: address.options(), connection: Mutex::new(None) }
    }

    /// The rows of a statement without parameters.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<Row>> {
        self.each(&[sql], Params::Empty).await
    }

    /// The rows of a statement with these parameters.
    pub(super) async fn bound(&self, sql: &str, parameters: Params) -> Result<Vec<Row>> {
        self.each(&[sql], parameters).await
    }

    /// The rows of several statements of one session, all in one list.
    pub(super) async fn each(&self, statements: &[&str], parameters: Params) -> Result<Vec<Row>> {
        within(async {
            let mut place = self.connection.lock().await;
            let (mut connection, is_new) = match place.take() {
                Some(connection) => (connection, false),
                None => (Conn::new(self.options.clone()).await?, true),
            };
            let mut rows = fetch(&mut connection, statements, &parameters).await;
            // It may have ended while it wasn't used, with its server or by itself.
            if !is_new && rows.as_ref().is_err_and(has_ended) {
                connection = Conn::new(self.options.clone()).await?;
                rows = fetch(&mut connection, statements, &parameters).await;
            }
            // Not after an error: it may be the connection's, or it is in the middle of an answer.
            if rows.is_ok() {
                *place = Some(connection);
            }
            rows
        })
        .await
    }

    /// The one row of a statement that always has one.
    pub(super) async fn row(&self, sql: &str) -> Result<Row> {
        let row = self.rows(sql).await?.pop();
        row.ok_or_else(|| Error::new(ErrorKind::Internal, "the database answered without a row"))
    }
}

/// What an exchange with the server comes to, in time.
pub(super) async fn within<T>(
    exchange: impl Future<Output = Result<T, mysql_async::Error>>,
) -> Result<T> {
    match timeout(STATEMENT_WITHIN, exchange).await {
        Ok(answer) => answer.map_err(|error| refused(&error)),
        Err(_) => {
            let message =
                format!("the database's log can't be asked for: no answer in {STATEMENT_WITHIN:?}");
            Err(Error::new(ErrorKind::Timeout, message))
        }
    }
}

/// The SQL is larder's own.
pub(super) async fn fetch(
    connection: &mut Conn,
    statements: &[&str],
    parameters: &Params,
) -> Result<Vec<Row>, mysql_async::Error> {
    let mut rows = Vec::new();
    for sql in statements {
        let more: Vec<Row> = match parameters {
            Params::Empty => connection.query(*sql).await?,
            parameters => connection.exec(*sql, parameters.clone()).await?,
        };
        rows.extend(more);
    }
    Ok(rows)
}

/// Whether the connection was over before the statement was executed.
fn has_ended(error: &mysql_async::Error) -> bool {
    error.is_fatal()
}

/// A value as text; `None` where it is null, and where there is no such column.
pub(super) fn text(row: &Row, column: usize) -> Option<String> {
    match row.as_ref(column)? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        other => Some(other.as_sql(true)),
    }
}

/// A value that is there, as text.
pub(super) fn needed(row: &Row, column: usize) -> Result<String> {
    text(row, column).ok_or_else(|| internal("a value is missing"))
}

/// A number that is there.
pub(super) fn number(row: &Row, column: usize) -> Result<u64> {
    needed(row, column)?.parse().map_err(|_| internal("a number isn't one"))
}

pub(super) fn internal(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("the database's log says what nobody expects: {what}"))
}

/// What a failed statement means to a caller.
pub(super) fn refused(error: &mysql_async::Error) -> Error {
    if let mysql_async::Error::Server(server) = error {
        match server.code {
            // ER_DBACCESS_DENIED, ER_ACCESS_DENIED, ER_SPECIFIC_ACCESS_DENIED
            1044 | 1045 | 1227 => {
                return config(format!(
                    "{}: the user needs REPLICATION SLAVE, and REPLICATION CLIENT (of MariaDB: \
                     BINLOG MONITOR), on *.*",
                    server.message
                ));
            }
            // ER_BAD_DB, ER_UNKNOWN_SYSTEM_VARIABLE, ER_PARSE, ER_NO_BINARY_LOGGING
            1049 | 1193 | 1064 | 1381 => return config(server.message.clone()),
            _ => {}
        }
    }
    Error::new(ErrorKind::SourceDown, format!("the database's log can't be asked for: {error}"))
}
