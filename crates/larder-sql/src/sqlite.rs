//! SQLite: how to open the file, what a statement gives, and fetching it.
//!
//! SQLite has no types for parameters: an `int` is bound as an integer, a `text` and a `uuid` as
//! text, a `bool` as 0 or 1. Its rows become JSON here.
//!
//! The statement that is sent names the number of columns and brings the version of the schema
//! along, because the driver remembers the columns of a statement for as long as it is cached:
//! after a migration it would put values under the wrong names. A version that is not the
//! plan's means that the plan is made anew.

mod change;
mod given;
mod keys;
mod letters;
mod reads;
mod shape;
mod tables;
mod tags;

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_core::Result;
use larder_core::template::ParameterValue;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, Column as _, ConnectOptions, Connection as _, Decode, Executor,
    Row as _, SqlSafeStr, Statement as _, TypeInfo, ValueRef,
};

use self::shape::Shape;
use crate::answer::{Answer, Row};
use crate::answers::{Answers, internal};
use crate::database::{Access, Options, STATEMENTS_MAX};
use crate::error::NoFile;
use crate::json;
use crate::load::{Binding, Column, Format};
use crate::loads::{Asked, Found, Plan, Planner, Question};
use crate::pool::{Backend, Failure};
use crate::rows::next;

/// How many steps of SQLite's machine pass between two looks at whether anyone still waits; a
/// fraction of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// How long a locked database is waited for at most; never so long that the load times out, so
/// that its caller learns what it waited for.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Where one SQLite database lies.
pub(crate) struct Sqlite {
    options: SqliteConnectOptions,
    file: PathBuf,
}

/// An open file. Dropping it stops what it was doing.
pub(crate) struct Connection {
    inner: SqliteConnection,
    abandoned: Arc<AtomicBool>,
    identity: Option<Identity>,
}

/// What tells one file from another that took its name.
type Identity = (u64, u64);

/// The SQL of a load, for each size of batch, and what the schema was.
pub(crate) struct Detail {
    /// For 1, 2, 4, … keys.
    sizes: Vec<Arc<str>>,
    schema_version: i64,
    columns: Vec<Named>,
    /// Which of the columns the tags name.
    tagged: Vec<usize>,
}

/// A column of the result.
struct Named {
    /// Its name as a JSON string, with the colon.
    label: Vec<u8>,
    is_boolean: bool,
}

impl Sqlite {
    /// The file that `url` names, or the rest of a sentence about the source.
    pub(crate) fn new(url: &str, options: &Options, access: Access) -> Result<Self, String> {
        let parsed = SqliteConnectOptions::from_str(url)
            .map_err(|error| format!("has a url that SQLite does not understand: {error}"))?;
        let file = parsed.get_filename().to_owned();
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        if file.as_os_str().is_empty() || in_memory {
            return Err("has no file: a database in memory is empty in every connection; name a \
                        file, like sqlite:shop.db"
                .to_owned());
        }
        let options = parsed
            .read_only(access == Access::Read)
            .create_if_missing(false)
            .busy_timeout(BUSY_MAX.min(options.load_timeout / 2))
            .statement_cache_capacity(STATEMENTS_MAX)
            .thread_name(|at| format!("larder-sqlite-{at}"))
            .disable_statement_logging();
        Ok(Self { options, file })
    }

