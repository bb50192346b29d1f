//! The steps of a write behind, by name: where a test ends the process.
//!
//! Nothing of it is compiled in unless the feature `steps` is on, and even then nothing happens
//! before a test says [`at`] what. It knows neither tests nor ends, and nothing depends on it.

#[cfg(feature = "steps")]
use std::sync::OnceLock;

/// A step on the way of a write through the journal into the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// It has its number, and stands nowhere but in memory.
    Append,
    /// It stands in its file, and nothing is synced.
    Fsync,
    /// It is synced, and nobody knows.
    Publish,
    /// Who wrote it is about to be told.
    Acknowledge,
    /// A transaction has begun, and nothing is in it.
    Begin,
    /// Everything is in it, and nothing is committed.
    Commit,
    /// It is committed, and nobody knows.
    Committed,
    /// That a part of the journal is needed no more is written, and not synced.
    Mark,
    /// It is synced, and the segments are still there.
    Truncate,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::Append,
        Self::Fsync,
        Self::Publish,
        Self::Acknowledge,
        Self::Begin,
        Self::Commit,
        Self::Committed,
        Self::Mark,
        Self::Truncate,
    ];

    /// Its name in small letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Fsync => "fsync",
            Self::Publish => "publish",
            Self::Acknowledge => "acknowledge",
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Committed => "committed",
            Self::Mark => "mark",
            Self::Truncate => "truncate",
        }
    }
}

#[cfg(feature = "steps")]
static AT: OnceLock<Box<dyn Fn(Step) + Send + Sync>> = OnceLock::new();

/// Says what is to be done at each step of this process. Only the first one to say so is heard.
#[cfg(feature = "steps")]
pub fn at(done: impl Fn(Step) + Send + Sync + 'static) {
    let _ = AT.set(Box::new(done));
}

/// The process has come to this step.
#[inline]
pub fn reach(step: Step) {
    #[cfg(feature = "steps")]
    if let Some(done) = AT.get() {
        done(step);
    }
    #[cfg(not(feature = "steps"))]
    let _ = step;
}
