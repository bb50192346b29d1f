//! MySQL and MariaDB: how to connect, what a statement gives, and fetching it.
//!
//! Neither server says which types a statement wants: an `int` is bound as an integer, a `text`
//! and a `uuid` as text, a `bool` as 0 or 1. Rows become JSON here; which columns there are comes
//! with the rows each time, so that a migration is noticed by them.
//!
//! A session has settings of its own, whatever the server's are: strings are read as `statement`
//! takes them apart, moments are in UTC, and a value that does not fit its column is an error.

mod change;
mod given;
mod keys;
mod letters;
pub(crate) mod parameters;
mod reads;
mod shape;
mod tables;
mod values;

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use larder_core::template::{Parameter, ParameterValue};
use larder_core::{Error, ErrorKind, Result};
use sqlx::mysql::{
    MySqlArguments, MySqlColumn, MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlStatement,
};
use sqlx::{
    Arguments, AssertSqlSafe, Column as _, ConnectOptions, Connection as _, Executor, Row as _,
    SqlSafeStr, Statement as _,
};
use tokio::time::Instant;

use self::shape::{Shape, Sized};
use self::values::{Kind, Planned, Reading, kind, type_name};
use crate::answer::{Answer, Row};
use crate::answers::{Answers, internal};
use crate::database::{Access, Options};
use crate::load::{Binding, Column, Format};
use crate::loads::{Asked, Found, Plan, Planner, Question};
use crate::pool::{Backend, Failure};
use crate::rows::next;

/// How many prepared statements a connection keeps. Fewer than elsewhere, because the server has
/// a limit for all its connections together: 16,382, unless it is told otherwise.
const STATEMENTS_MAX: usize = 256;

/// What strings and values are in every session. Quotation marks and backslashes are as
/// `statement` reads them, and what doesn't fit is an error; a zero date may be stored, since a
/// load may have given it.
const SQL_MODE: &str = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

/// How long a plan is trusted: which columns are truths and documents is a part of it.
const PLAN_MAX: Duration = Duration::from_secs(60);

/// How to reach one MySQL or MariaDB database.
pub(crate) struct Mysql {
    options: MySqlConnectOptions,
    settings: Arc<str>,
}

/// A connection and what the server said of itself.
pub(crate) struct Connection {
    inner: MySqlConnection,
    /// What makes the session ours, to be said again after it was changed.
    settings: Arc<str>,
    is_mariadb: bool,
    /// The most bytes that one statement may have with all its values.
    packet_bytes_max: u64,
}

/// The SQL of a load, and what else is known of it.
pub(crate) struct Detail {
    /// For one key, and then for more and more.
    sizes: Vec<Sized>,
    /// The columns of the result.
    columns: Vec<Planned>,
    /// Which of the columns the tags name.
    tagged: Vec<usize>,
}

impl Detail {
    /// Whether these are still the columns of the result.
    fn is_of(&self, columns: &[MySqlColumn]) -> bool {
        columns.len() == self.columns.len()
            && columns.iter().zip(&self.columns).all(|(now, then)| now.name() == then.name)
    }
}

impl Mysql {
    pub(crate) fn new(url: &str, options: &Options, access: Access) -> Result<Self, sqlx::Error> {
        let connect = MySqlConnectOptions::from_str(url)?
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .set_names(false)
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        Ok(Self { options: connect, settings: settings(options, access).into() })
    }
}

/// The statements that make a session ours.
fn settings(options: &Options, access: Access) -> String {
    let limit = options.load_timeout;
    let (millis, seconds) = (limit.as_millis().max(1), limit.as_secs_f64().max(0.001));
    // Locks are waited for in whole seconds.
    let whole = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
    // Each server executes its own comment only. MySQL stops nothing but queries by itself.
    let timeout = format!(
        "/*M!100101 , max_statement_time = {seconds} */ /*!50708 , max_execution_time = {millis} */"
    );
    let access = match access {
        Access::Read => "SET SESSION TRANSACTION READ ONLY",
        Access::Write => "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
    };
    format!(
        "SET NAMES utf8mb4, sql_mode = '{SQL_MODE}', time_zone = '+00:00', autocommit = 1, \
         lock_wait_timeout = {whole}, innodb_lock_wait_timeout = {whole} {timeout}; {access}"
    )
}

