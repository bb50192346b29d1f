//! The memory tier as the engine uses it: of slots, with a policy that is chosen when the
//! program runs, and with a ledger for each of its caches.
//!
//! What a policy does and what a bound means stand in `larder-memory`; here they only meet. Beside
//! entries a tier has what is *reserved* in it: bytes that are held elsewhere, and count towards
//! its bound as if they were entries that can't be evicted.

use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use larder_core::sync::Mutex;
use larder_memory::policy::{Chosen, PolicyKind};
use larder_memory::{Bounds, Builder, Memory};

use crate::ledger::{Ledger, Ledgers};
use crate::slot::Slot;

/// A memory tier that caches and plain keys with these types of keys and values can share.
#[derive(Debug)]
pub struct MemoryTier<K, V> {
    memory: Memory<K, Slot<V>, RandomState, Chosen>,
    ledgers: Arc<Ledgers<K, V>>,
    standing: Mutex<Standing>,
    /// Held while entries are evicted for other bounds or for what is reserved, one after the
    /// other.
    resizing: Mutex<()>,
}

/// What a tier may hold, and how much of that isn't for entries.
#[derive(Clone, Copy, Debug)]
struct Standing {
    bounds: Bounds,
    reserved: usize,
}

impl Standing {
    /// What is left for entries.
    fn for_entries(self) -> Bounds {
        match self.bounds.bytes_max() {
            Some(bytes) => self.bounds.and_bytes(bytes.saturating_sub(self.reserved)),
            None => self.bounds,
        }
    }
}

/// An empty memory tier with these bounds, in which this policy decides what is evicted, and which
/// forgets what isn't read for `idle_for`, if that is said.
///
/// ```
/// use larder_engine::memory_tier;
/// use larder_memory::{Bounds, policy::PolicyKind};
///
/// let memory = memory_tier::<u64, String>(Bounds::bytes(16 << 20), PolicyKind::Sieve, None);
/// assert_eq!(memory.entries(), 0);
/// ```
#[must_use]
pub fn memory_tier<K: Hash + Eq + 'static, V: 'static>(
    bounds: Bounds,
    policy: PolicyKind,
    idle_for: Option<Duration>,
) -> MemoryTier<K, V> {
    let ledgers = Ledgers::new();
    let told = Arc::clone(&ledgers);
    let builder = Builder::new(bounds)
        .policy(move |capacity| Chosen::of(policy, capacity))
        .costs(|_, slot: &Slot<V>| slot.cost())
        .on_removal(move |key, slot, cause| told.left(key, slot, cause));
    let memory = match idle_for {
        Some(idle_for) => builder.idle_for(idle_for).build(),
        None => builder.build(),
    };
    let standing = Mutex::new(Standing { bounds, reserved: 0 });
    MemoryTier { memory, ledgers, standing, resizing: Mutex::default() }
}

impl<K, V> MemoryTier<K, V> {
    /// What an entry counts besides its weight, in bytes.
    pub const ENTRY_OVERHEAD: usize = Memory::<K, Slot<V>, RandomState, Chosen>::ENTRY_OVERHEAD;

    /// The bounds in force. What is [reserved](Self::reserved) counts towards them.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.standing.lock().bounds
    }

    /// How many bytes of the bound aren't for entries: acknowledged writes that wait to be applied
    /// take them.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.standing.lock().reserved
    }

    /// Adds the ledger of a cache, and returns the number that its entries carry.
    pub(crate) fn keep(&self, ledger: &Arc<Ledger<K, V>>) -> u16 {
        self.ledgers.add(ledger)
    }
}

impl<K: Hash + Eq, V> MemoryTier<K, V> {
    /// Other bounds from now on; see [`Memory::resize`]. What is reserved stays so, even if that is
    /// more than the new bound: then nothing can be kept, and nothing more is reserved.
    pub fn resize(&self, bounds: Bounds) {
        let _one_at_a_time = self.resizing.lock();
        let standing = {
            let mut standing = self.standing.lock();
            standing.bounds = bounds;
            *standing
        };
        self.memory.resize(standing.for_entries());
    }
}

/// A tier in which room can be taken for what isn't held in it.
pub(crate) trait Reserve: Send + Sync {
    /// Takes so many bytes of the bound from the entries, and evicts what is over the rest before
    /// it returns. `false` where the bound hasn't so many, or what is held may not be evicted:
    /// then nothing is taken.
    ///
    /// Must not be called from the destructor of a value: it would wait for itself.
    fn reserve(&self, bytes: usize) -> bool;

    /// Gives reserved bytes back to the entries. As for destructors, see above.
    fn release(&self, bytes: usize);

    /// The bound in bytes, if there is one.
    fn bytes_max(&self) -> Option<usize>;
}

impl<K: Hash + Eq + Send + Sync, V: Send + Sync> Reserve for MemoryTier<K, V> {
    fn reserve(&self, bytes: usize) -> bool {
        let _one_at_a_time = self.resizing.lock();
        let before = *self.standing.lock();
        let reserved = before.reserved.saturating_add(bytes);
        let after = Standing { reserved, ..before };
        if let Some(max) = before.bounds.bytes_max() {
            if reserved > max {
                return false;
            }
            self.memory.resize(after.for_entries());
            if self.memory.bytes() > max - reserved {
                self.memory.resize(before.for_entries());
                return false;
            }
        }
        *self.standing.lock() = after;
        true
    }

    fn release(&self, bytes: usize) {
        let _one_at_a_time = self.resizing.lock();
        let standing = {
            let mut standing = self.standing.lock();
            standing.reserved = standing.reserved.saturating_sub(bytes);
            *standing
        };
        if standing.bounds.bytes_max().is_some() {
            self.memory.resize(standing.for_entries());
        }
    }

    fn bytes_max(&self) -> Option<usize> {
        self.bounds().bytes_max()
    }
}

impl<K, V> Deref for MemoryTier<K, V> {
    type Target = Memory<K, Slot<V>, RandomState, Chosen>;

    fn deref(&self) -> &Self::Target {
        &self.memory
    }
}
