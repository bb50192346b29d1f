//! What one cache saved and spent.
//!
//! Plain numbers: where they were counted, it doesn't know.

use std::time::Duration;

use larder_core::Window;

use super::Fragment;

/// What was measured of one cache since it was built. Not between two reports: how many keys
/// were different can't be told of a part of the time.
///
/// Counts are of keys: a batch counts each of its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Worth {
    /// Reads that were served from memory, fresh or stale.
    pub hits: u64,
    /// Reads that memory could not serve; those that joined another's flight are among them.
    pub misses: u64,
    /// Keys that the source was asked for, for readers and for refreshes; failed ones included.
    pub loads: u64,
    /// Keys among them for which the source failed.
    pub load_errors: u64,
    /// Keys among them for which the source had nothing.
    pub absent: u64,
    /// Different keys among those that the source answered for, estimated: see
    /// [`Fragments::keys`](super::Fragments::keys). Zero where nobody counted.
    pub distinct: u64,
    /// How long all these loads took together.
    pub load_time_spent: Duration,
    /// How long hits would have taken as loads. [`estimate_saved`](Self::estimate_saved) gives
    /// it where nothing better was measured.
    pub load_time_saved: Duration,
    /// Loads of keys whose last value was remembered: see [`Reloads`](super::Reloads).
    pub reloads: u64,
    /// Reloads among them that brought the same value.
    pub reloads_same: u64,
    /// Fills that were refused: an invalidation or a newer fill came in between.
    pub fills_refused: u64,
    /// Fills that stored nothing for another reason: too heavy, no room, or too old on arrival.
    pub fills_not_kept: u64,
    /// Entries of this cache that left for space.
    pub evicted: u64,
    /// Keys that were invalidated or marked stale, held or not.
    pub invalidations: u64,
    /// Bytes that this cache holds.
    pub bytes: u64,
    /// Bytes held, times seconds: see [`Room`](super::Room).
    pub byte_seconds: f64,
    /// Bytes held in the memory in which this cache competes; the same as `bytes` where it has
    /// memory of its own.
    pub memory_bytes: u64,
    /// The bound of that memory, in bytes. Zero where it has none.
    pub memory_bytes_max: u64,
    /// How long ago the cache was built.
    pub elapsed: Duration,
    /// The windows that the cache declares.
    pub window: Window,
    /// The part of the key that makes every key new, if one was found.
    pub fragment: Option<Fragment>,
}

impl Worth {
    /// Nothing measured yet of a cache with these windows.
    ///
    /// ```
    /// use larder_core::freshness::{Declared, Window};
    /// use larder_engine::verdict::{VerdictKind, Worth, verdict};
    /// use std::time::Duration;
    ///
    /// let two = Some(Duration::from_secs(2));
    /// let window = Window::resolve(Declared { max_staleness: two, ..Declared::default() })?;
    /// let worth = Worth { hits: 5, misses: 7, ..Worth::nothing(window) };
    /// assert_eq!(verdict(&worth).kind, VerdictKind::TooEarly);
    /// assert_eq!(verdict(&worth).to_string(), "too early to say: 12 reads");
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    #[must_use]
    pub const fn nothing(window: Window) -> Self {
        Self {
            hits: 0,
            misses: 0,
            loads: 0,
            load_errors: 0,
            absent: 0,
            distinct: 0,
            load_time_spent: Duration::ZERO,
            load_time_saved: Duration::ZERO,
            reloads: 0,
            reloads_same: 0,
            fills_refused: 0,
            fills_not_kept: 0,
            evicted: 0,
            invalidations: 0,
            bytes: 0,
            byte_seconds: 0.0,
            memory_bytes: 0,
            memory_bytes_max: 0,
            elapsed: Duration::ZERO,
            window,
            fragment: None,
        }
    }

    /// What so many hits saved, if each would have been a load of the mean length. Zero where
    /// nothing was loaded: then nobody knows.
    ///
    /// Right on average only if dear keys hit as often as cheap ones; often they are the hot
    /// ones, or the cold ones.
    ///
    /// ```
    /// use larder_engine::verdict::Worth;
    /// use std::time::Duration;
    ///
    /// let saved = Worth::estimate_saved(1_000, 10, Duration::from_millis(40));
    /// assert_eq!(saved, Duration::from_secs(4));
    /// ```
    #[must_use]
    pub fn estimate_saved(hits: u64, loads: u64, spent: Duration) -> Duration {
        if loads == 0 {
            return Duration::ZERO;
        }
        let nanos = spent.as_nanos().saturating_mul(hits.into()) / u128::from(loads);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Reads, of whatever outcome.
    #[must_use]
    pub const fn reads(&self) -> u64 {
        self.hits.saturating_add(self.misses)
    }

    /// The share of reads that were served from memory, from 0 to 1; 0 before the first.
    #[must_use]
    pub fn hit_ratio(&self) -> f64 {
        share(self.hits, self.reads())
    }

    /// How long the load of a key took in the mean; `None` before the first.
    #[must_use]
    pub fn load_mean(&self) -> Option<Duration> {
        (self.loads > 0).then(|| Self::estimate_saved(1, self.loads, self.load_time_spent))
    }

    /// Bytes held in the mean over `elapsed`; those held now where no time has passed.
    #[must_use]
    pub fn bytes_mean(&self) -> u64 {
        if self.elapsed.is_zero() || self.byte_seconds <= 0.0 {
            return self.bytes;
        }
        (self.byte_seconds / self.elapsed.as_secs_f64()).round() as u64
    }

    /// Keys that the source gave an answer for, be it that it has nothing.
    pub(super) const fn answered(&self) -> u64 {
        self.loads.saturating_sub(self.load_errors)
    }

    /// The share of loads that asked for a key which had been loaded before, from 0 to 1.
    /// Two witnesses, and each sees too little rather than too much: the larger counts.
    pub(super) fn returning(&self) -> f64 {
        let answered = self.answered();
        let again = if self.distinct == 0 { 0 } else { answered.saturating_sub(self.distinct) };
        share(again.max(self.reloads), answered)
    }
}

/// `part` of `whole`, from 0 to 1; 0 of nothing.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}
