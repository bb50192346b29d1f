//! The peers, each with its defaults, and the floor: a table of what to call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyspawn::Spawner;
use cachet::{CacheEntry, CacheTier, InsertOutcome, TimeToRefresh};

use crate::memory::Value;

use super::rows::Down;
use super::{Key, ReadThrough, Rows, Terms};

pub(super) struct Moka<K, V> {
    cache: moka::future::Cache<K, V>,
    rows: Arc<Rows>,
}

impl<K: Key, V: Value> ReadThrough<K, V> for Moka<K, V> {
    fn new(terms: Terms, rows: Arc<Rows>) -> Self {
        let builder = moka::future::Cache::builder()
            .max_capacity(terms.capacity as u64)
            .time_to_live(terms.fresh_for);
        Self { cache: builder.build(), rows }
    }

    async fn get(&self, key: &K) -> Option<V> {
        self.cache.try_get_with_by_ref(key, self.rows.load(key)).await.ok()
    }

    async fn invalidate(&self, key: &K) {
        self.cache.invalidate(key).await;
    }

    async fn holds(&self, key: &K) -> bool {
        self.cache.contains_key(key)
    }

    async fn settle(&self) {
        self.cache.run_pending_tasks().await;
    }
}

pub(super) struct QuickCache<K, V> {
    cache: quick_cache::sync::Cache<K, V>,
    rows: Arc<Rows>,
}

impl<K: Key, V: Value> ReadThrough<K, V> for QuickCache<K, V> {
    fn new(terms: Terms, rows: Arc<Rows>) -> Self {
        Self { cache: quick_cache::sync::Cache::new(terms.capacity), rows }
    }

    async fn get(&self, key: &K) -> Option<V> {
        self.cache.get_or_insert_async(key, self.rows.load(key)).await.ok()
    }

    async fn invalidate(&self, key: &K) {
        self.cache.remove(key);
    }

    async fn holds(&self, key: &K) -> bool {
        self.cache.contains_key(key)
    }
}

pub(super) struct Foyer<K: Key, V: Value> {
    cache: foyer_memory::Cache<K, V>,
    rows: Arc<Rows>,
}

impl<K: Key, V: Value> ReadThrough<K, V> for Foyer<K, V> {
    fn new(terms: Terms, rows: Arc<Rows>) -> Self {
        Self { cache: foyer_memory::CacheBuilder::new(terms.capacity).build(), rows }
    }

    /// Its fetch is a future that borrows nothing and is made on every call, so a hit too pays
    /// for the clones in it.
    async fn get(&self, key: &K) -> Option<V> {
        let fetch = || {
            let (rows, key) = (Arc::clone(&self.rows), key.clone());
            async move { rows.load::<K, V>(&key).await }
        };
        Some(self.cache.get_or_fetch(key, fetch).await.ok()?.value().clone())
    }

    async fn invalidate(&self, key: &K) {
        self.cache.remove(key);
    }

    async fn holds(&self, key: &K) -> bool {
        self.cache.contains(key)
    }
}

/// Where entries are to be refreshed it has the source as its second tier, because it refreshes
/// from nothing else; otherwise each read brings its loader.
pub(super) struct Cachet<K, V> {
    cache: cachet::Cache<K, V>,
    rows: Arc<Rows>,
    refreshes: bool,
}

impl<K: Key, V: Value> ReadThrough<K, V> for Cachet<K, V> {
    fn new(terms: Terms, rows: Arc<Rows>) -> Self {
        let clock = tick::Clock::new_tokio();
        let memory = cachet::Cache::builder(clock.clone())
            .memory_with(|memory| memory.max_capacity(terms.capacity as u64))
            .ttl(terms.fresh_for + terms.stale_for)
            .stampede_protection();
        let refreshes = !terms.stale_for.is_zero();
        let cache = if refreshes {
            let source = cachet::Cache::builder(clock).storage(LastTier(Arc::clone(&rows)));
            let refresh = TimeToRefresh::new(terms.fresh_for, Spawner::new_tokio());
            memory.fallback(source).time_to_refresh(refresh).build()
        } else {
            memory.build()
        };
        Self { cache, rows, refreshes }
    }

    async fn get(&self, key: &K) -> Option<V> {
        let entry = if self.refreshes {
            self.cache.get(key).await.ok()??
        } else {
            self.cache.try_get_or_insert(key, || self.rows.load(key)).await.ok()?
        };
        Some(entry.into_value())
    }

    async fn invalidate(&self, key: &K) {
        self.cache.invalidate(key).await.expect("memory doesn't fail");
    }

    async fn holds(&self, key: &K) -> bool {
        self.cache.contains(key).await.expect("memory doesn't fail")
    }
}

/// The source as cachet's last tier: it is read, and keeps nothing.
#[derive(Debug)]
struct LastTier(Arc<Rows>);

impl<K: Key, V: Value> CacheTier<K, V> for LastTier {
    async fn get(&self, key: &K) -> Result<Option<CacheEntry<V>>, cachet::Error> {
        let loaded: Result<V, Down> = self.0.load(key).await;
        loaded.map(|value| Some(CacheEntry::new(value))).map_err(cachet::Error::from_source)
    }

    async fn insert(&self, _: K, _: CacheEntry<V>) -> Result<InsertOutcome, cachet::Error> {
        Ok(InsertOutcome::Rejected)
    }

    async fn invalidate(&self, _: &K) -> Result<(), cachet::Error> {
        Ok(())
    }

    async fn clear(&self) -> Result<(), cachet::Error> {
        Ok(())
    }
}

pub(super) struct CacheAside<K, V> {
    held: Mutex<HashMap<K, (V, Instant)>>,
    fresh_for: Duration,
    rows: Arc<Rows>,
}

impl<K: Key, V: Value> CacheAside<K, V> {
    fn look(&self, key: &K) -> Option<V> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, loaded_at) = held.get(key)?;
        (loaded_at.elapsed() <= self.fresh_for).then(|| value.clone())
    }
}

impl<K: Key, V: Value> ReadThrough<K, V> for CacheAside<K, V> {
    fn new(terms: Terms, rows: Arc<Rows>) -> Self {
        Self { held: Mutex::default(), fresh_for: terms.fresh_for, rows }
    }

    async fn get(&self, key: &K) -> Option<V> {
        if let Some(value) = self.look(key) {
            return Some(value);
        }
        let loaded_at = Instant::now();
        let value: V = self.rows.load(key).await.ok()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(key.clone(), (value.clone(), loaded_at));
        Some(value)
    }

    async fn invalidate(&self, key: &K) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    async fn holds(&self, key: &K) -> bool {
        self.look(key).is_some()
    }
}
