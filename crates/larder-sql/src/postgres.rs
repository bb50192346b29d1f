//! Postgres: how to connect, what a statement wants and gives, and fetching it.
//!
//! The statement is prepared as the user wrote it, without naming any types, so that the server
//! says what it makes of each parameter; a value is then sent as exactly that. JSON is made by
//! the server, which knows every type it has.

mod change;
mod encode;
mod given;
mod keys;
mod letters;
mod many;
pub(crate) mod parameters;
mod reads;
mod shape;
mod tables;
mod types;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use larder_core::Result;
use larder_core::template::ParameterValue;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, Row as _, SqlSafeStr,
    Statement as _, ValueRef,
};
use tokio::time::Instant;

use self::types::Wanted;
use crate::answer::{Answer, Row, too_large};
use crate::answers::{Answers, internal};
use crate::database::{Access, Options, STATEMENTS_MAX};
use crate::load::{Binding, Column};
use crate::loads::{Asked, Found, Plan, Planner, Question};
use crate::pool::{Backend, Failure};
use crate::rows::next;

/// How to reach one Postgres database.
pub(crate) struct Postgres {
    options: PgConnectOptions,
}

/// The SQL of a load and the types that it wants.
pub(crate) struct Detail {
    single: Arc<str>,
    batch: Option<Arc<str>>,
    wanted: Vec<Wanted>,
    /// How many columns the tags name, which come after the value.
    tagged: usize,
}

/// How long a plan that lists the columns is trusted: a column that is added later shows only in
/// a new one.
const LISTED_COLUMNS_MAX: Duration = Duration::from_secs(60);

impl Postgres {
    pub(crate) fn new(url: &str, options: &Options, access: Access) -> Result<Self, sqlx::Error> {
        let mut connect = PgConnectOptions::from_str(url)?;
        if connect.get_application_name().is_none() {
            connect = connect.application_name("larder");
        }
        let timeout = format!("{}ms", options.load_timeout.as_millis().max(1));
        // A process that stops within a transaction keeps its locks no longer than a statement
        // may take.
        let access = match access {
            Access::Read => ("default_transaction_read_only", "on"),
            Access::Write => ("idle_in_transaction_session_timeout", timeout.as_str()),
        };
        let connect = connect
            .options([("statement_timeout", timeout.as_str()), access])
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        Ok(Self { options: connect })
    }
}

impl Backend for Postgres {
    type Connection = PgConnection;

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.options.connect().await
    }

    fn is_current(&self, _: &PgConnection) -> bool {
        true
    }

    async fn is_alive(&self, connection: &mut PgConnection) -> bool {
        connection.ping().await.is_ok()
    }
}

impl Planner for Postgres {
    const BATCH_MAX: usize = 1_000;

    type Detail = Detail;

    async fn plan(
        connection: &mut PgConnection,
        question: &Question,
    ) -> Result<Plan<Detail>, Failure> {
        // What was prepared before may describe tables as they were.
        connection.clear_cached_statements().await?;
        let plain = question.statement.render(|at| format!("${}", at + 1));
        let described = connection.prepare(AssertSqlSafe(plain).into_sql_str()).await?;
        let parameters = types::oids(&described, question.bound.len())?;
        let columns: Vec<Oid> =
            described.columns().iter().filter_map(|column| column.type_info().oid()).collect();
        let mut facts = types::look_up(connection, &parameters, &columns).await?;
        let column_types = facts.split_off(parameters.len().min(facts.len()));
        let wanted = types::wanted(&question.bound, facts).map_err(Failure::Whole)?;
        let names: Vec<&str> = described.columns().iter().map(sqlx::Column::name).collect();
        let shape =
            shape::Shape::new(question, &wanted, &names, &column_types).map_err(Failure::Whole)?;
        let single: Arc<str> = shape.single().into();
        prepare(connection, &single).await?;
        let (batch, unbatched) = match shape.batch() {
            None => (None, None),
            Some(sql) => match prepare(connection, &sql).await {
                Ok(()) => (Some(Arc::from(sql)), None),
                Err(sqlx::Error::Database(refused)) => (None, Some(refused.message().to_owned())),
                Err(error) => return Err(error.into()),
            },
        };
        let bind = |(parameter, wanted): (_, &Wanted)| Binding {
            parameter: Clone::clone(parameter),
            sql_type: wanted.name().to_owned(),
        };
        let column = |(name, fact): (&&str, &types::Fact)| Column {
            name: (*name).to_owned(),
            sql_type: fact.name.clone(),
        };
        Ok(Plan {
            bindings: question.bound.iter().zip(&wanted).map(bind).collect(),
            columns: names.iter().zip(&column_types).map(column).collect(),
            batch_max: if batch.is_some() { Self::BATCH_MAX } else { 1 },
            unbatched,
            expires: shape.lists_columns().then(|| Instant::now() + LISTED_COLUMNS_MAX),
            detail: Detail { single, batch, tagged: shape.tagged(), wanted },
        })
    }

    async fn fetch(
        connection: &mut PgConnection,
        question: &Question,
        plan: &Plan<Detail>,
        keys: &[Asked<'_>],
    ) -> Result<Vec<Found>, Failure> {
        let Detail { single, batch, wanted, tagged } = &plan.detail;
        let mut answers = Answers::new(keys, question);
        let (sql, arguments) = match (keys, batch) {
            ([key], _) => (single, encode::single(wanted, key)),
            (_, Some(batch)) => (batch, encode::batch(wanted, keys)),
            (_, None) => {
                return Err(internal("a batch for a statement that has none"));
            }
        };
        let arguments: PgArguments = arguments.map_err(sqlx::Error::Encode)?;
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), arguments);
        let mut rows = connection.fetch(query);
        while let Some(row) = next(&mut rows).await? {
            answers.take(ordinal(&row)?, |answer| push(answer, &row, *tagged))?;
        }
        answers.finish()
    }

    fn misfit(plan: &Plan<Detail>, at: usize, value: &ParameterValue) -> Option<String> {
        plan.detail.wanted.get(at)?.misfit(value)
    }
}

async fn prepare(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.map(drop)
}

/// Which key a row belongs to: the first column, counted from 1.
fn ordinal(row: &PgRow) -> Result<usize, Failure> {
    let ordinal: i64 = row.try_get(0)?;
    usize::try_from(ordinal - 1).map_err(|_| internal("a row for no key"))
}

/// Takes the length of the value from the second column and the value from the third, where it
/// is missing if it is too long; the columns after it are what the tags name.
fn push(
    answer: &mut Answer,
    row: &PgRow,
    tagged: usize,
) -> Result<Result<Vec<Option<String>>>, sqlx::Error> {
    let length: Option<i32> = row.try_get(1)?;
    let value = row.try_get_raw(2)?;
    let pushed = match length {
        None => answer.push(Row::Null),
        Some(length) if value.is_null() => {
            Err(too_large(usize::try_from(length).unwrap_or(usize::MAX)))
        }
        Some(_) => answer.push(Row::Bytes(value.as_bytes().map_err(sqlx::Error::Decode)?)),
    };
    let texts = (0..tagged).map(|at| row.try_get(3 + at)).collect::<Result<_, sqlx::Error>>()?;
    Ok(pushed.map(|()| texts))
}
