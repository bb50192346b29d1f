//! Durations, counted in buckets that are never wider than a sixty-fourth of what they hold.

use std::time::Duration;

/// Each power of two of nanoseconds is divided into this many buckets, as a power of two.
const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;

/// Buckets for every duration up to 2^64 nanoseconds: below `SUB` one for each nanosecond, then
/// `SUB` for each power of two.
const BUCKETS: usize = SUB * (64 - SUB_BITS as usize + 1);

/// How long many reads took. It takes 30 KiB, however many they are.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    nanos: u128,
    longest: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, nanos: 0, longest: 0 }
    }

    /// Counts one.
    pub(super) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.nanos += u128::from(nanos);
        self.longest = self.longest.max(nanos);
    }

    /// Adds what another one has counted.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, &more) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += more;
        }
        self.count += other.count;
        self.nanos += other.nanos;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// The mean of all, exactly; zero when there is none.
    pub(super) fn mean(&self) -> Duration {
        let mean = self.nanos / u128::from(self.count.max(1));
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// What `share` of all, from 0 to 1, did not exceed; at most a sixty-fourth too long, never
    /// too short. Zero when there is none.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let wanted = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let found = self.buckets.iter().position(|&count| {
            seen += count;
            seen >= wanted
        });
        Duration::from_nanos(found.map_or(0, |at| last(at).min(self.longest)))
    }
}

/// Where `nanos` is counted.
fn bucket(nanos: u64) -> usize {
    // Below the second power of two that is divided, a bucket is a nanosecond.
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(SUB_BITS + 1);
    shift as usize * SUB + (nanos >> shift) as usize
}

/// The most nanoseconds that are counted in a bucket.
fn last(bucket: usize) -> u64 {
    let shift = (bucket / SUB).saturating_sub(1);
    let first = (bucket - shift * SUB) as u64;
    (first << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::random::Random;

    #[test]
    fn a_bucket_begins_where_the_one_before_ends() {
        assert_eq!(last(0), 0);
        for at in 1..BUCKETS {
            assert_eq!(bucket(last(at)), at);
            assert_eq!(bucket(last(at - 1) + 1), at);
        }
        assert_eq!(last(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_durations() {
        let mut random = Random::new(11);
        for count in [1, 2, 10, 999, 10_000] {
            // Over all magnitudes, from nanoseconds to hours.
            let mut draw = || {
                let magnitude = random.below(45);
                random.below(2 << magnitude)
            };
            let mut sorted: Vec<u64> = (0..count).map(|_| draw()).collect();
            let (mut one, mut other) = (Histogram::new(), Histogram::new());
            for (at, &nanos) in sorted.iter().enumerate() {
                let half = if at % 3 == 0 { &mut one } else { &mut other };
                half.record(Duration::from_nanos(nanos));
            }
            one.add(&other);
            sorted.sort_unstable();
            for share in [0.0, 0.001, 0.5, 0.9, 0.99, 0.999, 1.0] {
                let at = ((share * f64::from(count)).ceil() as usize).max(1) - 1;
                let found = one.quantile(share).as_nanos() as u64;
                assert!(found >= sorted[at], "{share} of {count}: {found} < {}", sorted[at]);
                let most = sorted[at] + sorted[at] / SUB as u64;
                assert!(found <= most, "{share} of {count}: {found} > {most}");
            }
            assert_eq!(one.quantile(1.0).as_nanos() as u64, sorted[sorted.len() - 1]);
            assert_eq!(one.count(), u64::from(count as u32));
            let mean = sorted.iter().sum::<u64>() / sorted.len() as u64;
            assert_eq!(one.mean().as_nanos() as u64, mean);
        }
    }

    #[test]
    fn nothing_has_no_quantile_but_zero() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        assert_eq!(histogram.mean(), Duration::ZERO);
    }
}
