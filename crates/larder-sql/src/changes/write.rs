//! One write in a transaction of its own, and how transactions end.

use std::sync::Arc;

use larder_core::steps::{Step, reach};
use larder_core::{Error, ErrorKind, Result, Value, Written};

use super::{Bound, Changes, Isolation, Orders, Outcome, Planned, Writer, no_statement};
use crate::load::Rows;
use crate::loads::{Asked, Question};
use crate::pool::{Failure, Once, Progress};
use crate::writes::Order;

/// How a transaction ended without an error.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    Committed(T),
    /// Rolled back: the cache is owned by another one.
    Disowned,
    /// Rolled back: it holds something else than was expected.
    Conflict,
}

/// What is held after a write, as far as the database said.
///
/// That there is nothing is only known where the statement names rows by the key alone, and the
/// value is one row: a condition of its own may have spared what the load still finds, and many
/// rows without any are an empty array.
pub(super) fn written<C>(
    order: &Order,
    planned: &Planned<C>,
    rows: Rows,
    outcome: Outcome,
) -> Written<Value> {
    let is_row_of_key = planned.is_by_key && rows == Rows::One;
    match (order.verb, outcome) {
        ("delete", _) if is_row_of_key && order.head == "DELETE" => Written::Absent,
        ("delete", _) => Written::Unsaid,
        ("add", Outcome { rows: 0, .. }) if is_row_of_key => Written::Absent,
        ("add", outcome) if changed_nothing(order, &outcome) => Written::Unsaid,
        (_, Outcome { value: Some(value), .. }) if planned.unsaid.is_none() => {
            value.map_or(Written::Absent, Written::Value)
        }
        _ => Written::Unsaid,
    }
}

/// Whether it found no row that it could change. A procedure doesn't say.
fn changed_nothing(order: &Order, outcome: &Outcome) -> bool {
    outcome.rows == 0 && order.head != "CALL"
}

/// The error of an `add` whose own condition lets it change nothing: whoever reads the number would
/// take it for the sum.
fn nothing_to_add_to() -> Failure {
    let what = "the add changed no row: there is none, or its condition doesn't let it";
    Failure::Whole(Error::new(ErrorKind::Refused, what))
}

/// One write in a transaction of its own.
pub(crate) struct WriteJob<'a, W: Writer> {
    pub(crate) plan: Arc<Orders<W>>,
    pub(crate) changes: &'a Changes<W>,
    pub(crate) place: usize,
    pub(crate) bound: &'a [Bound<'a>],
    /// The key, and the value that it must hold before.
    pub(crate) expected: Option<Expected<'a>>,
}

/// What a key is expected to hold.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) value: Option<&'a Value>,
}

impl<W: Writer> Once<W> for WriteJob<'_, W> {
    type Output = Ended<Written<Value>>;

    async fn run(
        &self,
        connection: &mut W::Connection,
        progress: &Progress,
    ) -> Result<Self::Output, Failure> {
        let planned = self.plan.planned(self.place)?;
        if let Err(failure) = W::ready(connection, &planned.change).await {
            progress.unready();
            return Err(failure);
        }
        let isolation = match (self.expected, W::ALONE) {
            (None, true) => {
                progress.sent();
                return self.change(connection).await;
            }
            (None, false) => Isolation::Rows,
            (Some(_), _) => Isolation::Serializable,
        };
        W::begin(connection, isolation).await?;
        progress.begun();
        let ended = match self.is_expected(connection).await {
            Ok(true) => self.change(connection).await,
            Ok(false) => Ok(Ended::Conflict),
            Err(failure) => Err(failure),
        };
        end::<W, _>(connection, progress, ended).await
    }
}

impl<W: Writer> WriteJob<'_, W> {
    async fn is_expected(&self, connection: &mut W::Connection) -> Result<bool, Failure> {
        let Some(Expected { asked, value }) = self.expected else { return Ok(true) };
        let look = Look { plan: &self.plan, question: &self.changes.question, asked };
        Ok(look.found(connection).await?.as_ref() == value)
    }

    async fn change(
        &self,
        connection: &mut W::Connection,
    ) -> Result<Ended<Written<Value>>, Failure> {
        let planned = self.plan.planned(self.place)?;
        let (question, load) = (&self.changes.question, &self.plan.load);
        let done = W::change(connection, question, load, &planned.change, self.bound).await?;
        let order = self.changes.orders[self.place].as_ref().ok_or_else(no_statement)?;
        let is_in_vain = order.verb == "add" && changed_nothing(order, &done);
        let written = written(order, planned, question.rows, done);
        match written {
            Written::Unsaid if is_in_vain => Err(nothing_to_add_to()),
            written => Ok(Ended::Committed(written)),
        }
    }
}

/// What a key holds.
pub(super) struct Look<'a, W: Writer> {
    pub(super) plan: &'a Orders<W>,
    pub(super) question: &'a Question,
    pub(super) asked: &'a Asked<'a>,
}

impl<W: Writer> Look<'_, W> {
    async fn found(&self, connection: &mut W::Connection) -> Result<Option<Value>, Failure> {
        let asked = std::slice::from_ref(self.asked);
        let found = W::fetch(connection, self.question, &self.plan.load, asked).await?;
        Ok(found.into_iter().next().and_then(|found| found.value))
    }
}

impl<W: Writer> Once<W> for Look<'_, W> {
    type Output = Option<Value>;

    async fn run(
        &self,
        connection: &mut W::Connection,
        _: &Progress,
    ) -> Result<Option<Value>, Failure> {
        self.found(connection).await
    }
}

/// Ends a transaction as `ended` says.
pub(crate) async fn end<W: Writer, T>(
    connection: &mut W::Connection,
    progress: &Progress,
    ended: Result<Ended<T>, Failure>,
) -> Result<Ended<T>, Failure> {
    let ended = match ended {
        Ok(Ended::Committed(done)) => {
            progress.sent();
            reach(Step::Commit);
            match W::commit(connection).await {
                Ok(()) => {
                    reach(Step::Committed);
                    progress.ended();
                    return Ok(Ended::Committed(done));
                }
                Err(error) => Err(Failure::Driver(error)),
            }
        }
        ended => ended,
    };
    // A connection on which this fails stays within its transaction, and is closed.
    let spoilt = ended.as_ref().is_err_and(Failure::spoils_connection);
    if !spoilt && W::rollback(connection).await.is_ok() {
        progress.ended();
    }
    ended
}
