//! How many different things went by, estimated in a kibibyte.
//!
//! It knows hashes only.

use std::sync::OnceLock;

use larder_core::sync::{AtomicU64, Ordering};

/// How many registers there are: 1,024 give a standard error of 1.04 / √1024, about 3 %.
const REGISTERS: usize = 1_024;

/// The bits of a hash that choose the register.
const REGISTER_BITS: u32 = REGISTERS.trailing_zeros();

/// Registers have a byte each, eight in a word.
const REGISTERS_PER_WORD: usize = 8;

/// How many different hashes were noted: a HyperLogLog.
///
/// A register remembers the longest run of zeros with which a hash of its part began: a run of
/// *n* is seen once in about 2^*n* different hashes, and a hash that comes again changes nothing.
/// While registers are empty, how many are is the better witness: linear counting.
///
/// It takes one kibibyte from the first note on, whatever is noted, and nothing before. Notes
/// may be made by many threads at once and wait for nobody.
///
/// *Papers*: Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal
/// cardinality estimation algorithm", AofA 2007; Whang, Vander-Zanden, Taylor, "A linear-time
/// probabilistic counting algorithm for database applications", ACM TODS 1990. The correction for
/// large numbers is left out, as hashes have 64 bits.
///
/// ```
/// use larder_engine::verdict::Distinct;
///
/// let tenants = Distinct::default();
/// for hash in [7, 8, 7, 7, 9] {
///     tenants.note(hash);
/// }
/// assert_eq!(tenants.estimate().round(), 3.0);
/// ```
#[derive(Debug, Default)]
pub struct Distinct(OnceLock<Box<[AtomicU64]>>);

impl Distinct {
    /// Notes something by its hash. Weak hashes will do, numbers in sequence too: they are
    /// mixed here.
    pub fn note(&self, hash: u64) {
        let hash = mix(hash);
        let register = (hash >> (u64::BITS - REGISTER_BITS)) as usize;
        // The lowest bit stops the count where all others are zero.
        let run = (hash << REGISTER_BITS | 1 << (REGISTER_BITS - 1)).leading_zeros() + 1;
        let words = self.0.get_or_init(|| {
            (0..REGISTERS / REGISTERS_PER_WORD).map(|_| AtomicU64::new(0)).collect()
        });
        let word = &words[register / REGISTERS_PER_WORD];
        let shift = register % REGISTERS_PER_WORD * 8;
        let mut seen = word.load(Ordering::Relaxed);
        // Registers only rise, so after a while hardly any note writes. Every word stands for
        // itself: nothing is ordered by it.
        while (seen >> shift & 0xff) < u64::from(run) {
            let risen = seen & !(0xff << shift) | u64::from(run) << shift;
            let swap = word.compare_exchange(seen, risen, Ordering::Relaxed, Ordering::Relaxed);
            match swap {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// How many different hashes were noted: mostly within 3 %, nearly always within 10 %. Of a
    /// handful, two seldom share a register and count as one.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        let Some(words) = self.0.get() else { return 0.0 };
        let (mut sum, mut empty) = (0.0, 0_u32);
        for word in words {
            for register in word.load(Ordering::Relaxed).to_le_bytes() {
                sum += (-f64::from(register)).exp2();
                empty += u32::from(register == 0);
            }
        }
        let registers = REGISTERS as f64;
        // The paper's constant for 128 registers and more.
        let alpha = 0.7213 / (1.0 + 1.079 / registers);
        let raw = alpha * registers * registers / sum;
        if raw <= 2.5 * registers && empty > 0 {
            registers * (registers / f64::from(empty)).ln()
        } else {
            raw
        }
    }
}

/// The finish of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
/// 2014): each bit of the result depends on each bit given, and no two numbers give one.
pub(super) fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate_of(hashes: impl Iterator<Item = u64>) -> f64 {
        let distinct = Distinct::default();
        hashes.for_each(|hash| distinct.note(hash));
        distinct.estimate()
    }

    #[test]
    fn estimates_are_close_whatever_the_number() {
        for (number, error_max) in
            [(1, 0.01), (10, 0.2), (1_000, 0.1), (3_000, 0.1), (100_000, 0.1), (1_000_000, 0.1)]
        {
            let mut squares = 0.0;
            for salt in 1..=3 {
                // In sequence, in the high bits only, and strewn.
                for spread in [1, 1 << 32, 0x9e37_79b9_7f4a_7c15] {
                    let start = salt << 60;
                    let hashes = (0..number).map(|n: u64| n.wrapping_mul(spread) ^ start);
                    let estimate = estimate_of(hashes);
                    let error = (estimate / number as f64 - 1.0).abs();
                    assert!(error <= error_max, "{estimate} of {number}, {salt}, {spread:#x}");
                    squares += (error * error) / 9.0;
                }
            }
            // The standard error is what the paper says, and a third more by chance at most.
            assert!(number < 1_000 || squares.sqrt() < 0.043, "{} of {number}", squares.sqrt());
        }
    }

    #[test]
    fn what_comes_again_is_not_counted_again() {
        let distinct = Distinct::default();
        (0..500).for_each(|hash| distinct.note(hash));
        let once = distinct.estimate();
        for _ in 0..20 {
            (0..500).for_each(|hash| distinct.note(hash));
        }
        assert_eq!(distinct.estimate(), once);
    }

    #[test]
    fn nothing_noted_is_zero_and_takes_no_memory() {
        let distinct = Distinct::default();
        assert_eq!(distinct.estimate(), 0.0);
        assert!(distinct.0.get().is_none());
        distinct.note(0);
        assert_eq!(distinct.0.get().map(|words| size_of_val(&**words)), Some(1_024));
    }

    #[test]
    fn threads_that_note_at_once_lose_nothing() {
        let together = Distinct::default();
        std::thread::scope(|scope| {
            for part in 0..4 {
                let together = &together;
                scope.spawn(move || {
                    (part * 5_000..(part + 1) * 5_000).for_each(|n| together.note(n));
                });
            }
        });
        assert_eq!(together.estimate(), estimate_of(0..20_000));
    }
}
