//! The life of a read.
//!
//! 1. **Memory** (see `held`). Fresh: return. Stale but servable, or fresh and near its end:
//!    return it, and let exactly one flight refresh it.
//! 2. **Flight.** Capture the fence before any I/O; join or lead the flight for the key, its epoch
//!    and its cache's generation. A result carries its as-of, and every caller tests it against its
//!    own start: who started at *t* takes it only if `as_of >= t - max_staleness`, and only if none
//!    of its tags was struck between the start of the flight and its own; otherwise it reads again
//!    in a newer flight.
//! 3. **Source.** In the engine's own task, under the guard and a timeout (see `load`). Who waits
//!    longer than it wants to, or meets an error, gets what may stand in, if anything may (see
//!    `stand_in`).
//! 4. **Fill**, under the fence (see `fill`). Refused: read again a bounded number of times, then
//!    answer uncached.
//! 5. **Answer**: value, tier, age, how current, state, reason.

use std::sync::Arc;

use larder_core::{
    Answer, CacheKey, Error, ErrorKind, LoadContext, LoadError, Moment, Reason, Result, State, Tier,
};

use crate::backoff::BACKOFF_MIN;
use crate::cache::{Cache, Parts};
use crate::events::Fate;
use crate::fill::Fill;
use crate::flight::{Landed, Landing};
use crate::held::{Seen, held};
use crate::load::{Loader, Seek};
use crate::patience::Patience;
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
        let ground = parts.ground();
        // Most reads end here, so this is the least that can be done.
        let held = parts.memory.get_with(key, start, |slot| {
            slot.is_calm(ground, start).then(|| (slot.value.clone(), slot.age_nanos(start)))
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
}

/// A read that memory alone couldn't serve.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) start: Moment,
    pub(crate) patience: Patience,
    seek: Seek,
    /// How many events there had been when it began.
    since: u64,
    /// When a value that may stand in is returned, if there is one.
    pub(crate) soft: Option<Moment>,
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

    /// Goes on from what was seen in memory: serves it, or reads.
    pub(crate) async fn go_on(
        self: &Arc<Self>,
        key: &K,
        seen: Option<Seen<V>>,
        patience: Patience,
        loader: Loader<V>,
    ) -> Result<Answer<V>> {
        let seen = match seen {
            None | Some(Seen::Past) => self.look_by_the_precise_clock(key),
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
        if let Loader::Source = &loader
            && let Some(answer) = self.surely_absent(key, patience.max_staleness)
        {
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
        let seek = Seek {
            takes_stale: !patience.waits_for_fresh,
            ..Seek::since(start.before(patience.max_staleness))
        };
        let soft =
            self.stand_in(key, start, &patience, Reason::Slow).map(|_| start + patience.wait);
        let since = self.engine.events().count();
        Reading { start, patience, seek, since, soft, rereads: 0 }
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
        if landed.as_of < reading.seek.as_of_since {
            return Some(*reading);
        }
        // The flight began before this read, and what was struck since may have been struck
        // before it too.
        if landed.born < reading.since && self.is_struck(landed) {
            let seek = Seek { born_since: reading.since, ..reading.seek };
            return Some(Reading { seek, ..*reading });
        }
        let is_too_stale = landed.state == State::Stale && !reading.seek.takes_stale;
        let again = (landed.fill == Fill::Refused || is_too_stale) && reading.rereads < REREADS_MAX;
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

    /// The answer to a caller for whom a flight has landed.
    pub(crate) fn answer(&self, landed: Landed<V>, led: bool) -> Answer<V> {
        let reason = match (landed.tier, landed.state, landed.fill, led) {
            (Tier::Shared, State::Fresh, ..) => Reason::Held,
            (Tier::Shared, ..) => Reason::Refreshing,
            (_, _, Fill::Stored, true) => Reason::Loaded,
            (_, _, Fill::Stored, false) => Reason::Joined,
            (_, _, Fill::Refused | Fill::NotKept, _) => Reason::Uncached,
        };
        let now = self.engine.now();
        // A result keeps its as-of: nothing that came later vouches for it.
        let (age, current) = (now - landed.times.loaded_at(), now - landed.as_of);
        let (tier, state) = (landed.tier, landed.state);
        Answer { tier, state, reason, current, ..held(landed.value, age) }
    }

    fn too_late(&self, key: &K, reading: &Reading) -> Error {
        let message = format!(
            "the cache {} had no answer within {:?}; the load goes on",
            self.name, reading.patience.deadline
        );
        // The load may come at any moment: that is the shortest time that makes sense.
        let error = Error::new(ErrorKind::Timeout, message).retry_after(BACKOFF_MIN);
        error.for_key(larder_core::KeyText::lossy(key))
    }
}
