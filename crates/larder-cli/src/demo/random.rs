//! Numbers that look random and are the same in every run, and the shape of popularity.

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number from 0 to `count - 1`. The bias, at most `count` in 2^64, is of no matter here.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(count)) >> 64) as u64
    }

    /// A number from 0 inclusive to 1 exclusive.
    fn unit(&mut self) -> f64 {
        // The 53 bits that a double can hold exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Zipf's law: of `count` things the second most popular is asked for half as often as the
/// first, the third a third as often, and so on.
///
/// It is drawn from by searching a table of cumulative shares, which takes as many steps as
/// `count` has binary digits.
#[derive(Debug)]
pub(super) struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    /// Over `count` things, at least one.
    pub(super) fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (1..=count)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        for share in &mut cumulative {
            *share /= sum;
        }
        Self { cumulative }
    }

    /// The place in the order of popularity, from 0.
    pub(super) fn draw(&self, random: &mut Random) -> usize {
        let unit = random.unit();
        self.cumulative.partition_point(|&share| share <= unit).min(self.cumulative.len() - 1)
    }
}

/// The id, from 1 to `count`, of the thing at a place in the order of popularity: the popular
/// ones are strewn over the table, as in life, instead of lying side by side in one page of it.
pub(super) fn id_at(rank: usize, count: usize) -> usize {
    // A prime, so that no two ranks below it have one id.
    const STRIDE: u64 = 2_654_435_761;
    (rank as u64 * STRIDE % count as u64) as usize + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let draw = |seed| {
            let (zipf, mut random) = (Zipf::new(1000), Random::new(seed));
            (0..100).map(|_| zipf.draw(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_share_of_a_rank_is_the_inverse_of_its_place() {
        const DRAWS: usize = 200_000;
        let (zipf, mut random) = (Zipf::new(1000), Random::new(7));
        let mut counts = vec![0_usize; 1000];
        for _ in 0..DRAWS {
            counts[zipf.draw(&mut random)] += 1;
        }
        let harmonic: f64 = (1..=1000).map(|rank| 1.0 / f64::from(rank)).sum();
        for (rank, tolerance) in [(1, 0.02), (2, 0.03), (10, 0.07)] {
            let expected = DRAWS as f64 / f64::from(rank) / harmonic;
            let found = counts[rank as usize - 1] as f64;
            assert!((found / expected - 1.0).abs() < tolerance, "{rank}: {found} of {expected}");
        }
        assert!(counts[500..].iter().sum::<usize>() > 0);
    }

    #[test]
    fn numbers_below_a_bound_reach_both_ends_and_not_beyond() {
        let mut random = Random::new(3);
        let drawn: BTreeSet<_> = (0..1000).map(|_| random.below(7)).collect();
        assert_eq!(drawn, (0..7).collect());
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn every_rank_has_an_id_of_its_own() {
        for count in [1, 2, 200, 1009] {
            let ids: BTreeSet<_> = (0..count).map(|rank| id_at(rank, count)).collect();
            assert_eq!(ids, (1..=count).collect());
        }
    }
}
