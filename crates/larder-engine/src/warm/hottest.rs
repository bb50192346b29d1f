//! The keys that were used most, as far as the memory tier can tell.
//!
//! Nothing is counted for it: it reads the marks that the eviction policy goes by.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use larder_core::{CacheKey, Moment, State};

use crate::cache::Cache;

/// A key and what it is compared by: how often it was used, then when it was loaded.
struct Ranked<K> {
    rank: (u64, Moment),
    key: K,
}

impl<K> PartialEq for Ranked<K> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl<K> Eq for Ranked<K> {}

impl<K> PartialOrd for Ranked<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Ranked<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The keys of at most `n` values that are held, those first that were used most: what to
    /// [`warm`](Self::warm) the next run with.
    ///
    /// It is a coarse measure, because hits pay nothing for it. A use is a mark on the entry, of
    /// which there are at most three, and a policy that evicts takes marks away again; a refresh
    /// or reload keeps them, and is one itself. So the first are those that are used all the time,
    /// the last those that were asked for once, and between them of equals those first that were
    /// loaded last. Only under [`Lfu`](larder_memory::policy::PolicyKind::Lfu) are there real
    /// counts; `Lru`, `Fifo` and `Random` mark no uses, only reloads.
    ///
    /// It visits every entry of the memory tier, a few at a time under the lock of their shard,
    /// and holds `n` keys meanwhile: some milliseconds for 100,000 entries. In a memory tier that
    /// is shared with other caches, theirs are left out.
    ///
    /// ```
    /// # use larder_engine::Cache;
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let prices: Cache<u64, u32> =
    /// #     Cache::builder("price").max_staleness(Duration::from_secs(60)).build()?;
    /// prices.get_or_load(&7, |_| async { Ok(Some(1999)) }).await?;
    /// prices.get_or_load(&8, |_| async { Ok(Some(2999)) }).await?;
    /// prices.get(&7).await?;
    /// assert_eq!(prices.hottest(10), [7, 8]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn hottest(&self, n: usize) -> Vec<K> {
        let parts = &self.0;
        let now = parts.engine.now();
        // The coldest of the hottest is on top, to be replaced.
        let mut heap: BinaryHeap<Reverse<Ranked<K>>> = BinaryHeap::new();
        parts.memory.for_each(now, |key, held| {
            let slot = held.value;
            let rank = (held.uses, slot.times.loaded_at());
            let ranks = heap.len() < n || heap.peek().is_some_and(|least| rank > least.0.rank);
            // Where there are more caches than ledgers, those without one share a number.
            let is_key = || parts.source.as_ref().is_none_or(|source| source.check(key).is_ok());
            let is_ours = || slot.ledger == parts.notes.ledger_number && is_key();
            if n == 0
                || slot.value.is_none()
                || !ranks
                || slot.state(parts.ground(), now) == State::Gone
                || !is_ours()
            {
                return;
            }
            if heap.len() == n {
                heap.pop();
            }
            heap.push(Reverse(Ranked { rank, key: key.clone() }));
        });
        heap.into_sorted_vec().into_iter().map(|Reverse(ranked)| ranked.key).collect()
    }
}
