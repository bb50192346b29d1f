//! A flight on its way: loaded in its turn, filled and landed, whatever becomes of its task.

use std::sync::Arc;
use std::time::Duration;

use larder_core::context::Stale;
use larder_core::{
    BoxFuture, CacheKey, Error, ErrorKind, KeyText, LoadContext, Moment, Result, State, Terms,
};

use crate::cache::Parts;
use crate::fence::Fence;
use crate::fill::{Keeps, Loaded, check_terms};
use crate::flight::{Flight, Landed};
use crate::guard::Place;
use crate::load::{Loader, Seek, no_source};
use crate::observe::What;
use crate::shared::{Opened, Passed, SharedFilling};
use crate::slot::Rider;

/// A flight whose load is under way. If it is dropped before it landed (its task was dropped
/// with the runtime) the flight lands as an error.
pub(crate) struct Departed<K: CacheKey, V: Clone + Send + Sync + 'static> {
    parts: Arc<Parts<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
    seek: Seek,
    /// What it has from the shared tier, if its cache has one.
    passed: Option<Box<Passed<V>>>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Departed<K, V> {
    pub(crate) fn new(
        parts: &Arc<Parts<K, V>>,
        key: &K,
        flight: &Arc<Flight<V>>,
        seek: Seek,
    ) -> Self {
        let (parts, flight) = (Arc::clone(parts), Arc::clone(flight));
        Self { parts, key: key.clone(), flight, seek, passed: None }
    }

    pub(crate) fn parts(&self) -> &Arc<Parts<K, V>> {
        &self.parts
    }

    /// What its leader takes.
    pub(crate) fn seek(&self) -> Seek {
        self.seek
    }

    /// It has asked the shared tier, and must load.
    pub(crate) fn has_passed(mut self, passed: Passed<V>) -> Self {
        self.passed = Some(Box::new(passed));
        self
    }

    /// Lands with an entry of the shared tier, which is copied into memory.
    pub(crate) fn land_from_tier(self, opened: Opened<V>, state: State) {
        let landed = self.parts.promote(&self.key, opened, state, self.flight.fence());
        self.land(Ok(landed));
    }

    /// What it has from the shared tier.
    pub(crate) fn passed(&mut self) -> Option<&mut Passed<V>> {
        self.passed.as_deref_mut()
    }

    /// What is held of its key, for its loader to go by, and what stands beside it.
    pub(crate) fn stale(&self) -> (Option<Stale>, Option<Arc<Rider>>) {
        match self.parts.stale(&self.key) {
            (None, _) => {
                self.passed.as_ref().map_or((None, None), |passed| passed.stale(&self.parts))
            }
            held => held,
        }
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// Loads in its turn, fills and lands.
    pub(crate) async fn load(self, loader: Loader<V>, place: Place) {
        self.load_at(loader, &place).await;
    }

    /// The same at a place that is used for more.
    pub(crate) async fn load_at(mut self, loader: Loader<V>, place: &Place) {
        // The turn ends with the question: filling needs no permit.
        let turn = match place.turn(self.parts.engine.clock()).await {
            Ok(turn) => turn,
            Err(refused) => return self.refuse(&refused),
        };
        self.keep_lease().await;
        let loaded_at = self.parts.engine.now();
        let (stale, held) = self.stale();
        let context = LoadContext::with_stale(self.parts.load_timeout, vec![stale]);
        let mut lent = context.clone();
        let question: BoxFuture<'_, _> = match (loader, &self.parts.source) {
            (Loader::Once(load), _) => load(lent),
            (Loader::Source, Some(source)) => source.load(&self.key, &mut lent),
            (Loader::Source, None) => Box::pin(async { Err(no_source().into()) }),
        };
        let (result, cost) = self.parts.ask_source(place, question).await;
        drop(turn);
        let terms = context.take_terms().pop().unwrap_or_default();
        if let Some(sharing) = self.fill_and_land(result, &terms, held, loaded_at, cost) {
            sharing.settle().await;
        }
    }

    /// Fills memory with what was loaded, then lands. What is left to do in the shared tier is
    /// returned: nobody waits for it.
    #[must_use]
    pub(crate) fn fill_and_land(
        mut self,
        result: Result<Option<V>>,
        terms: &Terms,
        held: Option<Arc<Rider>>,
        at: Moment,
        cost: Duration,
    ) -> Option<SharedFilling<K, V>> {
        #[cfg(shuttle)]
        if self.parts.engine.omits(crate::engine::Omit::FillBeforeLeaving) {
            self.parts.flights.leave(&self.key, &self.flight);
        }
        let result = result.and_then(|value| check_terms(terms).map(|()| value));
        let passed = self.passed.take();
        let keeps = passed.as_ref().map_or(Keeps::Briefly, |passed| passed.keeps);
        let outcome = match result {
            Ok(value) => {
                let loaded = Loaded { value, terms, held, at, cost };
                Ok(self.parts.fill(&self.key, loaded, self.fence(), keeps))
            }
            Err(error) => {
                // Before the failure is noted: what stands in lets the key rest.
                if let Some(stand_in) = passed.as_ref().and_then(|passed| passed.stand_in()) {
                    self.parts.promote(&self.key, stand_in, State::Gone, self.flight.fence());
                }
                self.parts.counters.keys_failed.add(1);
                let error = self.parts.failed(&self.key, error);
                self.parts.tell(&self.key, What::Failed { error: &error, took: cost });
                let named = error.key().is_some();
                Err(if named { error } else { error.for_key(KeyText::lossy(&self.key)) })
            }
        };
        let landed = outcome.as_ref().ok().filter(|_| terms.is_stored());
        let sharing =
            passed.and_then(|passed| SharedFilling::new(&self.parts, *passed, landed, cost));
        self.land(outcome);
        sharing
    }

    /// The fence under which its flight began.
    pub(crate) fn fence(&self) -> Fence {
        let fence = self.flight.fence();
        #[cfg(shuttle)]
        if self.parts.engine.omits(crate::engine::Omit::CountBeforeLoad) {
            return Fence { born: self.parts.engine.events().count(), ..fence };
        }
        fence
    }

    /// Lands with what the guard said, about this key.
    pub(crate) fn refuse(mut self, refused: &Error) {
        let passed = self.passed.take();
        let unused = passed
            .and_then(|passed| SharedFilling::new(&self.parts, *passed, None, Duration::ZERO));
        if let Some(unused) = unused {
            self.parts.engine.spawn(unused.settle());
        }
        let refused = refused.clone().for_key(KeyText::lossy(&self.key));
        self.land(Err(refused));
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
