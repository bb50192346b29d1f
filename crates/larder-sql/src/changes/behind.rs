//! Writing behind: batches that may come again, and the tables that tell.

use std::sync::Arc;

use larder_core::sink::{Applied, Sequence};
use larder_core::steps::{Step, reach};
use larder_core::{Error, ErrorKind, Result, Value};

use super::write::written;
use super::{Bound, Changes, Ended, Isolation, Orders, Pace, Writer, end, no_statement};
use crate::error::is_twice_one_row;
use crate::guard::Guard;
use crate::pool::{Failure, Once, Progress};

/// The place of a write of a key, as the tables hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark<'a> {
    pub(crate) key: &'a str,
    pub(crate) epoch: i64,
    pub(crate) number: i64,
}

/// Who has a cache after it was asked for.
#[derive(Debug)]
pub(crate) enum Owned {
    /// Who asked, under this epoch.
    Now(i64),
    /// Another one.
    By(String),
}

/// A dead letter, as the tables hold it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Letter {
    /// None before it is written down.
    pub(crate) id: Option<i64>,
    pub(crate) key: String,
    pub(crate) verb: String,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) delta: Option<i64>,
    pub(crate) sequence: Sequence,
    pub(crate) reason: String,
}

/// One write of a batch.
pub(crate) struct Entry<'a> {
    /// Where it stands in the batch.
    pub(crate) at: usize,
    pub(crate) mark: Mark<'a>,
    pub(crate) letter: Option<i64>,
    /// Which statement.
    pub(crate) place: usize,
    pub(crate) bound: Vec<Bound<'a>>,
}

/// A batch in one transaction.
pub(crate) struct ApplyJob<'a, W: Writer> {
    pub(crate) plan: Arc<Orders<W>>,
    pub(crate) changes: &'a Changes<W>,
    pub(crate) cache: &'a str,
    pub(crate) epoch: i64,
    /// Sorted by key, so that no two batches wait for each other.
    pub(crate) entries: &'a [Entry<'a>],
    pub(crate) pace: Pace,
}

impl<W: Writer> Once<W> for ApplyJob<'_, W> {
    type Output = Ended<Vec<Applied<Value>>>;

    async fn run(
        &self,
        connection: &mut W::Connection,
        progress: &Progress,
    ) -> Result<Self::Output, Failure> {
        for (place, planned) in self.plan.changes.iter().enumerate() {
            let is_used = self.entries.iter().any(|entry| entry.place == place);
            let Some(planned) = planned.as_ref().filter(|_| is_used) else { continue };
            if let Err(failure) = W::ready(connection, &planned.change).await {
                progress.unready();
                return Err(failure);
            }
        }
        W::begin(connection, Isolation::Rows).await?;
        progress.begun();
        reach(Step::Begin);
        let ended = self.steps(connection, progress).await;
        end::<W, _>(connection, progress, ended).await
    }
}

impl<W: Writer> ApplyJob<'_, W> {
    async fn steps(
        &self,
        connection: &mut W::Connection,
        progress: &Progress,
    ) -> Result<Ended<Vec<Applied<Value>>>, Failure> {
        let marks: Vec<_> = self.entries.iter().map(|entry| entry.mark).collect();
        let letters: Vec<_> = self.entries.iter().filter_map(|entry| entry.letter).collect();
        let guard = W::guard(connection, self.cache, self.epoch, &marks, &letters).await;
        // Our own statement can only be wrong for everything.
        let guard = guard.inspect_err(|_| progress.unready())?;
        if !guard.owned {
            return Ok(Ended::Disowned);
        }
        let mut results: Vec<Applied<Value>> = vec![Applied::Before; self.entries.len()];
        for (place, order) in self.changes.orders().iter().enumerate() {
            let is_due = |entry: &&Entry<'_>| entry.place == place && is_due(entry, &guard);
            let due: Vec<_> = self.entries.iter().filter(is_due).collect();
            if due.is_empty() {
                continue;
            }
            let order = order.as_ref().ok_or_else(no_statement)?;
            let planned = self.plan.planned(place)?;
            let (question, load) = (self.changes.question(), &self.plan.load);
            let at_once = match self.pace {
                Pace::Together => planned.batch_max.max(1),
                Pace::OneByOne => 1,
            };
            for due in due.chunks(at_once) {
                let bound: Vec<_> = due.iter().map(|entry| &entry.bound[..]).collect();
                let done = W::change_many(connection, question, load, planned, &bound).await;
                let done = done.map_err(|failure| match failure {
                    Failure::Driver(error) if due.len() > 1 && is_twice_one_row(&error) => {
                        Failure::Outdated
                    }
                    failure => failure,
                })?;
                for (entry, outcome) in due.iter().zip(done) {
                    let written = written(order, planned, question.rows, outcome);
                    results[entry.at] = Applied::Now(written);
                }
            }
        }
        Ok(Ended::Committed(results))
    }
}

