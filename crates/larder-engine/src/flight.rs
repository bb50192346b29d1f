//! Flights: one running load of one key, its leader, and everyone who joined.
//!
//! A flight is found by its key and carries the fence under which it began. A caller whose fence
//! is newer never joins it: it arrived after an invalidation, and must not be given what was
//! read before. The newer flight takes the older one's place in the map; the older one still
//! lands for those who joined it in time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use foldhash::fast::RandomState;
use larder_core::sync::Mutex;
use larder_core::{CacheKey, Moment, Result, State, Tier, Times};

use crate::backoff::Failures;
use crate::fence::Fence;
use crate::fill::Fill;
use crate::slot::Rider;

/// What a flight brought.
#[derive(Clone, Debug)]
pub(crate) struct Landed<V> {
    pub(crate) value: Option<V>,
    pub(crate) times: Times,
    /// The value was the source's at some moment since: when its load began, or what its stream
    /// vouched for before it was read in the shared tier.
    pub(crate) as_of: Moment,
    pub(crate) fill: Fill,
    /// How many events there had been when the load began.
    pub(crate) born: u64,
    /// Its tags, by which a caller that came later tests it.
    pub(crate) rider: Option<Arc<Rider>>,
    /// Where it comes from.
    pub(crate) tier: Tier,
    /// What it is worth: stale only from the shared tier.
    pub(crate) state: State,
}

/// One running load.
#[derive(Debug)]
pub(crate) struct Flight<V> {
    fence: Fence,
    progress: Mutex<Progress<V>>,
}

#[derive(Debug)]
enum Progress<V> {
    /// A place per waiting caller; a caller that goes away leaves its place to another.
    Running {
        waiting: Vec<Option<Waker>>,
        /// The places that were left.
        free: Vec<usize>,
    },
    Done(Result<Landed<V>>),
}

impl<V: Clone> Flight<V> {
    fn new(fence: Fence) -> Arc<Self> {
        Arc::new(Self {
            fence,
            progress: Mutex::new(Progress::Running { waiting: Vec::new(), free: Vec::new() }),
        })
    }

    /// The fence under which this flight began.
    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    /// Waits for the landing.
    pub(crate) fn landing(self: &Arc<Self>) -> Landing<V> {
        Landing { flight: Arc::clone(self), place: None }
    }

    /// Whether everyone has been given the outcome.
    pub(crate) fn has_landed(&self) -> bool {
        matches!(&*self.progress.lock(), Progress::Done(_))
    }

