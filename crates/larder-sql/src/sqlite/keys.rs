//! The rows of a key query from SQLite: a statement that goes on as its rows are taken.

use std::borrow::Cow;

use larder_core::Result;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Executor, Row as _, SqlSafeStr, Statement as _,
    TypeInfo, ValueRef,
};

use super::{Connection, Sqlite, read};
use crate::keys::{Field, KeyReader, Query, Sink};
use crate::pool::Failure;
use crate::rows::next;

impl KeyReader for Sqlite {
    async fn columns(connection: &mut Connection, sql: &str) -> Result<Vec<String>, Failure> {
        let connection = &mut connection.inner;
        // What was prepared before may describe tables as they were.
        connection.clear_cached_statements().await?;
        let described = connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await?;
        Ok(described.columns().iter().map(|column| column.name().to_owned()).collect())
    }

    async fn count(connection: &mut Connection, sql: String) -> Result<i64, Failure> {
        let counting = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        Ok(connection.inner.fetch_one(counting).await?.try_get(0)?)
    }

    async fn read(connection: &mut Connection, query: &Query, sink: &Sink) -> Result<(), Failure> {
        let names = Self::columns(connection, &query.sql).await?;
        query.places(&names).map_err(Failure::Whole)?;
        // Prepared for this reading alone, so that the columns are those of this moment.
        let reading = sqlx::query(AssertSqlSafe(query.sql.clone())).persistent(false);
        let mut rows = connection.inner.fetch(reading);
        let mut places = None;
        while let Some(row) = next(&mut rows).await? {
            if places.is_none() {
                let names: Vec<_> = row.columns().iter().map(sqlx::Column::name).collect();
                places = Some(query.places(&names).map_err(Failure::Cut)?);
            }
            let places = places.iter().flatten();
            sink.give(query, places.map(|&at| field(&row, at))).await?;
        }
        Ok(())
    }
}

fn field(row: &SqliteRow, at: usize) -> Field<'_> {
    let Ok(value) = row.try_get_raw(at) else { return Field::Other("missing column".to_owned()) };
    let other = || Field::Other(value.type_info().name().to_owned());
    match value.type_info().name() {
        _ if value.is_null() => Field::Null,
        "INTEGER" => read(row, at).map_or_else(|_| other(), Field::Int),
        "TEXT" => read(row, at).map_or_else(|_| other(), |text| Field::Text(Cow::Borrowed(text))),
        _ => other(),
    }
}
