//! The bulkhead: at most so many loads ask the source at once, at most so many more wait for
//! their turn, and the rest is told at once to come back later.
//!
//! A source has one, whatever number of caches read from it: the database never sees more than
//! the bulkhead lets through.

use std::sync::Arc;
use std::time::Duration;

use larder_core::sync::{AtomicUsize, Counter, Ordering};
use larder_core::{Error, ErrorKind};

use crate::runtime::{OwnedSemaphorePermit, Semaphore};

/// How many loads run at once, if nothing else is said.
pub const LOADS_MAX_DEFAULT: usize = 16;
/// How many loads wait for their turn, if nothing else is said.
pub const LOADS_WAITING_MAX_DEFAULT: usize = 1024;

/// How many loads run and wait.
#[derive(Debug)]
pub(super) struct Bulkhead {
    loads_max: usize,
    places_max: usize,
    running: Arc<Semaphore>,
    /// Loads that run or wait.
    places: AtomicUsize,
    shed: Counter,
    loads: Counter,
    load_nanos: Counter,
}

impl Bulkhead {
    /// A bulkhead that lets so many run, at least one, and so many wait.
    pub(super) fn new(loads_max: usize, loads_waiting_max: usize) -> Self {
        let loads_max = loads_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            loads_max,
            places_max: loads_max.saturating_add(loads_waiting_max),
            running: Arc::new(Semaphore::new(loads_max)),
            places: AtomicUsize::new(0),
            shed: Counter::default(),
            loads: Counter::default(),
            load_nanos: Counter::default(),
        }
    }

    pub(super) fn loads_max(&self) -> usize {
        self.loads_max
    }

    /// How many loads run or wait for their turn at this moment.
    pub(super) fn occupied(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    /// How many loads were refused so far.
    pub(super) fn shed(&self) -> u64 {
        self.shed.get()
    }

    /// Takes a place among those who run or wait.
    ///
    /// # Errors
    ///
    /// `Shed`, with the time after which a place is likely, when all are taken.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Error> {
        // The place is taken first and given back if there was none: two that arrive together
        // can't both have the last one.
        let place = Place(Arc::clone(self));
        if self.places.fetch_add(1, Ordering::AcqRel) < self.places_max {
            return Ok(place);
        }
        self.shed.add(1);
        let message = "too many loads are waiting for this source already";
        Err(Error::new(ErrorKind::Shed, message).retry_after(self.turnaround()))
    }

    /// How long it takes, by the mean so far, until all that wait now have been loaded.
    fn turnaround(&self) -> Duration {
        let mean = self.load_nanos.get() / self.loads.get().max(1);
        let rounds = self.occupied().div_ceil(self.loads_max);
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        Duration::from_nanos(mean)
            .saturating_mul(rounds)
            .clamp(Duration::from_millis(10), Duration::from_secs(10))
    }
}

/// A place in the bulkhead, given back on drop.
#[derive(Debug)]
pub(super) struct Place(Arc<Bulkhead>);

impl Place {
    /// Waits for the turn. The load runs as long as the permit lives; turns come in the order
    /// of asking.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.running).acquire_owned().await.ok()
    }

    /// Counts a load that took `cost`.
    pub(super) fn loaded(&self, cost: Duration) {
        self.0.loads.add(1);
        self.0.load_nanos.add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_after_the_last_is_refused_and_a_freed_one_is_given_again() {
        let bulkhead = Arc::new(Bulkhead::new(1, 1));
        let first = bulkhead.enter().unwrap();
        let _second = bulkhead.enter().unwrap();
        let error = bulkhead.enter().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shed);
        assert!(error.retry_delay().is_some());
        assert_eq!((bulkhead.occupied(), bulkhead.shed()), (2, 1));
        drop(first);
        assert!(bulkhead.enter().is_ok());
    }
}
