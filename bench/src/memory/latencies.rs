//! How long single operations took: a histogram whose buckets are 1/32 wide.

/// Counts of durations in nanoseconds: exact below 64, then 32 buckets for each power of two.
pub(crate) struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], total: 0 }
    }

    pub(crate) fn add(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// The smallest duration that `share` of all are not above, to 1/32; zero when there is none.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return lowest(bucket) as f64;
            }
        }
        0.0
    }
}

fn bucket(nanos: u64) -> usize {
    let power = nanos.checked_ilog2().unwrap_or(0).saturating_sub(5);
    32 * power as usize + (nanos >> power) as usize
}

/// The smallest duration in a bucket.
fn lowest(bucket: usize) -> u64 {
    let power = (bucket / 32).saturating_sub(1);
    ((bucket - 32 * power) as u64) << power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_begins_where_it_says_and_is_a_32nd_wide() {
        for nanos in (0..70).chain([100, 1000, 1 << 20, (1 << 20) + 1, u64::MAX]) {
            let low = lowest(bucket(nanos));
            assert!(low <= nanos && nanos - low <= nanos / 32, "{nanos}: {low}");
            assert_eq!(bucket(low), bucket(nanos));
        }
    }

    #[test]
    fn percentiles_are_found_in_order() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentile(0.5), 0.0);
        (1..=1000).for_each(|nanos| latencies.add(nanos));
        assert_eq!(latencies.percentile(0.01), 10.0);
        assert_eq!(latencies.percentile(0.5), 496.0);
        assert_eq!(latencies.percentile(0.999), 992.0);
        latencies.add(1 << 30);
        assert_eq!(latencies.percentile(1.0), f64::from(1 << 30));
    }
}
