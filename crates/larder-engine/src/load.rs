//! Loads: what the leader of a flight sets going.
//!
//! A load runs in a task that the engine owns, under the bulkhead and to its own timeout,
//! whatever becomes of the callers. A panic, an error or a dropped task lands the flight as an
//! error: nobody is left waiting.

use std::sync::Arc;

use larder_core::{
    BoxFuture, CacheKey, Error, ErrorKind, KeyText, LoadContext, LoadError, Moment, Result, State,
};

use crate::bulkhead::Place;
use crate::cache::Parts;
use crate::fence::Fence;
use crate::flight::{Fill, Flight, Landed, Landing, Role};
use crate::slot::Slot;
use crate::wait::{catch_panic, within};

/// A closure that loads once.
pub(crate) type LoadOnce<V> = Box<
    dyn FnOnce(LoadContext) -> BoxFuture<'static, Result<Option<V>, LoadError>> + Send + 'static,
>;

/// Who is asked for the value.
pub(crate) enum Loader<V> {
    /// The cache's source.
    Source,
    /// The caller's own closure.
    Once(LoadOnce<V>),
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Joins the flight of `key`, or leads one with `loader`, which is taken only then. Returns
    /// the wait, and whether this caller's load is what is waited for.
    pub(crate) fn fly(
        self: &Arc<Self>,
        key: &K,
        loader: &mut Option<Loader<V>>,
    ) -> Result<(Landing<V>, bool)> {
        match self.join_or_lead(key)? {
            Role::Join(flight) => {
                self.counters.joined.add(1);
                Ok((flight.landing(), false))
            }
            Role::Lead(flight) => {
                let landing = flight.landing();
                if self.land_from_memory(key, &flight) {
                    return Ok((landing, false));
                }
                self.depart(key, &flight, loader.take().unwrap_or(Loader::Source));
                Ok((landing, true))
            }
        }
    }

    /// Sees to it that a refresh of `key` is running. Does nothing when the bulkhead is full:
    /// the stale entry stands, and the next reader tries again.
    pub(crate) fn refresh(self: &Arc<Self>, key: &K) {
        if let Ok(Role::Lead(flight)) = self.join_or_lead(key)
            && !self.land_from_memory(key, &flight)
        {
            self.depart(key, &flight, Loader::Source);
        }
    }

    /// Joins the flight of `key` that began under the epoch of now, or begins one. A key that
    /// can't name anything begins none.
    pub(crate) fn join_or_lead(&self, key: &K) -> Result<Role<V>> {
        let text = self.text(key)?;
        if let Some(Err(error)) = self.source.as_ref().map(|source| source.check(key)) {
            return Err(if error.key().is_some() { error } else { error.for_key(text) });
        }
        let fence = self.fence(key);
        Ok(self.flights.join_or_lead(key, fence, |began| self.may_join(began, fence)))
    }

