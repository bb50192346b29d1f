//! larder's own tier, as a user would hold it.

use std::borrow::Borrow;
use std::hash::Hash;
use std::marker::PhantomData;

use larder_core::Moment;
use larder_memory::{Bounds, CoarseClock, Memory, Now};

use super::{Cache, Key, Lifetime, Read, Value, fill};

pub(super) struct Larder<K, V, L> {
    memory: Memory<K, V>,
    lifetime: PhantomData<L>,
}

impl<K: Key, V: Value, L: Lifetime> Read<K, V> for Larder<K, V, L> {
    fn filled(capacity: usize, entries: impl Iterator<Item = (K, V)>) -> Self {
        fill(capacity, entries)
    }

    fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.memory.get(key, CoarseClock)
    }
}

impl<K: Key, V: Value, L: Lifetime> Cache<K, V> for Larder<K, V, L> {
    fn with_capacity(capacity: usize) -> Self {
        Self { memory: Memory::new(Bounds::entries(capacity)), lifetime: PhantomData }
    }

    fn insert(&self, key: K, value: V) {
        let expires_at = L::TTL.map_or(Moment::MAX, |ttl| CoarseClock.now() + ttl);
        let _stored = self.memory.insert(key, value, 0, expires_at, CoarseClock);
    }
}
