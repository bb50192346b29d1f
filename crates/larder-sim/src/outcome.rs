//! What a replay came to.

use crate::Requests;

/// What a replay came to: counts, and the ratios that follow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Reads in the replay.
    pub reads: u64,
    /// Reads that found their key.
    pub hits: u64,
    /// Bytes that were read; 0 where sizes are unknown.
    pub bytes: u64,
    /// Bytes that were read from the cache.
    pub hit_bytes: u64,
    /// Entries that left for space.
    pub evicted: u64,
    /// Entries that left because their time was over.
    pub expired: u64,
    /// Values heavier than the whole cache, which were not kept.
    pub refused: u64,
    /// Reads and bytes of a fair sample.
    reads_expected: f64,
    bytes_expected: f64,
}

impl Outcome {
    pub(crate) fn new(requests: &Requests) -> Self {
        Self {
            reads_expected: requests.reads_expected(),
            bytes_expected: requests.bytes_expected(),
            ..Self::default()
        }
    }

    /// The part of the reads that hit, adjusted for the sampling error; 0 where nothing is read.
    pub fn hit_ratio(&self) -> f64 {
        ratio(self.reads - self.hits, self.reads_expected)
    }

    /// The part of the bytes read that came from the cache, adjusted for the sampling error; 0
    /// where sizes are unknown.
    pub fn byte_hit_ratio(&self) -> f64 {
        ratio(self.bytes - self.hit_bytes, self.bytes_expected)
    }

    /// Counts a read of `size` bytes.
    pub(crate) fn read(&mut self, hit: Hit, size: u32) {
        self.reads += 1;
        self.bytes += u64::from(size);
        if hit == Hit::Yes {
            self.hits += 1;
            self.hit_bytes += u64::from(size);
        }
    }
}

/// Whether a read finds its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    Yes,
    No,
}

/// What isn't missed. A sample may have more misses than a fair one has reads.
fn ratio(missed: u64, expected: f64) -> f64 {
    if expected > 0.0 { (1.0 - missed as f64 / expected).clamp(0.0, 1.0) } else { 0.0 }
}