    /// Lands, unless it has landed already, and wakes everyone.
    fn land(&self, outcome: Result<Landed<V>>) {
        let waiting = {
            let mut progress = self.progress.lock();
            match &mut *progress {
                Progress::Done(_) => return,
                Progress::Running { waiting, .. } => {
                    let waiting = std::mem::take(waiting);
                    *progress = Progress::Done(outcome);
                    waiting
                }
            }
        };
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

/// The wait for a flight.
///
/// # Cancel safety
///
/// Dropping it leaves the flight; the load goes on.
#[derive(Debug)]
pub(crate) struct Landing<V> {
    flight: Arc<Flight<V>>,
    place: Option<usize>,
}

impl<V: Clone> Future for Landing<V> {
    type Output = Result<Landed<V>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let flight = Arc::clone(&self.flight);
        let mut progress = flight.progress.lock();
        match &mut *progress {
            Progress::Done(outcome) => Poll::Ready(outcome.clone()),
            Progress::Running { waiting, free } => {
                let waker = Some(context.waker().clone());
                match self.place.or_else(|| free.pop()) {
                    Some(place) => {
                        self.place = Some(place);
                        waiting[place] = waker;
                    }
                    None => {
                        self.place = Some(waiting.len());
                        waiting.push(waker);
                    }
                }
                Poll::Pending
            }
        }
    }
}

impl<V> Drop for Landing<V> {
    fn drop(&mut self) {
        if let Some(place) = self.place
            && let Progress::Running { waiting, free } = &mut *self.flight.progress.lock()
        {
            waiting[place] = None;
            free.push(place);
        }
    }
}

/// Whether a caller found a flight or began one.
#[derive(Debug)]
pub(crate) enum Role<V> {
    Lead(Arc<Flight<V>>),
    Join(Arc<Flight<V>>),
}

/// The running flights of one cache, and the keys whose loads failed lately.
///
/// There are never more flights than the bulkhead lets load and wait, times the keys of a batch:
/// who leads a flight takes a place there, or lands it at once.
#[derive(Debug)]
pub(crate) struct Flights<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<K, V> {
    running: HashMap<K, Arc<Flight<V>>, RandomState>,
    failures: Failures<K>,
}

/// Flights are only touched on a miss, so a few locks suffice.
const SHARDS: usize = 16;

impl<K: CacheKey, V: Clone> Flights<K, V> {
    pub(crate) fn new() -> Self {
        let shard = || Shard { running: HashMap::default(), failures: Failures::default() };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Joins the flight of `key` that `joinable` accepts, or begins one in its place.
    pub(crate) fn join_or_lead(
        &self,
        key: &K,
        fence: Fence,
        joinable: impl FnOnce(Fence) -> bool,
    ) -> Role<V> {
        let mut shard = self.shard(key).lock();
        match shard.running.get(key) {
            Some(flight) if joinable(flight.fence) => Role::Join(Arc::clone(flight)),
            _ => {
                let flight = Flight::new(fence);
                shard.running.insert(key.clone(), Arc::clone(&flight));
                Role::Lead(flight)
            }
        }
    }

    /// Takes the flight out of the map and hands its outcome to everyone who joined. What it
    /// loaded must be in the memory tier by then: a caller that finds no flight looks there.
    pub(crate) fn land(&self, key: &K, flight: &Arc<Flight<V>>, outcome: Result<Landed<V>>) {
        {
            let mut shard = self.shard(key).lock();
            if shard.running.get(key).is_some_and(|held| Arc::ptr_eq(held, flight)) {
                shard.running.remove(key);
            }
            if outcome.is_ok() {
                shard.failures.forget(key);
            }
        }
        flight.land(outcome);
    }

    /// Takes the flight out of the map before its time.
    #[cfg(shuttle)]
    pub(crate) fn leave(&self, key: &K, flight: &Arc<Flight<V>>) {
        let mut shard = self.shard(key).lock();
        if shard.running.get(key).is_some_and(|held| Arc::ptr_eq(held, flight)) {
            shard.running.remove(key);
        }
    }

    /// Notes that a load of `key` failed at `now`. Returns when it is tried again at the earliest,
    /// as long as something can stand in.
    pub(crate) fn failed(&self, key: &K, now: Moment) -> Moment {
        self.shard(key).lock().failures.note(key, now)
    }

    /// Until when `key` isn't loaded again, where its last load failed and something can stand
    /// in.
    pub(crate) fn rests_until<Q>(&self, key: &Q, now: Moment) -> Option<Moment>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.shard(key).lock().failures.rests_until(key, now)
    }

    /// Whether a reader that is served needs to begin nothing: a flight that `joinable` accepts
    /// is running, or the key rests.
    pub(crate) fn is_seen_to<Q>(
        &self,
        key: &Q,
        now: Moment,
        joinable: impl FnOnce(Fence) -> bool,
    ) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let shard = self.shard(key).lock();
        shard.running.get(key).is_some_and(|flight| joinable(flight.fence))
            || shard.failures.rests_until(key, now).is_some()
    }

    /// How many are running.
    pub(crate) fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().running.len()).sum()
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Mutex<Shard<K, V>> {
        let at = self.hasher.hash_one(key) % self.shards.len() as u64;
        &self.shards[usize::try_from(at).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn callers_that_leave_leave_their_places_to_others() {
        let flight: Arc<Flight<u64>> = Flight::new(Fence { hash: 0, epoch: 0, born: 0 });
        let mut context = Context::from_waker(Waker::noop());
        let mut staying = pin!(flight.landing());
        assert!(staying.as_mut().poll(&mut context).is_pending());
        for _ in 0..1000 {
            assert!(pin!(flight.landing()).poll(&mut context).is_pending());
        }
        let places = match &*flight.progress.lock() {
            Progress::Running { waiting, .. } => waiting.len(),
            Progress::Done(_) => 0,
        };
        assert_eq!(places, 2);
    }
}
