//! The life of a read.
//!
//! 1. **Memory.** Fresh: return. Stale but servable, or fresh and near its end: return it, and let
//!    exactly one flight refresh it.
//! 2. **Flight.** Capture the fence before any I/O; join or lead the flight for the key, its epoch
//!    and its cache's generation. A result carries its as-of, and every caller tests it against its
//!    own start: who started at *t* takes it only if `as_of >= t - max_staleness`, and only if none
//!    of its tags was struck between the start of the flight and its own; otherwise it reads again
//!    in a newer flight.
//! 3. **Source.** In the engine's own task, under the guard and a timeout (see `load`). Who waits
//!    longer than it wants to, or meets an error, gets what may stand in, if anything may.
//! 4. **Fill**, under the fence (see `fill`). Refused: read again a bounded number of times, then
//!    answer uncached.
//! 5. **Answer**: value, tier, age, how current, state, reason.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Answer, CacheKey, Error, ErrorKind, LoadContext, LoadError, Moment, Reason, Result, State, Tier,
};

use crate::cache::{Cache, Parts};
use crate::events::Fate;
use crate::fill::Fill;
use crate::flight::{Landed, Landing};
use crate::guard::is_failure;
use crate::load::{Loader, Seek};
use crate::observe::What;
use crate::patience::Patience;
use crate::slot::{HORIZON, Slot};
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
        let parts = &self.0;
        let start = parts.engine.about_now();
        // Most reads end here, so this is the least that can be done.
        let held = parts.memory.get_with(key, start, |slot| {
            slot.is_calm(parts.ground(), start).then(|| (slot.value.clone(), slot.age_nanos(start)))
        });
        let seen = match held {
            Some(Some((value, age_nanos))) => {
                parts.counters.fresh_hit(age_nanos);
                return Ok(value);
            }
            Some(None) => parts.look_closer(key, start),
            None => None,
        };
        // In a box, so that the future of a hit stays small.
        let answer = Box::pin(parts.go_on(key, seen, parts.patience, Loader::Source));
        Ok(answer.await?.value)
    }

    /// The value of `key` with everything that is known about it.
    ///
    /// # Errors
    ///
    /// What the load failed with; `Timeout` when the caller's deadline passed first; `Shed` when
    /// too many loads wait already; `SourceDown` while the source rests after many failures;
    /// `BadKey` when the key has no valid text; `Refused` when the cache has no source.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a load that it began; its result is kept.
    pub async fn ask(&self, key: &K) -> Result<Answer<V>> {
        self.0.ask(key, self.0.patience, Loader::Source).await
    }

    /// The value of `key`; where it must be loaded, `load` loads it instead of the cache's
    /// source. It runs in the engine's own task, at most once, and not at all when the value is
    /// held or another caller is loading it. A stale value is returned at once, and refreshed.
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
        let loader = Loader::Once(Box::new(move |context| Box::pin(async { load(context).await })));
        Ok(self.0.ask(key, self.0.patience, loader).await?.value)
    }

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
        let look = |slot: &Slot<V>| {
            let calm = slot.is_calm(parts.ground(), now);
            let serves = calm
                || slot.state(parts.ground(), now) == State::Fresh
                    && (!parts.is_due(slot, now) || parts.is_seen_to(key, now));
            serves.then(|| (slot.age_nanos(now), read(slot.value.as_ref())))
        };
        let (age_nanos, result) = parts.memory.get_with(key, now, look).flatten()?;
        parts.counters.fresh_hit(age_nanos);
        Some(result)
    }

    /// What is held of `key` and could be served, without loading, counting, or keeping the
    /// entry from eviction.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<Answer<V>> {
        let now = self.0.engine.now();
        self.0.memory.peek(key, now, |slot| self.0.answer_of(slot, now)).flatten()
    }

    /// Until when what is held of `key` may be served at most; `None` when no value is held. It
    /// doesn't count as a use.
    #[must_use]
    pub fn held_until(&self, key: &K) -> Option<Moment> {
        let parts = &self.0;
        let now = parts.engine.now();
        let until = |slot: &Slot<V>| {
            slot.value.as_ref()?;
            let until = parts.window.gone_after(&slot.times_now(parts.ground())?);
            (now <= until).then_some(until)
        };
        parts.memory.peek(key, now, until).flatten()
    }
}

/// What a look into memory found.
pub(crate) enum Seen<V> {
    /// It can be served; with `due`, when the value that is to be refreshed was loaded.
    Served { answer: Answer<V>, due: Option<Moment> },
    /// It is held, but can't be served as it is.
    Past,
}

/// A read that memory alone couldn't serve.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    start: Moment,
    patience: Patience,
    seek: Seek,
    /// How many events there had been when it began.
    since: u64,
    /// When a value that may stand in is returned, if there is one.
    soft: Option<Moment>,
    rereads: u32,
}

impl Reading {
    /// What this caller takes.
    pub(crate) fn seek(&self) -> Seek {
        self.seek
    }
}