impl Backend for Mysql {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection, sqlx::Error> {
        let mut inner = self.options.connect().await?;
        inner.execute(AssertSqlSafe(Arc::clone(&self.settings))).await?;
        let row = inner.fetch_one("SELECT VERSION(), @@max_allowed_packet").await?;
        let version: String = row.try_get_unchecked(0)?;
        let packet_bytes_max: u64 = row.try_get_unchecked(1)?;
        let is_mariadb = version.contains("MariaDB");
        let settings = Arc::clone(&self.settings);
        Ok(Connection { inner, settings, is_mariadb, packet_bytes_max })
    }

    fn is_current(&self, _: &Connection) -> bool {
        true
    }

    async fn is_alive(&self, connection: &mut Connection) -> bool {
        connection.inner.ping().await.is_ok()
    }
}

impl Planner for Mysql {
    const BATCH_MAX: usize = 128;

    type Detail = Detail;

    async fn plan(
        connection: &mut Connection,
        question: &Question,
    ) -> Result<Plan<Detail>, Failure> {
        // What was prepared before may describe tables as they were.
        connection.inner.clear_cached_statements().await?;
        let (plain, _) = shape::rendered(&question.statement);
        let described = prepare(connection, &plain).await?;
        let described = described.columns();
        let shape = Shape::new(question, described).map_err(Failure::Whole)?;
        let tagged = shape.tagged().map_err(Failure::Whole)?;
        let largest = shape.batch_max();
        let sizes = shape.sizes();
        let documents = documents(connection, described).await?;
        let planned = |column: &MySqlColumn| Planned {
            name: column.name().to_owned(),
            kind: match documents.contains(column.name()) {
                true => Kind::Json,
                false => kind(column.type_info()),
            },
        };
        let columns = described.iter().map(planned).collect();
        for sized in sizes.iter().take(1) {
            prepare(connection, &sized.sql).await?;
        }
        let binding = |parameter: &Parameter| Binding {
            parameter: parameter.clone(),
            sql_type: String::new(),
        };
        let column = |column: &MySqlColumn| Column {
            name: column.name().to_owned(),
            sql_type: type_name(column.type_info()).to_owned(),
        };
        Ok(Plan {
            bindings: question.bound.iter().map(binding).collect(),
            columns: described.iter().map(column).collect(),
            batch_max: largest,
            unbatched: shape.unbatched(),
            expires: Some(Instant::now() + PLAN_MAX),
            detail: Detail { sizes, columns, tagged },
        })
    }

    async fn fetch(
        connection: &mut Connection,
        question: &Question,
        plan: &Plan<Detail>,
        keys: &[Asked<'_>],
    ) -> Result<Vec<Found>, Failure> {
        let mut answers = Answers::new(keys, question);
        let fits = |sized: &&Sized| keys.len() <= sized.keys;
        let sized = plan.detail.sizes.iter().find(fits);
        let sized = sized.ok_or_else(|| internal("a batch too large"))?;
        let arguments = arguments(sized, keys).map_err(sqlx::Error::Encode)?;
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&sized.sql)), arguments);
        let mut rows = connection.inner.fetch(query);
        let (mut reading, mut scratch) = (None, Vec::new());
        let first = usize::from(sized.tells_places);
        while let Some(row) = next(&mut rows).await? {
            let at = if sized.tells_places { row.try_get_unchecked::<i64, _>(0)? } else { 0 };
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let reading = match &reading {
                Some(reading) => reading,
                None => {
                    let columns = &row.columns()[first..];
                    if !plan.detail.is_of(columns) {
                        return Err(Failure::Outdated);
                    }
                    reading.insert(Reading::new(columns, &plan.detail.columns))
                }
            };
            let (format, tagged) = (question.format, &plan.detail.tagged);
            answers.take(at, |answer| {
                push(answer, &row, first, format, reading, tagged, &mut scratch)
            })?;
        }
        answers.finish()
    }

    fn misfit(_: &Plan<Detail>, _: usize, _: &ParameterValue) -> Option<String> {
        None
    }
}

async fn prepare(connection: &mut Connection, sql: &str) -> Result<MySqlStatement, sqlx::Error> {
    connection.inner.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await
}

