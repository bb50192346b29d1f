//! Many keys with one call: what memory holds at once, what is being loaded joined, and the rest
//! loaded in as few questions as the source takes.

use std::sync::Arc;

use larder_core::{
    Answer, CacheKey, Error, ErrorKind, LoadContext, LoadError, Moment, Result, Terms,
};

use crate::cache::{Cache, Parts};
use crate::departed::Departed;
use crate::flight::{Landing, Role};
use crate::guard::Place;
use crate::held::Seen;
use crate::load::{Loader, no_source};
use crate::read::{Reading, Step};
use crate::shared::settle;

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
        let start = parts.engine.about_now();
        let mut led = Vec::new();
        let reads: Vec<_> = keys.iter().map(|key| parts.begin(key, start, &mut led)).collect();
        parts.depart_many(led);
        let mut answers = Vec::with_capacity(keys.len());
        for (key, read) in keys.iter().zip(reads) {
            answers.push(match read {
                Begun::Done(answer) => answer,
                Begun::Flying { reading, landing, led } => {
                    parts.end(key, reading, landing, led).await
                }
            });
        }
        answers
    }
}

/// The read of one key among many, begun.
enum Begun<V> {
    Done(Result<Answer<V>>),
    Flying { reading: Reading, landing: Landing<V>, led: bool },
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Takes the key from memory, or joins its flight, or adds it to those that this call leads.
    fn begin(self: &Arc<Self>, key: &K, start: Moment, led: &mut Vec<Departed<K, V>>) -> Begun<V> {
        let seen = match self.look(key, start) {
            None | Some(Seen::Past) => self.look_by_the_precise_clock(key),
            served => served,
        };
        if let Some(Seen::Served { answer, due }) = seen {
            // It is served now; its refresh is on the way with the others all the same.
            if let Some(held) = due {
                let begun = self.begin_refresh(key, held);
                led.extend(begun.map(|(flight, seek)| Departed::new(self, key, &flight, seek)));
            }
            return Begun::Done(Ok(self.served(answer)));
        }
        if let Some(answer) = self.surely_absent(key, self.patience.max_staleness) {
            return Begun::Done(Ok(answer));
        }
        self.counters.misses.add(1);
        let reading = self.reading(key, self.patience);
        if let Some(answer) = self.resting(key, &reading) {
            return Begun::Done(Ok(answer));
        }
        match self.join_or_lead(key, reading.seek()) {
            Err(error) => Begun::Done(Err(error)),
            Ok(Role::Join(flight)) => {
                self.counters.joined.add(1);
                Begun::Flying { reading, landing: flight.landing(), led: false }
            }
            Ok(Role::Lead(flight)) => {
                let landing = flight.landing();
                let loads = !self.land_from_memory(key, &flight, reading.seek());
                if loads {
                    led.push(Departed::new(self, key, &flight, reading.seek()));
                }
                Begun::Flying { reading, landing, led: loads }
            }
        }
    }

    /// Starts all led flights: through the shared tier, if there is one.
    pub(crate) fn depart_many(self: &Arc<Self>, led: Vec<Departed<K, V>>) {
        if self.part.is_some() {
            return self.depart_through_tier(led, None);
        }
        self.load_many(led);
    }

    /// Starts the loads of all led flights, as many keys to a question as the source takes.
    pub(crate) fn load_many(self: &Arc<Self>, mut led: Vec<Departed<K, V>>) {
        let batch_max = self.source.as_ref().map_or(1, |source| source.batch_max());
        while !led.is_empty() {
            let batch = led.split_off(led.len().saturating_sub(batch_max));
            match self.guard.enter(self.engine.now()) {
                Ok(place) => self.engine.spawn(load_batch(Arc::clone(self), batch, place)),
                Err(refused) => {
                    batch.into_iter().for_each(|departed| departed.refuse(&refused));
                }
            }
        }
    }

    /// Waits for the flight of one key; what it can't bring is read again alone.
    async fn end(
        self: &Arc<Self>,
        key: &K,
        reading: Reading,
        landing: Landing<V>,
        led: bool,
    ) -> Result<Answer<V>> {
        match self.land(key, reading, landing, led, self.source.is_some()).await {
            Step::Done(answer) => answer,
            Step::Again(again) => self.read(key, again, Loader::Source).await,
        }
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
        return batch.into_iter().for_each(|departed| departed.land(Err(no_source())));
    };
    let turn = match place.turn(parts.engine.clock()).await {
        Ok(turn) => turn,
        Err(refused) => {
            return batch.into_iter().for_each(|departed| departed.refuse(&refused));
        }
    };
    for departed in &mut batch {
        departed.keep_lease().await;
    }
    let loaded_at = parts.engine.now();
    let keys: Vec<K> = batch.iter().map(|departed| departed.key().clone()).collect();
    let (stale, held): (Vec<_>, Vec<_>) = batch.iter().map(Departed::stale).unzip();
    let context = LoadContext::with_stale(parts.load_timeout, stale);
    let mut lent = context.clone();
    let question = Box::pin(async {
        let values = source.load_many(&keys, &mut lent).await?;
        if values.len() == keys.len() { Ok(values) } else { Err(miscounted(&keys, &values)) }
    });
    let (result, cost) = parts.ask_source(&place, question).await;
    drop(turn);
    match result {
        Ok(values) => {
            // What a key cost is its share of what they cost together.
            let share = cost / u32::try_from(keys.len()).unwrap_or(u32::MAX);
            let terms = context.take_terms();
            let loaded = batch.into_iter().zip(values).zip(terms).zip(held);
            let sharing = loaded.filter_map(|(((departed, value), terms), held)| {
                departed.fill_and_land(Ok(value), &terms, held, loaded_at, share)
            });
            settle(sharing.collect()).await;
        }
        // One bad key must not fail its neighbours: each is asked for alone, one by one, in
        // this batch's place.
        Err(error) if error.kind() == ErrorKind::BadKey => {
            for departed in batch {
                departed.load_at(Loader::Source, &place).await;
            }
        }
        Err(error) => {
            let terms = Terms::default();
            let sharing = batch.into_iter().filter_map(|departed| {
                departed.fill_and_land(Err(error.clone()), &terms, None, loaded_at, cost)
            });
            settle(sharing.collect()).await;
        }
    }
}

/// What a batch fails with whose answer has the wrong length: nobody knows whose values they are.
fn miscounted<K, V>(keys: &[K], values: &[V]) -> LoadError {
    let message = format!("the source answered {} keys with {} values", keys.len(), values.len());
    Error::new(ErrorKind::Loader, message).into()
}
