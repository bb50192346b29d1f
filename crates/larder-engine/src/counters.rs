//! What a cache counts, and how it is read.
//!
//! A hit costs two additions to counters that its thread has for itself: the ages at hit are a
//! histogram with its sum, and the number of hits is how many ages it holds.

use std::time::Duration;

use larder_core::State;
use larder_core::sync::Counter;
use larder_memory::Stripes;

/// The upper bounds of the buckets in which durations are counted, in nanoseconds: 100 µs, then
/// threefold and tenfold in turn, up to about a day. The last bucket has no bound.
pub const BUCKET_BOUNDS: [u64; 18] = {
    let mut bounds = [0; 18];
    let mut at = 0;
    let mut decade = 100_000;
    while at < bounds.len() {
        bounds[at] = decade;
        bounds[at + 1] = decade * 3;
        decade *= 10;
        at += 2;
    }
    bounds
};

const BUCKETS: usize = BUCKET_BOUNDS.len() + 1;

/// Durations counted in buckets; behind the buckets stands their sum, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Histogram(Stripes<{ BUCKETS + 1 }>);

impl Histogram {
    /// Counts one duration.
    pub(crate) fn record(&self, duration: Duration) {
        self.record_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts one duration, given in nanoseconds.
    #[inline]
    pub(crate) fn record_nanos(&self, nanos: u64) {
        self.0.add_each([(bucket(nanos), 1), (BUCKETS, nanos)]);
    }

    pub(crate) fn snapshot(&self) -> HistogramSnapshot {
        let sums = self.0.sums();
        HistogramSnapshot {
            buckets: std::array::from_fn(|at| sums[at]),
            sum: Duration::from_nanos(sums[BUCKETS]),
        }
    }
}

/// The first bucket that holds so many nanoseconds.
#[inline]
fn bucket(nanos: u64) -> usize {
    // Two bounds at most lie between a power of two and the next.
    let first = usize::from(FIRST_BUCKET[(u64::BITS - nanos.leading_zeros()) as usize]);
    first + BUCKET_BOUNDS[first..].iter().take(2).filter(|&&bound| bound < nanos).count()
}

/// For each number of bits, the bucket of the smallest number that has so many.
const FIRST_BUCKET: [u8; 65] = {
    let mut first = [0; 65];
    let mut bits = 1;
    while bits <= 64 {
        let smallest = 1_u64 << (bits - 1);
        let mut bucket = 0;
        while bucket < BUCKET_BOUNDS.len() && BUCKET_BOUNDS[bucket] < smallest {
            bucket += 1;
        }
        first[bits] = bucket as u8;
        bits += 1;
    }
    first
};

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// How many fell under each of [`BUCKET_BOUNDS`] and not under the one before, then those
    /// above all.
    pub buckets: [u64; BUCKET_BOUNDS.len() + 1],
    /// The sum of all durations.
    pub sum: Duration,
}

impl HistogramSnapshot {
    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The mean of all durations; `None` before the first.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.sum.as_nanos().checked_div(u128::from(self.count()))?;
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }
}

/// The counters of one cache.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    fresh_age: Histogram,
    stale_age: Histogram,
    stood_in_age: Histogram,
    pub(crate) misses: Counter,
    pub(crate) joined: Counter,
    pub(crate) loads: Histogram,
    pub(crate) load_errors: Counter,
    pub(crate) absent: Counter,
    pub(crate) unchanged: Counter,
    pub(crate) refused: Counter,
    pub(crate) not_kept: Counter,
    pub(crate) invalidations: Counter,
    pub(crate) sweeps: Counter,
    pub(crate) reloads: Counter,
    pub(crate) filtered: Counter,
    pub(crate) keys_loaded: Counter,
    pub(crate) keys_failed: Counter,
    shared_age: Histogram,
    pub(crate) shared_busy: Counter,
    pub(crate) shared_unreadable: Counter,
    pub(crate) shared_errors: Counter,
    pub(crate) shared_fills: Counter,
    pub(crate) shared_refused: Counter,
    pub(crate) writes: Histogram,
    pub(crate) write_errors: Counter,
    pub(crate) installed: Counter,
    pub(crate) unguarded: Counter,
    /// How long those who load for themselves took, in nanoseconds.
    pub(crate) aside_nanos: Counter,
}

impl Counters {
    /// Counts a hit on a fresh entry of that age, in nanoseconds.
    #[inline]
    pub(crate) fn fresh_hit(&self, age_nanos: u64) {
        self.fresh_age.record_nanos(age_nanos);
    }

    /// Counts a hit of that state and age.
    pub(crate) fn hit(&self, state: State, age: Duration) {
        let ages = if state == State::Fresh { &self.fresh_age } else { &self.stale_age };
        ages.record(age);
    }

    /// Counts an answer that stood in for one that couldn't be had, of that age.
    pub(crate) fn stood_in(&self, age: Duration) {
        self.stood_in_age.record(age);
    }

    /// Counts a flight that the shared tier landed, with an entry of that age.
    pub(crate) fn shared_hit(&self, age: Duration) {
        self.shared_age.record(age);
    }

