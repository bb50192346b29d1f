//! Curves of the hit ratio over the size of the cache, from a spatial sample.
//!
//! The sample is that of SHARDS (FAST 2015). Since the policies have no stack distances, each
//! point is a replay of the sample through a cache that is smaller in proportion (Waldspurger,
//! Saemundsson, Ahmad, Park, "Cache modeling and optimization using miniature simulations",
//! USENIX ATC 2017).

use crate::{Requests, Size, Unit};

/// How many keys a sample for curves has at least, if there are as many. With so many
/// the ratios of most traces are right to about a hundredth.
pub const CURVE_KEYS: usize = 32_768;

/// The smallest cache of a curve: this part of the keys, or of the bytes.
const PART_MIN: f64 = 0.001;

/// The smallest cache over a sample, in entries: in smaller ones each entry matters.
const SAMPLED_MIN: f64 = 64.0;

/// What is replayed for a curve.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// A sample of the requests.
    pub requests: Requests,
    /// The sizes, evenly spaced on a logarithmic scale.
    pub sizes: Vec<Size>,
}

impl Sketch {
    /// The sample and at most `points` sizes, up to the one that holds everything.
    pub fn of(requests: &Requests, unit: Unit, points: usize) -> Self {
        let sample = requests.sampled(CURVE_KEYS as f64 / requests.keys().max(1) as f64);
        let most = match unit {
            Unit::Entries => requests.keys_in_all(),
            Unit::Bytes => requests.footprint() as f64 / requests.sample(),
        };
        let fewest = if sample.sample() < requests.sample() { SAMPLED_MIN } else { 1.0 };
        let least = PART_MIN.max(fewest / sample.keys().max(1) as f64).min(1.0);
        let steps = points.saturating_sub(1).max(1) as f64;
        let mut sizes: Vec<u64> = (0..points)
            .map(|at| (most * least.powf(1.0 - at as f64 / steps)).ceil() as u64)
            .map(|size| size.max(1))
            .collect();
        // Of few keys, neighbours are one size.
        sizes.dedup();
        let sizes = sizes.into_iter().map(match unit {
            Unit::Entries => Size::Entries,
            Unit::Bytes => Size::Bytes,
        });
        Self { sizes: sizes.collect(), requests: sample }
    }
}
