//! The memory tier as the engine uses it: of slots, with a policy that is chosen when the
//! program runs.
//!
//! What a policy does and what a bound means stand in `larder-memory`; here they only meet.

use std::hash::Hash;
use std::time::Duration;

use foldhash::fast::RandomState;
use larder_memory::policy::{Chosen, PolicyKind};
use larder_memory::{Bounds, Builder, Memory};

use crate::slot::Slot;

/// A memory tier that caches and plain keys with these types of keys and values can share.
pub type MemoryTier<K, V> = Memory<K, Slot<V>, RandomState, Chosen>;

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
pub fn memory_tier<K: Hash + Eq, V>(
    bounds: Bounds,
    policy: PolicyKind,
    idle_for: Option<Duration>,
) -> MemoryTier<K, V> {
    let builder = Builder::new(bounds)
        .policy(move |capacity| Chosen::of(policy, capacity))
        .costs(|_, slot: &Slot<V>| slot.cost());
    match idle_for {
        Some(idle_for) => builder.idle_for(idle_for).build(),
        None => builder.build(),
    }
}
