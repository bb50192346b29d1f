//! What this process knows when it asks the shared tier, and what an entry there means by it.

use std::sync::Arc;

use larder_core::shared::{MarkClock, SharedEntry};
use larder_core::{CacheKey, Moment};

use super::Shared;
use super::sealed::{Opened, Part};
use crate::cache::Parts;
use crate::events::Fate;

/// The name of a key in the tier.
pub(super) fn name(cache: &str, key: &str) -> Vec<u8> {
    larder_core::shared::entry_name(cache, key)
}

/// What was known before the tier was asked.
#[derive(Clone, Copy)]
pub(super) struct Before {
    pub(super) sent: Moment,
    pub(super) horizon: Moment,
    pub(super) marks: (u32, MarkClock),
}

/// The tier as one cache sees it.
pub(super) struct View<'a, K: CacheKey, V: Clone + Send + Sync + 'static> {
    pub(super) parts: &'a Arc<Parts<K, V>>,
    pub(super) shared: &'a Shared,
    pub(super) part: &'a Part<V>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> View<'_, K, V> {
    /// What is known before the tier is asked; `None` while nothing in it can be judged.
    pub(super) fn before(&self) -> Option<Before> {
        if !self.shared.applied.has_begun() {
            return None;
        }
        let marks = match self.shared.link.abilities().marks {
            true => self.shared.marks.known()?,
            false => (0, MarkClock(0)),
        };
        let horizon = self.parts.horizon();
        Some(Before { sent: self.parts.engine.now(), horizon, marks })
    }

    /// Whether a key waits to be invalidated, or is being written.
    pub(super) fn quarantines(&self, key: &str) -> bool {
        let cache = &self.parts.name;
        self.shared.pending.quarantines(cache, key)
            || self.shared.writers.has(cache, || Some(key.to_owned()))
    }

    /// What an entry means, marks counted in; `None` when it can't be read, or must not.
    pub(super) fn open(&self, key: &str, entry: &SharedEntry, before: Before) -> Option<Opened<V>> {
        let opened = self.part.open(entry, &self.parts.window, before.sent, before.horizon);
        let Some(mut opened) = opened else {
            self.parts.counters.shared_unreadable.add(1);
            return None;
        };
        // What another run of the tier stored may have been rolled back.
        if opened.envelope.incarnation != entry.incarnation {
            return None;
        }
        let (cache, envelope) = (&*self.parts.name, &opened.envelope);
        let known = match self.shared.link.abilities().marks {
            true => self.shared.marks.fate(cache, key, envelope)?,
            false => Fate::Stands,
        };
        match known.max(self.shared.pending.fate(cache, key, envelope)) {
            Fate::Stands => {}
            Fate::Staled => {
                opened.times.mark_stale(Moment::ZERO);
                opened.as_of = opened.times.as_of(before.horizon);
            }
            Fate::Dropped => return None,
        }
        Some(opened)
    }
}

impl Before {
    /// Nothing is known, and no lease was asked for.
    pub(super) const fn never() -> Self {
        Self { sent: Moment::ZERO, horizon: Moment::ZERO, marks: (0, MarkClock(0)) }
    }
}
