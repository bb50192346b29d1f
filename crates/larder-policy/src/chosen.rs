//! A policy that is chosen when the program runs.

use crate::{
    Adaptive, CostAware, Entries, Fifo, Hits, Lfu, Lru, Policy, PolicyKind, Random, S3Fifo, Sieve,
    TinyLfu,
};

/// Any of the policies, by [`PolicyKind`].
///
/// Each call costs a branch more than the policy itself; everything else is the policy's.
///
/// ```
/// use larder_policy::{Chosen, Hits, Policy, PolicyKind};
///
/// let policy = Chosen::of(PolicyKind::Sieve, 100);
/// assert_eq!(policy.hits(), Hits::Marked);
/// ```
#[derive(Clone, Debug)]
pub enum Chosen {
    /// `lru`
    Lru(Lru),
    /// `lfu`
    Lfu(Lfu),
    /// `fifo`
    Fifo(Fifo),
    /// `random`
    Random(Random),
    /// `sieve`
    Sieve(Sieve),
    /// `s3fifo`
    S3Fifo(S3Fifo),
    /// `tinylfu`
    TinyLfu(TinyLfu),
    /// `cost`
    CostAware(CostAware),
    /// `adaptive`
    Adaptive(Adaptive),
}

/// Asks whichever policy it is.
macro_rules! ask {
    ($chosen:expr, $policy:ident => $answer:expr) => {
        match $chosen {
            Chosen::Lru($policy) => $answer,
            Chosen::Lfu($policy) => $answer,
            Chosen::Fifo($policy) => $answer,
            Chosen::Random($policy) => $answer,
            Chosen::Sieve($policy) => $answer,
            Chosen::S3Fifo($policy) => $answer,
            Chosen::TinyLfu($policy) => $answer,
            Chosen::CostAware($policy) => $answer,
            Chosen::Adaptive($policy) => $answer,
        }
    };
}

impl Chosen {
    /// A policy of this kind for entries that together may weigh `capacity`.
    #[must_use]
    pub fn of(kind: PolicyKind, capacity: u64) -> Self {
        match kind {
            PolicyKind::Lru => Self::Lru(Lru::new(capacity)),
            PolicyKind::Lfu => Self::Lfu(Lfu::new(capacity)),
            PolicyKind::Fifo => Self::Fifo(Fifo::new(capacity)),
            PolicyKind::Random => Self::Random(Random::new(capacity)),
            PolicyKind::Sieve => Self::Sieve(Sieve::new(capacity)),
            PolicyKind::S3Fifo => Self::S3Fifo(S3Fifo::new(capacity)),
            PolicyKind::TinyLfu => Self::TinyLfu(TinyLfu::new(capacity)),
            PolicyKind::CostAware => Self::CostAware(CostAware::new(capacity)),
            PolicyKind::Adaptive => Self::Adaptive(Adaptive::new(capacity)),
        }
    }
}

impl Policy for Chosen {
    fn hits(&self) -> Hits {
        ask!(self, policy => policy.hits())
    }

    /// The [default kind](PolicyKind::default).
    fn new(capacity: u64) -> Self {
        Self::of(PolicyKind::default(), capacity)
    }

    fn resize(&mut self, capacity: u64) {
        ask!(self, policy => policy.resize(capacity));
    }

    fn sample(&self) -> u32 {
        ask!(self, policy => policy.sample())
    }

    fn insert(&mut self, slot: u32, entries: &impl Entries) {
        ask!(self, policy => policy.insert(slot, entries));
    }

    fn hit(&mut self, slot: u32, entries: &impl Entries) {
        ask!(self, policy => policy.hit(slot, entries));
    }

    fn remove(&mut self, slot: u32, entries: &impl Entries) {
        ask!(self, policy => policy.remove(slot, entries));
    }

    fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        ask!(self, policy => policy.evict(entries))
    }

    fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        ask!(self, policy => policy.relocate(from, to, entries));
    }

    fn uses(&self, slot: u32, entries: &impl Entries) -> u64 {
        ask!(self, policy => policy.uses(slot, entries))
    }

    fn len(&self) -> usize {
        ask!(self, policy => policy.len())
    }

    fn shrink(&mut self, slots: u32) {
        ask!(self, policy => policy.shrink(slots));
    }

    fn allocated(&self) -> usize {
        ask!(self, policy => policy.allocated())
    }

    fn assert_invariants(&self, entries: &impl Entries) {
        ask!(self, policy => policy.assert_invariants(entries));
    }
}
