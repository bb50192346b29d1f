//! The one door through which every invalidation goes.
//!
//! - **A key.** Under the memory tier's lock of the key: raise the epoch, so that whatever was read
//!   before can't be filled any more, then drop the entry or mark it stale.
//! - **Tags, a whole cache.** An event (see [`events`](crate::events)): entries and loads of before
//!   are struck, each in the same time, however many there are.
//! - **A prefix.** An event that voids every load of the cache under way, since nobody knows which
//!   of them have the prefix, and then each held key that has it, one by one.
//!
//! Once the call has returned, a get that starts returns nothing that was loaded before; marked
//! stale, it may return that under the rule for stale entries, and a refresh runs.

use larder_core::{CacheKey, KeyText, Moment, Result};
use larder_memory::{Change, Held, Outcome, RemovalCause};

use crate::cache::{Cache, Parts};
use crate::engine::Engine;
use crate::observe::What;
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

    /// Forgets everything that has one of these tags, in every cache of this engine: see
    /// [`Engine::invalidate_tags`].
    ///
    /// # Errors
    ///
    /// None in this process; tiers beyond it may have some.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn invalidate_tags<T: AsRef<str>>(&self, tags: &[T]) -> Result<()> {
        self.0.engine.invalidate_tags(tags).await
    }

    /// Marks everything stale that has one of these tags, in every cache of this engine.
    ///
    /// # Errors
    ///
    /// As [`invalidate_tags`](Self::invalidate_tags).
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn mark_tags_stale<T: AsRef<str>>(&self, tags: &[T]) -> Result<()> {
        self.0.engine.mark_tags_stale(tags).await
    }

    /// Forgets everything that this cache holds: its generation is over. It takes the same time
    /// however much that is; what it held leaves memory when room is needed or its time comes.
    ///
    /// # Errors
    ///
    /// None in this process; tiers beyond it may have some.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn invalidate_all(&self) -> Result<()> {
        self.invalidate_all_here(Invalidation::Drop);
        Ok(())
    }

    /// Marks everything stale that this cache holds.
    ///
    /// # Errors
    ///
    /// As [`invalidate_all`](Self::invalidate_all).
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn mark_all_stale(&self) -> Result<()> {
        self.invalidate_all_here(Invalidation::MarkStale);
        Ok(())
    }

    /// Forgets everything whose key's text begins with `prefix`. Returns how many entries that
    /// were. It looks at every entry of the memory tier: where a tag can be used, use a tag.
    ///
    /// # Errors
    ///
    /// None in this process; tiers beyond it may have some.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn invalidate_prefix(&self, prefix: &str) -> Result<usize> {
        Ok(self.invalidate_prefix_here(prefix, Invalidation::Drop))
    }

    /// Marks everything stale whose key's text begins with `prefix`. Returns how many entries
    /// that were.
    ///
    /// # Errors
    ///
    /// As [`invalidate_prefix`](Self::invalidate_prefix).
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn mark_prefix_stale(&self, prefix: &str) -> Result<usize> {
        Ok(self.invalidate_prefix_here(prefix, Invalidation::MarkStale))
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
        let was_held = parts.strike(key, parts.engine.now(), what);
        parts.tell(key, What::Invalidated(what));
        Ok(was_held)
    }

    /// The part of [`invalidate_all`](Self::invalidate_all) or
    /// [`mark_all_stale`](Self::mark_all_stale) that concerns this process, without waiting.
    pub fn invalidate_all_here(&self, what: Invalidation) {
        let parts = &self.0;
        parts.counters.sweeps.add(1);
        parts.engine.events().apply(|event| parts.sweeps.strike(event, what));
        parts.void_filter();
        parts.tell_of_all(What::Swept(what));
    }

    /// The part of [`invalidate_prefix`](Self::invalidate_prefix) or
    /// [`mark_prefix_stale`](Self::mark_prefix_stale) that concerns this process, without
    /// waiting. Returns how many entries it struck.
    pub fn invalidate_prefix_here(&self, prefix: &str, what: Invalidation) -> usize {
        let parts = &self.0;
        parts.counters.sweeps.add(1);
        parts.engine.events().apply(|event| parts.sweeps.fence(event));
        parts.void_filter();
        let now = parts.engine.now();
        let mut struck = Vec::new();
        let walk = parts.sweeps.walk();
        parts.memory.for_each(now, |key, held| {
            let is_plain = held.value.born == Slot::<V>::BORN_PLAIN;
            if !is_plain && KeyText::of(key).is_ok_and(|text| text.starts_with(prefix)) {
                struck.push(key.clone());
            }
        });
        drop(walk);
        let entries = struck.into_iter().filter(|key| parts.strike(key, now, what)).count();
        parts.tell_of_all(What::SweptPrefix { prefix, what, entries });
        entries
    }
}