/// A letter that is there decides, and otherwise the mark.
fn is_due(entry: &Entry<'_>, guard: &Guard) -> bool {
    match entry.letter {
        Some(letter) => guard.letters.contains(&letter),
        None => guard.raised.contains(entry.mark.key),
    }
}

/// A write that becomes a dead letter.
pub(crate) struct BuryJob<'a> {
    pub(crate) cache: &'a str,
    pub(crate) epoch: i64,
    pub(crate) letter: &'a Letter,
}

impl<W: Writer> Once<W> for BuryJob<'_> {
    type Output = Ended<()>;

    async fn run(
        &self,
        connection: &mut W::Connection,
        progress: &Progress,
    ) -> Result<Ended<()>, Failure> {
        W::begin(connection, Isolation::Rows).await?;
        progress.begun();
        let ended = self.steps::<W>(connection).await;
        if ended.is_err() {
            // Our own statements can only be wrong for everything.
            progress.unready();
        }
        end::<W, _>(connection, progress, ended).await
    }
}

impl BuryJob<'_> {
    async fn steps<W: Writer>(&self, connection: &mut W::Connection) -> Result<Ended<()>, Failure> {
        let Letter { key, sequence, id, .. } = self.letter;
        let mark = mark(key, *sequence)?;
        let guard = W::guard(connection, self.cache, self.epoch, &[mark], &[]).await?;
        if !guard.owned {
            return Ok(Ended::Disowned);
        }
        // What was applied or buried before isn't buried once more.
        if id.is_some() || guard.raised.contains(mark.key) {
            W::bury(connection, self.cache, self.letter).await?;
        }
        Ok(Ended::Committed(()))
    }
}

/// The mark of a write.
///
/// # Errors
///
/// A number that no database can hold, which no journal reaches.
pub(crate) fn mark(key: &str, sequence: Sequence) -> Result<Mark<'_>, Failure> {
    let number = |number: u64| i64::try_from(number).map_err(|_| uncountable());
    let (epoch, number) = (number(sequence.epoch)?, number(sequence.number)?);
    Ok(Mark { key, epoch, number })
}

fn uncountable() -> Failure {
    Failure::Whole(Error::new(ErrorKind::Internal, "a number beyond what a database can count"))
}

/// What is asked of the tables beside writes.
pub(crate) enum Question<'a> {
    Own(&'a str),
    Disown(i64),
    Applied(&'a [&'a str]),
    Requeued(i64),
}

/// What they said.
pub(crate) enum Told {
    Owned(Owned),
    Done,
    Applied(Vec<(usize, Sequence)>),
    Letters(Vec<Letter>),
}

/// A question about a cache. Each is one statement, and asking twice does no harm.
pub(crate) struct Asking<'a> {
    pub(crate) cache: &'a str,
    pub(crate) question: Question<'a>,
}

impl<W: Writer> Once<W> for Asking<'_> {
    type Output = Told;

    async fn run(&self, connection: &mut W::Connection, _: &Progress) -> Result<Told, Failure> {
        let cache = self.cache;
        Ok(match self.question {
            Question::Own(owner) => Told::Owned(W::own(connection, cache, owner).await?),
            Question::Disown(epoch) => {
                W::disown(connection, cache, epoch).await?;
                Told::Done
            }
            Question::Applied(keys) => Told::Applied(W::applied(connection, cache, keys).await?),
            Question::Requeued(limit) => {
                Told::Letters(W::requeued(connection, cache, limit).await?)
            }
        })
    }
}
