//! Counting for reports.
//!
//! Statistics synchronise nothing, so they are the standard library's atomics under every
//! checker: exploring their interleavings would cost time and prove nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that is only ever counted up and reported.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; wraps after 2^64.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