    pub(crate) fn snapshot(&self) -> CacheStats {
        CacheStats {
            fresh_hit_age: self.fresh_age.snapshot(),
            stale_hit_age: self.stale_age.snapshot(),
            stood_in_age: self.stood_in_age.snapshot(),
            misses: self.misses.get(),
            joined: self.joined.get(),
            loads: self.loads.snapshot(),
            load_errors: self.load_errors.get(),
            absent: self.absent.get(),
            unchanged: self.unchanged.get(),
            fills_refused: self.refused.get(),
            not_kept: self.not_kept.get(),
            invalidations: self.invalidations.get(),
            sweeps: self.sweeps.get(),
            reloads: self.reloads.get(),
            filtered: self.filtered.get(),
            shared_hit_age: self.shared_age.snapshot(),
            shared_busy: self.shared_busy.get(),
            shared_unreadable: self.shared_unreadable.get(),
            shared_errors: self.shared_errors.get(),
            shared_fills: self.shared_fills.get(),
            shared_fills_refused: self.shared_refused.get(),
            writes: self.writes.snapshot(),
            write_errors: self.write_errors.get(),
            installed: self.installed.get(),
            writes_unguarded: self.unguarded.get(),
        }
    }
}

/// What a cache has counted since it was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheStats {
    /// The ages of the fresh entries that were served from memory.
    pub fresh_hit_age: HistogramSnapshot,
    /// The ages of the stale entries that were served while a refresh ran.
    pub stale_hit_age: HistogramSnapshot,
    /// The ages of the values that stood in while the source failed or was slow; each is also a
    /// miss.
    pub stood_in_age: HistogramSnapshot,
    /// Keys that memory could not serve.
    pub misses: u64,
    /// Misses that joined a flight which another caller led.
    pub joined: u64,
    /// The durations of all questions to the source, failed ones included; a batch is one.
    pub loads: HistogramSnapshot,
    /// Questions to the source that failed.
    pub load_errors: u64,
    /// Loaded keys for which the source had nothing.
    pub absent: u64,
    /// Loaded keys whose loader said that what was held is still right.
    pub unchanged: u64,
    /// Loaded keys that were not kept because an invalidation or a newer fill came in between.
    pub fills_refused: u64,
    /// Loaded keys that were not kept because they were too heavy, or their loader said so, or
    /// the load took longer than the value lasts.
    pub not_kept: u64,
    /// Keys that were invalidated or marked stale by name.
    pub invalidations: u64,
    /// How often the whole cache, or a prefix of its keys, was invalidated or marked stale.
    pub sweeps: u64,
    /// Keys that were in use when they were invalidated, and whose load was begun at once: see
    /// [`Reload`](crate::Reload).
    pub reloads: u64,
    /// Reads that the filter answered: the key surely doesn't exist. They are neither hits nor
    /// misses.
    pub filtered: u64,
    /// The ages of the entries that the shared tier had for a flight. A flight is a miss, and
    /// others may have joined it.
    pub shared_hit_age: HistogramSnapshot,
    /// Questions for a lease that another process had; each is asked again after a while.
    pub shared_busy: u64,
    /// Entries of the shared tier that couldn't be read: another version wrote them.
    pub shared_unreadable: u64,
    /// Keys that the shared tier was asked for in vain: it failed, or was left alone.
    pub shared_errors: u64,
    /// Keys that were filled into the shared tier.
    pub shared_fills: u64,
    /// Keys whose lease was void when they were to be filled.
    pub shared_fills_refused: u64,
    /// The durations of all writes that the sink was asked for, failed ones included.
    pub writes: HistogramSnapshot,
    /// Writes that failed, or whose outcome is unknown.
    pub write_errors: u64,
    /// Writes whose value was put into memory.
    pub installed: u64,
    /// Writes that a [guarded](crate::Consistency::Guarded) cache couldn't announce before their
    /// commits, because the shared tier or the bus didn't answer.
    pub writes_unguarded: u64,
}

impl CacheStats {
    /// Keys that were read, however they were answered.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.hits() + self.misses + self.filtered
    }

    /// Keys that were served from memory.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.fresh_hit_age.count() + self.stale_hit_age.count()
    }

    /// The share of keys that were served from memory, from 0 to 1; `None` before the first.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let hits = self.hits();
        let all = hits + self.misses;
        (all > 0).then(|| hits as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        histogram.record(Duration::ZERO);
        histogram.record(Duration::from_nanos(BUCKET_BOUNDS[0]));
        histogram.record(Duration::from_nanos(BUCKET_BOUNDS[0] + 1));
        histogram.record(Duration::from_secs(1_000_000));
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.buckets[0], 2);
        assert_eq!(snapshot.buckets[1], 1);
        assert_eq!(snapshot.buckets[BUCKET_BOUNDS.len()], 1);
        assert_eq!(snapshot.count(), 4);
    }

    #[test]
    fn every_bucket_is_found_as_a_search_would_find_it() {
        let around = |at: u64| [at.saturating_sub(1), at, at.saturating_add(1)];
        let powers = (0..64).map(|bits| 1_u64 << bits);
        for nanos in BUCKET_BOUNDS.into_iter().chain(powers).chain([u64::MAX]).flat_map(around) {
            let searched = BUCKET_BOUNDS.partition_point(|&bound| bound < nanos);
            assert_eq!(bucket(nanos), searched, "{nanos}");
        }
    }

    #[test]
    fn the_bounds_rise() {
        assert!(BUCKET_BOUNDS.is_sorted());
    }
}
