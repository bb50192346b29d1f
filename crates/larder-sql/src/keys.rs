//! The keys that a query names, page by page: what a cache is warmed from, and what a filter is
//! built from.
//!
//! A query answers with a row for each key, whose columns are the key's parameters by name. It is
//! asked once for a reading, and its rows are taken as they are wanted: it doesn't know who reads
//! them, and holds a page of them, however many there are.

mod pages;
mod row;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::template::nearest;
use larder_core::{Error, ErrorKind, Key, KeyList, KeyTemplate, LoadError, Result};
use tokio::time::timeout;

use crate::database::{Database, Kind, either};
use crate::error::{self, loading, opening, preparing};
use crate::pool::{Backend, Failure, Job, Pool};
use crate::statement::Statement;

pub use pages::SqlKeyPages;
pub(crate) use row::{Field, Sink};

/// What the key query is called in sentences.
const WHAT: &str = "the query for keys";

/// The keys that a query names.
///
/// ```no_run
/// use larder_core::{KeyList, KeyPages, KeyTemplate};
/// use larder_sql::{Database, Options, SqlKeys};
///
/// # async fn example() -> Result<(), larder_core::LoadError> {
/// let shop = Database::open("postgres://localhost/shop", &Options::new("shop"))?;
/// let user = KeyTemplate::parse("user:{id:int}")?;
/// let users = SqlKeys::new(&shop, &user, "SELECT id FROM users ORDER BY last_seen DESC")?;
/// let mut pages = users.pages();
/// for key in pages.next(1000).await? {
///     println!("{key:?}"); // the keys user:42, user:7, ...
/// }
/// # Ok(()) }
/// ```
///
/// A column that is no parameter is not looked at. A row for which there can be no key is left
/// out: one that holds `NULL`, or a text that the template can't tell from what follows it, or
/// that makes the key too long. A value of another kind, such as a text that is no number where
/// the template has an `int`, is an error, since all others are likely to be so too.
///
/// A reading takes one of the database's connections from its first page to its last, or until it
/// is dropped, and sees the tables as they were at its first page: in Postgres it is a cursor in a
/// transaction that only reads, in SQLite and MySQL a statement that isn't finished. So whoever
/// reads slowly keeps old rows from being cleaned up.
pub struct SqlKeys {
    query: Arc<Query>,
    load_timeout: Duration,
    pool: Kind,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) key: KeyTemplate,
    /// What the database is called in errors.
    pub(crate) database: String,
}

/// What differs from database to database.
pub(crate) trait KeyReader: Backend {
    /// The names of the columns of `sql`.
    fn columns(
        connection: &mut Self::Connection,
        sql: &str,
    ) -> impl Future<Output = Result<Vec<String>, Failure>> + Send;

    /// How many rows `sql` has.
    fn count(
        connection: &mut Self::Connection,
        sql: String,
    ) -> impl Future<Output = Result<i64, Failure>> + Send;

