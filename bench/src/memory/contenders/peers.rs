//! The peers, each with its defaults, and the floor: a table of what to call.

use std::borrow::Borrow;
use std::hash::Hash;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foyer_memory::{CacheBuilder, EvictionConfig, LfuConfig, LruConfig, S3FifoConfig};

use super::{Cache, Key, Lifetime, Read, Value, fill};

pub(super) struct QuickCache<K, V>(quick_cache::sync::Cache<K, V>);

impl<K: Key, V: Value> Read<K, V> for QuickCache<K, V> {
    fn filled(capacity: usize, entries: impl Iterator<Item = (K, V)>) -> Self {
        fill(capacity, entries)
    }

    fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key)
    }
}

impl<K: Key, V: Value> Cache<K, V> for QuickCache<K, V> {
    fn with_capacity(capacity: usize) -> Self {
        Self(quick_cache::sync::Cache::new(capacity))
    }

    fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }
}

pub(super) struct Moka<K, V, L>(moka::sync::Cache<K, V>, PhantomData<L>);

impl<K: Key, V: Value, L: Lifetime> Read<K, V> for Moka<K, V, L> {
    fn filled(capacity: usize, entries: impl Iterator<Item = (K, V)>) -> Self {
        fill(capacity, entries)
    }

    fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key)
    }
}

impl<K: Key, V: Value, L: Lifetime> Cache<K, V> for Moka<K, V, L> {
    fn with_capacity(capacity: usize) -> Self {
        let builder = moka::sync::Cache::builder().max_capacity(capacity as u64);
        let builder = match L::TTL {
            None => builder,
            Some(ttl) => builder.time_to_live(ttl),
        };
        Self(builder.build(), PhantomData)
    }

    fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }
}

/// Which of foyer's policies.
pub(super) trait FoyerPolicy: Send + Sync + 'static {
    fn config() -> EvictionConfig;
}

pub(super) struct Lfu;
pub(super) struct S3Fifo;
pub(super) struct Lru;

impl FoyerPolicy for Lfu {
    fn config() -> EvictionConfig {
        LfuConfig::default().into()
    }
}

impl FoyerPolicy for S3Fifo {
    fn config() -> EvictionConfig {
        S3FifoConfig::default().into()
    }
}

impl FoyerPolicy for Lru {
    fn config() -> EvictionConfig {
        LruConfig::default().into()
    }
}

pub(super) struct Foyer<K: Key, V: Value, P>(foyer_memory::Cache<K, V>, PhantomData<P>);

impl<K: Key, V: Value, P: FoyerPolicy> Read<K, V> for Foyer<K, V, P> {
    fn filled(capacity: usize, entries: impl Iterator<Item = (K, V)>) -> Self {
        fill(capacity, entries)
    }

    fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key).map(|entry| entry.value().clone())
    }
}

impl<K: Key, V: Value, P: FoyerPolicy> Cache<K, V> for Foyer<K, V, P> {
    fn with_capacity(capacity: usize) -> Self {
        let builder = CacheBuilder::new(capacity).with_eviction_config(P::config());
        Self(builder.build(), PhantomData)
    }

    /// One shard instead of eight: no part of a small cache is fuller than another.
    fn for_hits(capacity: usize) -> Self {
        let builder = CacheBuilder::new(capacity).with_eviction_config(P::config());
        Self(builder.with_shards(1).build(), PhantomData)
    }

    fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }
}

pub(super) struct Stretto<K, V: Value, L>(stretto::Cache<K, V>, PhantomData<L>);

impl<K: Key, V: Value, L: Lifetime> Read<K, V> for Stretto<K, V, L> {
    /// Its inserts go through a queue to a thread, and one that finds it full is dropped: so it
    /// is filled in steps, and what was dropped is offered again.
    fn filled(capacity: usize, entries: impl Iterator<Item = (K, V)>) -> Self {
        let cache = Self::with_capacity(capacity);
        let mut step = Vec::with_capacity(1024);
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            step.extend(entries.by_ref().take(1024));
            for _attempt in 0..3 {
                for (key, value) in &step {
                    cache.insert(key.clone(), value.clone());
                }
                cache.settle();
                step.retain(|(key, _)| cache.0.get(key).is_none());
            }
            step.clear();
        }
        cache
    }

    fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key).map(|held| held.value().clone())
    }

    fn settle(&self) {
        self.0.wait().expect("the thread lives as long as the cache");
    }
}

impl<K: Key, V: Value, L: Lifetime> Cache<K, V> for Stretto<K, V, L> {
    /// Ten counters for each entry, as its manual says; an entry costs one.
    fn with_capacity(capacity: usize) -> Self {
        let cost = i64::try_from(capacity).expect("a capacity is far below 2^63");
        let builder = stretto::Cache::builder(capacity * 10, cost).set_ignore_internal_cost(true);
        Self(builder.finalize().expect("the capacity isn't zero"), PhantomData)
    }

    fn insert(&self, key: K, value: V) {
        self.0.insert_with_ttl(key, value, 1, L::TTL.unwrap_or(Duration::ZERO));
    }
}

pub(super) struct MutexLru<K: Key, V>(Mutex<lru::LruCache<K, V>>);

impl<K: Key, V: Value> Read<K, V> for MutexLru<K, V> {
    fn filled(capacity: usize, entries: impl Iterator<Item = (K, V)>) -> Self {
        fill(capacity, entries)
    }

    fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

impl<K: Key, V: Value> Cache<K, V> for MutexLru<K, V> {
    fn with_capacity(capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).expect("the capacity isn't zero");
        Self(Mutex::new(lru::LruCache::new(capacity)))
    }

    fn insert(&self, key: K, value: V) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, value);
    }
}

pub(super) struct Hashbrown<K, V>(hashbrown::HashMap<K, V, foldhash::fast::RandomState>);

impl<K: Key, V: Value> Read<K, V> for Hashbrown<K, V> {
    fn filled(capacity: usize, entries: impl Iterator<Item = (K, V)>) -> Self {
        let mut map = hashbrown::HashMap::with_capacity_and_hasher(capacity, Default::default());
        map.extend(entries);
        Self(map)
    }

    fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key).cloned()
    }
}
