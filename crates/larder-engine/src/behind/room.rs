//! The room of what waits: it counts against the bound of the cache's memory tier.
//!
//! What was acknowledged can't be evicted, so its bytes are [reserved](Reserve::reserve) in the
//! tier before they are taken: entries and what waits are together never more than the bound, at
//! any instant. Where the bound has no room left a write is shed.
//!
//! Bytes are reserved some at a time, so that hardly any write evicts. To know that what is
//! reserved is enough takes two counts, in this order: what writers under way have *claimed*, and
//! what waits. Bytes go from the first to the second, so whoever reads them in this order counts
//! some twice, and none never. Who gives room back lowers the mark first and looks at the counts
//! after; who claims does it the other way round, so one of the two sees the other.
//!
//! It doesn't know what waits, nor in which order.

use std::sync::{Arc, OnceLock, Weak};

use larder_core::sync::{AtomicUsize, Mutex, Ordering};

use crate::memory::Reserve;

/// So many times at most the bytes of a tier are reserved one after the other.
const GRAINS: usize = 64;
/// So many bytes are reserved at once where they have no bound.
const GRAIN_UNBOUNDED: usize = 1 << 20;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Room {
    claimed: AtomicUsize,
    /// What is reserved for this cache; changed under the lock.
    reserved: AtomicUsize,
    changing: Mutex<()>,
    memory: OnceLock<Weak<dyn Reserve>>,
}

/// Bytes that a write under way may take.
pub(super) struct Claim<'a> {
    claimed: &'a AtomicUsize,
    bytes: usize,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claimed.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Room {
    /// Takes room from this tier, from now on.
    pub(super) fn within(&self, memory: Weak<dyn Reserve>) {
        // Only the cache that it belongs to says so, once.
        let _ = self.memory.set(memory);
    }

    /// What is reserved, in bytes.
    pub(super) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::SeqCst)
    }

    /// Claims room for `bytes` more than what waits; `None` if there is none. To be kept until they
    /// wait.
    pub(super) fn claim(&self, bytes: usize, waiting: impl Fn() -> usize) -> Option<Claim<'_>> {
        self.claimed.fetch_add(bytes, Ordering::SeqCst);
        let claim = Claim { claimed: &self.claimed, bytes };
        (self.needed(&waiting) <= self.reserved() || self.grow(&waiting)).then_some(claim)
    }

    /// Claims room that must be had, whether or not there is any.
    pub(super) fn insist(&self, bytes: usize) -> Claim<'_> {
        self.claimed.fetch_add(bytes, Ordering::SeqCst);
        Claim { claimed: &self.claimed, bytes }
    }

    /// Gives back what isn't needed any more.
    pub(super) fn relax(&self, waiting: impl Fn() -> usize) {
        let Some(memory) = self.memory() else { return };
        let grain = grain(&*memory);
        let is_much = |reserved: usize| reserved > self.needed(&waiting) + 2 * grain;
        if !is_much(self.reserved()) {
            return;
        }
        let _changing = self.changing.lock();
        let reserved = self.reserved();
        let left = match self.needed(&waiting) {
            0 => 0,
            needed => needed + grain,
        };
        if left >= reserved {
            return;
        }
        self.reserved.store(left, Ordering::SeqCst);
        if self.needed(&waiting) > left {
            // Somebody claimed it just now.
            return self.reserved.store(reserved, Ordering::SeqCst);
        }
        memory.release(reserved - left);
    }

    fn grow(&self, waiting: &impl Fn() -> usize) -> bool {
        let Some(memory) = self.memory() else { return true };
        let _changing = self.changing.lock();
        let (needed, reserved) = (self.needed(waiting), self.reserved());
        let Some(more) = needed.checked_sub(reserved).filter(|&more| more > 0) else { return true };
        let grain = grain(&*memory);
        for more in [more.saturating_add(grain), more] {
            if memory.reserve(more) {
                self.reserved.store(reserved + more, Ordering::SeqCst);
                return true;
            }
        }
        false
    }

    fn needed(&self, waiting: &impl Fn() -> usize) -> usize {
        // In this order: see the module's documentation.
        let claimed = self.claimed.load(Ordering::SeqCst);
        claimed.saturating_add(waiting())
    }

    fn memory(&self) -> Option<Arc<dyn Reserve>> {
        self.memory.get()?.upgrade()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let reserved = self.reserved();
        if reserved > 0
            && let Some(memory) = self.memory()
        {
            memory.release(reserved);
        }
    }
}

fn grain(memory: &dyn Reserve) -> usize {
    memory.bytes_max().map_or(GRAIN_UNBOUNDED, |bytes| bytes / GRAINS + 1)
}
