//! What the shared tier does for the flights of a cache, before the source is asked.
//!
//! 1. What this process knows is captured: the horizon, and how far the marks are known.
//! 2. A plain read. What is fresh, by its own lifetime, the promise, the marks and the run of the
//!    tier, lands the flight and is promoted into memory.
//! 3. For the rest, leases. Who gets one loads, and fills the tier under it.
//! 4. Who doesn't waits a while for the other's fill, asking again and again; then it loads
//!    without a lease, and fills the tier not at all.
//!
//! Where the tier can't be asked, or a key waits to be invalidated there, flights go to the source
//! straight away.

use std::sync::Arc;
use std::time::Duration;

use larder_core::envelope::Envelope;
use larder_core::shared::{Lease, LeaseAsk, MarkClock, SharedEntry, SharedRead};
use larder_core::{CacheKey, Error, ErrorKind, KeyText, Moment, Result, State};

use super::Shared;
use super::sealed::Opened;
use super::view::{Before, View, name};
use crate::cache::Parts;
use crate::departed::Departed;
use crate::fill::Keeps;
use crate::load::Loader;

/// The first wait for another process's fill, and the longest.
const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(50);
/// So many keys are asked for in one question.
const QUESTION_MAX: usize = 512;

/// What a flight that must load has from its pass through the tier.
#[derive(Debug)]
pub(crate) struct Passed<V> {
    /// The name of its key in the tier.
    pub(crate) name: Vec<u8>,
    pub(crate) lease: Option<Lease>,
    /// When the lease was asked for.
    pub(crate) leased_at: Moment,
    /// What was known of the marks before the load.
    pub(crate) marks: (u32, MarkClock),
    /// Whether memory may keep what is loaded.
    pub(crate) keeps: Keeps,
    /// What the tier holds, for when the source fails. Of a ticket: what it held, fresh, when it
    /// granted the lease.
    pub(crate) stand_in: Option<Opened<V>>,
}

/// A flight on its way.
struct Item<K: CacheKey, V: Clone + Send + Sync + 'static> {
    departed: Departed<K, V>,
    text: String,
    name: Vec<u8>,
    /// The fill stamp of what was found and couldn't be taken.
    seen: Option<u64>,
    stand_in: Option<Opened<V>>,
}

/// Flights that ask the tier, and flights that don't.
type Split<K, V> = (Vec<Item<K, V>>, Vec<Departed<K, V>>);

