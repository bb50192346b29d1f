//! Histories: what threads wrote and read, in which order, and whether that keeps the promise.
//!
//! A key is a register that holds a version. The source raises it by one with each commit, so a
//! read names the write that it saw, and judging a history takes a search per read instead of the
//! search for an order of all operations that a general checker makes. Operations stand on a
//! logical clock: each takes a number when it begins and another when it ends. One comes *before*
//! another if it ended before that one began; otherwise they overlap.
//!
//! # The rule
//!
//! A read of a key returns a version of at least the highest that was announced before the read,
//! and of at most the highest whose write began before the read ended.
//!
//! - *Announced* is a write whose invalidation dropped the old value and returned. So a get that
//!   starts after an invalidation returned gives nothing that was loaded before it, and whoever
//!   wrote reads at least what it wrote.
//! - A write that only marks stale binds nobody by itself: the old value may be served under the
//!   rule for stale entries. What it brings at last is for the test to ask, with
//!   [`head`](History::head).
//! - When all is quiet nothing overlaps any more, so a read then gives the head, if the last write
//!   was announced.
//!
//! So a key is a regular register, not an atomic one (Lamport: On interprocess communication,
//! 1986): two reads, even of one thread, that overlap the same write may see its version and then
//! the one before. Until the invalidation has returned nothing else is promised, so nothing else
//! is asked.
//!
//! It knows no cache and no runtime. It is of the standard library under every checker: what is
//! written down here must not add interleavings of its own.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What threads wrote and read, to be shared by reference.
///
/// ```
/// use larder_test::history::{Announced, History};
///
/// let history = History::new();
/// let early = history.begin();
/// let write = history.begin();
/// // … the source commits version 1, and the cache is told …
/// history.wrote(write, 7, 1, Announced::Dropping);
/// let late = history.begin();
/// history.read(early, 7, 0); // It overlaps the write, and may be given either.
/// assert_eq!(history.check(), Ok(1));
/// history.read(late, 7, 0); // It began when the write had been announced.
/// let violation = history.check().unwrap_err();
/// assert_eq!((violation.found, violation.bounds), (0, 1..=1));
/// ```
#[derive(Debug, Default)]
pub struct History {
    clock: AtomicU64,
    keys: Mutex<BTreeMap<u64, Operations>>,
}

/// What was done with one key.
#[derive(Debug, Default)]
struct Operations {
    count: usize,
    writes: Vec<Write>,
    reads: Vec<Read>,
}

#[derive(Clone, Copy, Debug)]
struct Write {
    began: u64,
    ended: u64,
    version: u64,
    announced: Announced,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    began: u64,
    ended: u64,
    version: u64,
}

/// The beginning of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an operation that doesn't end is not in the history"]
pub struct Begun(u64);

/// How a write was announced to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// What was held is dropped: every read that follows is bound.
    Dropping,
    /// What was held is marked stale, or the announcement didn't come to its end.
    Loosely,
}

/// A read that broke the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was read.
    pub key: u64,
    /// The version that the read returned.
    pub found: u64,
    /// What it might have returned.
    pub bounds: std::ops::RangeInclusive<u64>,
    /// When the read began and ended.
    pub read: (u64, u64),
    /// When the write began and ended that sets the broken bound; `None` where no write does.
    pub write: Option<(u64, u64)>,
}

impl History {
    /// The most operations of one key that are written down.
    pub const OPERATIONS_MAX: usize = 1 << 20;

    /// An empty history. Every key holds version 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins an operation; to be called before anything is done for it.
    pub fn begin(&self) -> Begun {
        Begun(self.tick())
    }

    /// Ends a write: it committed `version`, higher than all before, and the cache has been told.
    ///
    /// # Panics
    ///
    /// When this is one operation of the key more than [`OPERATIONS_MAX`](Self::OPERATIONS_MAX).
    pub fn wrote(&self, begun: Begun, key: u64, version: u64, announced: Announced) {
        let ended = self.tick();
        let write = Write { began: begun.0, ended, version, announced };
        self.note(key, |operations| operations.writes.push(write));
    }

