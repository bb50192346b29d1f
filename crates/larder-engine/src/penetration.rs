//! A cache's filter: reads of keys that surely don't exist never reach the source.
//!
//! What the filter is and why it loses nothing stands in [`filter`](crate::filter); here it meets
//! the cache. An insert that is announced by its key is added. What can't be named (the whole
//! cache, a prefix, or, where entries have tags, a tag) voids the filter until it is built again.
//!
//! What other processes insert is announced by a feed or a bus, and known no further than its
//! horizon. So "absent" is as current as the horizon is, and within the promise like any answer;
//! when the stream stands still the source is asked.

use std::sync::Arc;
use std::time::Duration;

use larder_core::sync::{AtomicU64, Ordering};
use larder_core::{Answer, CacheKey, Reason, State, Tier};

use crate::cache::{Cache, Parts};
use crate::filter::{Filter, FilterStats, Progress, Verdict};
use crate::keys::AnyKeyList;

/// The filter of a cache, with the list that it is built from.
pub(crate) struct Penetration<K> {
    filter: Filter<K>,
    list: AnyKeyList<K>,
    /// Whether other processes may insert, too.
    hears_of_others: bool,
    /// How many events there had been when the last build began.
    since: AtomicU64,
}

impl<K: CacheKey> Penetration<K> {
    pub(crate) fn new(filter: Filter<K>, list: AnyKeyList<K>, hears_of_others: bool) -> Self {
        Self { filter, list, hears_of_others, since: AtomicU64::new(0) }
    }

    /// The source answered for `key`.
    pub(crate) fn loaded(&self, key: &K, present: bool) {
        if present {
            self.filter.add(key);
        } else {
            self.filter.was_absent(key);
        }
    }

    /// `key` was announced: it may exist now.
    pub(crate) fn announced(&self, key: &K) {
        self.filter.add(key);
    }

    /// Keys were announced that nobody named.
    pub(crate) fn void(&self) {
        self.filter.void();
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// What the filter holds and has counted, if the cache has one.
    #[must_use]
    pub fn filter_stats(&self) -> Option<FilterStats> {
        self.0.penetration.as_ref().map(|penetration| penetration.filter.stats())
    }

    /// How far the filter's build is, or how the last one ended; `None` without a filter or
    /// before its first build.
    #[must_use]
    pub fn filter_progress(&self) -> Option<Progress> {
        self.0.penetration.as_ref()?.filter.progress()
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// The answer for a key that surely doesn't exist, if inserts are known up to a moment that is
    /// no longer ago than this; `None` for every other.
    pub(crate) fn surely_absent(&self, key: &K, max_staleness: Duration) -> Option<Answer<V>> {
        let penetration = self.penetration.as_ref()?;
        self.see_to_filter();
        // What others insert is known up to the horizon, which is read before the filter is asked.
        // When it stands still, the filter knows no more of them than what is held does.
        let current = match penetration.hears_of_others {
            true => self.engine.now() - self.vouches.get(),
            false => Duration::ZERO,
        };
        if current > max_staleness {
            return None;
        }
        // What was written behind isn't listed by the source yet. In this order: what is applied in
        // between is in the filter by then.
        if self.is_dirty(key) || penetration.filter.ask(key) != Verdict::Absent {
            return None;
        }
        self.counters.filtered.add(1);
        Some(Answer {
            value: None,
            tier: Tier::Memory,
            age: current,
            current,
            state: State::Fresh,
            reason: Reason::Filtered,
        })
    }

    /// Voids the filter if a tag was struck that may have been an insert's, and begins a build if
    /// one is due.
    pub(crate) fn see_to_filter(&self) {
        let Some(penetration) = &self.penetration else { return };
        let struck = self.engine.events().last_of_tags();
        if self.has_tags() && struck > penetration.since.load(Ordering::Acquire) {
            penetration.filter.void();
        }
        // Counted before the list is read: a later strike voids what is built from it.
        let count = self.engine.events().count();
        if let Some(build) = penetration.filter.begin(self.engine.now()) {
            penetration.since.store(count, Ordering::Release);
            let list = penetration.list.clone();
            let clock = Arc::clone(self.engine.clock());
            self.engine.spawn(async move {
                build.run(&list, &*clock).await;
            });
        }
    }
}
