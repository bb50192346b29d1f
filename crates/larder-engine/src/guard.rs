//! The guard in front of a source: how much it is asked at a time, and whether it is asked at all.
//!
//! A source has one, whatever number of caches read from it. Deadlines belong to those who wait: a
//! load has its timeout, and each caller its own.

mod bulkhead;

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, Error, ErrorKind, Moment, Result};

use crate::runtime::OwnedSemaphorePermit;
use bulkhead::Bulkhead;

pub use bulkhead::{LOADS_MAX_DEFAULT, LOADS_WAITING_MAX_DEFAULT};

/// The bounds of what one source is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuardBounds {
    /// Loads that run at once; at least one.
    pub loads_max: usize,
    /// Loads that wait for their turn. The next one is refused with [`ErrorKind::Shed`].
    pub loads_waiting_max: usize,
}

impl Default for GuardBounds {
    fn default() -> Self {
        Self { loads_max: LOADS_MAX_DEFAULT, loads_waiting_max: LOADS_WAITING_MAX_DEFAULT }
    }
}

/// A guard in front of one source; share it among the caches that read from that source.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Bulkhead>);

impl Guard {
    /// A guard with these bounds.
    #[must_use]
    pub fn new(bounds: GuardBounds) -> Self {
        Self(Arc::new(Bulkhead::new(bounds.loads_max, bounds.loads_waiting_max)))
    }

    /// How many loads run or wait for their turn at this moment.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.0.occupied()
    }

    /// How many loads were refused so far because too many waited.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.0.shed()
    }

    /// How many loads may run at once.
    #[must_use]
    pub fn loads_max(&self) -> usize {
        self.0.loads_max()
    }

    /// Takes a place among those who run or wait.
    ///
    /// # Errors
    ///
    /// `Shed`, with the time after which a place is likely, when all are taken.
    pub(crate) fn enter(&self, _now: Moment) -> Result<Place> {
        Ok(Place { place: self.0.enter()? })
    }
}

/// A place in front of a source, given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    place: bulkhead::Place,
}

impl Place {
    /// Waits for the turn. The load runs as long as the permit lives; turns come in the order of
    /// asking.
    ///
    /// # Errors
    ///
    /// `Internal` when the guard is gone, which it isn't while there are places.
    pub(crate) async fn turn(&self, _clock: &Arc<dyn Clock>) -> Result<OwnedSemaphorePermit> {
        let gone = || Error::new(ErrorKind::Internal, "the guard of a source was closed");
        self.place.turn().await.ok_or_else(gone)
    }

    /// Says how the source answered, and after how long.
    pub(crate) fn answered<T>(&self, result: &Result<T>, cost: Duration, _now: Moment) {
        self.place.loaded(cost);
        let _ = result.as_ref().err().is_some_and(is_failure);
    }
}

/// Whether an error says that its source doesn't work, rather than that something was asked which
/// it can't answer.
pub(crate) fn is_failure(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SourceDown | ErrorKind::Timeout | ErrorKind::Loader)
}