impl Engine {
    /// Forgets everything that has one of these tags, in every cache of this engine. It takes the
    /// same time however much that is.
    ///
    /// # Errors
    ///
    /// None in this process; tiers beyond it may have some.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn invalidate_tags<T: AsRef<str>>(&self, tags: &[T]) -> Result<()> {
        self.invalidate_tags_here(tags, Invalidation::Drop);
        Ok(())
    }

    /// Marks everything stale that has one of these tags, in every cache of this engine.
    ///
    /// # Errors
    ///
    /// As [`invalidate_tags`](Self::invalidate_tags).
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process.
    #[allow(clippy::unused_async)]
    pub async fn mark_tags_stale<T: AsRef<str>>(&self, tags: &[T]) -> Result<()> {
        self.invalidate_tags_here(tags, Invalidation::MarkStale);
        Ok(())
    }

    /// The part of [`invalidate_tags`](Self::invalidate_tags) or
    /// [`mark_tags_stale`](Self::mark_tags_stale) that concerns this process, without waiting.
    pub fn invalidate_tags_here<T: AsRef<str>>(&self, tags: &[T], what: Invalidation) {
        if !tags.is_empty() {
            self.events().strike_tags(tags.iter().map(AsRef::as_ref), what);
        }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Keys may be new that nobody named.
    fn void_filter(&self) {
        if let Some(penetration) = &self.penetration {
            penetration.void();
        }
    }

    /// Strikes one key. Returns whether something was held.
    fn strike(&self, key: &K, now: Moment, what: Invalidation) -> bool {
        let raise = || self.engine.epochs().raise(self.scope, key);
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::EpochUnderLock) {
            let was_held = self.strike_held(key, now, what, || ());
            raise();
            return was_held;
        }
        self.strike_held(key, now, what, raise)
    }

    /// Calls `raise` and strikes what is held of a key, under one lock.
    fn strike_held(&self, key: &K, now: Moment, what: Invalidation, raise: impl FnOnce()) -> bool {
        let mut put = 0;
        let (outcome, was_held) = self.memory.compute(key, now, K::clone, |held| {
            raise();
            let was_held = held.as_ref().is_some_and(|held| {
                let slot: &Slot<V> = held.value;
                slot.times_now(self.ground()).is_some()
            });
            let change = change(held, self.permitted(what));
            if let Change::Put { value, .. } = &change {
                put = self.notes.ledger.weight(key, value);
            }
            (change, was_held)
        });
        match outcome {
            // What is put in its own place has left and come.
            Outcome::Stored => self.notes.ledger.stored(put),
            // It can't be held as stale, and must not stay as fresh.
            Outcome::NoRoom => {
                self.memory.remove(key, now, RemovalCause::Invalidated, |_| ());
            }
            Outcome::Kept | Outcome::Removed | Outcome::TooHeavy => {}
        }
        if let Some(penetration) = &self.penetration {
            penetration.announced(key);
        }
        was_held
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
