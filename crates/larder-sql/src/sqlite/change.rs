//! A statement that writes, and transactions.

use std::sync::Arc;

use larder_core::{Result, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Column as _, Either, Executor, Row as _, SqlSafeStr, Statement as _};

use super::given::{self, Bind};
use super::{Connection, Detail, Sqlite, push_json, push_raw_at};
use crate::answer::RESULT_BYTES_MAX;
use crate::changes::{Bound, Isolation, Outcome, Planned, Writer};
use crate::load::{Column, Format};
use crate::loads::{Plan, Question};
use crate::pool::Failure;
use crate::rows::next;
use crate::writes::Order;

/// How many keys are written between two looks at anything else.
const BATCH_MAX: usize = 1_000;

/// A statement as it is sent.
pub(crate) struct Change {
    sql: Arc<str>,
    binds: Vec<Bind>,
    /// Where each column of the load stands in what is returned; none if that is no value.
    returned: Option<Vec<usize>>,
    schema_version: i64,
}

impl Writer for Sqlite {
    // What is returned is only known to have the columns of the plan within one transaction.
    const ALONE: bool = false;

    type Change = Change;

    async fn plan_change(
        connection: &mut Connection,
        question: &Question,
        load: &Plan<Detail>,
        order: &Order,
    ) -> Result<Planned<Change>, Failure> {
        let sql = order.statement.render(|at| format!("?{}", at + 1));
        let described = connection.inner.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await?;
        let names: Vec<_> = described.columns().iter().map(|one| one.name().to_owned()).collect();
        let said = match order.never_says(question) {
            Some(why) => Err(why),
            None => places(connection, question, order, load, &names).await?,
        };
        let (returned, unsaid) = match said {
            Ok(places) => (Some(places), None),
            Err(why) => (None, Some(why).filter(|_| order.verb != "delete")),
        };
        let is_blob = |name: &str| {
            let named = |column: &&Column| column.name == name || question.format == Format::Raw;
            load.columns.iter().find(named).is_some_and(|column| column.sql_type == "BLOB")
        };
        let bind = |taken: &crate::statement::Taken| Bind {
            name: taken.name.clone(),
            is_blob: is_blob(&taken.name),
        };
        let binds: Vec<_> = order.takes.iter().map(bind).collect();
        let types = vec![String::new(); binds.len()];
        let schema_version = load.detail.schema_version;
        let is_by_key = order.plain.is_by_key(&order.takes);
        let change = Change { sql: sql.into(), binds, returned, schema_version };
        Ok(Planned { change, types, unsaid, batch_max: BATCH_MAX, is_by_key })
    }

    async fn begin(connection: &mut Connection, _: Isolation) -> Result<(), sqlx::Error> {
        // Nobody else writes until it ends, whatever the isolation.
        connection.inner.execute("BEGIN IMMEDIATE").await.map(drop)
    }

    async fn commit(connection: &mut Connection) -> Result<(), sqlx::Error> {
        connection.inner.execute("COMMIT").await.map(drop)
    }

    /// Some errors end a transaction by themselves, and then there is none to end.
    async fn rollback(connection: &mut Connection) -> Result<(), sqlx::Error> {
        let done = connection.inner.execute("ROLLBACK").await.map(drop);
        match done {
            Err(sqlx::Error::Database(error)) if error.message().contains("no transaction") => {
                Ok(())
            }
            done => done,
        }
    }

    async fn ready(connection: &mut Connection, change: &Change) -> Result<(), Failure> {
        let sql = AssertSqlSafe(Arc::clone(&change.sql)).into_sql_str();
        Ok(connection.inner.prepare(sql).await.map(drop)?)
    }

