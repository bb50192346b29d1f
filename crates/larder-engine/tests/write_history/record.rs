//! The system of record of the random runs: a version of each key, which takes its time, fails as
//! it is drawn, and loses answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use larder_core::sink::{Applied, Numbered, Sequence, Sink, SinkAbilities, WriteError, WriteFault};
use larder_core::{
    Error, ErrorKind, LoadContext, LoadError, Result, Source, Terms, Write, Written,
};
use tokio::task::yield_now;

use super::dice::Dice;

/// What every value is tagged with.
pub(crate) const TAG: &str = "all";

/// A way in which it isn't what it should be, which a history must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    /// It says of a write what was held before.
    SaysWhatWas,
    /// It forgets now and then what it said it had applied.
    Forgets,
    /// A load may bring what was held when the one before it ended.
    LoadsWhatWas,
}

/// Clones are the same record.
#[derive(Clone)]
pub(crate) struct Record(Arc<Inner>);

struct Inner {
    rows: Mutex<Rows>,
    dice: Mutex<Dice>,
    wrong: Wrong,
}

#[derive(Default)]
struct Rows {
    versions: BTreeMap<u64, u64>,
    before: BTreeMap<u64, u64>,
    applied: HashMap<u64, Sequence>,
    epoch: u64,
    is_well: bool,
    loads: u64,
}

impl Rows {
    fn held(&self, key: u64) -> u64 {
        self.versions.get(&key).copied().unwrap_or(0)
    }

    fn set(&mut self, key: u64, version: u64) -> u64 {
        self.before.insert(key, self.held(key));
        self.versions.insert(key, version);
        version
    }
}

impl Record {
    pub(crate) fn new(seed: u64, wrong: Wrong) -> Self {
        let (rows, dice) = (Mutex::default(), Mutex::new(Dice::new(seed)));
        Self(Arc::new(Inner { rows, dice, wrong }))
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        self.rows(|rows| rows.is_well = true);
    }

    pub(crate) fn held(&self, key: u64) -> u64 {
        self.rows(|rows| rows.held(key))
    }

    pub(crate) fn loads(&self) -> u64 {
        self.rows(|rows| rows.loads)
    }

    /// One write behind larder's back. Returns its version.
    pub(crate) fn commit(&self, key: u64) -> u64 {
        self.rows(|rows| {
            let version = rows.held(key) + 1;
            rows.set(key, version)
        })
    }

    fn rows<T>(&self, look: impl FnOnce(&mut Rows) -> T) -> T {
        look(&mut self.0.rows.lock().unwrap())
    }

    /// A number below `n`.
    fn draw(&self, n: usize) -> usize {
        self.0.dice.lock().unwrap().next(n)
    }

    pub(crate) async fn pause(&self) {
        for _ in 0..self.draw(12) {
            yield_now().await;
        }
    }

    /// What goes wrong with the next question, if anything.
    fn fault(&self) -> Option<WriteFault> {
        if self.rows(|rows| rows.is_well) {
            return None;
        }
        match self.draw(10) {
            0 => Some(WriteFault::Transient),
            1 => Some(WriteFault::Conflict),
            2 | 3 => Some(WriteFault::Unknown),
            _ => None,
        }
    }

    fn is_wrong(&self, wrong: Wrong) -> bool {
        self.0.wrong == wrong
    }

    pub(crate) async fn read(&self, key: u64) -> u64 {
        self.pause().await;
        let version = self.rows(|rows| {
            rows.loads += 1;
            match self.is_wrong(Wrong::LoadsWhatWas) && self.draw(2) == 0 {
                true => rows.before.get(&key).copied().unwrap_or(0),
                false => rows.held(key),
            }
        });
        self.pause().await;
        version
    }

