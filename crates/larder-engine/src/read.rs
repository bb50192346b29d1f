//! The life of a read.
//!
//! 1. **Memory.** Fresh: return. Stale but servable: return it, and let exactly one flight
//!    refresh it.
//! 2. **Flight.** Capture the fence before any I/O; join or lead the flight for the key and its
//!    epoch. A result carries its as-of, and every caller tests it against its own start: who
//!    started at *t* takes it only if `as_of >= t - max_staleness`, and reads again otherwise.
//! 3. **Source.** In the engine's own task, under the bulkhead and a timeout (see `load`).
//! 4. **Fill**, under the fence. Refused: read again a bounded number of times, then answer
//!    uncached.
//! 5. **Answer**: value, tier, age, how current, state, reason.

use std::borrow::Borrow;
use std::hash::Hash;

use larder_core::{
    Answer, CacheKey, Error, ErrorKind, LoadContext, LoadError, Moment, Reason, Result, State, Tier,
};

use crate::cache::{Cache, Parts};
use crate::flight::{Fill, Landed};
use crate::load::Loader;
use crate::slot::Slot;
use crate::wait::within;

/// How often a read begins again because its fill was refused, before it answers uncached.
const REREADS_MAX: u32 = 2;

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The value of `key`, from memory or from the source; `None` when the source has none.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a load that it began; its result is kept.
    pub async fn get(&self, key: &K) -> Result<Option<V>> {
        Ok(self.ask(key).await?.value)
    }

    /// The value of `key` with everything that is known about it.
    ///
    /// # Errors
    ///
    /// What the load failed with; `Timeout` when the caller's deadline passed first; `Shed` when
    /// too many loads wait already; `BadKey` when the key has no valid text; `Refused` when the
    /// cache has no source.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a load that it began; its result is kept.
    pub async fn ask(&self, key: &K) -> Result<Answer<V>> {
        let start = self.0.engine.now();
        if let Some(answer) = self.0.held(key, start) {
            if answer.state == State::Stale {
                self.0.refresh(key);
            }
            return Ok(answer);
        }
        self.0.counters.misses.add(1);
        self.0.read(key, start, Loader::Source).await
    }

    /// The value of `key`; where it must be loaded, `load` loads it instead of the cache's
    /// source. It runs in the engine's own task, at most once, and not at all when the value is
    /// held or another caller is loading it.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a load that it began; its result is kept.
    pub async fn get_or_load<F, L>(&self, key: &K, load: F) -> Result<Option<V>>
    where
        F: FnOnce(LoadContext) -> L + Send + 'static,
        L: Future<Output = Result<Option<V>, LoadError>> + Send + 'static,
    {
        let start = self.0.engine.now();
        // A stale entry is refreshed by the source or, where there is none, by this caller.
        let serves = |state| state == State::Fresh || self.0.source.is_some();
        if let Some(answer) = self.0.held_if(key, start, serves) {
            if answer.state == State::Stale {
                self.0.refresh(key);
            }
            return Ok(answer.value);
        }
        self.0.counters.misses.add(1);
        let loader = Loader::Once(Box::new(move |context| Box::pin(load(context))));
        Ok(self.0.read(key, start, loader).await?.value)
    }

    /// Reads what is held of `key` if it is fresh at `now`: without waiting, without a copy,
    /// without touching the source. The argument of `read` is `None` for a remembered absence.
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
        let look = |slot: &Slot<V>| {
            let fresh = slot.state(&parts.window, now) == State::Fresh;
            fresh.then(|| (now - slot.times.loaded_at, read(slot.value.as_ref())))
        };
        let (age, result) = parts.memory.get_with(key, now, look).flatten()?;
        parts.counters.hit(State::Fresh, age);
        Some(result)
    }

    /// What is held of `key` and could be served, without loading, counting, or keeping the
    /// entry from eviction.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<Answer<V>> {
        let now = self.0.engine.now();
        self.0.memory.peek(key, now, |slot| slot.answer(&self.0.window, now)).flatten()
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Until when what is held of `key` may be served at most; `None` when no value is held. It
    /// doesn't count as a use.
    #[must_use]
    pub fn held_until(&self, key: &K) -> Option<Moment> {
        let now = self.0.engine.now();
        let window = &self.0.window;
        let until = |slot: &Slot<V>| slot.value.as_ref().map(|_| window.gone_after(&slot.times));
        self.0.memory.peek(key, now, until).flatten()
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// What memory can serve to a read that starts at `start`, counted as a hit.
    pub(crate) fn held(&self, key: &K, start: Moment) -> Option<Answer<V>> {
        self.held_if(key, start, |_| true)
    }

    /// The same, if the reader is content with its state.
    pub(crate) fn held_if(
        &self,
        key: &K,
        start: Moment,
        serves: impl FnOnce(State) -> bool,
    ) -> Option<Answer<V>> {
        let look =
            |slot: &Slot<V>| slot.answer(&self.window, start).filter(|answer| serves(answer.state));
        let answer = self.memory.get_with(key, start, look).flatten()?;
        self.counters.hit(answer.state, answer.age);
        Some(answer)
    }

    /// Reads what memory can't serve: joins or leads flights until one brings what a caller that
    /// started at `start` may be given.
    pub(crate) async fn read(
        self: &std::sync::Arc<Self>,
        key: &K,
        start: Moment,
        loader: Loader<V>,
    ) -> Result<Answer<V>> {
        let until = start + self.deadline;
        let oldest = start.before(self.window.max_staleness);
        let mut loader = Some(loader);
        let mut rereads = 0;
        loop {
            let (landing, led) = self.fly(key, &mut loader)?;
            let clock = &**self.engine.clock();
            let Some(outcome) = within(clock, until, landing).await else {
                return Err(self.too_late(key));
            };
            let landed = outcome?;
            let may_repeat = loader.is_some() || self.source.is_some();
            if landed.as_of < oldest && may_repeat {
                continue;
            }
            if landed.fill == Fill::Refused && rereads < REREADS_MAX && may_repeat {
                rereads += 1;
                continue;
            }
            return Ok(self.answer(landed, led));
        }
    }

    /// The answer to a caller for whom a flight has landed.
    pub(crate) fn answer(&self, landed: Landed<V>, led: bool) -> Answer<V> {
        let now = self.engine.now();
        let reason = match (landed.fill, led) {
            (Fill::Stored, true) => Reason::Loaded,
            (Fill::Stored, false) => Reason::Joined,
            (Fill::Refused | Fill::NotKept, _) => Reason::Uncached,
        };
        Answer {
            value: landed.value,
            tier: Tier::Source,
            age: now - landed.as_of,
            // A result keeps the as-of of its load: nothing that came later vouches for it.
            current: now - landed.as_of,
            state: State::Fresh,
            reason,
        }
    }

    pub(crate) fn too_late(&self, key: &K) -> Error {
        let message = format!(
            "the cache {} had no answer within {:?}; the load goes on",
            self.name, self.deadline
        );
        Error::new(ErrorKind::Timeout, message).for_key(larder_core::KeyText::lossy(key))
    }
}
