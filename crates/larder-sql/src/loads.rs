//! Plan once, fetch often: what every database does alike.
//!
//! A *plan* is what the live database said about the statement: the types that it wants, the
//! columns that it gives, and the SQL made of that. It is made at the first opportunity, kept,
//! and made anew when the database says that it no longer fits, so that a migration costs a load
//! a second attempt and not an error.

use std::future::Future;
use std::sync::Arc;

use larder_core::sync::Mutex;
use larder_core::template::{Parameter, ParameterValue};
use larder_core::{Error, ErrorKind, Key, Result, Value};
use tokio::time::Instant;

use crate::error::{is_outdated, loading, opening, preparing};
use crate::load::{Binding, Column, Format, Rows};
use crate::pool::{Backend, Failure, Job, Pool};
use crate::statement::Statement;
use crate::tags::Tags;

/// What is asked, whatever the database says about it.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) statement: Statement,
    /// The parameters that the statement binds, in the order of first use.
    pub(crate) bound: Vec<Parameter>,
    pub(crate) rows: Rows,
    pub(crate) format: Format,
    pub(crate) tags: Tags,
    /// The parameters of the key, bound or not.
    pub(crate) parameters: Vec<Parameter>,
}

/// A key that is asked for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) key: &'a Key,
    /// What the statement binds for it.
    pub(crate) values: Vec<ParameterValue>,
    /// All its values, where tags may name them.
    pub(crate) parameters: Vec<ParameterValue>,
}

/// What a load found for a key.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) value: Option<Value>,
    pub(crate) tags: Vec<Box<str>>,
}

impl Asked<'_> {
    /// `error`, which is this key's.
    pub(crate) fn blame(&self, error: Error) -> Error {
        error.for_key(String::from_utf8_lossy(self.key.as_bytes()).into_owned())
    }
}

/// What the live database said.
#[derive(Clone, Debug)]
pub(crate) struct Plan<D> {
    pub(crate) bindings: Vec<Binding>,
    pub(crate) columns: Vec<Column>,
    /// How many keys one statement loads.
    pub(crate) batch_max: usize,
    /// Why that is 1, if the database said so.
    pub(crate) unbatched: Option<String>,
    /// When to ask again although nothing complains.
    pub(crate) expires: Option<Instant>,
    /// The SQL, and what else the database's own code needs.
    pub(crate) detail: D,
}

/// What differs from database to database.
pub(crate) trait Planner: Backend {
    /// How many keys one statement loads at most, whatever the statement.
    const BATCH_MAX: usize;

    /// See [`Plan::detail`].
    type Detail: Send + Sync;

    /// Asks the database about `question`.
    fn plan(
        connection: &mut Self::Connection,
        question: &Question,
    ) -> impl Future<Output = Result<Plan<Self::Detail>, Failure>> + Send;

    /// Loads the values of `keys`, at most [`Plan::batch_max`], in their order.
    fn fetch(
        connection: &mut Self::Connection,
        question: &Question,
        plan: &Plan<Self::Detail>,
        keys: &[Asked<'_>],
    ) -> impl Future<Output = Result<Vec<Found>, Failure>> + Send;

    /// Why no row can have `value` for what is bound `at` that place, as the end of a sentence.
    fn misfit(plan: &Plan<Self::Detail>, at: usize, value: &ParameterValue) -> Option<String>;
}

/// A question and the database that it goes to.
pub(crate) struct Loads<P: Planner> {
    pool: Arc<Pool<P>>,
    question: Question,
    plan: Mutex<Option<Arc<Plan<P::Detail>>>>,
}

impl<P: Planner> Loads<P> {
    pub(crate) fn new(pool: Arc<Pool<P>>, question: Question) -> Self {
        Self { pool, question, plan: Mutex::default() }
    }

    pub(crate) const fn question(&self) -> &Question {
        &self.question
    }

    pub(crate) fn pool(&self) -> &Pool<P> {
        &self.pool
    }

    /// The plan, if there has been an opportunity to make one.
    pub(crate) fn known(&self) -> Option<Arc<Plan<P::Detail>>> {
        self.plan.lock().clone()
    }