    /// Ends a read, which returned `version`. A read of many keys ends once for each.
    ///
    /// # Panics
    ///
    /// When this is one operation of the key more than [`OPERATIONS_MAX`](Self::OPERATIONS_MAX).
    pub fn read(&self, begun: Begun, key: u64, version: u64) {
        let read = Read { began: begun.0, ended: self.tick(), version };
        self.note(key, |operations| operations.reads.push(read));
    }

    /// The highest version of `key` that was written: what a read must give at last, when all is
    /// quiet.
    #[must_use]
    pub fn head(&self, key: u64) -> u64 {
        let keys = self.keys();
        let writes = keys.get(&key).map_or(&[][..], |operations| &operations.writes);
        writes.iter().map(|write| write.version).max().unwrap_or(0)
    }

    /// Judges everything that has ended so far, in O(n log n). Every write that may have been seen
    /// must have ended, so it is called when all is quiet. Returns how many reads it judged.
    ///
    /// # Errors
    ///
    /// A read that broke the rule: the one that began first.
    pub fn check(&self) -> Result<usize, Violation> {
        let keys = self.keys();
        let first = keys
            .iter()
            .filter_map(|(key, operations)| operations.check(*key))
            .min_by_key(|violation| violation.read);
        let reads = keys.values().map(|operations| operations.reads.len()).sum();
        first.map_or(Ok(reads), Err)
    }

    fn note(&self, key: u64, note: impl FnOnce(&mut Operations)) {
        let mut keys = self.keys();
        let operations = keys.entry(key).or_default();
        operations.count += 1;
        assert!(
            operations.count <= Self::OPERATIONS_MAX,
            "a history takes {} operations of a key: judge it sooner, or use more keys",
            Self::OPERATIONS_MAX
        );
        note(operations);
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<u64, Operations>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operations {
    /// The read that broke the rule and began first.
    fn check(&self, key: u64) -> Option<Violation> {
        let announced = |write: &&Write| write.announced == Announced::Dropping;
        let ended = highest(self.writes.iter().filter(announced), |write| write.ended);
        let began = highest(self.writes.iter(), |write| write.began);
        let violations = self.reads.iter().filter_map(|read| {
            let (low, high) = (before(&ended, read.began), before(&began, read.ended));
            let version = |write: Option<Write>| write.map_or(0, |write| write.version);
            let bounds = version(low)..=version(high);
            let broken = if read.version < *bounds.start() { low } else { high };
            (!bounds.contains(&read.version)).then(|| Violation {
                key,
                found: read.version,
                bounds,
                read: (read.began, read.ended),
                write: broken.map(|write| (write.began, write.ended)),
            })
        });
        violations.min_by_key(|violation| violation.read)
    }
}

/// For each of these moments, in their order, the write of the highest version until then.
fn highest<'w>(
    writes: impl Iterator<Item = &'w Write>,
    moment: impl Fn(&Write) -> u64,
) -> Vec<(u64, Write)> {
    let mut writes: Vec<_> = writes.map(|write| (moment(write), *write)).collect();
    writes.sort_unstable_by_key(|(moment, _)| *moment);
    let mut most: Option<Write> = None;
    for (_, write) in &mut writes {
        let highest = most.filter(|most| most.version > write.version).unwrap_or(*write);
        (*write, most) = (highest, Some(highest));
    }
    writes
}

/// The write of the highest version whose moment lies before this one.
fn before(highest: &[(u64, Write)], moment: u64) -> Option<Write> {
    let later = highest.partition_point(|(at, _)| *at < moment);
    highest[..later].last().map(|(_, write)| *write)
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, found, bounds, read: (began, ended), write } = self;
        let (low, high) = (bounds.start(), bounds.end());
        write!(f, "a read of key {key} from {began} to {ended} returned version {found}, and ")?;
        match write {
            Some((began, ended)) if found < low => {
                write!(f, "version {low} was written and announced from {began} to {ended}")
            }
            Some((began, _)) => write!(f, "the highest by then, {high}, was begun at {began}"),
            None => write!(f, "no write had begun by then"),
        }
    }
}

impl std::error::Error for Violation {}