    /// A transaction of its own that raises the version, if it is `expected`.
    async fn raise(&self, key: u64, expected: Option<u64>) -> Result<Written<u64>, WriteError> {
        self.pause().await;
        let fault = self.fault();
        if let Some(fault @ (WriteFault::Transient | WriteFault::Conflict)) = fault {
            return Err(failed(fault, 0));
        }
        let is_lost = fault.is_some() && self.draw(2) == 0;
        let raised = self.rows(|rows| {
            let held = rows.held(key);
            if expected.is_some_and(|expected| expected != held) {
                return Err(failed(WriteFault::Conflict, 0));
            }
            Ok(if is_lost { 0 } else { rows.set(key, held + 1) })
        });
        let version = raised?;
        self.pause().await;
        match fault {
            // Zero where it came to nothing.
            Some(fault) => Err(failed(fault, version)),
            None if self.is_wrong(Wrong::SaysWhatWas) => Ok(Written::Value(version - 1)),
            None => Ok(Written::Value(version)),
        }
    }
}

/// An error that says what was committed all the same.
fn failed(fault: WriteFault, version: u64) -> WriteError {
    let kind = match fault {
        WriteFault::Conflict => ErrorKind::Conflict,
        _ => ErrorKind::Timeout,
    };
    WriteError::new(fault, Error::new(kind, version.to_string()))
}

/// What its loader says of a value, and what is said of one that was written.
pub(crate) fn terms() -> Terms {
    let mut terms = Terms::default();
    terms.tag(TAG);
    terms
}

impl Source<u64, u64> for Record {
    async fn load(&self, key: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        context.tag(TAG);
        let fails = self.fault() == Some(WriteFault::Transient);
        let version = self.read(*key).await;
        match fails {
            true => Err(Error::new(ErrorKind::Loader, "it is told to fail").into()),
            false => Ok(Some(version)),
        }
    }
}

impl Sink<u64, u64> for Record {
    fn abilities(&self) -> SinkAbilities {
        SinkAbilities { store: true, add: true, replace: true, behind: true, delete: false }
    }

    async fn write(&self, key: &u64, _: &Write<u64>) -> Result<Written<u64>, WriteError> {
        self.raise(*key, None).await
    }

    async fn replace(
        &self,
        key: &u64,
        expected: Option<&u64>,
        _: &Write<u64>,
    ) -> Result<Written<u64>, WriteError> {
        self.raise(*key, expected.copied()).await
    }

    async fn own(&self, _: &str) -> Result<u64> {
        Ok(self.rows(|rows| {
            rows.epoch += 1;
            rows.epoch
        }))
    }

    async fn disown(&self, _: u64) -> Result<()> {
        Ok(())
    }

    /// Unlike the others it stores what it is given: versions are counted by who writes.
    async fn apply(
        &self,
        _: u64,
        batch: &[Numbered<u64, u64>],
    ) -> Result<Vec<Applied<u64>>, WriteError> {
        self.pause().await;
        let fault = self.fault();
        if let Some(fault @ (WriteFault::Transient | WriteFault::Conflict)) = fault {
            return Err(failed(fault, 0));
        }
        let (is_lost, forgets) = (fault.is_some() && self.draw(2) == 0, self.draw(8) == 0);
        let mut done = Vec::new();
        for Numbered { key, write, sequence, .. } in batch.iter().filter(|_| !is_lost) {
            done.push(self.rows(|rows| {
                let last = rows.applied.entry(*key).or_default();
                if *last >= *sequence {
                    return Applied::Before;
                }
                *last = *sequence;
                let Write::Store(version) = *write else { panic!("only stores are written") };
                if self.is_wrong(Wrong::Forgets) && forgets {
                    return Applied::Now(Written::Unsaid);
                }
                let was = rows.held(*key);
                rows.set(*key, version);
                Applied::Now(match self.is_wrong(Wrong::SaysWhatWas) {
                    true => Written::Value(was),
                    false => Written::Value(version),
                })
            }));
        }
        self.pause().await;
        match fault {
            Some(fault) => Err(failed(fault, 0)),
            None => Ok(done),
        }
    }

    async fn applied(&self, keys: &[u64]) -> Result<Vec<Option<Sequence>>> {
        Ok(self.rows(|rows| keys.iter().map(|key| rows.applied.get(key).copied()).collect()))
    }
}
