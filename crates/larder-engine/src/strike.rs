//! What an invalidation does in this process.
//!
//! - **A key.** Under the memory tier's lock of the key: drop the entry or mark it stale, then
//!   raise the epoch, so that whatever was read before can't be filled any more (in this order: see
//!   [`fence`](crate::fence)).
//! - **A whole cache.** An event (see [`events`](crate::events)): entries and loads of before are
//!   struck, in the same time, however many there are.
//! - **A prefix.** An event that voids every load of the cache under way, since nobody knows which
//!   of them have the prefix, then each held key that has it, one by one, and then such an event
//!   once more. Without that
//!   1. W commits `v1` and writes down the first event,
//!   2. A leads a flight, looks into memory again, and sees `v0`,
//!   3. that is evicted, so W, who walks through memory, doesn't find the key, and ends,
//!   4. B, who comes then, joins A's flight, which lands with `v0`.

use larder_core::{CacheKey, KeyText, Moment};
use larder_memory::{Change, Held, Outcome, RemovalCause};

use crate::cache::Parts;
use crate::invalidate::Invalidation;
use crate::slot::Slot;

/// What a key was when it was struck.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Struck {
    /// Something was held of it.
    pub(crate) was_held: bool,
    /// That had been read since it was loaded, as far as the memory tier's policy keeps count.
    pub(crate) was_used: bool,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Keys may be new that nobody named.
    fn void_filter(&self) {
        if let Some(penetration) = &self.penetration {
            penetration.void();
        }
    }

    /// Strikes everything that it holds, and every load under way.
    pub(crate) fn strike_whole(&self, what: Invalidation) {
        self.engine.events().apply(|event| self.sweeps.strike(event, what));
        self.void_filter();
    }

    /// Strikes everything whose key's text begins with `prefix`, and every load under way. What has
    /// a key without a valid text, which a ticket may fill, is struck by every prefix. Returns how
    /// many entries that were.
    pub(crate) fn strike_prefix(&self, prefix: &str, what: Invalidation) -> usize {
        self.engine.events().apply(|event| self.sweeps.fence(event));
        self.void_filter();
        let now = self.engine.now();
        let mut struck = Vec::new();
        let walk = self.sweeps.walk();
        self.memory.for_each(now, |key, held| {
            let is_plain = held.value.born == Slot::<V>::BORN_PLAIN;
            if !is_plain && KeyText::of(key).map_or(true, |text| text.starts_with(prefix)) {
                struck.push(key.clone());
            }
        });
        drop(walk);
        let held = struck.into_iter().filter(|key| self.strike(key, now, what).was_held).count();
        self.engine.events().apply(|event| self.sweeps.fence(event));
        held
    }

    /// Strikes one key, and what was read beneath its writes that wait.
    pub(crate) fn strike(&self, key: &K, now: Moment, what: Invalidation) -> Struck {
        // Before the epoch is raised: a flight that begins then is joined by whoever comes later.
        self.doubt_beneath(key);
        self.strike_memory(key, now, what)
    }

    /// Strikes one key in memory alone: what is beneath its writes that wait didn't change.
    pub(crate) fn strike_memory(&self, key: &K, now: Moment, what: Invalidation) -> Struck {
        let raise = || self.engine.epochs().raise(self.scope, key);
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::EpochUnderLock) {
            let struck = self.strike_held(key, now, what, || ());
            raise();
            return struck;
        }
        self.strike_held(key, now, what, raise)
    }

    /// Strikes what is held of a key, and then calls `raise`, under one lock.
    fn strike_held(&self, key: &K, now: Moment, what: Invalidation, raise: impl Fn()) -> Struck {
        let mut put = 0;
        let horizon = self.horizon();
        let strike = |held: Option<Held<'_, Slot<V>>>| {
            let standing = held.as_ref().filter(|held| {
                let slot: &Slot<V> = held.value;
                slot.times_now(self.ground()).is_some()
            });
            let was_used = standing.is_some_and(|held| held.uses > 0);
            let struck = Struck { was_held: standing.is_some(), was_used };
            let change = self.change(held, self.permitted(what), horizon);
            if let Change::Put { value, .. } = &change {
                put = self.notes.ledger.weight(key, value);
            }
            (change, struck)
        };
        let done = |outcome, struck| {
            raise();
            (outcome, struck)
        };
        let (outcome, struck) = self.memory.compute_then(key, now, K::clone, strike, done);
        match outcome {
            // What is put in its own place has left and come.
            Outcome::Stored => self.notes.ledger.stored(put),
            // It can't be held as stale, and must not stay as fresh.
            Outcome::NoRoom => {
                let removes =
                    |_: Option<Held<'_, _>>| (Change::Remove(RemovalCause::Invalidated), ());
                self.memory.compute_then(key, now, K::clone, removes, |_, ()| raise());
            }
            Outcome::Kept | Outcome::Removed | Outcome::TooHeavy => {}
        }
        if let Some(penetration) = &self.penetration {
            penetration.announced(key);
        }
        struck
    }

    /// What is done where `what` was asked for. An entry that is marked stale takes another place
    /// in memory, and so could slip past somebody who walks through it to drop a prefix:
    ///
    /// 1. A looks for the prefix in the first half of memory, and lets go of the lock,
    /// 2. B marks an entry of the second half stale, which now stands in the first,
    /// 3. A looks through the second half and doesn't find it.
    ///
    /// While somebody walks it is dropped instead. Asked under the lock, under which A looks, so
    /// either B knows of A, or A finds what B left.
    fn permitted(&self, what: Invalidation) -> Invalidation {
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::DropWhileWalking) {
            return what;
        }
        if self.sweeps.is_walked() { Invalidation::Drop } else { what }
    }

    /// What an invalidation makes of what is held. What a tag, say, has struck already is marked as
    /// of then: nothing that the stream vouched for since concerns it.
    fn change(
        &self,
        held: Option<Held<'_, Slot<V>>>,
        what: Invalidation,
        horizon: Moment,
    ) -> Change<Slot<V>> {
        let Some(held) = held else { return Change::Keep };
        match (what, held.value.times_now(self.ground())) {
            (Invalidation::MarkStale, Some(mut times)) => {
                times.mark_stale(horizon);
                let value = Slot { times, ..held.value.clone() };
                Change::Put { value, weight: held.weight, expires_at: held.expires_at }
            }
            _ => Change::Remove(RemovalCause::Invalidated),
        }
    }
}
