//! How often what was filled is filled again soon: the loads that more room would have spared.
//! It knows neither tiers nor bounds, and nothing of why an entry had left.
//!
//! A ghost list of the keys that were filled, by a sample of their hashes. A key that is filled
//! again within *reach*, twice as many fills as there are entries, would still have been held
//! with about twice the room. A key that is never asked for again never returns, so a scan wants
//! no room, however much it evicts. (Sampling by hash, so that all fills of a key are seen or
//! none: Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC Construction with SHARDS", FAST
//! 2015.)

use std::fmt;
use std::time::Duration;

use larder_core::sync::{AtomicU64, Counter, Ordering};

/// How many sampled fills are remembered: 32 KiB. The older of two in one place is forgotten.
const PLACES: usize = 1 << 12;

/// How many fills within reach are sampled at most, so that few of them share a place.
const SAMPLED_MAX: u64 = PLACES as u64 / 2;

/// The reach, in fills for each entry held.
const REACH: u64 = 2;

/// The thinnest sample: one key of 16 million, which suits 17 thousand million entries.
const MASK_MAX: u64 = (1 << 24) - 1;

/// How many bits of a place hold the number of the fill.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// The fills of one tier.
pub(super) struct Returns {
    /// `part of the hash | number of the fill`, so that one step reads and writes both.
    places: Box<[AtomicU64]>,
    fills: AtomicU64,
    /// A key is sampled if its hash has none of these bits.
    mask: AtomicU64,
    reach: AtomicU64,
    returns: Counter,
    micros: Counter,
}

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Sampled fills that were returns.
    pub(super) returns: u64,
    /// What they cost, in microseconds, and with them those that they stand for.
    pub(super) micros: u64,
}

impl Returns {
    /// Nothing noted, and nothing within reach.
    pub(super) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            fills: AtomicU64::new(0),
            mask: AtomicU64::new(0),
            reach: AtomicU64::new(0),
            returns: Counter::default(),
            micros: Counter::default(),
        }
    }

    /// Suits the sample and the reach to so many entries.
    pub(super) fn follow(&self, entries: usize) {
        let reach = REACH.saturating_mul(entries as u64).min(NUMBER_MASK);
        let thin = reach.div_ceil(SAMPLED_MAX).max(1).next_power_of_two() - 1;
        self.reach.store(reach, Ordering::Relaxed);
        self.mask.store(thin.min(MASK_MAX), Ordering::Relaxed);
    }

    /// Notes a fill of the key with this hash, whose load took `cost`; less than a microsecond
    /// counts as one. Says whether the key is sampled.
    pub(super) fn note(&self, hash: u64, cost: Duration) -> bool {
        let number = self.fills.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & NUMBER_MASK;
        let mask = self.mask.load(Ordering::Relaxed);
        if hash & mask != 0 {
            return false;
        }
        // Three parts of the hash: below 24 the sample, then the place, from 40 on what tells
        // the keys of a place apart. It is never zero, as an empty place is.
        let place = (hash >> 24) as usize % PLACES;
        let key = hash >> NUMBER_BITS | 1;
        let before = self.places[place].swap(key << NUMBER_BITS | number, Ordering::Relaxed);
        let distance = number.wrapping_sub(before) & NUMBER_MASK;
        if before >> NUMBER_BITS == key && distance <= self.reach.load(Ordering::Relaxed) {
            let micros = u64::try_from(cost.as_micros()).unwrap_or(u64::MAX).max(1);
            self.returns.add(1);
            self.micros.add(micros.saturating_mul(mask + 1));
        }
        true
    }

    pub(super) fn counted(&self) -> Counted {
        Counted { returns: self.returns.get(), micros: self.micros.get() }
    }
}

impl fmt::Debug for Returns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returns").field("counted", &self.counted()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use foldhash::quality::FixedState;

    use super::*;

    const COST: Duration = Duration::from_micros(10);

    fn hash(key: u64) -> u64 {
        FixedState::with_seed(7).hash_one(key)
    }

    fn following(entries: usize) -> Returns {
        let returns = Returns::new();
        returns.follow(entries);
        returns
    }

    fn fill(returns: &Returns, keys: impl Iterator<Item = u64>) -> u64 {
        keys.filter(|&key| returns.note(hash(key), COST)).count() as u64
    }

    #[test]
    fn a_key_within_reach_returns_and_one_beyond_it_does_not() {
        let returns = following(50);
        fill(&returns, (0..100).chain([0]));
        assert_eq!(returns.counted(), Counted { returns: 1, micros: 10 });
        // A hundred fills came between, and one more.
        fill(&returns, [200, 1].into_iter());
        assert_eq!(returns.counted().returns, 1);
    }

    #[test]
    fn what_is_never_filled_again_never_returns() {
        let returns = following(1000);
        fill(&returns, 0..100_000);
        assert_eq!(returns.counted(), Counted::default());
    }

    #[test]
    fn a_sample_stands_for_all() {
        let entries = 100_000;
        let returns = following(entries as usize);
        let sampled = fill(&returns, 0..entries) + fill(&returns, 0..entries);
        assert!(sampled < SAMPLED_MAX * 2, "{sampled} are more than there is place for");
        let micros = returns.counted().micros;
        // Each key returned once. Some were forgotten because two shared a place.
        assert!((700_000..1_100_000).contains(&micros), "{micros} instead of a million");
    }

    #[test]
    fn nothing_returns_while_nothing_is_within_reach() {
        let returns = following(0);
        fill(&returns, [1, 1, 1].into_iter());
        assert_eq!(returns.counted(), Counted::default());
    }

    #[test]
    fn what_costs_nothing_counts_as_a_microsecond() {
        let returns = following(10);
        for _ in 0..2 {
            returns.note(hash(1), Duration::ZERO);
        }
        assert_eq!(returns.counted(), Counted { returns: 1, micros: 1 });
    }

    #[test]
    fn the_largest_tier_is_sampled_most_thinly() {
        let returns = following(usize::MAX);
        assert_eq!(returns.mask.load(Ordering::Relaxed), MASK_MAX);
        returns.note(0, Duration::MAX);
        returns.note(0, Duration::MAX);
        assert_eq!(returns.counted(), Counted { returns: 1, micros: u64::MAX });
    }
}