    /// Asks the live database about the statement.
    pub(crate) async fn prepare(&self) -> Result<Arc<Plan<P::Detail>>> {
        self.make_plan().await.map_err(|failure| match failure {
            Failure::Driver(error) => preparing(self.pool.name(), error),
            Failure::Unreachable(error) => opening(self.pool.name(), error),
            failure => self.error(failure),
        })
    }

    /// The plan, made now if there is none that holds.
    pub(crate) async fn plan(&self) -> Result<Arc<Plan<P::Detail>>> {
        let holds = |plan: &Arc<Plan<_>>| plan.expires.is_none_or(|at| Instant::now() < at);
        match self.known().filter(holds) {
            Some(plan) => Ok(plan),
            None => self.make_plan().await.map_err(|failure| self.error(failure)),
        }
    }

    /// How many keys to load at once, as far as it is known.
    pub(crate) fn batch_max(&self) -> usize {
        let most = if self.question.bound.is_empty() { 1 } else { P::BATCH_MAX };
        self.known().map_or(most, |plan| plan.batch_max)
    }

    /// Loads the values of `keys`, at most [`Plan::batch_max`], in their order.
    pub(crate) async fn load(
        &self,
        plan: &Plan<P::Detail>,
        keys: &[Asked<'_>],
    ) -> Result<Vec<Found>> {
        match self.fetch(plan, keys).await {
            Err(Failure::Outdated) => {}
            Err(Failure::Driver(error)) if is_outdated(&error) => {}
            done => return done.map_err(|failure| self.error(failure)),
        }
        let plan = self.make_plan().await.map_err(|failure| self.error(failure))?;
        let mut values = Vec::with_capacity(keys.len());
        for batch in keys.chunks(plan.batch_max) {
            values.extend(self.fetch(&plan, batch).await.map_err(|failure| self.error(failure))?);
        }
        Ok(values)
    }

    /// Blames one of `keys` for `error`, with which the database refused them together. It is
    /// found by halves, so it costs as many questions as their number has binary digits.
    pub(crate) async fn blame(
        &self,
        plan: &Plan<P::Detail>,
        mut keys: &[Asked<'_>],
        mut error: Error,
    ) -> Error {
        while let (left, right @ [_, ..]) = keys.split_at(keys.len() / 2) {
            if left.is_empty() {
                return right[0].blame(error);
            }
            keys = match self.load(plan, left).await {
                Ok(_) => right,
                Err(other) if other.kind() == ErrorKind::BadKey => {
                    error = other;
                    left
                }
                Err(other) => return other,
            };
        }
        error
    }

    async fn fetch(
        &self,
        plan: &Plan<P::Detail>,
        keys: &[Asked<'_>],
    ) -> Result<Vec<Found>, Failure> {
        let fetch = Fetch::<P> { question: &self.question, plan, keys };
        self.pool.run(&fetch).await
    }

    async fn make_plan(&self) -> Result<Arc<Plan<P::Detail>>, Failure> {
        let plan = Arc::new(self.pool.run(&MakePlan(&self.question)).await?);
        *self.plan.lock() = Some(Arc::clone(&plan));
        Ok(plan)
    }

    fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Driver(error) => loading(self.pool.name(), self.question.bound.len(), error),
            Failure::Whole(error) | Failure::Cut(error) | Failure::Unreachable(error) => error,
            Failure::Outdated => Error::new(
                ErrorKind::Loader,
                format!("the tables of the source {} changed during the load", self.pool.name()),
            ),
        }
    }
}

struct MakePlan<'a>(&'a Question);

impl<P: Planner> Job<P> for MakePlan<'_> {
    type Output = Plan<P::Detail>;

    async fn run(&self, connection: &mut P::Connection) -> Result<Self::Output, Failure> {
        P::plan(connection, self.0).await
    }
}

struct Fetch<'a, P: Planner> {
    question: &'a Question,
    plan: &'a Plan<P::Detail>,
    keys: &'a [Asked<'a>],
}

impl<P: Planner> Job<P> for Fetch<'_, P> {
    type Output = Vec<Found>;

    async fn run(&self, connection: &mut P::Connection) -> Result<Self::Output, Failure> {
        P::fetch(connection, self.question, self.plan, self.keys).await
    }
}
