//! A load and its database, as the engine's contract.

use std::fmt;
use std::time::Duration;

use larder_core::key::KeyFault;
use larder_core::template::{Parameter, ParameterKind};
use larder_core::{
    Error, ErrorKind, Key, KeyTemplate, LoadContext, LoadError, Result, Source, Value,
};
use tokio::time::timeout;

use crate::database::{Database, Kind, either};
use crate::error;
use crate::load::{Format, Load, Report, Rows, Warning};
use crate::loads::{Asked, Found, Loads, Plan, Planner, Question};
#[cfg(feature = "mysql")]
use crate::mysql::Mysql;
use crate::postgres::Postgres;
use crate::reads::{self, Reads};
use crate::sqlite::Sqlite;
use crate::statement::{Dialect, Statement};
use crate::tags::Tags;

/// A cache's values, loaded from a SQL database.
///
/// # Cancel safety
///
/// Dropping a load closes the connection that it used, and with that stops the statement;
/// nothing half-read is ever used again.
pub struct SqlSource {
    key: KeyTemplate,
    unused: Vec<Parameter>,
    load_timeout: Duration,
    loads: Either,
}

enum Either {
    Postgres(Loads<Postgres>),
    Sqlite(Loads<Sqlite>),
    #[cfg(feature = "mysql")]
    Mysql(Loads<Mysql>),
}

impl SqlSource {
    /// The answers of `database` to `load`. The database is not asked yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the load contradicts itself, saying what to write instead.
    pub fn new(database: &Database, load: Load) -> Result<Self> {
        let key = load.key.clone();
        let dialect = database.kind.dialect();
        let question = question(dialect, load)?;
        let statement = &question.statement;
        let is_unused = |(at, parameter): (usize, &Parameter)| {
            let unused = !statement.used().contains(&at);
            (unused && parameter.kind != ParameterKind::Version).then(|| parameter.clone())
        };
        let unused = key.parameters().iter().enumerate().filter_map(is_unused).collect();
        let loads = match &database.kind {
            Kind::Postgres(pool) => Either::Postgres(Loads::new(pool.clone(), question)),
            Kind::Sqlite(pool) => Either::Sqlite(Loads::new(pool.clone(), question)),
            #[cfg(feature = "mysql")]
            Kind::Mysql(pool) => Either::Mysql(Loads::new(pool.clone(), question)),
        };
        Ok(Self { key, unused, load_timeout: database.options().load_timeout, loads })
    }

    /// What the keys look like.
    #[must_use]
    pub const fn key(&self) -> &KeyTemplate {
        &self.key
    }

    /// What is known to be odd without asking the database.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        self.unused.iter().cloned().map(Warning::Unused).collect()
    }

    /// Verifies the load against the live database and tells what it is there. Not needed before
    /// the first load, which does the same for itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the database does not accept the load or its URL, saying what to
    /// write instead; [`ErrorKind::SourceDown`] or [`ErrorKind::Timeout`] if it can't be asked,
    /// in which case loads will work once it can.
    pub async fn prepare(&self) -> Result<Report> {
        either!(Either: &self.loads, loads => {
            let plan = self.within(self.load_timeout, loads.prepare()).await?;
            Ok(self.report(&plan))
        })
    }

    /// What the load reads, and which of its keys a row concerns: what a feed needs to know to say
    /// when a value changes. The live database is asked, which may have been altered since.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] if nobody would tell when its result changes, with the name of what
    /// is to blame; [`ErrorKind::Config`] if the database does not accept the load, or does not say
    /// what it reads; [`ErrorKind::SourceDown`] or [`ErrorKind::Timeout`] if it can't be asked.
    pub async fn reads(&self) -> Result<Reads> {
        either!(Either: &self.loads, loads => {
            let asked = reads::of(loads.pool(), loads.question());
            self.within(self.load_timeout, asked).await
        })
    }

    fn report<D>(&self, plan: &Plan<D>) -> Report {
        let mut warnings = self.warnings();
        warnings.extend(plan.unbatched.clone().map(Warning::Unbatched));
        Report {
            bindings: plan.bindings.clone(),
            columns: plan.columns.clone(),
            batch_max: plan.batch_max,
            warnings,
        }
    }

    /// What the statement binds for `key`.
    fn bind<'a>(&self, key: &'a Key, question: &Question) -> Result<Asked<'a>> {
        let mut asked = Asked { key, values: Vec::new(), parameters: Vec::new() };
        let bad = |what: String| asked.blame(Error::new(ErrorKind::BadKey, what));
        let text =
            std::str::from_utf8(key.as_bytes()).map_err(|_| bad(KeyFault::NotText.to_string()))?;
        let values = self.key.matches(text).map_err(|mismatch| bad(mismatch.to_string()))?;
        asked.values = question.statement.used().iter().map(|&at| values[at].clone()).collect();
        if !question.tags.is_empty() {
            asked.parameters = values;
        }
        Ok(asked)
    }

    /// Loads `keys`, which are one or a batch, within `limit`.
    async fn answer(&self, keys: &[Key], limit: Duration) -> Result<Vec<Found>> {
        let limit = limit.min(self.load_timeout);
        either!(Either: &self.loads, loads => self.within(limit, self.ask(loads, keys)).await)
    }

    async fn ask<P: Planner>(&self, loads: &Loads<P>, keys: &[Key]) -> Result<Vec<Found>> {
        let bind = |key| self.bind(key, loads.question());
        let asked = keys.iter().map(bind).collect::<Result<Vec<_>>>()?;
        let plan = loads.plan().await?;
        for asked in &asked {
            check_range(loads, &plan, asked)?;
        }
        let mut values = Vec::with_capacity(keys.len());
        for batch in asked.chunks(plan.batch_max) {
            match loads.load(&plan, batch).await {
                Ok(found) => values.extend(found),
                Err(error) if error.kind() == ErrorKind::BadKey => {
                    return Err(loads.blame(&plan, batch, error).await);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(values)
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(error::timeout(either!(Either: &self.loads, loads => loads.pool().name()), limit))
        })
    }
}