/// What became of a flight.
enum Next<K: CacheKey, V: Clone + Send + Sync + 'static> {
    Landed,
    Ask(Item<K, V>),
    Busy(Item<K, V>),
    Load(Departed<K, V>),
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Takes flights through the tier. Those that must load depart to the source.
    pub(crate) fn depart_through_tier(
        self: &Arc<Self>,
        mut led: Vec<Departed<K, V>>,
        mut loader: Option<Loader<V>>,
    ) {
        while !led.is_empty() {
            let batch = led.split_off(led.len().saturating_sub(QUESTION_MAX));
            let (parts, loader) = (Arc::clone(self), loader.take());
            self.engine.spawn(async move { parts.pass(batch, loader).await });
        }
    }

    /// How long a lease lasts: twice as long as a load may take.
    pub(crate) fn lease_time(&self) -> Duration {
        self.load_timeout.saturating_mul(2)
    }

    /// Starts the loads of flights that the tier didn't serve.
    fn depart_to_source(
        self: &Arc<Self>,
        mut led: Vec<Departed<K, V>>,
        loader: &mut Option<Loader<V>>,
    ) {
        match (loader.take(), led.len()) {
            (Some(once @ Loader::Once(_)), 1) => {
                if let Some(departed) = led.pop() {
                    self.load_alone(departed, once);
                }
            }
            (given, _) => {
                *loader = given;
                self.load_many(led);
            }
        }
    }

    async fn pass(self: Arc<Self>, batch: Vec<Departed<K, V>>, mut loader: Option<Loader<V>>) {
        let (Some(shared), Some(part)) = (self.engine.shared().cloned(), &self.part) else {
            return self.depart_to_source(batch, &mut loader);
        };
        let Some(_seat) = Seat::take(&shared, batch.len()) else {
            let error = shed(&self.name);
            return batch.into_iter().for_each(|departed| departed.refuse(&error));
        };
        let view = View { parts: &self, shared: &shared, part };
        let Some(before) = view.before() else {
            return self.depart_to_source(batch, &mut loader);
        };
        let (items, straight) = view.items(batch);
        self.depart_to_source(straight, &mut loader);
        let mut asking = view.read(items, before, &mut loader).await;
        let wait_until = self.engine.now() + shared.bounds.fill_wait;
        let mut pause = POLL_MIN;
        while !asking.is_empty() {
            let (load, busy) = view.lease(asking, &mut loader).await;
            self.depart_to_source(load, &mut loader);
            let now = self.engine.now();
            if busy.is_empty() {
                return;
            }
            if now >= wait_until {
                let uncoordinated = busy
                    .into_iter()
                    .map(|item| view.load(item, None, before, Keeps::Fully))
                    .collect();
                return self.depart_to_source(uncoordinated, &mut loader);
            }
            let clock = self.engine.clock();
            clock.sleep_until((now + pause).min(wait_until)).await;
            pause = (pause * 2).min(POLL_MAX);
            asking = busy;
        }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> View<'_, K, V> {
    /// The flights as they are asked for, and those whose keys wait to be invalidated.
    fn items(&self, batch: Vec<Departed<K, V>>) -> Split<K, V> {
        let (mut items, mut straight) = (Vec::with_capacity(batch.len()), Vec::new());
        for departed in batch {
            // A flight whose key has no text never departs.
            let text = KeyText::of(departed.key()).unwrap_or_default();
            let name = name(&self.parts.name, &text);
            let item = Item { departed, text, name, seen: None, stand_in: None };
            if self.quarantines(&item.text) {
                straight.push(self.load(item, None, Before::never(), Keeps::Not));
            } else {
                items.push(item);
            }
        }
        (items, straight)
    }

    /// Reads what the tier holds, and returns the flights that need a lease.
    async fn read(
        &self,
        items: Vec<Item<K, V>>,
        before: Before,
        loader: &mut Option<Loader<V>>,
    ) -> Vec<Item<K, V>> {
        let names: Vec<&[u8]> = items.iter().map(|item| item.name.as_slice()).collect();
        let entries = self.shared.link.get_many(&names).await;
        drop(names);
        let mut asking = Vec::new();
        let mut straight = Vec::new();
        for (item, entry) in items.into_iter().zip(entries) {
            match entry {
                Ok(None) => asking.push(item),
                Ok(Some(entry)) => match self.judge(item, &entry, before, loader) {
                    Next::Ask(item) | Next::Busy(item) => asking.push(item),
                    Next::Load(departed) => straight.push(departed),
                    Next::Landed => {}
                },
                Err(_) => {
                    self.parts.counters.shared_errors.add(1);
                    straight.push(self.load(item, None, before, Keeps::Briefly));
                }
            }
        }
        self.parts.depart_to_source(straight, loader);
        asking
    }

    /// Asks for leases: those that load, with a lease or without one, and those that wait.
    async fn lease(
        &self,
        items: Vec<Item<K, V>>,
        loader: &mut Option<Loader<V>>,
    ) -> (Vec<Departed<K, V>>, Vec<Item<K, V>>) {
        let (mut load, mut busy) = (Vec::new(), Vec::new());
        let Some(before) = self.before() else {
            // It lost track meanwhile: what the tier says can't be judged.
            let straight = |item| self.load(item, None, Before::never(), Keeps::Briefly);
            return (items.into_iter().map(straight).collect(), busy);
        };
        let asks: Vec<LeaseAsk<'_>> =
            items.iter().map(|item| LeaseAsk { key: &item.name, seen: item.seen }).collect();
        let reads = self.shared.link.lease_many(&asks, self.parts.lease_time()).await;
        drop(asks);
        for (item, read) in items.into_iter().zip(reads) {
            match self.leased(item, read, before, loader) {
                Next::Landed => {}
                Next::Load(departed) => load.push(departed),
                Next::Ask(item) | Next::Busy(item) => busy.push(item),
            }
        }
        (load, busy)
    }

    /// What a question for a lease came to.
    fn leased(
        &self,
        mut item: Item<K, V>,
        read: Result<SharedRead>,
        before: Before,
        loader: &mut Option<Loader<V>>,
    ) -> Next<K, V> {
        let counters = &self.parts.counters;
        match read {
            Err(_) => {
                counters.shared_errors.add(1);
                Next::Load(self.load(item, None, before, Keeps::Briefly))
            }
            Ok(SharedRead::Hit(entry)) => self.judge(item, &entry, before, loader),
            Ok(SharedRead::Miss(lease)) => {
                Next::Load(self.load(item, Some(lease), before, Keeps::Fully))
            }
            Ok(SharedRead::Stale { entry, lease }) => {
                // What was seen already can't be read any better now.
                if Envelope::stamp_of(&entry.envelope) != item.seen {
                    item.stand_in = self.open(&item.text, &entry, before);
                }
                Next::Load(self.load(item, Some(lease), before, Keeps::Fully))
            }
            Ok(SharedRead::Busy { stale, .. }) => {
                counters.shared_busy.add(1);
                match stale {
                    Some(entry) => match self.judge(item, &entry, before, loader) {
                        Next::Ask(item) => Next::Busy(item),
                        landed => landed,
                    },
                    None => Next::Busy(item),
                }
            }
            // Until the writer has ended nobody knows which value is the right one.
            Ok(SharedRead::WriterPending { .. }) => {
                Next::Load(self.load(item, None, before, Keeps::Not))
            }
        }
    }

    /// A flight that must load.
    fn load(
        &self,
        item: Item<K, V>,
        lease: Option<Lease>,
        before: Before,
        keeps: Keeps,
    ) -> Departed<K, V> {
        let Item { departed, name, stand_in, .. } = item;
        let (leased_at, marks) = (before.sent, before.marks);
        departed.has_passed(Passed { name, lease, leased_at, marks, keeps, stand_in })
    }

    /// Lands the flight with an entry, or says what is wrong with it.
    fn judge(
        &self,
        mut item: Item<K, V>,
        entry: &SharedEntry,
        before: Before,
        loader: &mut Option<Loader<V>>,
    ) -> Next<K, V> {
        item.seen = Envelope::stamp_of(&entry.envelope);
        let Some(opened) = self.open(&item.text, entry, before) else { return Next::Ask(item) };
        let now = self.parts.engine.now();
        let state = self.parts.window.state(&opened.times, before.horizon, now);
        let seek = item.departed.seek();
        if self.quarantines(&item.text) {
            return Next::Load(self.load(item, None, before, Keeps::Not));
        }
        let takes = match state {
            State::Fresh => true,
            State::Stale => seek.takes_stale,
            State::Gone => false,
        };
        if takes && seek.takes_shared(opened.as_of, opened.times.loaded_at()) {
            self.parts.counters.shared_hit(now - opened.times.loaded_at());
            let (key, held) = (item.departed.key().clone(), opened.times.loaded_at());
            item.departed.land_from_tier(opened, state);
            if state == State::Stale {
                self.parts.refresh(&key, held, loader.take().unwrap_or(Loader::Source));
            }
            return Next::Landed;
        }
        item.stand_in = Some(opened);
        Next::Ask(item)
    }
}

/// Places among the flights that ask the tier, given back on drop.
struct Seat<'a>(&'a Shared, usize);

impl<'a> Seat<'a> {
    fn take(shared: &'a Shared, flights: usize) -> Option<Self> {
        let taken = shared.flights.fetch_add(flights, larder_core::sync::Ordering::Relaxed);
        let seat = Self(shared, flights);
        (taken < shared.bounds.flights_max).then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.flights.fetch_sub(self.1, larder_core::sync::Ordering::Relaxed);
    }
}

fn shed(cache: &str) -> Error {
    let message = format!("too many reads of the cache {cache} wait for the shared tier");
    Error::new(ErrorKind::Shed, message).retry_after(POLL_MAX)
}
