//! The rows of a key query from Postgres: a cursor in a transaction that only reads.
//!
//! One long statement would run into the server's `statement_timeout`, however fast its rows are
//! taken; each fetch from a cursor is a statement of its own.

use std::borrow::Cow;

use larder_core::Result;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Executor, Row as _, SqlSafeStr, Statement as _,
};

use super::Postgres;
use crate::error::loading;
use crate::keys::{Field, KeyReader, Query, Sink};
use crate::pool::Failure;

/// What a fetch may take: the first one may have to sort a large table, which no load does.
const TIMEOUT: &str = "SET LOCAL statement_timeout = '60s'";

impl KeyReader for Postgres {
    async fn columns(connection: &mut PgConnection, sql: &str) -> Result<Vec<String>, Failure> {
        // What was prepared before may describe tables as they were.
        connection.clear_cached_statements().await?;
        let described = connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await?;
        Ok(described.columns().iter().map(|column| column.name().to_owned()).collect())
    }

    async fn count(connection: &mut PgConnection, sql: String) -> Result<i64, Failure> {
        Ok(connection.fetch_one(AssertSqlSafe(sql)).await?.try_get(0)?)
    }

    async fn read(
        connection: &mut PgConnection,
        query: &Query,
        sink: &Sink,
    ) -> Result<(), Failure> {
        // The first statement notices a connection that died while it was idle.
        let names = Self::columns(connection, &query.sql).await?;
        query.places(&names).map_err(Failure::Whole)?;
        connection.execute("BEGIN READ ONLY").await?;
        // Whatever goes wrong from here on, the connection must not be used again: it may be
        // within the transaction.
        let cut = |failure| match failure {
            Failure::Driver(error) => Failure::Cut(loading(&query.database, 0, error)),
            failure => failure,
        };
        fetch(connection, query, sink).await.map_err(cut)
    }
}

async fn fetch(connection: &mut PgConnection, query: &Query, sink: &Sink) -> Result<(), Failure> {
    let parameters = query.key.parameters();
    let text =
        |name: &str| format!("larder_row.\"{}\"::pg_catalog.text", name.replace('"', "\"\""));
    let columns: Vec<_> = parameters.iter().map(|parameter| text(&parameter.name)).collect();
    let declare = format!(
        "DECLARE larder_keys NO SCROLL CURSOR FOR SELECT {} FROM ({}\n) AS larder_row",
        columns.join(", "),
        query.sql
    );
    connection.execute(TIMEOUT).await?;
    connection.execute(AssertSqlSafe(declare)).await?;
    loop {
        let rows = connection.fetch_all("FETCH FORWARD 1000 FROM larder_keys").await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            sink.give(query, (0..parameters.len()).map(|at| field(&row, at))).await?;
        }
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

fn field(row: &PgRow, at: usize) -> Field<'_> {
    match row.try_get::<Option<&str>, _>(at) {
        Ok(Some(text)) => Field::Text(Cow::Borrowed(text)),
        Ok(None) => Field::Null,
        Err(_) => Field::Other("value that is no text".to_owned()),
    }
}
