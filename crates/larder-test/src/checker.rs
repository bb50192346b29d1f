//! Checks the promise by the clock: what real processes read, against what was committed and
//! announced, and when.
//!
//! Where [`History`](crate::History) judges threads by the order of their operations, this judges
//! processes by the machine's clock, and measures how stale they read. All moments are of
//! `CLOCK_MONOTONIC`, which all processes of a machine share; [`now`] reads it.
//!
//! # The rule
//!
//! A key is a register that holds a version, 0 at first, which each commit raises. With an
//! allowed staleness of *delta*, a read returns at least the highest version whose announcement
//! had returned *delta* before the read began, and at most the highest whose commit began before
//! the read ended. A write whose outcome nobody knows may have been seen, so it raises the upper
//! bound, and binds nobody, so it leaves the lower one alone.
//!
//! A value is *superseded* when the announcement of any higher version has returned. How long
//! before the read's start that was is the read's staleness; the lower bound is broken if and
//! only if it is more than *delta*.
//!
//! It knows no cache, no database and no process.

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub use report::{Report, Staleness, Violation};

/// The moment, on the clock that all processes of this machine share.
///
/// # Panics
///
/// When the system tells a time before its own start, which Linux doesn't.
#[must_use]
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::try_from(now).expect("the machine was started before now")
}

/// A version that somebody committed, or may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// What was written.
    pub key: u64,
    /// The version that the commit made.
    pub version: u64,
    /// When the commit began: nobody can have seen the version before.
    pub began: Duration,
    /// When the commit had returned; `None` if its outcome is unknown.
    pub committed: Option<Duration>,
    /// When the announcement to the cache had returned, if it has.
    pub announced: Option<Duration>,
}

/// A version that somebody read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Who read it.
    pub process: u64,
    /// What was read.
    pub key: u64,
    /// The version that was returned.
    pub version: u64,
    /// When the read began.
    pub began: Duration,
    /// When it had returned.
    pub ended: Duration,
}

/// What was written and read, to be shared by reference.
///
/// ```
/// use larder_test::checker::{Checker, Read, Write};
/// use std::time::Duration;
///
/// let ms = Duration::from_millis;
/// let checker = Checker::new();
/// checker.wrote(Write {
///     key: 7,
///     version: 1,
///     began: ms(10),
///     committed: Some(ms(11)),
///     announced: Some(ms(12)),
/// });
/// let read = Read { process: 0, key: 7, version: 0, began: ms(20), ended: ms(21) };
/// checker.read(read);
///
/// let report = checker.check(ms(10));
/// assert_eq!((report.reads, report.violations), (1, 0));
/// assert_eq!(report.staleness.worst.map(|(staleness, _)| staleness), Some(ms(8)));
/// let report = checker.check(ms(5));
/// assert_eq!(report.first[0].bounds, 1..=1);
/// ```
#[derive(Debug, Default)]
pub struct Checker {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    count: usize,
    keys: BTreeMap<u64, Operations>,
}

/// What was done with one key.
#[derive(Debug, Default)]
struct Operations {
    writes: Vec<Write>,
    reads: Vec<Read>,
}

impl Checker {
    /// The most writes and reads that are written down, about 1.5 GB.
    pub const OPERATIONS_MAX: usize = 1 << 24;

    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes down a write. Its announcement must have returned, or never will.
    ///
    /// # Panics
    ///
    /// When this is one operation more than [`OPERATIONS_MAX`](Self::OPERATIONS_MAX), or when the
    /// write ended before it began.
    pub fn wrote(&self, write: Write) {
        let Write { began, committed, announced, .. } = write;
        let ordered = committed.is_none_or(|committed| {
            began <= committed && announced.is_none_or(|announced| committed <= announced)
        });
        assert!(ordered, "it begins, commits and is announced in this order: {write:?}");
        self.note(write.key, |operations| operations.writes.push(write));
    }

    /// Writes down a read.
    ///
    /// # Panics
    ///
    /// When this is one operation more than [`OPERATIONS_MAX`](Self::OPERATIONS_MAX), or when the
    /// read ended before it began.
    pub fn read(&self, read: Read) {
        assert!(read.began <= read.ended, "it begins before it ends: {read:?}");
        self.note(read.key, |operations| operations.reads.push(read));
    }

    /// Judges everything that was written down so far, allowing reads to be stale by `delta`, in
    /// O(n log n). Every write that may have been seen must have been written down.
    #[must_use]
    pub fn check(&self, delta: Duration) -> Report {
        let seen = self.seen();
        let mut report = Report::default();
        for operations in seen.keys.values() {
            operations.check(delta, &mut report);
        }
        drop(seen);
        report.finish();
        report
    }

    fn note(&self, key: u64, note: impl FnOnce(&mut Operations)) {
        let mut seen = self.seen();
        seen.count += 1;
        assert!(
            seen.count <= Self::OPERATIONS_MAX,
            "a checker takes {} operations: judge it sooner, and begin another",
            Self::OPERATIONS_MAX
        );
        note(seen.keys.entry(key).or_default());
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operations {
    fn check(&self, delta: Duration, report: &mut Report) {
        let announced = self.writes.iter().filter_map(|write| {
            write.committed?;
            Some((write.announced?, write.version))
        });
        let announced: Vec<(Duration, u64)> = announced.collect();
        let superseded = earliest(&announced);
        let announced = highest(announced);
        let begun = highest(self.writes.iter().map(|write| (write.began, write.version)).collect());
        for read in &self.reads {
            let low = read.began.checked_sub(delta).map_or(0, |moment| before(&announced, moment));
            let bounds = low..=before(&begun, read.ended);
            let staleness = above(&superseded, read.version)
                .map_or(Duration::ZERO, |moment| read.began.saturating_sub(moment));
            report.add(read, bounds, staleness);
        }
    }
}

/// For each moment, in their order, the highest version until then.
fn highest(mut versions: Vec<(Duration, u64)>) -> Vec<(Duration, u64)> {
    versions.sort_unstable();
    let mut most = 0;
    for (_, version) in &mut versions {
        most = most.max(*version);
        *version = most;
    }
    versions
}

/// The highest version before this moment.
fn before(highest: &[(Duration, u64)], moment: Duration) -> u64 {
    let later = highest.partition_point(|(at, _)| *at < moment);
    highest[..later].last().map_or(0, |(_, version)| *version)
}

/// For each version, in their order, the earliest moment of it or any higher one.
fn earliest(announced: &[(Duration, u64)]) -> Vec<(u64, Duration)> {
    let mut versions: Vec<(u64, Duration)> = announced.iter().map(|(at, v)| (*v, *at)).collect();
    versions.sort_unstable();
    let mut least = Duration::MAX;
    for (_, moment) in versions.iter_mut().rev() {
        least = least.min(*moment);
        *moment = least;
    }
    versions
}

/// When the first version above this one had been announced.
fn above(earliest: &[(u64, Duration)], version: u64) -> Option<Duration> {
    let first = earliest.partition_point(|(at, _)| *at <= version);
    earliest.get(first).map(|(_, moment)| *moment)
}
