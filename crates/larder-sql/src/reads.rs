//! What a load reads: the tables below its views, and by which columns a row of them concerns a
//! key.
//!
//! A feed says which rows of which tables changed. That covers a load only if nothing but rows
//! decides what it answers, so a load that asks a clock, a random number, the session or a
//! function that may do so is refused by the name of what is to blame. What is said here is what
//! the database's own catalog says, and never less than what is read: a table too many costs
//! loads, one too few breaks the promise. It doesn't know feeds, nor who covers what by them.

mod parse;
mod row;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;

use larder_core::change::Table;
use larder_core::template::{Parameter, ParameterKind};
use larder_core::{Error, ErrorKind, Result};

use crate::error::{opening, preparing};
use crate::loads::Question;
use crate::pool::{Backend, Failure, Job, Pool};

#[cfg(feature = "mysql")]
pub(crate) use parse::{aside, parse};
#[cfg(feature = "mysql")]
pub(crate) use row::equalities_of;
pub(crate) use row::{Equality, equalities};

/// How many tables and views a load may read, with those that these are made of.
pub(crate) const RELATIONS_MAX: usize = 512;

/// What a load reads.
///
/// ```no_run
/// # async fn example(users: &larder_sql::SqlSource) -> larder_core::Result<()> {
/// let reads = users.reads().await?;
/// for table in &reads.tables {
///     println!("a change of {table} may change a value");
/// }
/// match (&reads.row, &reads.why_not) {
///     (Some(row), _) => println!("and its {:?} say of which key", row.columns),
///     (None, why_not) => println!("of any key: {}", why_not.as_deref().unwrap_or_default()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reads {
    /// The tables, sorted, each once, as a feed names them: through views and their views; of a
    /// partition the table that it is one of. A table whose rows change those of another one
    /// without a word in the log is among them. There may be none.
    pub tables: Vec<Table>,
    /// Where a row says which key it concerns.
    pub row: Option<ReadRow>,
    /// Why that isn't known: the rest of a sentence that begins with "load". `None` where `row` is.
    pub why_not: Option<String>,
}

/// A load that reads one table, of which it looks only at rows whose columns are what the key says.
///
/// A row that changed concerns the key with its values, as text, in these places; another row, no
/// key at all. The text that a feed gives for a column is the one that a key has, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRow {
    /// The table, the only one of [`Reads::tables`].
    pub table: Table,
    /// A column for each parameter of the key: the parameter, and the column's name.
    pub columns: Vec<(Box<str>, Box<str>)>,
}

/// What differs from database to database.
pub(crate) trait Reader: Backend {
    /// What the load reads.
    fn reads(
        connection: &mut Self::Connection,
        question: &Question,
    ) -> impl Future<Output = Result<Reads, Failure>> + Send;

    /// The columns whose old values a change tells; `None` where there is no such table.
    fn identity(
        connection: &mut Self::Connection,
        table: &Table,
    ) -> impl Future<Output = Result<Option<Vec<Box<str>>>, Failure>> + Send;
}

/// What a column's text is when a feed tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The decimal digits of an integer.
    Int,
    /// A uuid in lower case with four dashes.
    Uuid,
    /// What was stored, and what differs by a byte isn't equal.
    Text,
    /// Something that may differ from what a key has: the rest of a sentence about the column.
    Other(String),
}

impl Told {
    /// Why a key's parameter may be written otherwise than the column that is equal to it.
    fn differs(&self, kind: ParameterKind) -> Option<String> {
        match (self, kind) {
            (Self::Int, ParameterKind::Int)
            | (Self::Uuid, ParameterKind::Uuid)
            | (Self::Text, ParameterKind::Text | ParameterKind::Uuid) => None,
            (Self::Other(why), _) => Some(why.clone()),
            _ => Some(format!("is of another kind than the key's {kind}")),
        }
    }
}

impl Reads {
    /// Tables alone.
    pub(crate) fn of_tables(tables: BTreeSet<Table>, why_not: String) -> Self {
        Self { tables: tables.into_iter().collect(), row: None, why_not: Some(why_not) }
    }