    async fn change(
        connection: &mut Connection,
        question: &Question,
        load: &Plan<Detail>,
        change: &Change,
        bound: &[Bound<'_>],
    ) -> Result<Outcome, Failure> {
        check_schema(connection, change).await?;
        execute(connection, question, load, change, bound).await
    }

    async fn change_many(
        connection: &mut Connection,
        question: &Question,
        load: &Plan<Detail>,
        planned: &Planned<Change>,
        bound: &[&[Bound<'_>]],
    ) -> Result<Vec<Outcome>, Failure> {
        check_schema(connection, &planned.change).await?;
        let mut outcomes = Vec::with_capacity(bound.len());
        for bound in bound {
            outcomes.push(execute(connection, question, load, &planned.change, bound).await?);
        }
        Ok(outcomes)
    }
}

/// Where the load's columns stand among `names`, which a statement returns; or why that is not
/// known.
async fn places(
    connection: &mut Connection,
    question: &Question,
    order: &Order,
    load: &Plan<Detail>,
    names: &[String],
) -> Result<Result<Vec<usize>, String>, Failure> {
    if names.is_empty() {
        let why = "it returns nothing: write RETURNING with the columns of load";
        return Ok(Err(why.to_owned()));
    }
    let sql = question.statement.render(|at| format!("?{}", at + 1));
    let described = connection.inner.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
    let table = order.plain.table();
    let mut places = Vec::new();
    for (at, column) in load.columns.iter().enumerate() {
        let name = &column.name;
        // SQLite says of the load where its columns come from, and of the statement nothing.
        let is_plain = match described.columns()[at].origin() {
            sqlx::ColumnOrigin::Table(origin) => {
                let is_of_table = |table: &String| {
                    origin.table.rsplit('.').next().is_some_and(|of| of.eq_ignore_ascii_case(table))
                };
                origin.name.eq_ignore_ascii_case(name) && table.as_ref().is_some_and(is_of_table)
            }
            _ => false,
        };
        if !is_plain {
            return Ok(Err(format!(
                "the column {name} of load is computed there, or of another table"
            )));
        }
        match names.iter().position(|returned| returned == name) {
            Some(place) if order.plain.returns(name) => places.push(place),
            _ => return Ok(Err(format!("it does not return the column {name} as load gives it"))),
        }
    }
    Ok(Ok(places))
}

/// The driver remembers the columns of a statement, and a migration may have moved them.
async fn check_schema(connection: &mut Connection, change: &Change) -> Result<(), Failure> {
    if change.returned.is_none() {
        return Ok(());
    }
    let sql = "SELECT schema_version FROM pragma_schema_version";
    let row = sqlx::query(sql).fetch_one(&mut connection.inner).await?;
    let version: i64 = row.try_get_unchecked(0)?;
    if version == change.schema_version { Ok(()) } else { Err(Failure::Outdated) }
}

async fn execute(
    connection: &mut Connection,
    question: &Question,
    load: &Plan<Detail>,
    change: &Change,
    bound: &[Bound<'_>],
) -> Result<Outcome, Failure> {
    let arguments = given::arguments(&change.binds, bound)?;
    let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&change.sql)), arguments);
    let mut rows = connection.inner.fetch_many(query);
    let (mut outcome, mut returned) = (Outcome::default(), 0_usize);
    while let Some(step) = next(&mut rows).await? {
        match (step, &change.returned) {
            (Either::Left(done), _) => outcome.rows += done.rows_affected(),
            (Either::Right(row), Some(places)) => {
                returned += 1;
                outcome.value = value(&row, question.format, &load.detail, places)?;
            }
            (Either::Right(_), None) => {}
        }
    }
    // More than one row is what no load gives.
    outcome.value = outcome.value.filter(|_| returned == 1);
    Ok(outcome)
}

/// The value of a row; none if it is too large to be one.
fn value(
    row: &SqliteRow,
    format: Format,
    detail: &Detail,
    places: &[usize],
) -> Result<Option<Option<Value>>, sqlx::Error> {
    let mut out = Vec::new();
    let value = match format {
        Format::Raw => {
            let &[place] = places else { return Ok(None) };
            if !push_raw_at(row, place, &mut out)? {
                return Ok(Some(None));
            }
            Value::raw(out)
        }
        Format::Json => {
            for (at, (column, &place)) in detail.columns.iter().zip(places).enumerate() {
                out.push(if at == 0 { b'{' } else { b',' });
                out.extend_from_slice(&column.label);
                push_json(row, place, column.is_boolean, &mut out)?;
            }
            out.push(b'}');
            Value::json(out)
        }
    };
    Ok((value.bytes.len() <= RESULT_BYTES_MAX).then_some(Some(value)))
}
