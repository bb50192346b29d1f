//! Writes and their database, as the engine's contract.

mod behind;
mod bind;

use std::fmt;
use std::time::Duration;

use larder_core::sink::{
    Applied, DeadLetter, Numbered, Sequence, Sink, SinkAbilities, WriteError, WriteFault,
};
use larder_core::template::{Parameter, ParameterKind};
use larder_core::{Error, ErrorKind, Key, KeyTemplate, Result, Value, Write, Written};

use crate::answer::RESULT_BYTES_MAX;
use crate::changes::{Changes, Ended, Expected, WriteJob, no_statement};
use crate::database::{Database, Kind, either};
use crate::fault;
use crate::fold::SqlFold;
use crate::load::{Format, Rows, Warning};
use crate::loads::{Asked, Question};
#[cfg(feature = "mysql")]
use crate::mysql::Mysql;
use crate::pool::Failure;
use crate::postgres::Postgres;
use crate::source::question;
use crate::sqlite::Sqlite;
use crate::statement::{Dialect, What};
use crate::terms::SqlTerms;
use crate::writes::{Order, SinkReport, Writes};

/// A cache's values, written to a SQL database.
///
/// ```no_run
/// use larder_core::{Key, KeyTemplate, Sink, Value, Write};
/// use larder_sql::{Database, Format, Load, Options, Rows, SqlSink, Writes};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let shop = Database::open("postgres://localhost/shop", &Options::new("shop"))?;
/// let load = Load {
///     key: KeyTemplate::parse("user:{id:int}")?,
///     sql: "SELECT id, name FROM users WHERE id = {id}".to_owned(),
///     rows: Rows::One,
///     format: Format::Json,
///     tags: Vec::new(),
/// };
/// let store = "INSERT INTO users (id, name) VALUES ({id}, {name})
///              ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name RETURNING *";
/// let delete = "DELETE FROM users WHERE id = {id}";
/// let users = SqlSink::new(&shop, Writes {
///     store: Some(store.to_owned()),
///     delete: Some(delete.to_owned()),
///     ..Writes::new("user", load)
/// })?;
/// for warning in users.prepare().await?.warnings {
///     eprintln!("{warning}");
/// }
/// let ada = Value::json(r#"{"id":42,"name":"Ada"}"#);
/// users.write(&Key::from("user:42"), &Write::Store(ada)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # What is bound
///
/// A field of the value goes to its column as Postgres's `json_populate_record` would put it
/// there: a number with all its digits, a string as the text that the column's type reads (a
/// moment, a label, a number), an array of one dimension as an array, `null` as `NULL`, an object
/// or an array as JSON or its text. A `bytea` or blob is base64, as loads give it. SQLite takes an
/// integer of 64 bits, a number with at most 17 digits as a real, and refuses a longer one. MySQL
/// reads a number as its column does, a moment without a zone, and refuses an array where there is
/// no text or document.
///
/// A field that is missing is refused, and `NULL` only written where the value says `null`: who
/// forgot a field would otherwise empty the column. A field that no statement names is left out,
/// since a value that was loaded may hold columns that are computed. A field with the name of a
/// parameter of the key must say the same as the key.
///
/// # What is known afterwards
///
/// What a statement returns is the value, if each column of the load is among what is returned:
/// of the same name, type, table and column there. Otherwise the sink doesn't say what is held,
/// and [`prepare`](Self::prepare) warns so. It takes the returned row for what the load would
/// give: where the load has conditions that a stored row may not meet, return nothing.
///
/// In MySQL and MariaDB, where an `UPDATE` returns nothing, the load is asked in the transaction of
/// the write, if each of its columns is one of the table that is written.
///
/// # Bounds
///
/// A value has at most [`RESULT_BYTES_MAX`] bytes, a batch [`WRITES_MAX`] writes and
/// [`WRITES_BYTES_MAX`] bytes; beyond that it is poison, which for a batch means that half of it
/// may be taken. `larder_applied` has a row for every key that was ever written behind; a reason
/// in `larder_dead_letters` is cut at 4,096 bytes.
///
/// # Cancel safety
///
/// Dropping a future closes its connection, which ends a transaction that was not committed yet.
pub struct SqlSink {
    key: KeyTemplate,
    cache: String,
    format: Format,
    rows: Rows,
    warnings: Vec<Warning>,
    lingers: Duration,
    changes: Either,
}

/// The most writes of one batch.
pub const WRITES_MAX: usize = 10_000;

/// The most bytes that the values of one batch may have together.
pub const WRITES_BYTES_MAX: usize = 4 * RESULT_BYTES_MAX;

