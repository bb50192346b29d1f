//! The promise as a reference: what the source had and when, what was struck, and whether an
//! answer is one of those that a read may get. It knows nothing of how the cache comes to it.

use std::collections::HashMap;
use std::time::Duration;

use larder_core::{Answer, Moment, Reason, State};

/// A point in a run: the clock may stand still from one operation to the next, the count of
/// operations doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    moment: Moment,
    step: u64,
}

/// What a key was, from when until when.
#[derive(Clone, Copy, Debug)]
struct Version {
    value: Option<u64>,
    from: Point,
    until: Option<Point>,
}

impl Version {
    fn until_moment(&self) -> Moment {
        self.until.map_or(Moment::MAX, |until| until.moment)
    }

    /// Whether it was the source's value at some point after the operation `step`.
    fn was_after(&self, step: u64) -> bool {
        self.until.is_none_or(|until| until.step > step)
    }
}

/// The operations that struck a key last.
#[derive(Clone, Copy, Debug, Default)]
struct Struck {
    hard: u64,
    any: u64,
}

/// What the cache promises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) max_staleness: Duration,
    pub(crate) stale_on_error: Duration,
}

/// A read that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    key: u64,
    start: Moment,
    struck: Struck,
    /// The oldest that this reader takes.
    max_staleness: Duration,
}

/// Everything that happened.
#[derive(Debug)]
pub(crate) struct Reference {
    promise: Promise,
    step: u64,
    history: HashMap<u64, Vec<Version>>,
    struck: HashMap<u64, Struck>,
}

impl Reference {
    /// No key has a value, from the beginning of time.
    pub(crate) fn new(promise: Promise, keys: &[u64]) -> Self {
        let from = Point { moment: Moment::ZERO, step: 0 };
        let nothing = || vec![Version { value: None, from, until: None }];
        let history = keys.iter().map(|&key| (key, nothing())).collect();
        Self { promise, step: 0, history, struck: HashMap::new() }
    }

    /// The source's value changes.
    pub(crate) fn set(&mut self, key: u64, value: Option<u64>, moment: Moment) {
        self.step += 1;
        let now = Point { moment, step: self.step };
        let versions = self.history.entry(key).or_default();
        if let Some(last) = versions.last_mut() {
            last.until = Some(now);
        }
        versions.push(Version { value, from: now, until: None });
    }

    /// The source's value.
    pub(crate) fn current(&self, key: u64) -> Option<u64> {
        self.history[&key].last().and_then(|version| version.value)
    }

    /// An invalidation of this key has returned.
    pub(crate) fn strike(&mut self, key: u64, hard: bool) {
        self.step += 1;
        let struck = self.struck.entry(key).or_default();
        struck.any = self.step;
        if hard {
            struck.hard = self.step;
        }
    }

    /// A read begins, which takes nothing older than this.
    pub(crate) fn begin(&self, key: u64, start: Moment, max_staleness: Duration) -> Begun {
        let struck = self.struck.get(&key).copied().unwrap_or_default();
        Begun { key, start, struck, max_staleness }
    }

    /// Judges an answer; `end` is when it was given, if that is known.
    pub(crate) fn judge(
        &self,
        read: Begun,
        answer: &Answer<u64>,
        end: Option<Moment>,
    ) -> Result<(), String> {
        let may_be = |version: &&Version| {
            version.value == answer.value
                && self.is_within(version, read, answer)
                && is_as_declared(version, read, answer, end)
                && version.was_after(read.struck.hard)
                && (answer.state != State::Fresh || version.was_after(read.struck.any))
        };
        if self.history[&read.key].iter().any(|version| may_be(&version)) {
            return Ok(());
        }
        let history = &self.history[&read.key];
        Err(format!("{answer:?} was given to {read:?} at {end:?}, but there was {history:?}"))
    }

    /// Whether the version was the source's value within the time that the promise covers.
    fn is_within(&self, version: &Version, read: Begun, answer: &Answer<u64>) -> bool {
        let promised = self.promise.max_staleness;
        let stands_in = matches!(answer.reason, Reason::Failing | Reason::Slow)
            && answer.value.is_some()
            && read.max_staleness >= promised;
        let extra = if stands_in { self.promise.stale_on_error } else { Duration::ZERO };
        let window = promised.min(read.max_staleness) + extra;
        read.start - version.until_moment() <= window
    }
}

/// Whether the version was the source's value when the answer says that it was.
fn is_as_declared(
    version: &Version,
    read: Begun,
    answer: &Answer<u64>,
    end: Option<Moment>,
) -> bool {
    // A hit is given when the read starts, everything else when the waiting is over.
    let is_hit = matches!(answer.reason, Reason::Held | Reason::Refreshing);
    let told_at = if is_hit { Some(read.start) } else { end };
    told_at.is_none_or(|told_at| {
        let as_of = told_at.before(answer.current);
        version.from.moment <= as_of && as_of <= version.until_moment()
    })
}
