//! Loads: what the leader of a flight sets going.
//!
//! A load runs in a task that the engine owns, under the guard and to its own timeout, whatever
//! becomes of the callers. A panic, an error or a dropped task lands the flight as an error:
//! nobody is left waiting.

use std::any::Any;
use std::borrow::Borrow;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use larder_core::context::Stale;
use larder_core::{
    BoxFuture, CacheKey, Error, ErrorKind, LoadContext, LoadError, Moment, Result, State, Tier,
};

use crate::backoff::BACKOFF_MIN;
use crate::cache::Parts;
use crate::departed::Departed;
use crate::fence::Fence;
use crate::fill::Fill;
use crate::flight::{Flight, Landed, Landing, Role};
use crate::guard::{Place, is_failure};
use crate::slot::Rider;
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

/// What a caller takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seek {
    /// The earliest moment at which it may have been the source's value for the last time.
    pub(crate) as_of_since: Moment,
    /// The value that is held was loaded then, and something newer is sought.
    pub(crate) newer_than: Option<Moment>,
    /// How many events there must have been when the load began.
    pub(crate) born_since: u64,
    /// Whether something stale in the shared tier is taken, while a refresh runs.
    pub(crate) takes_stale: bool,
}

/// By the clocks of two machines the same load seems to begin at moments that differ by the way
/// between them. What was loaded later by less than this isn't taken for newer.
const NEWER_BY: Duration = Duration::from_millis(20);

impl Seek {
    /// What is as current as this.
    pub(crate) fn since(as_of_since: Moment) -> Self {
        Self { as_of_since, newer_than: None, born_since: 0, takes_stale: false }
    }

    /// Whether what is held in memory, as of then and loaded then, is what is sought.
    fn takes_held(self, as_of: Moment, loaded_at: Moment) -> bool {
        as_of >= self.as_of_since && self.newer_than.is_none_or(|held| loaded_at > held)
    }

    /// Whether what the shared tier holds is.
    pub(crate) fn takes_shared(self, as_of: Moment, loaded_at: Moment) -> bool {
        as_of >= self.as_of_since && self.newer_than.is_none_or(|held| loaded_at > held + NEWER_BY)
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Joins the flight of `key`, or leads one with `loader`, which is taken only then. Returns
    /// the wait, and whether this caller's load is what is waited for.
    pub(crate) fn fly(
        self: &Arc<Self>,
        key: &K,
        seek: Seek,
        loader: &mut Option<Loader<V>>,
    ) -> Result<(Landing<V>, bool)> {
        match self.join_or_lead(key, seek)? {
            Role::Join(flight) => {
                self.counters.joined.add(1);
                Ok((flight.landing(), false))
            }
            Role::Lead(flight) => {
                let landing = flight.landing();
                if self.land_from_memory(key, &flight, seek) {
                    return Ok((landing, false));
                }
                self.depart(key, &flight, seek, loader.take().unwrap_or(Loader::Source));
                Ok((landing, true))
            }
        }
    }

    /// Sees to it that a refresh of `key`, whose held value was loaded at `held`, is running.
    /// Does nothing when the guard refuses, or while the key rests after a failure: what is
    /// held stands, and a later reader tries again.
    pub(crate) fn refresh(self: &Arc<Self>, key: &K, held: Moment, loader: Loader<V>) {
        if let Some((flight, seek)) = self.begin_refresh(key, held) {
            self.depart(key, &flight, seek, loader);
        }
    }

    /// The flight of a refresh, if one is to begin.
    pub(crate) fn begin_refresh(
        self: &Arc<Self>,
        key: &K,
        held: Moment,
    ) -> Option<(Arc<Flight<V>>, Seek)> {
        if self.is_seen_to(key, self.engine.now()) {
            return None;
        }
        let seek = Seek { newer_than: Some(held), ..Seek::since(Moment::ZERO) };
        match self.join_or_lead(key, seek) {
            Ok(Role::Lead(flight)) if !self.land_from_memory(key, &flight, seek) => {
                Some((flight, seek))
            }
            _ => None,
        }
    }

    /// Whether a reader that is served needs to begin nothing. A flight that an invalidation has
    /// overtaken brings nothing that is kept, so it doesn't count.
    pub(crate) fn is_seen_to<Q>(&self, key: &Q, now: Moment) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let fence = self.fence(key);
        let seek = Seek::since(now);
        self.flights.is_seen_to(key, now, |began| self.may_join(began, fence, seek))
    }

    /// Joins a flight of `key` that brings what is sought, or begins one. A key that can't name
    /// anything begins none.
    pub(crate) fn join_or_lead(&self, key: &K, seek: Seek) -> Result<Role<V>> {
        let text = self.text(key)?;
        if let Some(Err(error)) = self.source.as_ref().map(|source| source.check(key)) {
            return Err(if error.key().is_some() { error } else { error.for_key(text) });
        }
        let fence = self.fence(key);
        Ok(self.flights.join_or_lead(key, fence, |began| self.may_join(began, fence, seek)))
    }

    /// A flight is joined if it began after everything that was invalidated so far, or at least
    /// after everything that this caller must not miss. Its tags are known only when it lands:
    /// see [`read`](crate::read).
    fn may_join(&self, began: Fence, now: Fence, seek: Seek) -> bool {
        #[cfg(shuttle)]
        {
            use crate::engine::Omit;
            if self.engine.omits(Omit::EpochOfFlight) {
                return true;
            }
            if self.engine.omits(Omit::SweepOfFlight) {
                return began.epoch >= now.epoch;
            }
        }
        began.epoch >= now.epoch && !self.sweeps.voids(began.born) && began.born >= seek.born_since
    }

