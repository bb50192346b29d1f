//! A table of numbers that is loaded from and written to, and fails as it is told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use larder_core::sink::{
    Applied, DeadLetter, Numbered, Sequence, Sink, SinkAbilities, WriteError, WriteFault,
};
use larder_core::{Error, ErrorKind, LoadContext, LoadError, Result, Source, Write, Written};
use tokio::sync::Notify;

/// Clones are the same table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rows: Mutex<Rows>,
    let_go: Notify,
}

/// What becomes of the next transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fails {
    /// Nothing is written.
    Before(WriteFault),
    /// It is committed, and the answer lost.
    Committed,
    /// It is committed, and the sink panics.
    Panicking,
    /// It is committed, and the answer leaves out what became of the last write.
    Forgetful,
    /// It goes well; to be put between others.
    Not,
}

#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) held: HashMap<u64, i64>,
    pub(crate) applied: HashMap<u64, Sequence>,
    pub(crate) letters: Vec<DeadLetter<u64, i64>>,
    pub(crate) requeued: HashSet<u64>,
    pub(crate) poison: HashSet<u64>,
    /// These are refused before anything is asked.
    pub(crate) refused: HashSet<u64>,
    pub(crate) fails: VecDeque<Fails>,
    /// The number of writes of each transaction that was asked for.
    pub(crate) batches: Vec<usize>,
    pub(crate) loads: usize,
    pub(crate) owner: Option<String>,
    pub(crate) epoch: u64,
    /// How often it can still be asked what was applied, if that has an end.
    pub(crate) asks_left: Option<usize>,
    /// What was applied is said of all keys that it is asked for but the last.
    pub(crate) is_forgetful: bool,
    /// Loads and transactions wait until they are let go.
    pub(crate) holds: bool,
    /// Those of more writes than this never end.
    pub(crate) slow_beyond: Option<usize>,
    /// And so do their answers, when they are committed.
    pub(crate) holds_answers: bool,
    /// Loads wait until they are let go.
    pub(crate) holds_loads: bool,
    /// So many of them do.
    pub(crate) loading: usize,
    /// And so does what is said of letters.
    pub(crate) holds_letters: bool,
    /// How often that was asked for and is on its way.
    pub(crate) letters_held: usize,
    /// It doesn't say what it holds.
    pub(crate) is_silent: bool,
}

impl Table {
    pub(crate) fn rows<T>(&self, look: impl FnOnce(&mut Rows) -> T) -> T {
        look(&mut self.0.rows.lock().unwrap())
    }

    pub(crate) fn held(&self, key: u64) -> Option<i64> {
        self.rows(|rows| rows.held.get(&key).copied())
    }

    /// Lets what waits go on, and what comes.
    pub(crate) fn let_go(&self) {
        self.rows(|rows| {
            (rows.holds, rows.holds_answers, rows.holds_letters) = (false, false, false);
            rows.holds_loads = false;
        });
        self.0.let_go.notify_waiters();
    }

    async fn wait(&self) {
        self.wait_while(|rows| rows.holds).await;
    }

    async fn wait_while(&self, holds: impl Fn(&Rows) -> bool) {
        loop {
            let let_go = self.0.let_go.notified();
            if !self.rows(|rows| holds(rows)) {
                return;
            }
            let_go.await;
        }
    }
}

impl Rows {
    fn write(&mut self, key: u64, write: &Write<i64>) -> Written<i64> {
        match write {
            Write::Store(value) => drop(self.held.insert(key, *value)),
            Write::Delete => drop(self.held.remove(&key)),
            Write::Add(difference) => *self.held.entry(key).or_default() += difference,
        }
        match self.held.get(&key) {
            _ if self.is_silent => Written::Unsaid,
            Some(&value) => Written::Value(value),
            None => Written::Absent,
        }
    }

    fn guard(&mut self, epoch: u64) -> Result<(), WriteError> {
        if epoch == self.epoch {
            return Ok(());
        }
        Err(fault(WriteFault::Disowned, "another process owns it"))
    }

    /// Counts `write` as applied; `false` if it was before.
    fn raise(&mut self, write: &Numbered<u64, i64>) -> bool {
        if let Some(letter) = write.letter {
            let before = self.letters.len();
            self.letters.retain(|held| held.id != letter);
            self.requeued.remove(&letter);
            if self.letters.len() == before {
                return false;
            }
        }
        let last = self.applied.entry(write.key).or_default();
        if *last >= write.sequence && last.epoch > 0 {
            return false;
        }
        *last = write.sequence;
        true
    }
}

fn fault(fault: WriteFault, message: &'static str) -> WriteError {
    WriteError::new(fault, Error::new(ErrorKind::SourceDown, message))
}