/// What a load asks a database of this dialect.
pub(crate) fn question(dialect: Dialect, load: Load) -> Result<Question> {
    let Load { key, sql, rows, format, tags } = load;
    if (rows, format) == (Rows::Many, Format::Raw) {
        let what = "column = \"raw\" makes a value of one row: leave out rows = \"many\", or \
                    leave out column = \"raw\" for an array in JSON";
        return Err(Error::new(ErrorKind::Config, what));
    }
    let statement = Statement::parse(&sql, dialect, key.parameters())?;
    let bound = statement.used().iter().map(|&at| key.parameters()[at].clone()).collect();
    let tags = Tags::new(&tags, key.parameters());
    let parameters = key.parameters().to_vec();
    Ok(Question { statement, bound, rows, format, tags, parameters })
}

/// Tells the engine what was found beside the values, which are returned.
fn tell(found: Vec<Found>, context: &LoadContext) -> impl Iterator<Item = Option<Value>> {
    found.into_iter().enumerate().map(|(at, Found { value, tags })| {
        if !tags.is_empty() {
            let key = context.key(at);
            for tag in tags {
                key.tag(tag);
            }
        }
        value
    })
}

fn check_range<P: Planner>(
    loads: &Loads<P>,
    plan: &Plan<P::Detail>,
    asked: &Asked<'_>,
) -> Result<()> {
    for (at, (parameter, value)) in loads.question().bound.iter().zip(&asked.values).enumerate() {
        if let Some(what) = P::misfit(plan, at, value) {
            let what = format!("the parameter {} is {value}, {what}", parameter.name);
            return Err(asked.blame(Error::new(ErrorKind::BadKey, what)));
        }
    }
    Ok(())
}

impl Source<Key, Value> for SqlSource {
    async fn load(&self, key: &Key, context: &mut LoadContext) -> Result<Option<Value>, LoadError> {
        let found = self.answer(std::slice::from_ref(key), context.timeout()).await?;
        Ok(tell(found, context).next().flatten())
    }

    async fn load_many(
        &self,
        keys: &[Key],
        context: &mut LoadContext,
    ) -> Result<Vec<Option<Value>>, LoadError> {
        let found = self.answer(keys, context.timeout()).await?;
        Ok(tell(found, context).collect())
    }

    /// A key can name a row if it matches the template and, once the database has said what it
    /// wants, lies in the range of the column.
    fn check(&self, key: &Key) -> Result<()> {
        either!(Either: &self.loads, loads => {
            let asked = self.bind(key, loads.question())?;
            loads.known().map_or(Ok(()), |plan| check_range(loads, &plan, &asked))
        })
    }

    /// What the database can take at once as far as it is known: before it was asked, the most
    /// that its kind can take.
    fn batch_max(&self) -> usize {
        either!(Either: &self.loads, loads => {
            loads.batch_max()
        })
    }
}

impl fmt::Debug for SqlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSource").field("key", &self.key).finish_non_exhaustive()
    }
}