    fn identity(&self) -> Result<Option<Identity>, sqlx::Error> {
        match fs::metadata(&self.file) {
            Ok(metadata) => Ok(identity(&metadata)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let file = fs::canonicalize(".").unwrap_or_default().join(&self.file);
                Err(sqlx::Error::Io(std::io::Error::new(error.kind(), NoFile(file))))
            }
            Err(error) => Err(sqlx::Error::Io(error)),
        }
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn identity(metadata: &fs::Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<Identity> {
    None
}

impl Backend for Sqlite {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection, sqlx::Error> {
        let identity = self.identity()?;
        let mut inner = self.options.connect().await?;
        let abandoned = Arc::new(AtomicBool::new(false));
        let look = Arc::clone(&abandoned);
        inner
            .lock_handle()
            .await?
            .set_progress_handler(STEPS_BETWEEN_LOOKS, move || !look.load(Ordering::Relaxed));
        Ok(Connection { inner, abandoned, identity })
    }

    /// A file that was replaced keeps its old content for whoever has it open.
    fn is_current(&self, connection: &Connection) -> bool {
        self.identity().is_ok_and(|identity| identity == connection.identity)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The statement runs on a thread of its own, which would otherwise finish it first.
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Planner for Sqlite {
    const BATCH_MAX: usize = 128;

    type Detail = Detail;

    async fn plan(
        connection: &mut Connection,
        question: &Question,
    ) -> Result<Plan<Detail>, Failure> {
        let connection = &mut connection.inner;
        // What was prepared before may describe tables as they were.
        connection.clear_cached_statements().await?;
        // Read before the statement is described: a change in between is noticed by the loads.
        let row = connection.fetch_one("SELECT schema_version FROM pragma_schema_version").await?;
        let schema_version = row.try_get(0)?;
        let plain = question.statement.render(|at| format!("?{}", at + 1));
        let described = connection.prepare(AssertSqlSafe(plain).into_sql_str()).await?;
        let shape = Shape::new(question, &described).map_err(Failure::Whole)?;
        let largest = if question.bound.is_empty() { 1 } else { Self::BATCH_MAX };
        let sizes = (0..=largest.ilog2()).map(|power| shape.statement(1 << power).into()).collect();
        let (columns, tagged) = (shape.columns(), shape.tagged().map_err(Failure::Whole)?);
        let detail = Detail { sizes, schema_version, columns, tagged };
        connection.prepare(AssertSqlSafe(Arc::clone(&detail.sizes[0])).into_sql_str()).await?;
        let binding = |parameter: &larder_core::template::Parameter| Binding {
            parameter: parameter.clone(),
            sql_type: String::new(),
        };
        let column = |column: &sqlx::sqlite::SqliteColumn| Column {
            name: column.name().to_owned(),
            sql_type: match column.type_info().name() {
                "NULL" => String::new(),
                name => name.to_owned(),
            },
        };
        Ok(Plan {
            bindings: question.bound.iter().map(binding).collect(),
            columns: described.columns().iter().map(column).collect(),
            batch_max: largest,
            unbatched: None,
            expires: None,
            detail,
        })
    }

    async fn fetch(
        connection: &mut Connection,
        question: &Question,
        plan: &Plan<Detail>,
        keys: &[Asked<'_>],
    ) -> Result<Vec<Found>, Failure> {
        let mut answers = Answers::new(keys, question);
        let power = keys.len().next_power_of_two().ilog2() as usize;
        let sql = plan.detail.sizes.get(power).ok_or_else(|| internal("a batch too large"))?;
        let arguments = arguments(keys).map_err(sqlx::Error::Encode)?;
        let mut rows =
            connection.inner.fetch(sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), arguments));
        let mut scratch = Vec::new();
        while let Some(row) = next(&mut rows).await? {
            let ordinal: i64 = row.try_get_unchecked(0)?;
            if ordinal < 0 {
                let version: i64 = row.try_get_unchecked(1)?;
                if version != plan.detail.schema_version {
                    return Err(Failure::Outdated);
                }
                continue;
            }
            let at = usize::try_from(ordinal).unwrap_or(usize::MAX);
            let (format, detail) = (question.format, &plan.detail);
            answers.take(at, |answer| push(answer, &row, format, detail, &mut scratch))?;
        }
        answers.finish()
    }

    fn misfit(_: &Plan<Detail>, _: usize, _: &ParameterValue) -> Option<String> {
        None
    }
}

/// How many keys there are, then the values of each.
fn arguments(keys: &[Asked<'_>]) -> Result<SqliteArguments, sqlx::error::BoxDynError> {
    let mut arguments = SqliteArguments::default();
    arguments.add(i64::try_from(keys.len())?)?;
    for value in keys.iter().flat_map(|asked| &asked.values) {
        match value {
            ParameterValue::Int(number) => arguments.add(*number)?,
            ParameterValue::Text(text) => arguments.add(text.clone())?,
            ParameterValue::Uuid(_) => arguments.add(value.to_string())?,
            ParameterValue::Bool(truth) => arguments.add(i64::from(*truth))?,
            ParameterValue::Version(_) => return Err("a version is never bound".into()),
        }
    }
    Ok(arguments)
}

/// Takes the value from the columns after the ordinal, and what the tags need of it.
fn push(
    answer: &mut Answer,
    row: &SqliteRow,
    format: Format,
    detail: &Detail,
    scratch: &mut Vec<u8>,
) -> Result<Result<Vec<Option<String>>>, sqlx::Error> {
    scratch.clear();
    match format {
        Format::Raw => {
            if row.try_get_raw(1)?.is_null() {
                return Ok(answer.push(Row::Null).map(|()| vec![None; detail.tagged.len()]));
            }
            push_raw(row, scratch)?;
        }
        Format::Json => {
            for (at, column) in detail.columns.iter().enumerate() {
                scratch.push(if at == 0 { b'{' } else { b',' });
                scratch.extend_from_slice(&column.label);
                push_json(row, at + 1, column.is_boolean, scratch)?;
            }
            scratch.push(b'}');
        }
    }
    let pushed = answer.push(Row::Bytes(scratch));
    let texts = tags::texts(row, detail)?;
    Ok(pushed.map(|()| texts))
}

/// The storage class of a value that is not `NULL`, and reading it as that.
fn read<'r, T: Decode<'r, sqlx::Sqlite>>(row: &'r SqliteRow, at: usize) -> Result<T, sqlx::Error> {
    T::decode(row.try_get_raw(at)?)
        .map_err(|source| sqlx::Error::ColumnDecode { index: at.to_string(), source })
}

fn push_json(
    row: &SqliteRow,
    at: usize,
    is_boolean: bool,
    out: &mut Vec<u8>,
) -> Result<(), sqlx::Error> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match value.type_info().name() {
        "INTEGER" => match read::<i64>(row, at)? {
            0 if is_boolean => out.extend_from_slice(b"false"),
            1 if is_boolean => out.extend_from_slice(b"true"),
            number => json::push_integer(number, out),
        },
        "REAL" => json::push_real(read(row, at)?, out),
        "TEXT" => json::push_string(read(row, at)?, out),
        _ => json::push_bytes(read(row, at)?, out),
    }
    Ok(())
}

fn push_raw(row: &SqliteRow, out: &mut Vec<u8>) -> Result<(), sqlx::Error> {
    push_raw_at(row, 1, out).map(drop)
}

/// Appends the bytes of a column, and says whether there are any: `NULL` has none.
fn push_raw_at(row: &SqliteRow, at: usize, out: &mut Vec<u8>) -> Result<bool, sqlx::Error> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(false);
    }
    match value.type_info().name() {
        "INTEGER" => json::push_integer(read(row, at)?, out),
        "REAL" => json::push_real(read(row, at)?, out),
        "TEXT" => out.extend_from_slice(read::<&str>(row, at)?.as_bytes()),
        _ => out.extend_from_slice(read::<&[u8]>(row, at)?),
    }
    Ok(true)
}