    /// These tables, and the row if `columns` says one for each parameter.
    pub(crate) fn new(tables: BTreeSet<Table>, columns: Result<Columns, String>) -> Self {
        match (columns, tables.first().cloned()) {
            (Ok(columns), Some(table)) if tables.len() == 1 => Self {
                tables: tables.into_iter().collect(),
                row: Some(ReadRow { table, columns }),
                why_not: None,
            },
            (Err(why_not), _) => Self::of_tables(tables, why_not),
            (Ok(_), _) => {
                let why_not = format!("reads {} tables", tables.len());
                Self::of_tables(tables, why_not)
            }
        }
    }
}

/// A parameter and the column that is equal to it, for each.
pub(crate) type Columns = Vec<(Box<str>, Box<str>)>;

/// The columns that are equal to the key's parameters, or the rest of a sentence about the load:
/// `told` says of a column what it is called in the table, and what a feed tells of it.
pub(crate) fn columns(
    question: &Question,
    equalities: Result<Vec<Equality>, String>,
    told: impl Fn(&Equality) -> Option<(String, Told)>,
) -> Result<Columns, String> {
    if question.bound.is_empty() {
        return Err("has no parameter, so that every row may change its value".to_owned());
    }
    let is_bound = |parameter: &&Parameter| question.bound.contains(parameter);
    if let Some(free) = question.parameters.iter().find(|parameter| !is_bound(parameter)) {
        return Err(format!("ignores {{{}}}, so that a row concerns many keys", free.name));
    }
    let equalities = equalities?;
    let column = |(at, parameter): (usize, &Parameter)| {
        let Parameter { name, kind } = parameter;
        let mut why = format!("has no condition `column = {{{name}}}` that always holds");
        for equality in equalities.iter().filter(|equality| equality.parameter == at) {
            match told(equality) {
                None => why = format!("compares {{{name}}} with what is no column of the table"),
                Some((column, told)) => match told.differs(*kind) {
                    None => return Ok((name.as_str().into(), column.into())),
                    Some(differs) => why = format!("has {{{name}}} = {column}, which {differs}"),
                },
            }
        }
        Err(why)
    };
    question.bound.iter().enumerate().map(column).collect()
}

/// Something whose result nobody tells a change of.
pub(crate) fn refused(what: impl fmt::Display) -> Failure {
    let what = format!("no feed can cover load, because it {what}");
    Failure::Whole(Error::new(ErrorKind::Refused, what))
}

/// What the database doesn't say to this user.
pub(crate) fn unsaid(what: impl fmt::Display) -> Failure {
    Failure::Whole(Error::new(ErrorKind::Config, format!("what load reads is unknown: {what}")))
}

/// What the load `question` reads.
pub(crate) async fn of<B: Reader>(pool: &Pool<B>, question: &Question) -> Result<Reads> {
    answer(pool, &Look(question)).await
}

/// The columns whose old values a change of `table` tells.
pub(crate) async fn identity<B: Reader>(pool: &Pool<B>, table: &Table) -> Result<Vec<Box<str>>> {
    let found = answer(pool, &Identity(table)).await?;
    found.ok_or_else(|| {
        let what = format!("the source {} has no table {table}", pool.name());
        Error::new(ErrorKind::Config, what)
    })
}

async fn answer<B: Backend, J: Job<B>>(pool: &Pool<B>, job: &J) -> Result<J::Output> {
    pool.run(job).await.map_err(|failure| match failure {
        Failure::Driver(error) => preparing(pool.name(), error),
        Failure::Unreachable(error) => opening(pool.name(), error),
        Failure::Whole(error) | Failure::Cut(error) => error,
        Failure::Outdated => {
            let what = format!("the tables of the source {} changed meanwhile", pool.name());
            Error::new(ErrorKind::Loader, what)
        }
    })
}

struct Look<'a>(&'a Question);
struct Identity<'a>(&'a Table);

impl<B: Reader> Job<B> for Look<'_> {
    type Output = Reads;

    async fn run(&self, connection: &mut B::Connection) -> Result<Reads, Failure> {
        B::reads(connection, self.0).await
    }
}

impl<B: Reader> Job<B> for Identity<'_> {
    type Output = Option<Vec<Box<str>>>;

    async fn run(&self, connection: &mut B::Connection) -> Result<Self::Output, Failure> {
        B::identity(connection, self.0).await
    }
}
