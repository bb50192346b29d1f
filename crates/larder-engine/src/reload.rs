//! Keys that were in use when they were invalidated, loaded again before anybody asks.
//!
//! The invalidation is the same as without: what is held is dropped, here and everywhere, and no
//! promise changes. Only the next reader doesn't have to wait for a load, or for all of it:
//!
//! 1. The key is struck. Under the same lock the memory tier says whether the entry had been read
//!    since its load.
//! 2. The invalidation is carried out in the shared tier and on the bus, and here once more.
//! 3. A flight begins, whose fence is captured now. What it brings is the source's value at some
//!    moment after the change could be read, and a reader who comes meanwhile joins it. A later
//!    invalidation overtakes it, as it does any flight.
//!
//! Of a change of many keys no herd is made: see [`Parts::reloads_max`]. What can't be loaded again
//! now is loaded when it is read.

use std::sync::Arc;

use larder_core::{CacheKey, Moment};

use crate::cache::Parts;
use crate::load::Loader;

/// Whether an entry is loaded again when its key is invalidated.
///
/// Where tags, a prefix or a whole cache are invalidated nothing is: nobody knows how much that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reload {
    /// It isn't: the next reader loads it.
    #[default]
    Never,
    /// If it is in use: it was read since its load, and the memory tier's policy hasn't forgotten
    /// that. The policy has to [mark uses](larder_memory::policy::PolicyKind::marks_uses). At once
    /// at most half as many are loaded so as the source is asked at once; the others are loaded
    /// when they are read.
    Hot,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// How many keys may be loaded again now: half as many as the source is asked at once, less
    /// those that are being loaded. The other half is for readers.
    pub(crate) fn reloads_max(&self) -> usize {
        if self.reload == Reload::Never || self.source.is_none() {
            return 0;
        }
        let busy = self.flights.count().max(self.guard.occupied());
        self.guard.loads_max().div_ceil(2).saturating_sub(busy)
    }

    /// Loads these again, which were in use when they were struck. Does nothing for a key that is
    /// being loaded, or rests after a failure.
    pub(crate) fn reload(self: &Arc<Self>, keys: Vec<K>) {
        for key in keys {
            // Whatever is held by now was loaded later.
            if let Some((flight, seek)) = self.begin_refresh(&key, Moment::ZERO) {
                self.counters.reloads.add(1);
                self.depart(&key, &flight, seek, Loader::Source);
            }
        }
    }
}
