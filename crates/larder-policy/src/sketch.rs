//! How often keys were seen lately, estimated.
//!
//! A policy compares keys by it, also those that are not held. It knows hashes only.

/// The most that a counter counts.
const COUNT_MAX: u64 = 15;

/// How many counters a key has.
const COUNTERS: usize = 3;

/// A block of a count-min sketch: 128 counters of four bits, for sixteen keys. With fewer than
/// eight counters for each too many are shared.
///
/// A key's three counters stand in one block, and the least of them is the estimate. Only the
/// least go up.
///
/// *Papers*: Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM
/// Transactions on Storage 2017; Estan, Varghese, "New directions in traffic measurement and
/// accounting", SIGCOMM 2002 (conservative update).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts([u64; 8]);

impl Counts {
    pub(crate) const NONE: Self = Self([0; 8]);

    /// How often the key was seen, at most fifteen.
    #[inline]
    pub(crate) fn estimate(&self, hash: u32) -> u8 {
        self.least(counters(hash)) as u8
    }

    /// Whether the estimate is above so many times: mostly the first counter says that it isn't.
    #[inline]
    pub(crate) fn is_above(&self, hash: u32, times: u8) -> bool {
        counters(hash).into_iter().all(|counter| self.of(counter) > u64::from(times))
    }

    /// Counts a use of the key: only its least counters go up, so that keys which share the others
    /// aren't counted with it.
    #[inline]
    pub(crate) fn see(&mut self, hash: u32) {
        let counters = counters(hash);
        let least = self.least(counters);
        if least < COUNT_MAX {
            for counter in counters {
                // Two of them may be one, which has gone up when it is looked at again.
                let goes_up = self.of(counter) == least;
                self.0[counter.word] += u64::from(goes_up) << counter.shift;
            }
        }
    }

    /// Halves every count.
    pub(crate) fn halve(&mut self) {
        for word in &mut self.0 {
            *word = *word >> 1 & 0x7777_7777_7777_7777;
        }
    }

    #[inline]
    fn least(&self, counters: [Counter; COUNTERS]) -> u64 {
        let [one, two, three] = counters.map(|counter| self.of(counter));
        one.min(two).min(three)
    }

    #[inline]
    fn of(&self, counter: Counter) -> u64 {
        self.0[counter.word] >> counter.shift & COUNT_MAX
    }
}

/// Where a counter stands in a block.
#[derive(Clone, Copy)]
struct Counter {
    word: usize,
    shift: u32,
}

/// The counters of a key. The bits that choose them don't depend on which block they are in.
#[inline]
fn counters(hash: u32) -> [Counter; COUNTERS] {
    let mixed = (hash ^ hash >> 15).wrapping_mul(0x2C1B_3C6D);
    let mixed = (mixed ^ mixed >> 12).wrapping_mul(0x297A_2D39);
    [25, 18, 11].map(|low| {
        let place = mixed >> low & 127;
        Counter { word: (place / 16) as usize, shift: place % 16 * 4 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stop_at_fifteen_and_are_halved_one_by_one() {
        let mut counts = Counts::NONE;
        (0..40).for_each(|_| counts.see(1));
        assert_eq!(counts.estimate(1), 15);
        (0..5).for_each(|_| counts.see(0x1234_5678));
        counts.halve();
        assert_eq!([1, 0x1234_5678].map(|hash| counts.estimate(hash)), [7, 2]);
    }
}
