//! Writing as every database does it alike: plan once, then each write in a transaction that is
//! tried once.
//!
//! A *plan* is what the live database said about the load and the statements. A write whose plan
//! no longer fits the tables was refused by the database, and so is done again with a new plan;
//! nothing else is ever repeated here.

mod behind;
mod write;
mod writer;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use larder_core::sink::WriteError;
use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Result, Value};
use tokio::time::Instant;

use self::write::Look;
use crate::error::{is_outdated, is_unprepared, opening, preparing};
use crate::fault;
use crate::load::Warning;
use crate::loads::{Asked, Question};
use crate::pool::{Failure, Once, Pool, Progress};
use crate::writes::{Order, SinkReport, StatementReport};

pub(crate) use behind::{
    ApplyJob, Asking, BuryJob, Entry, Letter, Mark, Owned, Question as TablesQuestion, Told, mark,
};
pub(crate) use write::{Ended, Expected, WriteJob, end};
pub(crate) use writer::{Bound, Isolation, Orders, Outcome, Pace, Planned, Writer};

/// How long a plan is trusted: a column that is added to the tables shows only in a new one.
const PLAN_MAX: Duration = Duration::from_secs(60);

/// The statements of a sink and the database that they go to.
pub(crate) struct Changes<W: Writer> {
    pool: Arc<Pool<W>>,
    question: Question,
    orders: [Option<Order>; 3],
    plan: Mutex<Option<Arc<Orders<W>>>>,
    /// How long a write may take.
    limit: Duration,
}

impl<W: Writer> Changes<W> {
    pub(crate) fn new(
        pool: Arc<Pool<W>>,
        question: Question,
        orders: [Option<Order>; 3],
        limit: Duration,
    ) -> Self {
        Self { pool, question, orders, plan: Mutex::default(), limit }
    }

    pub(crate) const fn question(&self) -> &Question {
        &self.question
    }

    pub(crate) const fn orders(&self) -> &[Option<Order>; 3] {
        &self.orders
    }

    /// Somebody else says the tags of what the statements return.
    pub(crate) fn say_tags(&mut self) {
        self.orders.iter_mut().flatten().for_each(|order| order.are_tags_said = true);
    }

    /// Asks the live database about the load and all statements.
    pub(crate) async fn prepare(&self) -> Result<SinkReport> {
        let planned = self.timed(self.make_plan()).await?;
        let plan = planned.map_err(|failure| match failure {
            Failure::Driver(error) => preparing(self.pool.name(), error),
            Failure::Unreachable(error) => opening(self.pool.name(), error),
            failure => self.error("plan", &Progress::default(), failure).error,
        })?;
        let mut report = SinkReport { statements: Vec::new(), warnings: Vec::new() };
        for (order, planned) in self.orders.iter().zip(&plan.changes) {
            let (Some(order), Some(planned)) = (order, planned) else { continue };
            let names = order.takes.iter().map(|taken| taken.name.clone());
            report.statements.push(StatementReport {
                verb: order.verb,
                bindings: names.zip(planned.types.iter().cloned()).collect(),
                returns: planned.unsaid.is_none() && order.verb != "delete",
                batch_max: planned.batch_max,
            });
            report.warnings.extend(
                planned
                    .unsaid
                    .as_ref()
                    .map(|why| Warning::Unsaid { verb: order.verb, why: why.clone() }),
            );
        }
        Ok(report)
    }