/// A load, until it ends or is given up.
struct Loading<'a>(&'a Table);

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.rows(|rows| rows.loading -= 1);
    }
}

impl Source<u64, i64> for Table {
    async fn load(&self, key: &u64, _: &mut LoadContext) -> Result<Option<i64>, LoadError> {
        self.rows(|rows| rows.loading += 1);
        let _loading = Loading(self);
        self.wait_while(|rows| rows.holds || rows.holds_loads).await;
        Ok(self.rows(|rows| {
            rows.loads += 1;
            rows.held.get(key).copied()
        }))
    }
}

impl Sink<u64, i64> for Table {
    fn abilities(&self) -> SinkAbilities {
        SinkAbilities { store: true, delete: true, add: true, replace: false, behind: true }
    }

    fn check(&self, key: &u64, _: &Write<i64>) -> Result<()> {
        match self.rows(|rows| rows.refused.contains(key)) {
            true => Err(Error::new(ErrorKind::Refused, "it could never be written")),
            false => Ok(()),
        }
    }

    async fn write(&self, key: &u64, write: &Write<i64>) -> Result<Written<i64>, WriteError> {
        Ok(self.rows(|rows| rows.write(*key, write)))
    }

    async fn own(&self, owner: &str) -> Result<u64> {
        self.rows(|rows| match &rows.owner {
            Some(other) if other != owner => {
                Err(Error::new(ErrorKind::Refused, format!("{other} owns it")))
            }
            _ => {
                rows.owner = Some(owner.to_owned());
                rows.epoch += 1;
                Ok(rows.epoch)
            }
        })
    }

    async fn disown(&self, epoch: u64) -> Result<()> {
        self.rows(|rows| {
            if rows.epoch == epoch {
                rows.owner = None;
            }
        });
        Ok(())
    }

    async fn apply(
        &self,
        epoch: u64,
        batch: &[Numbered<u64, i64>],
    ) -> Result<Vec<Applied<i64>>, WriteError> {
        self.rows(|rows| rows.batches.push(batch.len()));
        self.wait_while(|rows| rows.slow_beyond.is_some_and(|most| batch.len() > most)).await;
        self.wait().await;
        let panics = self.rows(|rows| rows.fails.front() == Some(&Fails::Panicking));
        let done = self.rows(|rows| {
            let fails = rows.fails.pop_front().unwrap_or(Fails::Not);
            if let Fails::Before(what) = fails {
                return Err(fault(what, "it is told to fail"));
            }
            rows.guard(epoch)?;
            if batch.iter().any(|write| rows.poison.contains(&write.key)) {
                return Err(fault(WriteFault::Poison, "the row may not be"));
            }
            let mut done = Vec::new();
            for write in batch {
                done.push(match rows.raise(write) {
                    true => Applied::Now(rows.write(write.key, &write.write)),
                    false => Applied::Before,
                });
            }
            match fails {
                Fails::Committed => Err(fault(WriteFault::Unknown, "the answer was lost")),
                Fails::Forgetful => Ok(done.split_off(1)),
                _ => Ok(done),
            }
        });
        assert!(!panics, "the sink is told to panic");
        self.wait_while(|rows| rows.holds_answers).await;
        done
    }

    async fn applied(&self, keys: &[u64]) -> Result<Vec<Option<Sequence>>> {
        self.rows(|rows| {
            if rows.asks_left == Some(0) {
                return Err(Error::new(ErrorKind::SourceDown, "it is down"));
            }
            rows.asks_left = rows.asks_left.map(|left| left - 1);
            let said = keys.len() - usize::from(rows.is_forgetful);
            Ok(keys[..said].iter().map(|key| rows.applied.get(key).copied()).collect())
        })
    }

    async fn bury(
        &self,
        epoch: u64,
        write: &Numbered<u64, i64>,
        reason: &str,
    ) -> Result<(), WriteError> {
        self.rows(|rows| {
            rows.guard(epoch)?;
            if rows.raise(write) {
                let id = rows.letters.last().map_or(1, |last| last.id + 1);
                let numbered = write.clone();
                rows.letters.push(DeadLetter { id, numbered, reason: reason.to_owned() });
            }
            Ok(())
        })
    }

    async fn requeued(&self, limit: usize) -> Result<Vec<DeadLetter<u64, i64>>> {
        let found = self.rows(|rows| {
            let asked = |letter: &&DeadLetter<u64, i64>| rows.requeued.contains(&letter.id);
            rows.letters.iter().filter(asked).take(limit).cloned().collect()
        });
        self.rows(|rows| rows.letters_held += usize::from(rows.holds_letters));
        self.wait_while(|rows| rows.holds_letters).await;
        Ok(found)
    }
}
