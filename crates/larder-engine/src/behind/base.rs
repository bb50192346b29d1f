//! What is seen of a key beneath the differences that wait: until when it may be counted on.
//!
//! It is what the source said, or what the sink returned, and others may change it. So it is
//! judged as an entry is: by events, by its tags, and by the promise; an invalidation of the key
//! is told to the dirty map at once.

use std::sync::Arc;

use larder_core::{CacheKey, Moment, Terms, Written};

use crate::cache::Parts;
use crate::events::Fate;
use crate::slot::Rider;

/// What a value beneath is judged by.
#[derive(Debug)]
pub(crate) struct Base {
    /// When its load, or its transaction, began.
    pub(super) at: Moment,
    /// How many events there had been by then.
    pub(super) born: u64,
    pub(super) rider: Option<Arc<Rider>>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// What a value rests on whose load, or transaction, began then.
    pub(super) fn base_of(&self, terms: &Terms, at: Moment, born: u64) -> Arc<Base> {
        Arc::new(Base { at, born, rider: self.rider(terms, None) })
    }

    /// The same of what a write returned; `None` where nobody knows its tags.
    pub(super) fn base_of_written(
        &self,
        key: &K,
        written: &Written<V>,
        at: Moment,
        born: u64,
    ) -> Option<Arc<Base>> {
        let say = self.writes.as_ref().and_then(|writes| writes.written.as_ref());
        let terms = match (say, written) {
            (Some(say), Written::Value(value)) => say(key, Some(value)),
            (Some(say), Written::Absent) => say(key, None),
            _ if self.has_tags() => return None,
            _ => Terms::default(),
        };
        Some(self.base_of(&terms, at, born))
    }

    /// Whether a read that starts now may count on it, by a horizon that was read before it was.
    pub(super) fn stands(&self, base: &Base, horizon: Moment) -> bool {
        let rider = base.rider.as_ref();
        !self.sweeps.voids(base.born)
            && rider.is_none_or(|rider| self.rider_fate(rider, base.born) == Fate::Stands)
            && self.window.keeps_promise(base.at.max(horizon), self.engine.now())
    }

    /// Somebody may have changed what is beneath the writes of `key` that wait.
    pub(crate) fn doubt_beneath(&self, key: &K) {
        if let Some(behind) = self.behind() {
            behind.dirty.doubt(key);
        }
    }
}
