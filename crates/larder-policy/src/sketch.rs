//! How often keys were seen lately, estimated.
//!
//! A policy compares keys by it, also those that are not held. It knows hashes only.

use crate::rows::Rows;

/// The most that a counter counts.
const COUNT_MAX: u64 = 15;

/// How many counters a key has.
const COUNTERS: u32 = 3;

/// How many keys a block is made for: eight counters for each, for with fewer too many are shared.
const KEYS: usize = 16;

/// The fewest blocks.
const BLOCKS_MIN: usize = 2;

/// How many times the keys that it is made for are seen, on average, before all counts are halved.
const SEEN_PER_KEY: usize = 10;

/// A count-min sketch of four-bit counters, four bytes per key.
///
/// A key's three counters stand in one cache line, and the least of them is the estimate. Only the
/// least go up, and when ten times as many keys were seen as it is made for, every count is halved,
/// so old uses fade.
///
/// *Papers*: Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM
/// Transactions on Storage 2017; Estan, Varghese, "New directions in traffic measurement and
/// accounting", SIGCOMM 2002 (conservative update).
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    /// Blocks of a cache line, 128 counters each.
    blocks: Rows<[u64; 8]>,
    seen: usize,
}

impl Sketch {
    pub(crate) fn new() -> Self {
        Self { blocks: Rows::new([0; 8], BLOCKS_MIN), seen: 0 }
    }

    /// Makes room to tell about as many keys apart as are held.
    #[inline]
    pub(crate) fn reach(&mut self, held: usize) {
        self.blocks.reach(held, KEYS);
    }

    /// Gives back what is far more than `held` keys need.
    pub(crate) fn shrink(&mut self, held: usize) {
        self.blocks.shrink(held, KEYS, BLOCKS_MIN);
    }

    /// How often the key was seen, at most fifteen.
    #[inline]
    pub(crate) fn estimate(&self, hash: u32) -> u8 {
        let (block, mixed) = (self.blocks.of(hash), mixed(hash));
        let counts = (0..COUNTERS).map(|nth| {
            let (word, shift) = counter(mixed, nth);
            block[word] >> shift & COUNT_MAX
        });
        counts.min().unwrap_or(0) as u8
    }

    /// Counts a use of the key: only its least counters go up, so that keys which share the others
    /// aren't counted with it.
    pub(crate) fn see(&mut self, hash: u32) {
        let least = u64::from(self.estimate(hash));
        if least < COUNT_MAX {
            let (block, mixed) = (self.blocks.of_mut(hash), mixed(hash));
            for (word, shift) in (0..COUNTERS).map(|nth| counter(mixed, nth)) {
                if block[word] >> shift & COUNT_MAX == least {
                    block[word] += 1 << shift;
                }
            }
        }
        self.seen += 1;
        if self.seen >= SEEN_PER_KEY * self.keys() {
            self.age();
        }
    }

    pub(crate) fn allocated(&self) -> usize {
        self.blocks.allocated()
    }

    /// How many keys it is made for.
    #[inline]
    fn keys(&self) -> usize {
        self.blocks.len() * KEYS
    }

    fn age(&mut self) {
        for word in self.blocks.iter_mut().flatten() {
            *word = *word >> 1 & 0x7777_7777_7777_7777;
        }
        self.seen /= 2;
    }
}

/// Bits that choose a key's counters and don't depend on which block they are in.
#[inline]
fn mixed(hash: u32) -> u32 {
    let mixed = (hash ^ hash >> 15).wrapping_mul(0x2C1B_3C6D);
    (mixed ^ mixed >> 12).wrapping_mul(0x297A_2D39)
}

/// The word of a block and the shift in it where a key's counter stands.
#[inline]
fn counter(mixed: u32, nth: u32) -> (usize, u32) {
    let place = mixed >> (25 - 7 * nth) & 127;
    ((place / 16) as usize, place % 16 * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: u32) -> u32 {
        let mixed = (key ^ key >> 16).wrapping_mul(0x7FEB_352D);
        (mixed ^ mixed >> 15).wrapping_mul(0x846C_A68B)
    }

    #[test]
    fn a_key_is_never_counted_less_than_it_was_seen_until_counts_are_halved() {
        let mut sketch = Sketch::new();
        sketch.reach(1000);
        for key in 0..1000 {
            (0..key % 9).for_each(|_| sketch.see(hash(key)));
        }
        let more = (0..1000).filter(|&key| {
            let seen = (key % 9) as u8;
            assert!(sketch.estimate(hash(key)) >= seen, "key {key} was seen {seen} times");
            sketch.estimate(hash(key)) > seen
        });
        let more = more.count();
        assert!(more < 100, "{more} of 1000 keys are counted too often");
    }

    #[test]
    fn counts_stop_at_fifteen_and_fade() {
        let mut sketch = Sketch::new();
        (0..40).for_each(|_| sketch.see(hash(1)));
        assert_eq!(sketch.estimate(hash(1)), 15);
        let round = SEEN_PER_KEY * sketch.keys();
        (0..2 * round as u32).for_each(|key| sketch.see(hash(1000 + key)));
        assert!(sketch.estimate(hash(1)) < 15);
    }
}
