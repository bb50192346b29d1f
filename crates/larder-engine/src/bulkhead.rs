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

/// The bounds of what one source is asked at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadBounds {
    /// Loads that run at once; at least one.
    pub loads_max: usize,
    /// Loads that wait for their turn. The next one is refused with
    /// [`ErrorKind::Shed`].
    pub loads_waiting_max: usize,
}

impl Default for BulkheadBounds {
    fn default() -> Self {
        Self { loads_max: LOADS_MAX_DEFAULT, loads_waiting_max: LOADS_WAITING_MAX_DEFAULT }
    }
}

/// A bulkhead in front of one source; share it among the caches that read from that source.
#[derive(Clone, Debug)]
pub struct Bulkhead(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: BulkheadBounds,
    running: Arc<Semaphore>,
    /// Loads that run or wait.
    places: AtomicUsize,
    shed: Counter,
    loads: Counter,
    load_nanos: Counter,
}

impl Bulkhead {
    /// A bulkhead with these bounds.
    #[must_use]
    pub fn new(bounds: BulkheadBounds) -> Self {
        let bounds = BulkheadBounds { loads_max: bounds.loads_max.max(1), ..bounds };
        Self(Arc::new(Inner {
            bounds,
            running: Arc::new(Semaphore::new(bounds.loads_max)),
            places: AtomicUsize::new(0),
            shed: Counter::default(),
            loads: Counter::default(),
            load_nanos: Counter::default(),
        }))
    }

    /// How many loads run or wait for their turn at this moment.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.0.places.load(Ordering::Relaxed)
    }

    /// How many loads were refused so far.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.0.shed.get()
    }

    /// Takes a place among those who run or wait.
    ///
    /// # Errors
    ///
    /// `Shed`, with the time after which a place is likely, when all are taken.
    pub(crate) fn enter(&self) -> Result<Place, Error> {
        let places_max = self.0.bounds.loads_max + self.0.bounds.loads_waiting_max;
        // The place is taken first and given back if there was none: two that arrive together
        // can't both have the last one.
        let place = Place(self.clone());
        if self.0.places.fetch_add(1, Ordering::AcqRel) < places_max {
            return Ok(place);
        }
        self.0.shed.add(1);
        let message = "too many loads are waiting for this source already";
        Err(Error::new(ErrorKind::Shed, message).retry_after(self.turnaround()))
    }

    /// How long it takes, by the mean so far, until all that wait now have been loaded.
    fn turnaround(&self) -> Duration {
        let mean = self.0.load_nanos.get() / self.0.loads.get().max(1);
        let rounds = self.occupied().div_ceil(self.0.bounds.loads_max);
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        Duration::from_nanos(mean)
            .saturating_mul(rounds)
            .clamp(Duration::from_millis(10), Duration::from_secs(10))
    }

    /// Counts a load that took `cost`.
    pub(crate) fn loaded(&self, cost: Duration) {
        self.0.loads.add(1);
        self.0.load_nanos.add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// A place in the bulkhead, given back on drop.
#[derive(Debug)]
pub(crate) struct Place(Bulkhead);

impl Place {
    /// Waits for the turn. The load runs as long as the permit lives; turns come in the order
    /// of asking.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.0.running).acquire_owned().await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.places.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_after_the_last_is_refused_and_a_freed_one_is_given_again() {
        let bulkhead = Bulkhead::new(BulkheadBounds { loads_max: 1, loads_waiting_max: 1 });
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