    /// Gives every row of `query` to `sink`, as fast as it takes them.
    fn read(
        connection: &mut Self::Connection,
        query: &Query,
        sink: &Sink,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl SqlKeys {
    /// The keys of the template `key` that `sql` names in `database`. The database is not asked
    /// yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is no query, or one with parameters.
    pub fn new(database: &Database, key: &KeyTemplate, sql: &str) -> Result<Self> {
        let dialect = database.kind.dialect();
        let config = |message: String| Error::new(ErrorKind::Config, message);
        let statement = Statement::parse_as(WHAT, sql, dialect, key.parameters())?;
        if let Some(&at) = statement.used().first() {
            let name = &key.parameters()[at].name;
            return Err(config(format!(
                "{WHAT} binds {{{name}}}, and it has nothing to bind: it answers with a row for \
                 each key, in whose column {name} the parameter stands"
            )));
        }
        if key.parameters().is_empty() {
            return Err(config(format!(
                "{WHAT} is of no use, since {} is only one key",
                key.text()
            )));
        }
        let name = database.name().to_owned();
        let sql = statement.render(|_| String::new());
        let query = Arc::new(Query { sql, key: key.clone(), database: name });
        Ok(Self {
            query,
            load_timeout: database.options().load_timeout,
            pool: database.kind.clone(),
        })
    }

    /// Verifies the query against the live database. Not needed before the first page, which does
    /// the same for itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the database does not accept the query or its URL, or a column is
    /// missing, saying what to write instead; [`ErrorKind::SourceDown`] or
    /// [`ErrorKind::Timeout`] if it can't be asked.
    pub async fn prepare(&self) -> Result<()> {
        let limit = self.load_timeout;
        let prepared = either!(Kind: &self.pool, pool => {
            timeout(limit, prepare(pool, &self.query)).await
        });
        prepared.unwrap_or_else(|_| Err(error::timeout(&self.query.database, limit)))
    }
}

async fn prepare<B: KeyReader>(pool: &Pool<B>, query: &Query) -> Result<()> {
    pool.run(&Columns(query)).await.map_err(|failure| match failure {
        Failure::Driver(error) => preparing(&query.database, error),
        Failure::Unreachable(error) => opening(&query.database, error),
        failure => query.error(failure),
    })
}

/// Looks whether the columns are there.
struct Columns<'a>(&'a Query);

impl<B: KeyReader> Job<B> for Columns<'_> {
    type Output = ();

    async fn run(&self, connection: &mut B::Connection) -> Result<(), Failure> {
        let names = B::columns(connection, &self.0.sql).await?;
        self.0.places(&names).map(drop).map_err(Failure::Whole)
    }
}

struct Count<'a>(&'a Query);

impl<B: KeyReader> Job<B> for Count<'_> {
    type Output = i64;

    async fn run(&self, connection: &mut B::Connection) -> Result<i64, Failure> {
        let sql = format!("SELECT count(*) FROM ({}\n) AS larder_row", self.0.sql);
        B::count(connection, sql).await
    }
}

impl Query {
    /// Where the parameters stand among the columns of these names.
    pub(crate) fn places<N: AsRef<str>>(&self, columns: &[N]) -> Result<Vec<usize>> {
        let place = |name: &str| {
            let found = columns.iter().position(|column| column.as_ref() == name);
            found.ok_or_else(|| {
                let names = || columns.iter().map(AsRef::as_ref);
                let cure = match nearest(name, names()) {
                    Some(near) => format!("rename {near} with AS"),
                    None => format!("select it, or rename one of {}", join(names())),
                };
                let key = self.key.text();
                let message = format!("{WHAT} has no column {name}, which {key} asks for: {cure}");
                Error::new(ErrorKind::Config, message)
            })
        };
        self.key.parameters().iter().map(|parameter| place(&parameter.name)).collect()
    }

    pub(crate) fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Driver(error) => loading(&self.database, 0, error),
            Failure::Whole(error) | Failure::Cut(error) | Failure::Unreachable(error) => error,
            Failure::Outdated => {
                let message =
                    format!("the tables of the source {} changed meanwhile", self.database);
                Error::new(ErrorKind::Loader, message)
            }
        }
    }
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl KeyList<Key> for SqlKeys {
    type Pages = SqlKeyPages;

    fn pages(&self) -> SqlKeyPages {
        let query = Arc::clone(&self.query);
        either!(Kind: &self.pool, pool => SqlKeyPages::new(Arc::clone(pool), query))
    }

    /// The database counts the rows, unless that takes longer than a load may.
    async fn count(&self) -> Result<Option<u64>, LoadError> {
        let counted = either!(Kind: &self.pool, pool => {
            let counted = async { pool.run(&Count(&self.query)).await };
            timeout(self.load_timeout, counted).await
        });
        match counted {
            Ok(Ok(count)) => Ok(u64::try_from(count).ok()),
            Ok(Err(failure)) => match self.query.error(failure) {
                error if error.kind() == ErrorKind::Timeout => Ok(None),
                error => Err(error.into()),
            },
            Err(_) => Ok(None),
        }
    }
}

impl fmt::Debug for SqlKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlKeys").field("key", &self.query.key).finish_non_exhaustive()
    }
}
