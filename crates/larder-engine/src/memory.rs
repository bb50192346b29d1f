//! The memory tier as the engine uses it: of slots, with a policy that is chosen when the
//! program runs, and with a ledger for each of its caches.
//!
//! What a policy does and what a bound means stand in `larder-memory`; here they only meet.

use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use larder_memory::policy::{Chosen, PolicyKind};
use larder_memory::{Bounds, Builder, Memory};

use crate::ledger::{Ledger, Ledgers};
use crate::slot::Slot;

/// A memory tier that caches and plain keys with these types of keys and values can share.
#[derive(Debug)]
pub struct MemoryTier<K, V> {
    memory: Memory<K, Slot<V>, RandomState, Chosen>,
    ledgers: Arc<Ledgers<K, V>>,
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
    MemoryTier { memory, ledgers }
}

impl<K, V> MemoryTier<K, V> {
    /// What an entry counts besides its weight, in bytes.
    pub const ENTRY_OVERHEAD: usize = Memory::<K, Slot<V>, RandomState, Chosen>::ENTRY_OVERHEAD;

    /// Adds the ledger of a cache, and returns the number that its entries carry.
    pub(crate) fn keep(&self, ledger: &Arc<Ledger<K, V>>) -> u16 {
        self.ledgers.add(ledger)
    }
}

impl<K, V> Deref for MemoryTier<K, V> {
    type Target = Memory<K, Slot<V>, RandomState, Chosen>;

    fn deref(&self) -> &Self::Target {
        &self.memory
    }
}
