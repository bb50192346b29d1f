//! Free room: whether an entry can be held without another one leaving.
//!
//! See [`warm`](super) for what that is worth.

use larder_core::{CacheKey, State};

use crate::cache::Parts;
use crate::slot::Slot;

/// Expired entries that are freed of each shard when room is short.
const EXPIRED_MAX: usize = 256;

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Whether `key` is held and fresh. It is no use of the entry, and counts neither as a hit nor
    /// as a miss.
    pub(super) fn is_fresh(&self, key: &K) -> bool {
        let now = self.engine.now();
        let is_fresh = |slot: &Slot<V>| slot.state(self.ground(), now) == State::Fresh;
        self.memory.peek(key, now, is_fresh) == Some(true)
    }

    /// What an entry takes in the mean, in bytes; `None` while nothing is held.
    pub(super) fn entry_bytes(&self) -> Option<usize> {
        let stats = self.memory.stats();
        stats.bytes.checked_div(stats.entries)
    }

    /// Whether an entry under `key` finds room where as many `others` as that may come in beside
    /// it, with one more for a margin.
    pub(super) fn has_room(&self, key: &K, others: usize, entry_bytes: usize) -> bool {
        let room = self.memory.room(key);
        let bytes = entry_bytes.saturating_mul(others + 2);
        room.entries > others && room.bytes > 0 && room.bytes >= bytes
    }

    /// Frees what has expired. Returns whether an entry under `key` finds room then.
    pub(super) fn frees_room(&self, key: &K, entry_bytes: usize) -> bool {
        let expired = self.memory.expire(self.engine.now(), EXPIRED_MAX);
        expired.entries > 0 && self.has_room(key, 0, entry_bytes)
    }
}
