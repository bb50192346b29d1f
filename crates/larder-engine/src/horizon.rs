//! A horizon: up to when one stream of changes vouches for entries.
//!
//! Every change that the stream covers, up to this moment, has been applied here. It belongs to
//! the stream, never to the process: each feed has its own, and the bus has one.

use larder_core::Moment;
use larder_core::sync::{AtomicU64, Ordering};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Horizon(AtomicU64);

impl Horizon {
    /// Where it is. To be read before the entry that it is to vouch for.
    #[inline]
    pub(crate) fn get(&self) -> Moment {
        Moment::from_nanos(self.0.load(Ordering::Acquire))
    }

    /// Moves it forward; to be called when what comes before `to` has been applied.
    pub(crate) fn advance(&self, to: Moment) {
        self.0.fetch_max(to.as_nanos(), Ordering::AcqRel);
    }

    /// Forgets it: nothing vouches for anything until it is learnt again.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }
}
