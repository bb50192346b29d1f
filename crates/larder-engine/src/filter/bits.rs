//! The bits of one generation of a filter, and how many of them its keys ask for.
//!
//! They know neither keys nor locks: a key comes as its hash, and setting a bit is atomic.

use std::fmt;

use fastbloom::{AtomicBloomFilter, expected_false_pos, optimal_size};
use larder_core::sync::Counter;

use super::FilterOptions;

/// Fewer keys than this are not planned for: a handful more would fill the filter at once.
pub(super) const KEYS_PLANNED_MIN: u64 = 1_024;

/// No list has more keys than this, and no arithmetic on them overflows.
const KEYS_PLANNED_MAX: u64 = 1 << 40;

/// How large a generation is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The keys that it is made for.
    pub(super) keys: u64,
    bits: usize,
    /// Whether the wished rate would need more bits than there may be.
    pub(super) capped: bool,
}

impl Plan {
    /// A plan for `keys` keys.
    pub(super) fn of(keys: u64, options: &FilterOptions) -> Self {
        let keys = keys.clamp(KEYS_PLANNED_MIN, KEYS_PLANNED_MAX);
        let wished = optimal_size(in_memory(keys), options.false_positives);
        // Bits come in words of 64, and there may be two generations at once.
        let bits_max = (options.bytes_max / 2 / 8).saturating_mul(64);
        Self { keys, bits: wished.min(bits_max), capped: wished > bits_max }
    }
}

/// One generation.
pub(super) struct Bits {
    filter: AtomicBloomFilter,
    plan: Plan,
    keys: Counter,
}

impl Bits {
    pub(super) fn new(plan: Plan) -> Self {
        // Its own hasher is never asked: hashes are given.
        let filter =
            AtomicBloomFilter::with_num_bits(plan.bits).expected_items(in_memory(plan.keys));
        Self { filter, plan, keys: Counter::default() }
    }

    /// Adds a key of the list.
    pub(super) fn add_listed(&self, hash: u64) {
        self.filter.insert_hash(hash);
        self.keys.add(1);
    }

    /// Adds a key that was announced. One that seems to be there already is not counted again.
    pub(super) fn add(&self, hash: u64) {
        // The bits are set relaxed: who must see them starts after the call has returned, by
        // some other means of knowing so, which orders them.
        if !self.filter.insert_hash(hash) {
            self.keys.add(1);
        }
    }

    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.filter.contains_hash(hash)
    }

    /// About how many keys it holds. Of those that were announced, as many are missed as there
    /// are false positives.
    pub(super) fn keys(&self) -> u64 {
        self.keys.get()
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan
    }

    pub(super) fn bytes(&self) -> usize {
        self.filter.num_bits() / 8
    }

    /// The rate of false positives that is to be expected of what is filled: each of a key's
    /// places holds a set bit as often as all places do. Counts all bits.
    pub(super) fn rate(&self) -> f64 {
        let ones: u64 = self.filter.iter().map(|word| u64::from(word.count_ones())).sum();
        expected_false_pos(self.filter.num_hashes(), ones as f64 / self.filter.num_bits() as f64)
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bits")
            .field("plan", &self.plan)
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}

/// A number of keys as the machine counts.
fn in_memory(keys: u64) -> usize {
    usize::try_from(keys).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_as_many_bits_as_the_rate_asks_for() {
        // ln(1/p) / ln(2)^2 bits for each key.
        for (rate, bits_per_key) in [(0.5, 1.44), (0.01, 9.585), (0.001, 14.38)] {
            let options = FilterOptions { false_positives: rate, ..FilterOptions::default() };
            let plan = Plan::of(100_000, &options);
            let per_key = plan.bits as f64 / 100_000.0;
            assert!((per_key - bits_per_key).abs() < 0.01, "{rate}: {per_key}");
            assert!(!plan.capped);
        }
    }

    #[test]
    fn however_many_keys_there_are_a_generation_takes_half_of_the_bound() {
        for bytes_max in [1 << 10, (1 << 16) + 13, 1 << 20] {
            let options = FilterOptions { bytes_max, ..FilterOptions::default() };
            for keys in [0, 1 << 20, u64::MAX] {
                let plan = Plan::of(keys, &options);
                let bits = Bits::new(plan);
                assert!(bits.bytes() * 2 <= bytes_max, "{keys} keys in {bytes_max}");
                assert_eq!(plan.capped, keys > 0 || bytes_max == 1 << 10);
                bits.add(1);
                assert!(bits.may_hold(1));
            }
        }
    }

    #[test]
    fn a_key_that_is_there_is_not_counted_again() {
        let bits = Bits::new(Plan::of(0, &FilterOptions::default()));
        bits.add(7);
        bits.add(7);
        bits.add(u64::MAX / 3);
        assert_eq!(bits.keys(), 2);
    }
}
