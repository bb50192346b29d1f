//! A line that carries so many bytes a second, each way.
//!
//! It counts pieces and moments; somebody else waits for them.

use std::time::{Duration, Instant};

use super::counts::Way;

/// In how many pieces a throttled second is cut.
const PIECES_PER_SECOND: u64 = 50;

/// A rate, and when each way is free again.
pub(super) struct Throttle {
    bytes_per_second: u64,
    requests_free: Instant,
    replies_free: Instant,
}

impl Throttle {
    pub(super) fn to(bytes_per_second: u64) -> Self {
        let now = Instant::now();
        Self { bytes_per_second, requests_free: now, replies_free: now }
    }

    /// When more may pass.
    pub(super) fn free(&mut self, way: Way) -> &mut Instant {
        match way {
            Way::Requests => &mut self.requests_free,
            Way::Replies => &mut self.replies_free,
        }
    }

    /// How many of `size` bytes pass now. The way is busy with them for as long as they take.
    pub(super) fn take(&mut self, way: Way, size: usize) -> usize {
        let piece = (self.bytes_per_second / PIECES_PER_SECOND).max(1);
        let taken = size.min(usize::try_from(piece).unwrap_or(usize::MAX));
        let rate = self.bytes_per_second;
        let busy = Duration::from_nanos((taken as u64).saturating_mul(1_000_000_000) / rate);
        *self.free(way) = Instant::now() + busy;
        taken
    }
}