/// What becomes of a read when a flight has landed.
pub(crate) enum Step<V> {
    Done(Result<Answer<V>>),
    Again(Reading),
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// A whole read.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        key: &K,
        patience: Patience,
        loader: Loader<V>,
    ) -> Result<Answer<V>> {
        let start = self.engine.about_now();
        let seen = self.look(key, start);
        self.go_on(key, seen, patience, loader).await
    }

    /// What memory has for a read that starts at `start`.
    pub(crate) fn look(&self, key: &K, start: Moment) -> Option<Seen<V>> {
        self.memory.get_with(key, start, |slot| self.seen(slot, start))
    }

    /// The same for a read that has looked already, which counts as one use.
    pub(crate) fn look_closer(&self, key: &K, start: Moment) -> Option<Seen<V>> {
        self.memory.peek(key, start, |slot| self.seen(slot, start))
    }

    fn seen(&self, slot: &Slot<V>, start: Moment) -> Seen<V> {
        if slot.is_calm(self.ground(), start) {
            let age = start - slot.times.loaded_at();
            return Seen::Served { answer: held(slot.value.clone(), age), due: None };
        }
        let Some(answer) = self.answer_of(slot, start) else { return Seen::Past };
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

    /// The answer that an entry gives at `now`, if it may be given at all.
    fn answer_of(&self, slot: &Slot<V>, now: Moment) -> Option<Answer<V>> {
        let times = slot.times_now(self.ground())?;
        let state = self.window.state(&times, HORIZON, now);
        let reason = match state {
            State::Fresh => Reason::Held,
            State::Stale => Reason::Refreshing,
            State::Gone => return None,
        };
        let current = now - times.as_of(HORIZON);
        let age = now - slot.times.loaded_at();
        Some(Answer { state, reason, current, ..held(slot.value.clone(), age) })
    }

    /// Whether a fresh entry is to be refreshed early.
    fn is_due(&self, slot: &Slot<V>, now: Moment) -> bool {
        slot.value.is_some()
            && self.window.wants_refresh(&slot.times, slot.cost(), now, self.engine.draw())
    }

    /// Goes on from what was seen in memory: serves it, or reads.
    pub(crate) async fn go_on(
        self: &Arc<Self>,
        key: &K,
        seen: Option<Seen<V>>,
        patience: Patience,
        loader: Loader<V>,
    ) -> Result<Answer<V>> {
        let seen = match seen {
            // The coarse clock may have been a few milliseconds ahead of an entry's end.
            None | Some(Seen::Past) => self.look_closer(key, self.engine.now()),
            served => served,
        };
        if let Some(Seen::Served { answer, due }) = seen
            && patience.takes(&answer)
        {
            if let Some(held) = due {
                self.refresh(key, held, loader);
            }
            return Ok(self.served(answer));
        }
        if let (Loader::Source, Some(answer)) = (&loader, self.surely_absent(key)) {
            return Ok(answer);
        }
        self.counters.misses.add(1);
        self.read(key, self.reading(key, patience), loader).await
    }

    /// The beginning of a read that memory couldn't serve.
    ///
    /// Its start is taken by the precise clock: a load that begins now is never too old for it.
    pub(crate) fn reading(&self, key: &K, patience: Patience) -> Reading {
        let start = self.engine.now();
        let seek = Seek { loaded_since: start.before(patience.max_staleness), born_since: 0 };
        let soft =
            self.stand_in(key, start, &patience, Reason::Slow).map(|_| start + patience.wait);
        let since = self.engine.events().count();
        Reading { start, patience, seek, since, soft, rereads: 0 }
    }

    /// What stands in while the key rests after a failure, if it does.
    pub(crate) fn resting(&self, key: &K, reading: &Reading) -> Option<Answer<V>> {
        // Where nothing stands in there is no need to ask.
        reading.soft?;
        self.flights.rests_until(key, self.engine.now())?;
        let answer = self.stand_in(key, reading.start, &reading.patience, Reason::Failing)?;
        Some(self.stood_in(key, answer))
    }

    /// Reads what memory can't serve: joins or leads flights until one brings what this caller
    /// may be given.
    pub(crate) async fn read(
        self: &Arc<Self>,
        key: &K,
        mut reading: Reading,
        loader: Loader<V>,
    ) -> Result<Answer<V>> {
        if let Some(answer) = self.resting(key, &reading) {
            return Ok(answer);
        }
        let mut loader = Some(loader);
        loop {
            let (landing, led) = self.fly(key, reading.seek, &mut loader)?;
            let may_repeat = loader.is_some() || self.source.is_some();
            match self.land(key, reading, landing, led, may_repeat).await {
                Step::Done(answer) => return answer,
                Step::Again(again) => reading = again,
            }
        }
    }

    /// Waits for a flight, and judges what it brought.
    pub(crate) async fn land(
        &self,
        key: &K,
        reading: Reading,
        mut landing: Landing<V>,
        led: bool,
        may_repeat: bool,
    ) -> Step<V> {
        let clock = &**self.engine.clock();
        let until = reading.start + reading.patience.deadline;
        let mut outcome = None;
        if let Some(soft) = reading.soft.filter(|&soft| soft < until) {
            outcome = within(clock, soft, &mut landing).await;
            if outcome.is_none()
                && let Some(answer) =
                    self.stand_in(key, reading.start, &reading.patience, Reason::Slow)
            {
                return Step::Done(Ok(self.stood_in(key, answer)));
            }
        }
        if outcome.is_none() {
            outcome = within(clock, until, &mut landing).await;
        }
        match outcome {
            Some(Ok(landed)) => match self.rejected(&landed, &reading) {
                Some(again) if may_repeat => Step::Again(again),
                _ => Step::Done(Ok(self.answer(landed, led))),
            },
            Some(Err(error)) => Step::Done(self.stand_in_for(key, &reading, error)),
            None => {
                let late = self.too_late(key, &reading);
                Step::Done(self.stand_in_for(key, &reading, late))
            }
        }
    }

    /// How a caller that can't take this result reads again; `None` if it can.
    fn rejected(&self, landed: &Landed<V>, reading: &Reading) -> Option<Reading> {
        if landed.as_of < reading.seek.loaded_since {
            return Some(*reading);
        }
        // The flight began before this read, and what was struck since may have been struck
        // before it too.
        if landed.born < reading.since && self.is_struck(landed) {
            let seek = Seek { born_since: reading.since, ..reading.seek };
            return Some(Reading { seek, ..*reading });
        }
        let again = landed.fill == Fill::Refused && reading.rereads < REREADS_MAX;
        again.then_some(Reading { rereads: reading.rereads + 1, ..*reading })
    }

    fn is_struck(&self, landed: &Landed<V>) -> bool {
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::TagsOfResult) {
            return false;
        }
        let rider = landed.rider.as_ref();
        rider.is_some_and(|rider| self.rider_fate(rider, landed.born) != Fate::Stands)
    }

    /// What may be given to a read that starts at `start` and can't be given better: what is
    /// within the promise, and beyond it a value, for as long as that stands in. A reader that
    /// named a limit of its own is given nothing beyond that.
    fn stand_in(
        &self,
        key: &K,
        start: Moment,
        patience: &Patience,
        reason: Reason,
    ) -> Option<Answer<V>> {
        let now = self.engine.now();
        let stands_in = |slot: &Slot<V>| {
            let times = slot.times_now(self.ground())?;
            let promised = self.window.state(&times, HORIZON, start) != State::Gone;
            let lenient = slot.value.is_some() && start <= self.window.stands_in_until(&times);
            let strict = patience.max_staleness < self.window.max_staleness;
            let too_old = strict && start - times.as_of(HORIZON) > patience.max_staleness;
            // It is judged by the start of the read, but given now.
            let (age, current) = (now - slot.times.loaded_at(), now - times.as_of(HORIZON));
            ((promised || lenient) && !too_old).then(|| Answer {
                state: State::Stale,
                reason,
                current,
                ..held(slot.value.clone(), age)
            })
        };
        self.memory.peek(key, start, stands_in).flatten()
    }

    /// Counts an answer that stands in.
    fn stood_in(&self, key: &K, answer: Answer<V>) -> Answer<V> {
        self.counters.stood_in(answer.age);
        self.tell(key, What::StoodIn { age: answer.age, reason: answer.reason });
        answer
    }

    /// What stands in for an error, or the error.
    fn stand_in_for(&self, key: &K, reading: &Reading, error: Error) -> Result<Answer<V>> {
        let stands_in =
            is_failure(&error) || matches!(error.kind(), ErrorKind::Shed | ErrorKind::Internal);
        let answer = stands_in
            .then(|| self.stand_in(key, reading.start, &reading.patience, Reason::Failing))
            .flatten();
        answer.map(|answer| self.stood_in(key, answer)).ok_or(error)
    }

    /// The answer to a caller for whom a flight has landed.
    fn answer(&self, landed: Landed<V>, led: bool) -> Answer<V> {
        let reason = match (landed.fill, led) {
            (Fill::Stored, true) => Reason::Loaded,
            (Fill::Stored, false) => Reason::Joined,
            (Fill::Refused | Fill::NotKept, _) => Reason::Uncached,
        };
        // A result keeps the as-of of its load: nothing that came later vouches for it.
        let age = self.engine.now() - landed.as_of;
        Answer { tier: Tier::Source, reason, ..held(landed.value, age) }
    }

    fn too_late(&self, key: &K, reading: &Reading) -> Error {
        let message = format!(
            "the cache {} had no answer within {:?}; the load goes on",
            self.name, reading.patience.deadline
        );
        Error::new(ErrorKind::Timeout, message).for_key(larder_core::KeyText::lossy(key))
    }
}

/// The answer that a held and fresh value gives.
fn held<V>(value: Option<V>, age: Duration) -> Answer<V> {
    let (tier, state, reason) = (Tier::Memory, State::Fresh, Reason::Held);
    Answer { value, tier, age, current: age, state, reason }
}