enum Either {
    Postgres(Changes<Postgres>),
    Sqlite(Changes<Sqlite>),
    #[cfg(feature = "mysql")]
    Mysql(Changes<Mysql>),
}

impl SqlSink {
    /// The statements of `writes` for `database`. The database is not asked yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the load or a statement contradicts itself, saying what to write
    /// instead.
    pub fn new(database: &Database, writes: Writes) -> Result<Self> {
        let dialect = database.writes.dialect();
        check_name(&writes.cache, dialect)?;
        let key = writes.load.key.clone();
        let orders = Order::all(&writes, dialect, key.parameters())?;
        let ignored = |order: &Order| {
            let of_key = key.parameters().iter().enumerate();
            let is_ignored = |at: usize, kind| {
                let names = |what| matches!(what, What::Key(named, _) if named == at);
                kind != ParameterKind::Version && !order.takes.iter().any(|taken| names(taken.what))
            };
            let ignored = of_key.filter(|(at, parameter)| is_ignored(*at, parameter.kind));
            let warning = |(_, parameter): (usize, &Parameter)| Warning::Unwritten {
                verb: order.verb,
                parameter: parameter.clone(),
            };
            ignored.map(warning).collect::<Vec<_>>()
        };
        let warnings = orders.iter().flatten().flat_map(ignored).collect();
        let (format, rows) = (writes.load.format, writes.load.rows);
        let question: Question = question(dialect, writes.load)?;
        let limit = database.options().write_timeout.saturating_mul(2);
        let changes = match &database.writes {
            Kind::Postgres(pool) => {
                Either::Postgres(Changes::new(pool.clone(), question, orders, limit))
            }
            Kind::Sqlite(pool) => {
                Either::Sqlite(Changes::new(pool.clone(), question, orders, limit))
            }
            #[cfg(feature = "mysql")]
            Kind::Mysql(pool) => Either::Mysql(Changes::new(pool.clone(), question, orders, limit)),
        };
        // For so long the server may be at a statement that nobody waits for any more.
        let lingers = database.options().write_timeout;
        Ok(Self { key, cache: writes.cache, format, rows, warnings, lingers, changes })
    }

    /// What the keys look like.
    #[must_use]
    pub const fn key(&self) -> &KeyTemplate {
        &self.key
    }

    /// What is known to be odd without asking the database.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The same sink, which also says what is held where entries have tags, and what a load would
    /// say of that: the cache must be told so with its `written`. Otherwise such a value would be
    /// held without its tags, and stay when one of them is invalidated.
    #[must_use]
    pub fn with_terms(mut self) -> (Self, SqlTerms) {
        either!(Either: &mut self.changes, changes => changes.say_tags());
        let tags = either!(Either: &self.changes, changes => changes.question().tags.clone());
        let terms = SqlTerms::new(self.key.clone(), tags, self.format);
        (self, terms)
    }

    /// How an `add` changes a value, as far as that is known without the database. `column` is the
    /// field of a document that it adds to; the only one that is no part of the key where nothing
    /// is said.
    #[must_use]
    pub fn fold(&self, column: Option<String>) -> SqlFold {
        let add = self.orders()[Order::place("add")].as_ref();
        let key = self.key.parameters().iter().map(|parameter| parameter.name.clone());
        SqlFold {
            cache: self.cache.clone(),
            format: self.format,
            column,
            key: key.collect(),
            inserts: add.is_some_and(|add| add.head == "INSERT"),
        }
    }

    /// Verifies the load and the statements against the live database, without executing any, and
    /// tells what they are there. Not needed before the first write, which does the same for
    /// itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the database does not accept a statement or its URL, saying what
    /// to write instead; [`ErrorKind::SourceDown`] or [`ErrorKind::Timeout`] if it can't be asked,
    /// in which case writes will work once it can.
    pub async fn prepare(&self) -> Result<SinkReport> {
        let mut report = either!(Either: &self.changes, changes => changes.prepare().await)?;
        report.warnings.extend(self.warnings.iter().cloned());
        Ok(report)
    }

    fn orders(&self) -> &[Option<Order>; 3] {
        either!(Either: &self.changes, changes => changes.orders())
    }

