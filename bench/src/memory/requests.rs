//! Which keys are asked for: numbers of entries, drawn uniformly or by Zipf's law, and the keys
//! that stand for them. All of it from fixed seeds: each run asks for the same.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// From 0 up to 1, 1 excluded.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `bound`; the bias is one in 2^64 / `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// SplitMix64's last step: one to one, and every bit depends on every bit.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// How the popularity of entries is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Popularity {
    Uniform,
    /// The n-th most popular of the entries is asked for n^-0.99 times as often as the first.
    Zipf,
}

impl Popularity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        }
    }

    /// As many numbers of entries, below `entries`.
    pub(crate) fn draw(self, entries: u64, count: usize, seed: u64) -> Vec<u64> {
        let mut random = Random::new(seed);
        match self {
            Self::Uniform => (0..count).map(|_| random.below(entries)).collect(),
            Self::Zipf => {
                let zipf = Zipf::new(entries, 0.99);
                // The popular entries are spread over all: they were not all stored first.
                let place = Permutation::new(entries);
                (0..count).map(|_| place.of(zipf.rank(&mut random) - 1)).collect()
            }
        }
    }
}

/// Zipf's law by rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate
/// variates from monotone discrete distributions", 1996), for exponents other than 1.
struct Zipf {
    ranks: f64,
    exponent: f64,
    low: f64,
    high: f64,
    squeeze: f64,
}

impl Zipf {
    fn new(ranks: u64, exponent: f64) -> Self {
        let mut zipf = Self { ranks: ranks as f64, exponent, low: 0.0, high: 0.0, squeeze: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(zipf.ranks + 0.5);
        zipf.squeeze = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    fn weight(&self, rank: f64) -> f64 {
        rank.powf(-self.exponent)
    }

    fn integral(&self, rank: f64) -> f64 {
        let rest = 1.0 - self.exponent;
        (rank.powf(rest) - 1.0) / rest
    }

    fn inverse(&self, area: f64) -> f64 {
        let rest = 1.0 - self.exponent;
        (1.0 + rest * area).powf(1.0 / rest)
    }

    /// A rank from 1.
    fn rank(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.high + random.fraction() * (self.low - self.high);
            let point = self.inverse(area);
            let rank = point.round().clamp(1.0, self.ranks);
            if rank - point <= self.squeeze || area >= self.integral(rank + 0.5) - self.weight(rank)
            {
                return rank as u64;
            }
        }
    }
}

/// One order of the numbers below a bound: n -> n * step mod bound, with a step that has no
/// divisor in common with the bound.
struct Permutation {
    step: u64,
    bound: u64,
}

impl Permutation {
    fn new(bound: u64) -> Self {
        let mut step = (bound as f64 * 0.618_034) as u64 | 1;
        while divisor(step, bound) != 1 {
            step += 2;
        }
        Self { step, bound }
    }

    fn of(&self, number: u64) -> u64 {
        (u128::from(number) * u128::from(self.step) % u128::from(self.bound)) as u64
    }
}

/// The greatest common divisor.
fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// The key of an entry: no two alike, and no order in them that a weak hash would profit from.
pub(crate) fn key(id: u64) -> u64 {
    mixed(id)
}

/// The same as a text of [`TEXT`] bytes.
pub(crate) fn text_key(id: u64) -> String {
    format!("row:{:016x}", mixed(id))
}

/// How long a text key is.
const TEXT: usize = 20;

/// Requests one after the other in memory, as a server finds them in what it has read.
pub(crate) trait Requests: Sync {
    type Key: ?Sized;
    fn at(&self, index: usize) -> &Self::Key;
    fn len(&self) -> usize;
}

/// Requests for `u64` keys.
pub(crate) struct Numbers(Vec<u64>);

impl Numbers {
    pub(crate) fn new(ids: &[u64]) -> Self {
        Self(ids.iter().map(|&id| key(id)).collect())
    }
}

impl Requests for Numbers {
    type Key = u64;

    fn at(&self, index: usize) -> &u64 {
        &self.0[index]
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// Requests for `&str` keys.
pub(crate) struct Texts(String);

impl Texts {
    pub(crate) fn new(ids: &[u64]) -> Self {
        Self(ids.iter().map(|&id| text_key(id)).collect())
    }
}

impl Requests for Texts {
    type Key = str;

    fn at(&self, index: usize) -> &str {
        &self.0[index * TEXT..(index + 1) * TEXT]
    }

    fn len(&self) -> usize {
        self.0.len() / TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_draws_each_rank_as_often_as_the_law_says() {
        let (ranks, draws) = (1000, 1_000_000);
        let (zipf, mut random) = (Zipf::new(ranks, 0.99), Random::new(1));
        let mut counts = vec![0.0; ranks as usize + 1];
        (0..draws).for_each(|_| counts[zipf.rank(&mut random) as usize] += 1.0);
        let total: f64 = (1..=ranks).map(|rank| (rank as f64).powf(-0.99)).sum();
        assert_eq!(counts[0], 0.0);
        for rank in [1, 2, 3, 10, 100, 1000] {
            let expected = f64::from(draws) * (rank as f64).powf(-0.99) / total;
            let off = (counts[rank as usize] - expected).abs();
            assert!(off < 5.0 * expected.sqrt(), "rank {rank}: {off} off {expected}");
        }
    }

    #[test]
    fn requests_stay_within_the_entries_and_reach_all_of_them() {
        for popularity in [Popularity::Uniform, Popularity::Zipf] {
            let drawn = popularity.draw(100, 100_000, 7);
            let distinct: std::collections::BTreeSet<u64> = drawn.into_iter().collect();
            assert!(distinct.into_iter().eq(0..100), "{popularity:?}");
        }
    }

    #[test]
    fn a_permutation_reaches_every_number_once() {
        for bound in [1, 2, 6, 1000, 1024] {
            let permutation = Permutation::new(bound);
            let mut reached: Vec<u64> = (0..bound).map(|number| permutation.of(number)).collect();
            reached.sort_unstable();
            assert!(reached.into_iter().eq(0..bound), "{bound}");
        }
    }

    #[test]
    fn keys_stand_one_after_the_other() {
        let (numbers, texts) = (Numbers::new(&[3, 1]), Texts::new(&[3, 1]));
        assert_eq!((numbers.len(), texts.len()), (2, 2));
        assert_eq!((numbers.at(1), texts.at(1)), (&key(1), text_key(1).as_str()));
        assert_ne!(key(3), key(1));
    }
}
