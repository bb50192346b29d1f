//! Commits that come late: of writes that were given up, and which the system of record may still
//! be at.
//!
//! Such a write is invalidated at once, and that isn't enough:
//!
//! 1. its caller is told that it may be committed or not, and what is held is dropped,
//! 2. a read loads what was before it, and that is held,
//! 3. the database, in which it waited for a lock, commits it.
//!
//! So its key is invalidated once more when no commit can come any more. Until then what is read
//! may be from before it, as from before any write under way. (A [guarded](crate::guarded) write
//! has an intent instead, for as long, and nobody keeps what he loads.)
//!
//! **Bound.** So many keys of a cache wait; beyond that the whole cache is invalidated at the end.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_core::sync::Mutex;
use larder_core::{CacheKey, Moment};

use crate::cache::{Cache, Parts};
use crate::write::Writes;

/// So many keys wait to be invalidated once more.
const KEYS_MAX: usize = 4_096;

/// The keys of one cache whose commits may come late.
pub(crate) struct Late<K>(Mutex<State<K>>);

struct State<K> {
    /// In the order of their ends, as each waits for the same time.
    keys: VecDeque<(Moment, K)>,
    /// When everything is to be invalidated, where there were too many.
    all: Option<Moment>,
    /// A task sees to them.
    is_seen_to: bool,
}

/// What can't be committed late any more.
enum Over<K> {
    /// Nothing yet, until then.
    Until(Moment),
    Keys(Vec<K>),
    All,
    /// Nothing waits: the task is to end.
    Done,
}

impl<K> Default for Late<K> {
    fn default() -> Self {
        Self(Mutex::new(State { keys: VecDeque::new(), all: None, is_seen_to: false }))
    }
}

impl<K> Late<K> {
    /// Takes note of a key. Returns whether a task is to be begun.
    fn note(&self, key: K, until: Moment) -> bool {
        let mut state = self.0.lock();
        match state.keys.len() < KEYS_MAX {
            true => state.keys.push_back((until, key)),
            false => state.all = Some(until),
        }
        !std::mem::replace(&mut state.is_seen_to, true)
    }

    fn over(&self, now: Moment) -> Over<K> {
        let mut state = self.0.lock();
        let count = state.keys.partition_point(|(until, _)| *until <= now);
        if count > 0 {
            return Over::Keys(state.keys.drain(..count).map(|(_, key)| key).collect());
        }
        if state.all.is_some_and(|until| until <= now) {
            state.all = None;
            return Over::All;
        }
        match state.keys.front().map(|(until, _)| *until).into_iter().chain(state.all).min() {
            Some(until) => Over::Until(until),
            None => {
                state.is_seen_to = false;
                Over::Done
            }
        }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Writes<K, V> {
    /// For how long a write that was given up may still be committed.
    pub(crate) fn lingers(&self) -> Duration {
        self.timeout.max(self.sink.lingers())
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// A write of `key` was given up, and may be committed late.
    pub(crate) fn expect_late(self: &Arc<Self>, key: &K, writes: &Writes<K, V>) {
        if self.late.note(key.clone(), self.engine.now() + writes.lingers()) {
            self.engine.spawn(see_to(Arc::downgrade(self)));
        }
    }
}

/// Invalidates what may have been committed late, until nothing waits or the cache is gone.
async fn see_to<K: CacheKey, V: Clone + Send + Sync + 'static>(cache: Weak<Parts<K, V>>) {
    while let Some(parts) = cache.upgrade() {
        // Where the shared tier is down it is done here, and kept.
        match parts.late.over(parts.engine.now()) {
            Over::Keys(keys) => drop(Cache(parts).invalidate_many(&keys).await),
            Over::All => drop(Cache(parts).invalidate_all().await),
            Over::Until(until) => {
                let clock = Arc::clone(parts.engine.clock());
                drop(parts);
                clock.sleep_until(until).await;
            }
            Over::Done => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_everything_is_invalidated_when_the_last_can_come_no_more() {
        let late = Late::default();
        let at = |seconds| Moment::ZERO + Duration::from_secs(seconds);
        assert!(late.note(0, at(1)));
        assert!((1..KEYS_MAX).all(|key| !late.note(key, at(2))));
        assert!(!late.note(KEYS_MAX, at(2)) && !late.note(KEYS_MAX + 1, at(3)));
        assert!(matches!(late.over(at(0)), Over::Until(until) if until == at(1)));
        assert!(matches!(late.over(at(1)), Over::Keys(keys) if keys == [0]));
        assert!(matches!(late.over(at(1)), Over::Until(until) if until == at(2)));
        assert!(matches!(late.over(at(2)), Over::Keys(keys) if keys.len() == KEYS_MAX - 1));
        assert!(matches!(late.over(at(2)), Over::Until(until) if until == at(3)));
        assert!(matches!(late.over(at(3)), Over::All));
        assert!(matches!(late.over(at(3)), Over::Done));
        assert!(late.note(0, at(4)), "there is no task any more");
    }
}
