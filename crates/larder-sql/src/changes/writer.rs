//! What differs from database to database, and what is said to it and by it.

use std::future::Future;

use larder_core::template::ParameterValue;
use larder_core::{Result, Value};
use tokio::time::Instant;

use crate::document::Given;
use crate::guard::Keeper;
use crate::loads::{Plan, Planner, Question};
use crate::pool::Failure;
use crate::writes::Order;

/// A value that a statement binds.
#[derive(Clone, Debug)]
pub(crate) enum Bound<'a> {
    Parameter(ParameterValue),
    Delta(i64),
    Field(Given<'a>),
    Whole(&'a [u8]),
}

/// What a statement did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How many rows it changed.
    pub(crate) rows: u64,
    /// The value of the only row that it returned; `None` inside is a `NULL`, which is absence.
    pub(crate) value: Option<Option<Value>>,
}

/// A statement as the live database takes it.
pub(crate) struct Planned<C> {
    pub(crate) change: C,
    /// The type of each name that is bound.
    pub(crate) types: Vec<String>,
    /// Why what it returns is not the value that the load gives, if it isn't.
    pub(crate) unsaid: Option<String>,
    /// How many keys one execution writes.
    pub(crate) batch_max: usize,
    /// It changes exactly the rows whose columns are what the key says.
    pub(crate) is_by_key: bool,
}

/// The plan of a sink.
pub(crate) struct Orders<W: Writer> {
    pub(crate) load: Plan<W::Detail>,
    pub(crate) changes: [Option<Planned<W::Change>>; 3],
    pub(super) expires: Instant,
}

/// How the writes of a batch are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As many as there can be at once.
    Together,
    OneByOne,
}

/// What a transaction is to be kept from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Its own rows change between two of its statements only as it changes them.
    Rows,
    /// Nobody comes between.
    Serializable,
}

/// What differs from database to database in writing.
pub(crate) trait Writer: Planner + Keeper {
    /// Whether one statement outside of a transaction is enough for one write.
    const ALONE: bool;

    /// A statement as it is sent.
    type Change: Send + Sync;

    /// Asks the database about `order`, whose values the load of this plan gives.
    fn plan_change(
        connection: &mut Self::Connection,
        question: &Question,
        load: &Plan<Self::Detail>,
        order: &Order,
    ) -> impl Future<Output = Result<Planned<Self::Change>, Failure>> + Send;

    /// Begins a transaction.
    fn begin(
        connection: &mut Self::Connection,
        isolation: Isolation,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Ends it well.
    fn commit(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Ends it, if there still is one.
    fn rollback(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Prepares the statement on this connection, where it isn't yet.
    fn ready(
        connection: &mut Self::Connection,
        change: &Self::Change,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Executes the statement for one key.
    fn change(
        connection: &mut Self::Connection,
        question: &Question,
        load: &Plan<Self::Detail>,
        change: &Self::Change,
        bound: &[Bound<'_>],
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Executes the statement for each of these keys, at most [`Planned::batch_max`], whose order
    /// doesn't matter.
    fn change_many(
        connection: &mut Self::Connection,
        question: &Question,
        load: &Plan<Self::Detail>,
        planned: &Planned<Self::Change>,
        bound: &[&[Bound<'_>]],
    ) -> impl Future<Output = Result<Vec<Outcome>, Failure>> + Send;
}