    fn may_join(&self, began: Fence, now: Fence) -> bool {
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::EpochOfFlight) {
            return true;
        }
        // A flight that began later than this caller looked is as good or better.
        began.epoch >= now.epoch
    }

    /// A second look into memory by the leader of a new flight: the flight that it just missed
    /// has filled memory before it left the map. Without this look,
    ///
    /// 1. A finds nothing in memory,
    /// 2. B's flight fills memory and lands,
    /// 3. A finds no flight and loads again.
    pub(crate) fn land_from_memory(&self, key: &K, flight: &Arc<Flight<V>>) -> bool {
        let now = self.engine.now();
        let held = self.memory.peek(key, now, |slot| {
            (slot.state(&self.window, now) == State::Fresh).then(|| Landed {
                value: slot.value.clone(),
                as_of: slot.times.loaded_at,
                fill: Fill::Stored,
            })
        });
        let Some(landed) = held.flatten() else { return false };
        self.flights.land(key, flight, Ok(landed));
        true
    }

    /// Starts the load of a flight that this caller leads.
    fn depart(self: &Arc<Self>, key: &K, flight: &Arc<Flight<V>>, loader: Loader<V>) {
        let departed = Departed::new(self, key, flight);
        if matches!(loader, Loader::Source) && self.source.is_none() {
            let message = "this cache has no source; use get_or_load, or lookup and a ticket";
            return departed.land(Err(Error::new(ErrorKind::Refused, message)));
        }
        match self.bulkhead.enter() {
            Ok(place) => self.engine.spawn(departed.load(loader, place)),
            Err(shed) => departed.land(Err(shed)),
        }
    }

    /// Runs one question to the source to its end, its timeout or its panic.
    pub(crate) async fn ask_source<T>(
        &self,
        question: BoxFuture<'_, Result<T, LoadError>>,
    ) -> Result<T> {
        let clock = &**self.engine.clock();
        let began = clock.now();
        let outcome = within(clock, began + self.load_timeout, catch_panic(question)).await;
        let cost = clock.now() - began;
        self.counters.loads.record(cost);
        self.bulkhead.loaded(cost);
        let result = match outcome {
            Some(Ok(Ok(value))) => Ok(value),
            Some(Ok(Err(error))) => Err(Error::from_loader(error)),
            Some(Err(panic)) => Err(Error::new(
                ErrorKind::Loader,
                format!("the loader of the cache {} panicked: {panic}", self.name),
            )),
            None => Err(Error::new(
                ErrorKind::Timeout,
                format!("the source of {} took longer than {:?}", self.name, self.load_timeout),
            )),
        };
        if result.is_err() {
            self.counters.load_errors.add(1);
        }
        result
    }

    /// Keeps what was loaded, if its fence still holds.
    pub(crate) fn fill(
        &self,
        key: &K,
        value: Option<V>,
        fence: Fence,
        loaded_at: Moment,
    ) -> Landed<V> {
        if value.is_none() {
            self.counters.absent.add(1);
        }
        let fill = self.keep(key, value.clone(), fence, loaded_at);
        if fill == Fill::Refused {
            self.counters.refused.add(1);
        }
        Landed { value, as_of: loaded_at, fill }
    }

    fn keep(&self, key: &K, value: Option<V>, fence: Fence, loaded_at: Moment) -> Fill {
        let now = self.engine.now();
        let times = self.window.times(loaded_at, value.is_some(), self.engine.draw());
        let expires_at = self.window.gone_after(&times);
        if !self.window.keeps() || expires_at < now {
            return Fill::NotKept;
        }
        let weight = (self.weigh)(key, value.as_ref());
        let cost_micros = u32::try_from(now.since(loaded_at).as_micros()).unwrap_or(u32::MAX);
        let slot = Slot { value, times, cost_micros };
        // Called under the lock under which an invalidation raises the epoch and removes.
        let holds = |held: Option<&Slot<V>>| {
            // Of two fills the one that was loaded later stays, whichever comes last.
            let newest = held.is_none_or(|held| held.times.loaded_at <= loaded_at);
            newest && self.engine.epochs().holds(fence)
        };
        match self.memory.insert_if(key.clone(), slot, weight, expires_at, now, holds) {
            larder_memory::Insert::Stored => Fill::Stored,
            larder_memory::Insert::Refused => Fill::Refused,
            larder_memory::Insert::TooHeavy | larder_memory::Insert::NoRoom => Fill::NotKept,
        }
    }
}

/// A flight whose load is under way. If it is dropped before it landed (its task was dropped
/// with the runtime) the flight lands as an error.
pub(crate) struct Departed<K: CacheKey, V: Clone + Send + Sync + 'static> {
    parts: Arc<Parts<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Departed<K, V> {
    pub(crate) fn new(parts: &Arc<Parts<K, V>>, key: &K, flight: &Arc<Flight<V>>) -> Self {
        Self { parts: Arc::clone(parts), key: key.clone(), flight: Arc::clone(flight) }
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// Loads in its turn, fills and lands.
    pub(crate) async fn load(self, loader: Loader<V>, place: Place) {
        // The turn ends with the question: filling needs no permit.
        let turn = place.turn().await;
        let loaded_at = self.parts.engine.now();
        let mut context = LoadContext::new(self.parts.load_timeout);
        let question: BoxFuture<'_, _> = match (loader, &self.parts.source) {
            (Loader::Once(load), _) => load(context),
            (Loader::Source, Some(source)) => source.load(&self.key, &mut context),
            (Loader::Source, None) => Box::pin(async { Ok(None) }),
        };
        let result = self.parts.ask_source(question).await;
        drop((turn, place));
        self.fill_and_land(result, loaded_at);
    }

    /// Fills memory with what was loaded, then lands.
    pub(crate) fn fill_and_land(self, result: Result<Option<V>>, loaded_at: Moment) {
        let fence = self.flight.fence();
        let outcome = match result {
            Ok(value) => Ok(self.parts.fill(&self.key, value, fence, loaded_at)),
            Err(error) if error.key().is_some() => Err(error),
            Err(error) => Err(error.for_key(KeyText::lossy(&self.key))),
        };
        self.land(outcome);
    }

    /// Lands. The drop that follows finds the flight landed.
    pub(crate) fn land(self, outcome: Result<Landed<V>>) {
        self.parts.flights.land(&self.key, &self.flight, outcome);
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Drop for Departed<K, V> {
    fn drop(&mut self) {
        if !self.flight.has_landed() {
            let message = "the load was dropped: the runtime is shutting down";
            let error = Error::new(ErrorKind::Internal, message);
            self.parts.flights.land(&self.key, &self.flight, Err(error));
        }
    }
}
