//! The one door through which every invalidation goes.
//!
//! Under the memory tier's lock of the key: raise the epoch, so that whatever was read before
//! can't be filled any more, then drop the entry or mark it stale. Once the call has returned, a
//! get that starts returns nothing that was loaded before; marked stale, it may return that
//! under the rule for stale entries, and a refresh runs.

use larder_core::{CacheKey, Result};
use larder_memory::{Change, Held, RemovalCause};

use crate::cache::Cache;
use crate::slot::{HORIZON, Slot};

/// What an invalidation leaves of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// Nothing.
    Drop,
    /// The entry, stale: as current as it will ever be.
    MarkStale,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Forgets what is held of `key`, because the data changed. Call it after the commit. Returns
    /// whether something was held.
    ///
    /// It is async because tiers beyond this process must hear of it too.
    ///
    /// # Errors
    ///
    /// `BadKey` when the key has no valid text; nothing is held of such a key.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn invalidate(&self, key: &K) -> Result<bool> {
        self.invalidate_here(key, Invalidation::Drop)
    }

    /// Marks what is held of `key` stale: it is served while one refresh runs, for as long as
    /// the windows allow. Returns whether something was held.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn mark_stale(&self, key: &K) -> Result<bool> {
        self.invalidate_here(key, Invalidation::MarkStale)
    }

    /// The part of an invalidation that concerns this process, without waiting. Returns whether
    /// something was held.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    pub fn invalidate_here(&self, key: &K, what: Invalidation) -> Result<bool> {
        let parts = &self.0;
        parts.text(key)?;
        parts.counters.invalidations.add(1);
        let epochs = parts.engine.epochs();
        let now = parts.engine.now();
        let (_, was_held) = parts.memory.compute(key, now, K::clone, |held| {
            epochs.raise(parts.scope, key);
            let was_held = held.is_some();
            (change(held, what), was_held)
        });
        Ok(was_held)
    }
}

/// What an invalidation makes of what is held.
fn change<V: Clone>(held: Option<Held<'_, Slot<V>>>, what: Invalidation) -> Change<Slot<V>> {
    match (held, what) {
        (None, _) => Change::Keep,
        (Some(_), Invalidation::Drop) => Change::Remove(RemovalCause::Invalidated),
        (Some(held), Invalidation::MarkStale) => {
            let mut slot = held.value.clone();
            slot.times.mark_stale(HORIZON);
            Change::Put { value: slot, weight: held.weight, expires_at: held.expires_at }
        }
    }
}
