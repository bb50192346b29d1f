//! What memory has for a read: an answer, one that is to be refreshed, or nothing that serves.

use std::borrow::Borrow;
use std::hash::Hash;
use std::time::Duration;

use larder_core::{Answer, CacheKey, Moment, Reason, State, Tier};
use larder_memory::{Change, Held, Outcome, RemovalCause};

use crate::cache::{Cache, Parts};
use crate::slot::{Ground, Slot};

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Reads what is held of `key` if it is fresh at `now`: without waiting, without a copy,
    /// without touching the source. The argument of `read` is `None` for a remembered absence.
    /// Where an early refresh is due, and nobody sees to it, it reads nothing: [`ask`](Self::ask)
    /// begins it.
    ///
    /// `now` is the time of the engine's clock at which the read starts; reads that start
    /// together may share it. The key may be borrowed: `&str` for `String`, `&[u8]` for
    /// [`Key`](larder_core::Key).
    pub fn fresh<Q, R>(&self, key: &Q, now: Moment, read: impl FnOnce(Option<&V>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let parts = &*self.0;
        let ground = parts.ground();
        let look = |slot: &Slot<V>| {
            let calm = slot.is_calm(ground, now);
            let serves = calm
                || slot.state(ground, now) == State::Fresh
                    && (!parts.is_due(slot, now) || parts.is_seen_to(key, now));
            serves.then(|| (slot.age_nanos(now), read(slot.value.as_ref())))
        };
        let (age_nanos, result) = parts.memory.get_with(key, now, look).flatten()?;
        parts.counters.fresh_hit(age_nanos);
        Some(result)
    }

    /// Reads what is held of `key` if it could be served at `now`, fresh or stale, for who decides
    /// himself what he takes: without waiting, without a copy, without touching the source, and
    /// without a refresh. Where `read` returns `None` it couldn't use what it saw, and nothing is
    /// counted.
    ///
    /// `now` and the key are as for [`fresh`](Self::fresh).
    ///
    /// ```
    /// # use larder_engine::{Cache, Lookup};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let pages: Cache<String, u32> =
    /// #     Cache::builder("page").max_staleness(Duration::from_secs(60)).build()?;
    /// # let Lookup::Miss(ticket) = pages.lookup(&"/".to_owned()).await else { panic!() };
    /// # let _ = ticket.fill(Some(7));
    /// let now = pages.engine().clock().now();
    /// let young = |age: Duration| age < Duration::from_secs(1);
    /// let read = pages.servable("/", now, |held| {
    ///     young(now - held.loaded_at).then(|| held.value.copied())
    /// });
    /// assert_eq!(read, Some(Some(7)));
    /// # Ok(()) }
    /// ```
    pub fn servable<Q, R>(
        &self,
        key: &Q,
        now: Moment,
        read: impl FnOnce(Servable<'_, V>) -> Option<R>,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let parts = &*self.0;
        let ground = parts.ground();
        let look = |slot: &Slot<V>| {
            let calm = slot.is_calm(ground, now);
            let state = if calm { State::Fresh } else { slot.state(ground, now) };
            if state == State::Gone {
                return None;
            }
            let (value, loaded_at) = (slot.value.as_ref(), slot.times.loaded_at());
            Some((state, loaded_at, read(Servable { value, state, loaded_at })?))
        };
        let (state, loaded_at, result) = parts.memory.get_with(key, now, look).flatten()?;
        parts.counters.hit(state, now - loaded_at);
        Some(result)
    }

    /// Evicts what is held of `key` in this process's memory, if `is_useless` says so of its value;
    /// returns whether it did. As an eviction for space it is no invalidation: loads and tickets
    /// under way fill, and nobody else is told.
    ///
    /// `is_useless` runs under a lock of the memory tier.
    ///
    /// ```
    /// # use larder_engine::{Cache, Lookup};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let files: Cache<u64, String> =
    /// #     Cache::builder("file").max_staleness(Duration::from_secs(60)).build()?;
    /// # let Lookup::Miss(ticket) = files.lookup(&7).await else { panic!() };
    /// # let _ = ticket.fill(Some("/tmp/gone".to_owned()));
    /// let is_gone = |path: &String| path.ends_with("gone");
    /// assert!(files.evict_if(&7, is_gone));
    /// assert!(!files.evict_if(&7, is_gone));
    /// # Ok(()) }
    /// ```
    pub fn evict_if(&self, key: &K, is_useless: impl FnOnce(&V) -> bool) -> bool {
        let evicts = |held: Option<Held<'_, Slot<V>>>| {
            let value = held.and_then(|held| held.value.value.as_ref());
            match value.is_some_and(is_useless) {
                true => (Change::Remove(RemovalCause::Evicted), ()),
                false => (Change::Keep, ()),
            }
        };
        let (outcome, ()) = self.0.memory.compute(key, self.0.engine.now(), K::clone, evicts);
        outcome == Outcome::Removed
    }

    /// What is held of `key` and could be served, without loading, counting, or keeping the
    /// entry from eviction.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<Answer<V>> {
        let (now, ground) = (self.0.engine.now(), self.0.ground());
        self.0.memory.peek(key, now, |slot| answer_of(slot, ground, now)).flatten()
    }

    /// Until when what is held of `key` may be served at most; `None` when no value is held. It
    /// doesn't count as a use.
    #[must_use]
    pub fn held_until(&self, key: &K) -> Option<Moment> {
        let parts = &self.0;
        let (now, ground) = (parts.engine.now(), parts.ground());
        let until = |slot: &Slot<V>| {
            slot.value.as_ref()?;
            let until = parts.window.gone_after(&slot.times_now(ground)?, ground.horizon);
            (now <= until).then_some(until)
        };
        parts.memory.peek(key, now, until).flatten()
    }
}