    async fn one(
        &self,
        key: &Key,
        expected: Option<Option<&Value>>,
        write: &Write<Value>,
    ) -> Result<Written<Value>, WriteError> {
        let parameters = self.read(key).map_err(fault::own)?;
        let (place, bound) = self.bind(key, &parameters, write).map_err(fault::own)?;
        either!(Either: &self.changes, changes => {
            let values = changes.question().statement.used().iter();
            let values = values.map(|&at| parameters[at].clone()).collect();
            let asked = Asked { key, values, parameters: parameters.clone() };
            let expected = expected.map(|value| Expected { asked: &asked, value });
            let ended = changes.run(write.verb(), 1, |plan, _| WriteJob {
                plan, changes, place, bound: &bound, expected,
            });
            match ended.await? {
                Ended::Committed(written) => Ok(self.of_key(&parameters, written)),
                Ended::Conflict | Ended::Disowned => Err(conflict(key)),
            }
        })
    }

    /// Whether the key still holds what is expected, asked after a write was refused.
    async fn still_holds(&self, key: &Key, expected: Option<&Value>) -> bool {
        let Ok(parameters) = self.read(key) else { return true };
        either!(Either: &self.changes, changes => {
            let values = changes.question().statement.used().iter();
            let values = values.map(|&at| parameters[at].clone()).collect();
            let asked = Asked { key, values, parameters: parameters.clone() };
            changes.holds(&asked, expected).await
        })
    }
}

/// MySQL takes names for the same that differ in spaces at their ends, and keeps 255 characters.
fn check_name(cache: &str, dialect: Dialect) -> Result<()> {
    let fits = !cache.ends_with(' ') && cache.chars().count() <= 255;
    if dialect != Dialect::Mysql || fits {
        return Ok(());
    }
    let what = format!(
        "the cache `{cache}` is called what larder's own tables in MySQL can't tell from others: \
         give it a name of at most 255 characters without a space at its end"
    );
    Err(Error::new(ErrorKind::Config, what))
}

fn conflict(key: &Key) -> WriteError {
    let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
    let error = Error::new(ErrorKind::Conflict, "it holds something else than was expected");
    WriteError::new(WriteFault::Conflict, error.for_key(key))
}

impl Sink<Key, Value> for SqlSink {
    fn abilities(&self) -> SinkAbilities {
        let [store, delete, add] = self.orders().each_ref().map(Option::is_some);
        SinkAbilities { store, delete, add, replace: self.rows == Rows::One, behind: true }
    }

    fn lingers(&self) -> Duration {
        self.lingers
    }

    /// Whether the key is of the template, and the value has what the statement binds. What the
    /// columns make of it only the database knows.
    fn check(&self, key: &Key, write: &Write<Value>) -> Result<()> {
        let parameters = self.read(key)?;
        self.bind(key, &parameters, write).map(drop)
    }

    async fn write(&self, key: &Key, write: &Write<Value>) -> Result<Written<Value>, WriteError> {
        self.one(key, None, write).await
    }

    /// What is held is what the load gives, compared byte by byte.
    async fn replace(
        &self,
        key: &Key,
        expected: Option<&Value>,
        write: &Write<Value>,
    ) -> Result<Written<Value>, WriteError> {
        let done = self.one(key, Some(expected), write).await;
        match done {
            // Another writer's row may be in the way that this transaction didn't see yet.
            Err(WriteError { fault: WriteFault::Poison, error })
                if error.downcast_ref::<sqlx::Error>().is_some()
                    && !self.still_holds(key, expected).await =>
            {
                Err(WriteError::new(WriteFault::Conflict, conflict(key).error.caused_by(error)))
            }
            done => done,
        }
    }

    async fn own(&self, owner: &str) -> Result<u64> {
        self.take_over(owner).await
    }

    async fn disown(&self, epoch: u64) -> Result<()> {
        self.give_back(epoch).await
    }

    async fn apply(
        &self,
        epoch: u64,
        batch: &[Numbered<Key, Value>],
    ) -> Result<Vec<Applied<Value>>, WriteError> {
        self.apply_all(epoch, batch).await
    }

    async fn applied(&self, keys: &[Key]) -> Result<Vec<Option<Sequence>>> {
        self.sequences(keys).await
    }

    async fn bury(
        &self,
        epoch: u64,
        write: &Numbered<Key, Value>,
        reason: &str,
    ) -> Result<(), WriteError> {
        self.bury_one(epoch, write, reason).await
    }

    async fn requeued(&self, limit: usize) -> Result<Vec<DeadLetter<Key, Value>>> {
        self.letters(limit).await
    }
}

impl fmt::Debug for SqlSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSink")
            .field("cache", &self.cache)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What a failure of our own means where no database was asked.
fn refused(failure: Failure) -> WriteError {
    match failure {
        Failure::Whole(error) | Failure::Cut(error) | Failure::Unreachable(error) => {
            fault::own(error)
        }
        Failure::Driver(_) | Failure::Outdated => refused(no_statement()),
    }
}
