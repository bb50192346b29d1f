//! The rows of a key query from MySQL and MariaDB: a statement that goes on as its rows are taken.
//!
//! Nobody limits how slowly a reader takes them, so the session's own limits are lifted for the
//! reading; what is waited for here is a row, and for no longer than [`ROW_MAX`].

use std::borrow::Cow;
use std::time::Duration;

use larder_core::Result;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Executor, Row as _, Statement as _};
use tokio::time::timeout;

use super::values::{Kind, Reading, kind, type_name};
use super::{Connection, Mysql, prepare};
use crate::error;
use crate::keys::{Field, KeyReader, Query, Sink};
use crate::pool::Failure;
use crate::rows::next;

/// How long a row may take: for the first one a large table may have to be sorted.
const ROW_MAX: Duration = Duration::from_secs(60);

/// A server gives up a reader who takes nothing for so many seconds: a year, its longest.
const PATIENCE: &str = "SET SESSION net_write_timeout = 31536000 \
     /*M!100101 , max_statement_time = 0 */ /*!50708 , max_execution_time = 0 */";

impl KeyReader for Mysql {
    async fn columns(connection: &mut Connection, sql: &str) -> Result<Vec<String>, Failure> {
        // What was prepared before may describe tables as they were.
        connection.inner.clear_cached_statements().await?;
        let described = prepare(connection, sql).await?;
        Ok(described.columns().iter().map(|column| column.name().to_owned()).collect())
    }

    async fn count(connection: &mut Connection, sql: String) -> Result<i64, Failure> {
        let counting = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        Ok(connection.inner.fetch_one(counting).await?.try_get_unchecked(0)?)
    }

    async fn read(connection: &mut Connection, query: &Query, sink: &Sink) -> Result<(), Failure> {
        // The first statement notices a connection that died while it was idle.
        let names = Self::columns(connection, &query.sql).await?;
        query.places(&names).map_err(Failure::Whole)?;
        connection.inner.execute(PATIENCE).await?;
        // Whatever goes wrong from here on, the session is not ours any more.
        let cut = |failure| match failure {
            Failure::Driver(error) => Failure::Cut(error::loading(&query.database, 0, error)),
            failure => failure,
        };
        fetch(connection, query, sink).await.map_err(cut)?;
        let back = format!("SET SESSION net_write_timeout = DEFAULT; {}", connection.settings);
        connection.inner.execute(AssertSqlSafe(back)).await?;
        Ok(())
    }
}

async fn fetch(connection: &mut Connection, query: &Query, sink: &Sink) -> Result<(), Failure> {
    let reading = sqlx::query(AssertSqlSafe(query.sql.clone())).persistent(false);
    let mut rows = connection.inner.fetch(reading);
    let mut known = None;
    loop {
        let row = timeout(ROW_MAX, next(&mut rows)).await;
        let row = row.map_err(|_| Failure::Cut(error::timeout(&query.database, ROW_MAX)))?;
        let Some(row) = row? else { return Ok(()) };
        let (places, reading) = match &known {
            Some(known) => known,
            None => {
                let names: Vec<_> = row.columns().iter().map(sqlx::Column::name).collect();
                let places = query.places(&names).map_err(Failure::Cut)?;
                known.insert((places, Reading::new(row.columns(), &[])))
            }
        };
        let fields = places.iter().map(|&at| field(&row, reading, at));
        sink.give(query, fields).await?;
    }
}

fn field<'r>(row: &'r MySqlRow, shown: &Reading, at: usize) -> Field<'r> {
    let info = row.columns()[at].type_info();
    let other = || Field::Other(type_name(info).to_owned());
    let mut bytes = Vec::new();
    match shown.columns[at].push_raw(row, at, &mut bytes) {
        Ok(false) => Field::Null,
        Ok(true) => match (kind(info), String::from_utf8(bytes)) {
            (Kind::Bool | Kind::Int | Kind::Unsigned | Kind::Bit, Ok(text)) => {
                text.parse().map_or_else(|_| other(), Field::Int)
            }
            (Kind::Text, Ok(text)) => Field::Text(Cow::Owned(text)),
            _ => other(),
        },
        Err(_) => other(),
    }
}