    /// A second look into memory by the leader of a new flight: the flight that it just missed
    /// has filled memory before it left the map. Without this look,
    ///
    /// 1. A finds nothing in memory,
    /// 2. B's flight fills memory and lands,
    /// 3. A finds no flight and loads again.
    pub(crate) fn land_from_memory(
        self: &Arc<Self>,
        key: &K,
        flight: &Arc<Flight<V>>,
        seek: Seek,
    ) -> bool {
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::SecondLook) {
            return false;
        }
        let landed = catch_unwind(AssertUnwindSafe(|| self.land_from_held(key, flight, seek)));
        landed.unwrap_or_else(|panic| {
            // A value whose copy panics. Whoever joined meanwhile must not wait for ever.
            let message = format!("a value of the cache {} couldn't be copied", self.name);
            self.flights.land(key, flight, Err(Error::new(ErrorKind::Internal, message)));
            resume_unwind(panic)
        })
    }

    fn land_from_held(self: &Arc<Self>, key: &K, flight: &Arc<Flight<V>>, seek: Seek) -> bool {
        if self.land_from_dirty(key, flight, seek) {
            return true;
        }
        let (now, ground) = (self.engine.now(), self.ground());
        let held = self.memory.peek(key, now, |slot| {
            let as_of = slot.times.as_of(ground.horizon);
            let serves = seek.takes_held(as_of, slot.times.loaded_at())
                && slot.state(ground, now) == State::Fresh;
            serves.then(|| Landed {
                value: slot.value.clone(),
                times: slot.times,
                as_of,
                fill: Fill::Stored,
                born: slot.born,
                rider: slot.rider.clone(),
                tier: Tier::Source,
                state: State::Fresh,
            })
        });
        let Some(landed) = held.flatten() else { return false };
        self.flights.land(key, flight, Ok(landed));
        true
    }

    /// Starts the load of a flight that this caller leads.
    pub(crate) fn depart(
        self: &Arc<Self>,
        key: &K,
        flight: &Arc<Flight<V>>,
        seek: Seek,
        loader: Loader<V>,
    ) {
        if let (Loader::Source, Some(_), Some(gathering)) = (&loader, &self.source, &self.gathering)
        {
            return gathering.gather(self, key, flight, seek);
        }
        let departed = Departed::new(self, key, flight, seek);
        if self.part.is_some() {
            return self.depart_through_tier(vec![departed], Some(loader));
        }
        self.load_alone(departed, loader);
    }

    /// Starts a flight that found nothing waiting to be applied after all.
    pub(crate) fn depart_alone(self: &Arc<Self>, departed: Departed<K, V>) {
        if self.part.is_some() {
            return self.depart_through_tier(vec![departed], None);
        }
        self.load_alone(departed, Loader::Source);
    }

    /// Starts the load of one flight.
    pub(crate) fn load_alone(&self, departed: Departed<K, V>, loader: Loader<V>) {
        if matches!(loader, Loader::Source) && self.source.is_none() {
            return departed.land(Err(no_source()));
        }
        match self.guard.enter(self.engine.now()) {
            Ok(place) => self.engine.spawn(departed.load(loader, place)),
            Err(refused) => departed.refuse(&refused),
        }
    }

    /// Runs one question to the source to its end, its timeout or its panic. Returns also how
    /// long it took.
    pub(crate) async fn ask_source<T>(
        &self,
        place: &Place,
        question: BoxFuture<'_, Result<T, LoadError>>,
    ) -> (Result<T>, Duration) {
        let clock = &**self.engine.clock();
        let began = clock.now();
        let outcome = within(clock, began + self.load_timeout, catch_panic(question)).await;
        let now = clock.now();
        let cost = now - began;
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
        place.answered(&result, cost, now);
        self.counters.loads.record(cost);
        if result.is_err() {
            self.counters.load_errors.add(1);
        }
        (result, cost)
    }

    /// What is held of `key`, for its loader to go by, and what stands beside it.
    pub(crate) fn stale(&self, key: &K) -> (Option<Stale>, Option<Arc<Rider>>) {
        let (now, ground) = (self.engine.now(), self.ground());
        let stale = |slot: &crate::slot::Slot<V>| {
            slot.times_now(ground)?;
            let value = slot.value.as_ref();
            let stale = Stale {
                value: value.map(|value| Arc::new(value.clone()) as Arc<dyn Any + Send + Sync>),
                validator: slot.rider.as_ref().and_then(|rider| rider.validator.clone()),
                age: now - slot.times.loaded_at(),
            };
            Some((stale, slot.rider.clone()))
        };
        let held = self.memory.peek(key, now, stale).flatten();
        held.map_or((None, None), |(stale, rider)| (Some(stale), rider))
    }

    /// Notes that a load of `key` failed; returns the error with the time after which asking
    /// again makes sense.
    pub(crate) fn failed(&self, key: &K, error: Error) -> Error {
        if !is_failure(&error) {
            return error;
        }
        let now = self.engine.now();
        let stands_in = self.memory.peek(key, now, |_| ()).is_some();
        let rest = if stands_in { self.flights.failed(key, now) - now } else { BACKOFF_MIN };
        if error.retry_delay().is_some() { error } else { error.retry_after(rest) }
    }
}

/// What a read meets that would have to ask a source which the cache doesn't have.
pub(crate) fn no_source() -> Error {
    let message = "this cache has no source; use get_or_load, or lookup and a ticket";
    Error::new(ErrorKind::Refused, message)
}
