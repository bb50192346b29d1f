//! What a write returned goes into memory, if nothing overlapped it; so does what a batch of writes
//! returned that were acknowledged before.
//!
//! A writer holds a fence as a reader does: captured before the commit begins, compared under the
//! memory tier's lock of the key, and raised under the same lock when that is done. So of two
//! writers of one key
//!
//! 1. A captures the fence, and commits `v1`,
//! 2. B captures the fence, and commits `v2`,
//! 3. B ends: its fence holds, `v2` is held, and the epoch is raised,
//! 4. A ends: its fence doesn't hold, the epoch is raised, and what is held is dropped,
//!
//! the second to end finds the epoch raised, in whichever order they committed, and leaves nothing.
//! The same goes for whatever is invalidated or marked stale by its key, and, through the count of
//! events, for a whole cache and for prefixes. A tag that is struck is found as it is for loads:
//! the entry remembers the count at which its write began.
//!
//! Loads that overlap the commit may have read either value. Those that have filled are replaced;
//! those that have not find their fence fallen. What is put is as current as the moment before the
//! commit began, and not as that of its end: others may have written since.

use larder_core::{CacheKey, Moment, Terms, Written};
use larder_memory::{Change, Held, Outcome, RemovalCause};

use crate::cache::Parts;
use crate::fence::Fence;
use crate::fill::{Loaded, check_terms};
use crate::slot::Slot;
use crate::write::{Install, Writes};

/// What a write returned, with what was captured before it began.
#[derive(Clone, Copy)]
pub(crate) struct Returned<'a, V> {
    pub(crate) written: &'a Written<V>,
    pub(crate) began: Moment,
    pub(crate) fence: Fence,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Puts into memory what a write returned, if it may be held there and nothing overlapped.
    /// Returns whether the key is done with: otherwise it is to be invalidated.
    pub(crate) fn install(
        &self,
        key: &K,
        writes: &Writes<K, V>,
        returned: &Returned<'_, V>,
    ) -> bool {
        let Some(entry) = self.entry_of_written(key, writes, returned) else { return false };
        let is_said = writes.written.is_some();
        let is_wanted = |held: Option<&Held<'_, Slot<V>>>| match held {
            Some(held) if held.value.times_now(self.ground()).is_some() => {
                is_said || held.value.rider.is_none()
            }
            _ => writes.install == Install::Always,
        };
        self.put(key, entry, |held| self.overlapped_by_nothing(returned.fence) && is_wanted(held))
    }

    /// The same for a write that was applied behind. Memory holds nothing of a key that has writes
    /// waiting, so the caller says whether it is wanted there.
    pub(crate) fn install_applied(
        &self,
        key: &K,
        writes: &Writes<K, V>,
        returned: &Returned<'_, V>,
    ) -> bool {
        let Some(entry) = self.entry_of_written(key, writes, returned) else { return false };
        self.put(key, entry, |_| self.overlapped_by_nothing(returned.fence))
    }

    /// Puts an entry into memory if `holds` says so, and drops what is held otherwise; then it
    /// raises the key's epoch. All of that is under the memory tier's lock of the key. Returns
    /// whether the entry is held.
    pub(crate) fn put(
        &self,
        key: &K,
        (slot, expires_at): (Slot<V>, Moment),
        holds: impl FnOnce(Option<&Held<'_, Slot<V>>>) -> bool,
    ) -> bool {
        // Before it can be read: whoever has seen the value is never told "absent" afterwards.
        if let (Some(penetration), Some(_)) = (&self.penetration, &slot.value) {
            penetration.announced(key);
        }
        let (now, weight) = (self.engine.now(), self.notes.ledger.weight(key, &slot));
        let put = |held: Option<Held<'_, Slot<V>>>| {
            let change = match holds(held.as_ref()) {
                true => {
                    let cost_micros = held.map_or(0, |held| held.value.cost_micros);
                    let value = Slot { cost_micros, ..slot };
                    Change::Put { value, weight, expires_at }
                }
                false => Change::Remove(RemovalCause::Invalidated),
            };
            (change, ())
        };
        let raise = |outcome, ()| {
            self.raise_at_install(key);
            outcome
        };
        match self.memory.compute_then(key, now, K::clone, put, raise) {
            Outcome::Stored => {
                self.notes.ledger.stored(weight);
                self.counters.installed.add(1);
                true
            }
            Outcome::NoRoom | Outcome::TooHeavy | Outcome::Kept | Outcome::Removed => false,
        }
    }

    /// Whether nothing else ended or was invalidated since the fence was captured. Only an answer
    /// given under the memory tier's lock of that key means something.
    pub(crate) fn overlapped_by_nothing(&self, fence: Fence) -> bool {
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::FenceAtInstall) {
            return true;
        }
        self.fence_holds(fence)
    }

    /// Voids every load of the key that is under way: it may have read what was before the commit.
    fn raise_at_install(&self, key: &K) {
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::EpochAtInstall) {
            return;
        }
        self.engine.epochs().raise(self.scope, key);
    }

    /// The entry that a write returned, and when it may be forgotten; `None` where it isn't for
    /// keeping, or where nobody knows its tags.
    pub(crate) fn entry_of_written(
        &self,
        key: &K,
        writes: &Writes<K, V>,
        returned: &Returned<'_, V>,
    ) -> Option<(Slot<V>, Moment)> {
        let value = match returned.written {
            Written::Value(value) => Some(value),
            Written::Absent => None,
            Written::Unsaid => return None,
        };
        let terms = match &writes.written {
            Some(say) => say(key, value),
            None if self.has_tags() => return None,
            None => Terms::default(),
        };
        if !self.window.keeps() || !terms.is_stored() || check_terms(&terms).is_err() {
            return None;
        }
        let rider = self.rider(&terms, None);
        let (at, cost) = (returned.began, std::time::Duration::ZERO);
        let loaded = Loaded { value: value.cloned(), terms: &terms, held: None, at, cost };
        let times = self.times_of(&loaded);
        let expires_at = self.window.forgotten_after(&times, value.is_some());
        if expires_at < self.engine.now() {
            return None;
        }
        let (born, ledger) = (returned.fence.born, self.notes.ledger_number);
        let value = loaded.value;
        Some((Slot { value, times, born, cost_micros: 0, ledger, rider }, expires_at))
    }
}
