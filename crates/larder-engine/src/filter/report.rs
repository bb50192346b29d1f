//! What a filter tells about itself: how far a build is, and what was counted.

use larder_core::{Error, Moment};

use super::BuildCause;

/// How far a build is, or how the last one ended.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Keys read so far.
    pub keys: u64,
    /// About how many there are, if the list knows.
    pub of: Option<u64>,
    /// When the build began, on the engine's clock.
    pub began: Moment,
    /// Why it was due.
    pub cause: BuildCause,
    /// What it does, or how it ended.
    pub state: BuildState,
}

/// What a build does, or how it ended.
#[derive(Clone, Debug)]
pub enum BuildState {
    /// It reads the list, or its count.
    Reading,
    /// What it built is in use.
    Done,
    /// Something unnameable changed while it ran, so that what it had read is worth nothing.
    /// Another build is due, after as long a pause as this one took.
    Voided,
    /// The list failed, or the build was dropped. What was built before stays in use; another
    /// build is due after a pause of 1 second, doubling to 60 while builds fail.
    Failed(Error),
}

/// What a filter holds and has counted since it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterStats {
    /// Questions answered with "absent": reads that never reached the source.
    pub answered_absent: u64,
    /// Questions answered with "maybe".
    pub answered_maybe: u64,
    /// Questions for which there was no filter.
    pub answered_not_ready: u64,
    /// Keys that the filter let through and the source didn't have. A key that was removed from
    /// the source, or invalidated without existing, counts here until the next build.
    pub false_positives: u64,
    /// Whether there is a filter now.
    pub ready: bool,
    /// About how many keys it holds.
    pub keys: u64,
    /// For how many keys it was made. At twice as many, it is built anew.
    pub keys_planned: u64,
    /// Bytes of bits, those being built included. Never above `bytes_max`.
    pub bytes: usize,
    /// Whether `bytes_max` leaves it less room than its planned keys would need for the wished
    /// rate: raise `bytes_max`, or live with [`rate_estimated`](Self::rate_estimated).
    pub capped: bool,
    /// The rate of false positives that is to be expected of so many set bits, from 0 to 1; `None`
    /// where there is no filter.
    pub rate_estimated: Option<f64>,
    /// When the build of what is in use began, on the engine's clock.
    pub built_from: Option<Moment>,
    /// Builds that were done.
    pub builds: u64,
    /// Builds that failed.
    pub builds_failed: u64,
    /// Builds that were voided.
    pub builds_voided: u64,
}

impl FilterStats {
    /// The measured rate of false positives: of the questions for keys that don't exist, the
    /// share that reached the source, from 0 to 1. `None` before the first such question.
    #[must_use]
    pub fn rate_measured(&self) -> Option<f64> {
        let all = self.false_positives + self.answered_absent;
        (all > 0).then(|| self.false_positives as f64 / all as f64)
    }
}
