//! Whether a cache is worth it: from what it counted to one sentence.
//!
//! A cache costs memory and age, and pays with loads that nobody waits for. [`Worth`] is what was
//! measured of both; [`verdict`] says in one sentence which side is heavier and, where a cause is
//! known, what to do about it. Four small structures beside a cache collect what its counters
//! can't tell. Nothing here knows keys, values, tiers or a clock: hashes, sizes and moments come
//! in.
//!
//! | module | idea |
//! |---|---|
//! | `worth` | [`Worth`]: what one cache saved and spent |
//! | `judge` | [`verdict`]: the rules, their thresholds and why |
//! | `units` | numbers as people read them: 0.2 ms, 3 %, 12 MiB |
//! | [`reloads`] | [`Reloads`]: whether a load brought what the one before brought |
//! | [`distinct`] | [`Distinct`]: how many different things went by |
//! | [`fragments`] | [`Fragments`]: which part of the key makes every key new |
//! | [`room`] | [`Room`]: bytes held, times how long |
//!
//! # The rules
//!
//! They are asked in this order, and the first that applies speaks. What makes all other numbers
//! meaningless comes first, then what can be mended, then the sum.
//!
//! | kind | if | because |
//! |---|---|---|
//! | `FailingSource` | ≥ 10 failed loads, ≥ 10 % of all | times and ratios are those of failures |
//! | `MostlyInvalidated` | ≥ 100 invalidations, more than reads, < 50 % hits | each entry pays for less than one read |
//! | `TooEarly` | < 100 reads | a ratio of fewer errs by ten points |
//! | `NotKept` | `max_staleness` is 0; or ≥ 100 loads, ≥ 50 % left nothing, < 50 % hits | what isn't stored can't hit |
//! | `AllAbsent` | ≥ 100 answers, ≥ 90 % absent | the keys are wrong or guessed; half absent is normal where existence is asked |
//! | `NotWorthIt` | loads < 0.1 ms, and all of them with all hits < 1 % of the time | even 100 % hits would spare less than a network round trip, seldom |
//! | `TooSmall` | < 80 % hits, memory ≥ 90 % full, ≥ 100 loads, evictions ≥ 50 % of them, ≥ 20 % of them for keys loaded before | without keys that come back, a scan fills any memory |
//! | `TooShort` | ≥ 5 loads for 100 reads, ≥ 100 reloads, ≥ 90 % the same, evictions and invalidations < 50 % of loads | the loads are the window's doing, and told nothing |
//! | `TooEarly` | one of the next two would speak, and a window (at most 1 h) has not passed | all keys of a cold cache are new |
//! | `Fragmented` | < 20 % hits, and a [`Fragment`] | a part that is always new is no fault where keys are read again |
//! | `NotWorthIt` | < 10 % hits; or < 0.1 ms spared for each read and < 1 % of the time in all | the source does as much as without |
//! | `WorthIt` | otherwise | |
//!
//! A window that is proposed is so much longer, at most ten times, that a quarter of the reloads
//! would bring a change, were changes independent of each other.
//!
//! Without measured loads (a cache that is only filled with tickets) what depends on them is left
//! out, and so is every rule whose witness nobody feeds.

pub mod distinct;
pub mod fragments;
mod judge;
pub mod reloads;
pub mod room;
#[cfg(test)]
mod tests;
mod units;
mod worth;

use std::fmt;

pub use distinct::Distinct;
pub use fragments::{Fragment, Fragments};
pub use judge::verdict;
pub use reloads::{Reload, Reloads};
pub use room::Room;
pub use worth::Worth;

/// What is to be said about one cache.
///
/// Its `Display` is the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it comes down to, for whoever sorts, colours or counts verdicts.
    pub kind: VerdictKind,
    /// The same with its reason and the numbers behind it: lower case, no full stop, one line.
    pub sentence: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// What a verdict comes down to. The kinds stand in the order in which they are tried; see
/// [`verdict`] for when each is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerdictKind {
    /// The source fails so often that the other numbers mean little.
    FailingSource,
    /// What it caches is written more often than it is read.
    MostlyInvalidated,
    /// Not enough was seen yet.
    TooEarly,
    /// What is loaded is hardly ever stored.
    NotKept,
    /// The source has nothing for nearly all keys that it is asked for.
    AllAbsent,
    /// Reads that hit are few, or spare next to nothing.
    NotWorthIt,
    /// Entries are evicted before they are read again.
    TooSmall,
    /// Nearly all reloads bring the value that was there before.
    TooShort,
    /// One part of the key is new with every load, and without it keys would come again.
    Fragmented,
    /// It saves more than it costs.
    WorthIt,
}

impl VerdictKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::FailingSource,
        Self::MostlyInvalidated,
        Self::TooEarly,
        Self::NotKept,
        Self::AllAbsent,
        Self::NotWorthIt,
        Self::TooSmall,
        Self::TooShort,
        Self::Fragmented,
        Self::WorthIt,
    ];

    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailingSource => "failing_source",
            Self::MostlyInvalidated => "mostly_invalidated",
            Self::TooEarly => "too_early",
            Self::NotKept => "not_kept",
            Self::AllAbsent => "all_absent",
            Self::NotWorthIt => "not_worth_it",
            Self::TooSmall => "too_small",
            Self::TooShort => "too_short",
            Self::Fragmented => "fragmented",
            Self::WorthIt => "worth_it",
        }
    }
}