    /// Does the job that `job` makes of the plan, within the limit of `size` writes together called
    /// `verb`: that of one write, and as much again for every thousand.
    pub(crate) async fn run<J, M>(
        &self,
        verb: &str,
        size: usize,
        job: M,
    ) -> Result<J::Output, WriteError>
    where
        J: Once<W>,
        M: Fn(Arc<Orders<W>>, Pace) -> J + Send + Sync,
    {
        let progress = Progress::default();
        let work = async {
            let plan = self.plan().await.inspect_err(|_| progress.unready())?;
            match self.pool.run_once(&job(plan, Pace::Together), &progress).await {
                Err(Failure::Outdated) => {}
                Err(Failure::Driver(error)) if is_outdated(&error) || is_unprepared(&error) => {}
                done => return done,
            }
            // The database has refused it, so nothing was written.
            progress.reset();
            let plan = self.make_plan().await.inspect_err(|_| progress.unready())?;
            self.pool.run_once(&job(plan, Pace::OneByOne), &progress).await
        };
        let thousands = u32::try_from(size / 1_000).unwrap_or(u32::MAX);
        let limit = self.limit.saturating_mul(thousands.saturating_add(1));
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done.map_err(|failure| self.error(verb, &progress, failure)),
            Err(_) => Err(fault::timeout(self.pool.name(), verb, &progress, limit)),
        }
    }

    /// Does a job that needs no plan, within the limit of a write called `verb`.
    pub(crate) async fn run_unplanned<J: Once<W>>(
        &self,
        verb: &str,
        job: &J,
    ) -> Result<J::Output, WriteError> {
        let progress = Progress::default();
        match tokio::time::timeout(self.limit, self.pool.run_once(job, &progress)).await {
            Ok(done) => done.map_err(|failure| self.error(verb, &progress, failure)),
            Err(_) => Err(fault::timeout(self.pool.name(), verb, &progress, self.limit)),
        }
    }

    /// Does a job that needs no plan, and says of its failure only whether the database can be
    /// asked.
    pub(crate) async fn ask<J: Once<W>>(&self, what: &str, job: &J) -> Result<J::Output> {
        let progress = Progress::default();
        let done = self.timed(self.pool.run_once(job, &progress)).await?;
        // Our own statement can only be wrong for everything.
        progress.unready();
        done.map_err(|failure| self.error(what, &progress, failure).error)
    }

    /// Whether the key that is asked for holds `expected`, as far as the database says.
    pub(crate) async fn holds(&self, asked: &Asked<'_>, expected: Option<&Value>) -> bool {
        let Ok(plan) = self.plan().await else { return true };
        let job = Look { plan: &plan, question: &self.question, asked };
        match self.timed(self.pool.run_once(&job, &Progress::default())).await {
            Ok(Ok(found)) => found.as_ref() == expected,
            _ => true,
        }
    }

    async fn timed<T>(&self, work: impl Future<Output = T> + Send) -> Result<T> {
        let timed = tokio::time::timeout(self.limit, work).await;
        timed.map_err(|_| crate::error::timeout(self.pool.name(), self.limit))
    }

    async fn plan(&self) -> Result<Arc<Orders<W>>, Failure> {
        let known = self.plan.lock().clone();
        match known.filter(|plan| Instant::now() < plan.expires) {
            Some(plan) => Ok(plan),
            None => self.make_plan().await,
        }
    }

    async fn make_plan(&self) -> Result<Arc<Orders<W>>, Failure> {
        let job = MakeOrders { question: &self.question, orders: &self.orders };
        let plan = Arc::new(self.pool.run_once(&job, &Progress::default()).await?);
        *self.plan.lock() = Some(Arc::clone(&plan));
        Ok(plan)
    }

    fn error(&self, verb: &str, progress: &Progress, failure: Failure) -> WriteError {
        fault::writing(self.pool.name(), verb, progress, failure)
    }
}

struct MakeOrders<'a> {
    question: &'a Question,
    orders: &'a [Option<Order>; 3],
}

impl<W: Writer> Once<W> for MakeOrders<'_> {
    type Output = Orders<W>;

    async fn run(
        &self,
        connection: &mut W::Connection,
        _: &Progress,
    ) -> Result<Orders<W>, Failure> {
        let load = W::plan(connection, self.question).await?;
        let mut changes = [None, None, None];
        for (order, planned) in self.orders.iter().zip(&mut changes) {
            if let Some(order) = order {
                *planned = Some(W::plan_change(connection, self.question, &load, order).await?);
            }
        }
        let latest = Instant::now() + PLAN_MAX;
        let expires = load.expires.map_or(latest, |at| at.min(latest));
        Ok(Orders { load, changes, expires })
    }
}

impl<W: Writer> Orders<W> {
    fn planned(&self, place: usize) -> Result<&Planned<W::Change>, Failure> {
        self.changes[place].as_ref().ok_or_else(no_statement)
    }
}

/// The sink is asked only for what it said that it takes.
pub(crate) fn no_statement() -> Failure {
    let what = "this sink has no statement for such a write";
    Failure::Whole(Error::new(ErrorKind::Refused, what))
}
