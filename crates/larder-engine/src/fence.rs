//! The fence: what a reader captures before it reads, and must still hold for its fill to be
//! accepted.
//!
//! Each key maps to one of a fixed number of epochs. An invalidation removes the entry and raises
//! the key's epoch under one lock of the memory tier; a fill compares the epoch under the same
//! lock. So of the race
//!
//! 1. a reader misses and reads `v1` from the source,
//! 2. a writer commits `v2` and invalidates,
//! 3. the reader fills `v1`,
//!
//! step 3 finds the epoch raised and stores nothing. Two keys that share an epoch cost a refused
//! fill now and then, never a wrong one.
//!
//! The entry goes first and the epoch is raised then, because memory is read without that lock. In
//! the other order
//!
//! 1. a writer commits `v2`, takes the lock and raises the epoch,
//! 2. a reader captures the new epoch, and finds `v1` in memory: it leads a flight that lands with
//!    `v1`,
//! 3. the writer removes `v1`, and its invalidation returns,
//! 4. another reader joins the flight of 2, whose epoch is the one that it captured, and is given
//!    `v1`.
//!
//! So whoever captures the raised epoch finds nothing of before in memory.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use larder_core::sync::{AtomicU64, Ordering};

/// 65,536 epochs take 512 KiB and make a shared epoch a rarity.
pub(crate) const EPOCHS_DEFAULT: usize = 65_536;

/// What was captured before a read began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The hash of the key, within its scope.
    pub(crate) hash: u64,
    /// The epoch that the key had.
    pub(crate) epoch: u64,
    /// How many events there had been; see [`events`](crate::events).
    pub(crate) born: u64,
}

/// The epochs of every key of every cache of an engine.
#[derive(Debug)]
pub(crate) struct Epochs {
    epochs: Box<[AtomicU64]>,
    hasher: RandomState,
    #[cfg(shuttle)]
    omit: crate::engine::Omit,
}

impl Epochs {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            epochs: (0..count.max(1)).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
            #[cfg(shuttle)]
            omit: crate::engine::Omit::Nothing,
        }
    }

    /// Leaves out a protective step, to show that the step is needed.
    #[cfg(shuttle)]
    pub(crate) fn omit(&mut self, omit: crate::engine::Omit) {
        self.omit = omit;
    }

    /// Captures the fence of a key; to be done before any reading. `scope` tells apart the equal
    /// keys of two caches; `born` is the count of events, taken no later than now.
    pub(crate) fn capture<Q: Hash + ?Sized>(&self, scope: u64, key: &Q, born: u64) -> Fence {
        let hash = self.hasher.hash_one((scope, key));
        Fence { hash, epoch: self.epoch(hash).load(Ordering::Acquire), born }
    }

    /// Whether nothing was invalidated since the fence was captured. Only an answer given under
    /// the memory tier's lock of that key means something.
    pub(crate) fn holds(&self, fence: Fence) -> bool {
        #[cfg(shuttle)]
        if self.omit == crate::engine::Omit::FenceAtFill {
            return true;
        }
        self.epoch(fence.hash).load(Ordering::Acquire) == fence.epoch
    }

    /// Voids every fence of the key captured so far. To be called under the memory tier's lock
    /// of that key, when the entry has been removed or exchanged; earlier only in addition.
    pub(crate) fn raise<Q: Hash + ?Sized>(&self, scope: u64, key: &Q) {
        let hash = self.hasher.hash_one((scope, key));
        self.epoch(hash).fetch_add(1, Ordering::AcqRel);
    }

    fn epoch(&self, hash: u64) -> &AtomicU64 {
        // The remainder is taken of the upper half: the memory tier uses other bits for shards.
        let at = (hash >> 32) % self.epochs.len() as u64;
        &self.epochs[usize::try_from(at).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_epoch_voids_the_fences_captured_before_and_no_later_ones() {
        let epochs = Epochs::new(EPOCHS_DEFAULT);
        let before = epochs.capture(1, "k", 0);
        assert!(epochs.holds(before));
        epochs.raise(1, "k");
        assert!(!epochs.holds(before));
        assert!(epochs.holds(epochs.capture(1, "k", 0)));
    }

    #[test]
    fn the_same_key_of_another_cache_keeps_its_fence() {
        let epochs = Epochs::new(EPOCHS_DEFAULT);
        let other = epochs.capture(2, "k", 0);
        epochs.raise(1, "k");
        assert!(epochs.holds(other));
    }
}
