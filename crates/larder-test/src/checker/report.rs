//! What a checker found: broken reads, and how stale the reads were.
//!
//! It judges nothing; it counts and shows.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Read;

/// How many powers of two of a microsecond are told apart: the last begins at half an hour.
const BUCKETS: usize = 32;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many reads were judged.
    pub reads: usize,
    /// How many of them broke the rule.
    pub violations: usize,
    /// Those that began first, at most [`SHOWN_MAX`](Self::SHOWN_MAX), in this order.
    pub first: Vec<Violation>,
    /// How stale the reads were, those included that broke the rule.
    pub staleness: Staleness,
}

/// A read that broke the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The read.
    pub read: Read,
    /// What it might have returned.
    pub bounds: RangeInclusive<u64>,
    /// How long before its start the returned value had been superseded. 0 when it comes from
    /// the future.
    pub staleness: Duration,
}

/// How long before the reads' starts what they returned had been superseded, by the
/// announcements that had returned. A read of what wasn't superseded counts as 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// The most, and the first of the reads that had it, if any was stale at all.
    pub worst: Option<(Duration, Read)>,
    /// At least half of the reads were this stale or less.
    pub p50: Duration,
    /// At least 99 of 100 reads were this stale or less.
    pub p99: Duration,
    /// How many reads were stale by less than this and not by less than the one before. Bounds
    /// are powers of two of a microsecond, and only those with reads are there; the first, of no
    /// length, counts the reads that weren't stale.
    pub histogram: Vec<(Duration, usize)>,
    all: Vec<Duration>,
}

impl Report {
    /// How many violations are described.
    pub const SHOWN_MAX: usize = 10;

    pub(super) fn add(&mut self, read: &Read, bounds: RangeInclusive<u64>, staleness: Duration) {
        self.reads += 1;
        self.staleness.add(read, staleness);
        if bounds.contains(&read.version) {
            return;
        }
        self.violations += 1;
        self.first.push(Violation { read: *read, bounds, staleness });
        // Only now and then, so that a bad run costs no more than a good one.
        if self.first.len() > 2 * Self::SHOWN_MAX {
            self.keep_first();
        }
    }

    pub(super) fn finish(&mut self) {
        self.keep_first();
        self.staleness.finish();
    }

    /// Fails the test with the whole report if any read broke the rule.
    ///
    /// # Panics
    ///
    /// When one did.
    pub fn assert_kept(&self) {
        assert!(self.violations == 0, "{self}");
    }

    fn keep_first(&mut self) {
        self.first.sort_by_key(|violation| (violation.read.began, violation.read.key));
        self.first.truncate(Self::SHOWN_MAX);
    }
}

impl Staleness {
    fn add(&mut self, read: &Read, staleness: Duration) {
        self.all.push(staleness);
        let is_worse = |(worst, of): &(Duration, Read)| {
            staleness > *worst || (staleness == *worst && read.began < of.began)
        };
        if !staleness.is_zero() && self.worst.as_ref().is_none_or(is_worse) {
            self.worst = Some((staleness, *read));
        }
    }

    fn finish(&mut self) {
        let mut all = std::mem::take(&mut self.all);
        all.sort_unstable();
        self.p50 = percentile(&all, 50);
        self.p99 = percentile(&all, 99);
        let mut rest = &all[..];
        let bounds = (0..BUCKETS).map(|power| Duration::from_micros(1 << power));
        let bounds = std::iter::once(Duration::ZERO).chain(bounds.take(BUCKETS - 1));
        for bound in bounds.chain([Duration::MAX]) {
            let below = |staleness: &Duration| *staleness < bound || staleness.is_zero();
            let (bucket, later) = rest.split_at(rest.partition_point(below));
            if !bucket.is_empty() {
                self.histogram.push((bound, bucket.len()));
            }
            rest = later;
        }
    }
}

/// The smallest value that so many of a hundred don't exceed (the nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} reads broke the promise", self.violations, self.reads)?;
        for violation in &self.first {
            write!(f, "\n  {violation}")?;
        }
        write!(f, "\n{}", self.staleness)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read: Read { process, key, version, began, ended }, bounds, staleness } = self;
        write!(f, "process {process} read key {key} from {began:?} to {ended:?} ")?;
        write!(f, "and got version {version}, ")?;
        if version > bounds.end() {
            return write!(f, "which nobody had begun to commit: the highest was {}", bounds.end());
        }
        write!(f, "superseded {staleness:?} before: at least {} was due", bounds.start())
    }
}

impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "staleness: p50 {:?}, p99 {:?}, worst ", self.p50, self.p99)?;
        match self.worst {
            Some((worst, read)) => write!(f, "{worst:?} (key {}, {:?})", read.key, read.began)?,
            None => write!(f, "0")?,
        }
        for (bound, reads) in &self.histogram {
            match *bound {
                Duration::ZERO => write!(f, "\n  not stale: {reads}")?,
                Duration::MAX => write!(f, "\n  longer: {reads}")?,
                bound => write!(f, "\n  below {bound:?}: {reads}")?,
            }
        }
        Ok(())
    }
}
