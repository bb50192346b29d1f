//! Many keys with one call: what memory holds at once, what is being loaded joined, and the rest
//! loaded in as few questions as the source takes.

use std::sync::Arc;

use larder_core::{Answer, CacheKey, Error, ErrorKind, LoadContext, Result, State};

use crate::bulkhead::Place;
use crate::cache::{Cache, Parts};
use crate::flight::{Fill, Landing, Role};
use crate::load::{Departed, Loader};
use crate::wait::within;

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The values of `keys`, in their order; `None` where the source has none. Keys may repeat.
    ///
    /// # Errors
    ///
    /// The first error among the keys; see [`ask`](Self::ask). What was loaded is kept.
    ///
    /// # Cancel safety
    ///
    /// As [`get`](Self::get).
    pub async fn get_many(&self, keys: &[K]) -> Result<Vec<Option<V>>> {
        self.ask_many(keys).await.into_iter().map(|answer| Ok(answer?.value)).collect()
    }

    /// The values of `keys`, in their order, each with everything known about it or with its own
    /// error. Keys may repeat.
    ///
    /// # Cancel safety
    ///
    /// As [`get`](Self::get).
    pub async fn ask_many(&self, keys: &[K]) -> Vec<Result<Answer<V>>> {
        let parts = &self.0;
        let start = parts.engine.now();
        let mut led = Vec::new();
        let reads: Vec<_> = keys.iter().map(|key| parts.begin(key, start, &mut led)).collect();
        parts.depart_many(led);
        let mut answers = Vec::with_capacity(keys.len());
        for (key, read) in keys.iter().zip(reads) {
            answers.push(match read {
                Begun::Done(answer) => answer,
                Begun::Flying { landing, led } => parts.end(key, start, landing, led).await,
            });
        }
        answers
    }
}

/// The read of one key among many, begun.
enum Begun<V> {
    Done(Result<Answer<V>>),
    Flying { landing: Landing<V>, led: bool },
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Takes the key from memory, or joins its flight, or adds it to those that this call leads.
    fn begin(
        self: &Arc<Self>,
        key: &K,
        start: larder_core::Moment,
        led: &mut Vec<Departed<K, V>>,
    ) -> Begun<V> {
        let held = self.held(key, start);
        if let Some(answer) = &held
            && answer.state == State::Fresh
        {
            return Begun::Done(Ok(answer.clone()));
        }
        if held.is_none() {
            self.counters.misses.add(1);
        }
        let flying = match self.join_or_lead(key) {
            Err(error) => return Begun::Done(Err(error)),
            Ok(Role::Join(flight)) => {
                if held.is_none() {
                    self.counters.joined.add(1);
                }
                Begun::Flying { landing: flight.landing(), led: false }
            }
            Ok(Role::Lead(flight)) => {
                let landing = flight.landing();
                let loads = !self.land_from_memory(key, &flight);
                if loads {
                    led.push(Departed::new(self, key, &flight));
                }
                Begun::Flying { landing, led: loads }
            }
        };
        // A stale entry is served now; its flight is on the way all the same.
        held.map_or(flying, |answer| Begun::Done(Ok(answer)))
    }

    /// Starts the loads of all led flights, as many keys to a question as the source takes.
    fn depart_many(self: &Arc<Self>, mut led: Vec<Departed<K, V>>) {
        let batch_max = self.source.as_ref().map_or(1, |source| source.batch_max());
        while !led.is_empty() {
            let batch = led.split_off(led.len().saturating_sub(batch_max));
            match self.bulkhead.enter() {
                Ok(place) => self.engine.spawn(load_batch(Arc::clone(self), batch, place)),
                Err(shed) => {
                    batch.into_iter().for_each(|departed| departed.land(Err(shed.clone())));
                }
            }
        }
    }

    /// Waits for the flight of one key; what it can't bring is read again alone.
    async fn end(
        self: &Arc<Self>,
        key: &K,
        start: larder_core::Moment,
        landing: Landing<V>,
        led: bool,
    ) -> Result<Answer<V>> {
        let until = start + self.deadline;
        let Some(outcome) = within(&**self.engine.clock(), until, landing).await else {
            return Err(self.too_late(key));
        };
        let landed = outcome?;
        let too_old = landed.as_of < start.before(self.window.max_staleness);
        if too_old || landed.fill == Fill::Refused {
            return self.read(key, start, Loader::Source).await;
        }
        Ok(self.answer(landed, led))
    }
}

/// Loads a batch in its turn, fills and lands every key of it.
async fn load_batch<K: CacheKey, V: Clone + Send + Sync + 'static>(
    parts: Arc<Parts<K, V>>,
    mut batch: Vec<Departed<K, V>>,
    place: Place,
) {
    if batch.len() == 1
        && let Some(departed) = batch.pop()
    {
        return departed.load(Loader::Source, place).await;
    }
    let Some(source) = &parts.source else {
        let message = "this cache has no source; use get_or_load, or lookup and a ticket";
        let error = Error::new(ErrorKind::Refused, message);
        return batch.into_iter().for_each(|departed| departed.land(Err(error.clone())));
    };
    let turn = place.turn().await;
    let loaded_at = parts.engine.now();
    let keys: Vec<K> = batch.iter().map(|departed| departed.key().clone()).collect();
    let mut context = LoadContext::new(parts.load_timeout);
    let result = parts.ask_source(source.load_many(&keys, &mut context)).await;
    drop(turn);
    match result {
        Ok(values) if values.len() == keys.len() => {
            for (departed, value) in batch.into_iter().zip(values) {
                departed.fill_and_land(Ok(value), loaded_at);
            }
        }
        Ok(values) => {
            let message =
                format!("the source answered {} keys with {} values", keys.len(), values.len());
            let error = Error::new(ErrorKind::Loader, message);
            batch.into_iter().for_each(|departed| departed.land(Err(error.clone())));
        }
        // One bad key must not fail its neighbours: each is asked for alone, one by one, in
        // this batch's place.
        Err(error) if error.kind() == ErrorKind::BadKey => {
            for departed in batch {
                load_alone(&parts, departed, &place).await;
            }
        }
        Err(error) => {
            batch.into_iter().for_each(|departed| departed.land(Err(error.clone())));
        }
    }
}

/// Loads one key of a batch that failed.
async fn load_alone<K: CacheKey, V: Clone + Send + Sync + 'static>(
    parts: &Arc<Parts<K, V>>,
    departed: Departed<K, V>,
    place: &Place,
) {
    let Some(source) = &parts.source else { return };
    let turn = place.turn().await;
    let loaded_at = parts.engine.now();
    let mut context = LoadContext::new(parts.load_timeout);
    let result = parts.ask_source(source.load(departed.key(), &mut context)).await;
    drop(turn);
    departed.fill_and_land(result, loaded_at);
}