/// The columns that MariaDB calls texts and that were declared `JSON`: it makes such a column a
/// text with a check of its own.
async fn documents(
    connection: &mut Connection,
    columns: &[MySqlColumn],
) -> Result<HashSet<String>, sqlx::Error> {
    let mut documents = HashSet::new();
    if !connection.is_mariadb {
        return Ok(documents);
    }
    let origins: Vec<_> =
        columns.iter().filter_map(|column| Some((column, origin(column)?))).collect();
    let tables: HashSet<_> =
        origins.iter().map(|(_, (schema, table, _))| (schema, table)).collect();
    let mut checked = HashSet::new();
    for (schema, table) in tables {
        let rows = sqlx::query(
            "SELECT CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS
             WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ? AND LEVEL = 'Column'
             AND CHECK_CLAUSE LIKE 'json\\_valid(%'",
        );
        for row in rows.bind(schema).bind(table).fetch_all(&mut connection.inner).await? {
            checked.insert((schema.clone(), table.clone(), row.try_get_unchecked::<String, _>(0)?));
        }
    }
    let is_document = |(_, origin): &&(&MySqlColumn, Origin)| checked.contains(origin);
    documents
        .extend(origins.iter().filter(is_document).map(|(column, _)| column.name().to_owned()));
    Ok(documents)
}

/// The database, the table and the column that a column of a result is.
type Origin = (String, String, String);

fn origin(column: &MySqlColumn) -> Option<Origin> {
    let sqlx::ColumnOrigin::Table(origin) = column.origin() else { return None };
    let (schema, table) = origin.table.split_once('.')?;
    Some((schema.to_owned(), table.to_owned(), origin.name.to_string()))
}

/// What each placeholder of the statement is: the values of each key, and how many keys there are.
fn arguments(
    sized: &Sized,
    keys: &[Asked<'_>],
) -> Result<MySqlArguments, sqlx::error::BoxDynError> {
    let mut arguments = MySqlArguments::default();
    for at in 0..sized.keys {
        // The places of keys that there aren't are never looked at.
        let Some(asked) = keys.get(at).or(keys.first()) else { break };
        for &place in &sized.places {
            add(&mut arguments, &asked.values[place])?;
        }
        if sized.keys > 1 {
            arguments.add(i64::try_from(keys.len())?)?;
        }
    }
    Ok(arguments)
}

fn add(
    arguments: &mut MySqlArguments,
    value: &ParameterValue,
) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        ParameterValue::Int(number) => arguments.add(*number),
        ParameterValue::Text(text) => arguments.add(text.as_str()),
        ParameterValue::Uuid(_) => arguments.add(value.to_string()),
        ParameterValue::Bool(truth) => arguments.add(i64::from(*truth)),
        ParameterValue::Version(_) => Err("a version is never bound".into()),
    }
}

/// Takes the value from the columns after the `first`, and what the tags need of it.
fn push(
    answer: &mut Answer,
    row: &MySqlRow,
    first: usize,
    format: Format,
    reading: &Reading,
    tagged: &[usize],
    scratch: &mut Vec<u8>,
) -> Result<Result<Vec<Option<String>>>, sqlx::Error> {
    scratch.clear();
    let missing = |_| sqlx::Error::ColumnIndexOutOfBounds { index: first, len: row.len() };
    let columns = &reading.columns;
    match format {
        Format::Raw => {
            let [column] = &columns[..] else {
                return Ok(Err(Error::new(
                    ErrorKind::Loader,
                    "the load has another number of columns than it had",
                )));
            };
            if !column.push_raw(row, first, scratch)? {
                return Ok(answer.push(Row::Null).map(|()| vec![None; tagged.len()]));
            }
        }
        Format::Json => {
            for (at, column) in columns.iter().enumerate() {
                scratch.push(if at == 0 { b'{' } else { b',' });
                scratch.extend_from_slice(&column.label);
                column.push_json(row, first + at, scratch)?;
            }
            scratch.push(b'}');
        }
    }
    let pushed = answer.push(Row::Bytes(scratch));
    let text = |&at: &usize| {
        let column = columns.get(at).ok_or(()).map_err(missing)?;
        column.text(row, first + at)
    };
    let texts = tagged.iter().map(text).collect::<Result<_, sqlx::Error>>()?;
    Ok(pushed.map(|()| texts))
}