/// What is held, for who decides himself whether he takes it.
#[derive(Clone, Copy, Debug)]
pub struct Servable<'a, V> {
    /// The value; `None` is a remembered absence.
    pub value: Option<&'a V>,
    /// Fresh, or stale: past its time, or marked.
    pub state: State,
    /// When its load began.
    pub loaded_at: Moment,
}

/// What a look into memory found.
pub(crate) enum Seen<V> {
    /// It can be served; with `due`, when the value that is to be refreshed was loaded.
    Served { answer: Answer<V>, due: Option<Moment> },
    /// It is held, but can't be served as it is.
    Past,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// What memory has for a read that starts at `start`.
    pub(crate) fn look(&self, key: &K, start: Moment) -> Option<Seen<V>> {
        let ground = self.ground();
        self.memory.get_with(key, start, |slot| self.seen(slot, ground, start))
    }

    /// The same for a read that has looked already, which counts as one use.
    pub(crate) fn look_closer(&self, key: &K, start: Moment) -> Option<Seen<V>> {
        let ground = self.ground();
        self.memory.peek(key, start, |slot| self.seen(slot, ground, start))
    }

    /// The same for a read that found nothing which serves by the coarse clock, which may have
    /// been a few milliseconds ahead of an entry's end.
    pub(crate) fn look_by_the_precise_clock(&self, key: &K) -> Option<Seen<V>> {
        self.look_closer(key, self.engine.now())
    }

    fn seen(&self, slot: &Slot<V>, ground: Ground<'_>, start: Moment) -> Seen<V> {
        if slot.is_calm(ground, start) {
            let age = start - slot.times.loaded_at();
            let current = start - slot.times.as_of(ground.horizon);
            let answer = Answer { current, ..held(slot.value.clone(), age) };
            return Seen::Served { answer, due: None };
        }
        let Some(answer) = answer_of(slot, ground, start) else { return Seen::Past };
        let due = answer.state == State::Stale || self.is_due(slot, start);
        Seen::Served { answer, due: due.then(|| slot.times.loaded_at()) }
    }

    /// Counts an answer from memory.
    pub(crate) fn served(&self, answer: Answer<V>) -> Answer<V> {
        self.counters.hit(answer.state, answer.age);
        answer
    }

    /// What a fresh entry gives to a read that starts at `start`, counted as a hit.
    pub(crate) fn fresh_answer(&self, key: &K, start: Moment) -> Option<Answer<V>> {
        match self.look(key, start)? {
            Seen::Served { answer, .. } if answer.state == State::Fresh => {
                Some(self.served(answer))
            }
            _ => None,
        }
    }

    /// The same if its load began later than `than`; otherwise nothing is counted.
    pub(crate) fn fresh_answer_newer(
        &self,
        key: &K,
        start: Moment,
        than: Moment,
    ) -> Option<Answer<V>> {
        match self.look(key, start)? {
            Seen::Served { answer, .. }
                if answer.state == State::Fresh && start.before(answer.age) > than =>
            {
                Some(self.served(answer))
            }
            _ => None,
        }
    }

    /// Whether a fresh entry is to be refreshed early.
    fn is_due(&self, slot: &Slot<V>, now: Moment) -> bool {
        slot.value.is_some()
            && self.window.wants_refresh(&slot.times, slot.cost(), now, self.engine.draw())
    }
}

/// The answer that an entry gives at `now`, if it may be given at all.
fn answer_of<V: Clone>(slot: &Slot<V>, ground: Ground<'_>, now: Moment) -> Option<Answer<V>> {
    let times = slot.times_now(ground)?;
    let state = ground.state(&times, now);
    let reason = match state {
        State::Fresh => Reason::Held,
        State::Stale => Reason::Refreshing,
        State::Gone => return None,
    };
    let current = now - times.as_of(ground.horizon);
    let age = now - slot.times.loaded_at();
    Some(Answer { state, reason, current, ..held(slot.value.clone(), age) })
}

/// The answer that a held and fresh value gives.
pub(crate) fn held<V>(value: Option<V>, age: Duration) -> Answer<V> {
    let (tier, state, reason) = (Tier::Memory, State::Fresh, Reason::Held);
    Answer { value, tier, age, current: age, state, reason }
}
