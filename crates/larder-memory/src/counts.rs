//! How often reads hit and missed, counted without a step that threads share.
//!
//! Each thread has a number of its own while it lives, by its [record](crate::hazard), and counts
//! in its own line. Threads beyond the lines, which only a process with very many has, share one.

use std::iter;

use crate::atomics::{AtomicU64, Ordering};
use crate::hazard::Reader;

/// At least so many threads have a line of their own.
const LINES_MIN: usize = 16;

/// The counts of one thread, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Line {
    hits: AtomicU64,
    misses: AtomicU64,
}

pub(crate) struct Counts {
    lines: Box<[Line]>,
    shared: Line,
}

impl Counts {
    /// For a machine that runs so many threads at once.
    pub(crate) fn new(parallelism: usize) -> Self {
        let lines = parallelism.saturating_mul(4).max(LINES_MIN);
        let lines = iter::repeat_with(Line::default).take(lines).collect();
        Self { lines, shared: Line::default() }
    }

    #[inline]
    pub(crate) fn hit(&self, reader: Reader) {
        match self.lines.get(reader.number()) {
            Some(line) => add_alone(&line.hits),
            None => add_shared(&self.shared.hits),
        }
    }

    #[inline]
    pub(crate) fn miss(&self, reader: Reader) {
        match self.lines.get(reader.number()) {
            Some(line) => add_alone(&line.misses),
            None => add_shared(&self.shared.misses),
        }
    }

    /// The hits and the misses of all threads so far.
    pub(crate) fn sums(&self) -> (u64, u64) {
        let lines = || self.lines.iter().chain([&self.shared]);
        let hits = lines().map(|line| line.hits.load(Ordering::Relaxed)).sum();
        let misses = lines().map(|line| line.misses.load(Ordering::Relaxed)).sum();
        (hits, misses)
    }
}

/// Counts where nobody else does.
#[inline]
fn add_alone(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

#[cold]
fn add_shared(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
