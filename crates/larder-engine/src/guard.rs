//! The guard in front of a source: how much it is asked at a time, and whether it is asked at all.
//!
//! A source has one, whatever number of caches read from it. It is one machine of two parts, which
//! are asked in this order:
//!
//! | part | when | whoever asks gets |
//! |---|---|---|
//! | [`breaker`] | too many loads failed lately | `SourceDown` at once, with the time of the next probe |
//! | `bulkhead` | so many run, and so many wait | `Shed` at once, with the time after which a place is likely |
//! | `bulkhead` | so many run | a place, and a turn in the order of asking |
//! | `breaker` | it opened while one waited for its turn | `SourceDown`, as above |
//! | | otherwise | a turn |
//!
//! Deadlines belong to those who wait: a load has its timeout, and each caller its own. Whether an
//! error speaks against the source's health, `is_failure` says for all.

pub mod breaker;
mod bulkhead;

use std::sync::Arc;
use std::time::Duration;

use larder_core::sync::Mutex;
use larder_core::{Clock, Error, ErrorKind, Moment, Result};

use crate::runtime::OwnedSemaphorePermit;
use bulkhead::Bulkhead;

pub use breaker::{Breaker, BreakerBounds, BreakerState, Permission, Refused};
pub use bulkhead::{LOADS_MAX_DEFAULT, LOADS_WAITING_MAX_DEFAULT};

/// The bounds of what one source is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuardBounds {
    /// Loads that run at once; at least one.
    pub loads_max: usize,
    /// Loads that wait for their turn. The next one is refused with [`ErrorKind::Shed`].
    pub loads_waiting_max: usize,
    /// When a source that fails is left alone; `None`: never.
    pub breaker: Option<BreakerBounds>,
}

impl Default for GuardBounds {
    fn default() -> Self {
        Self {
            loads_max: LOADS_MAX_DEFAULT,
            loads_waiting_max: LOADS_WAITING_MAX_DEFAULT,
            breaker: Some(BreakerBounds::default()),
        }
    }
}

/// A guard in front of one source; share it among the caches that read from that source.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bulkhead: Arc<Bulkhead>,
    breaker: Option<Breaker>,
}

impl Guard {
    /// A guard with these bounds.
    ///
    /// # Errors
    ///
    /// `Config` when the breaker's bounds contradict themselves.
    pub fn new(bounds: GuardBounds) -> Result<Self> {
        let breaker = bounds.breaker.map(Breaker::new).transpose()?;
        let bulkhead = Arc::new(Bulkhead::new(bounds.loads_max, bounds.loads_waiting_max));
        Ok(Self(Arc::new(Inner { bulkhead, breaker })))
    }

    /// How many loads run or wait for their turn at this moment.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.0.bulkhead.occupied()
    }

    /// How many loads were refused so far because too many waited.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.0.bulkhead.shed()
    }

    /// How many loads may run at once.
    #[must_use]
    pub fn loads_max(&self) -> usize {
        self.0.bulkhead.loads_max()
    }

    /// The breaker, if it has one.
    #[must_use]
    pub fn breaker(&self) -> Option<&Breaker> {
        self.0.breaker.as_ref()
    }

    /// Takes a place among those who run or wait.
    ///
    /// # Errors
    ///
    /// `SourceDown`, with the time of the next probe, while the breaker is open; `Shed`, with the
    /// time after which a place is likely, when all places are taken.
    pub(crate) fn enter(&self, now: Moment) -> Result<Place> {
        let permission = self.permission(now)?;
        let place = self.0.bulkhead.enter()?;
        Ok(Place { guard: self.clone(), place, permission: Mutex::new(permission) })
    }

    fn permission(&self, now: Moment) -> Result<Option<Permission>> {
        self.0.breaker.as_ref().map(|breaker| breaker.ask(now)).transpose().map_err(|refused| {
            let message = "the source fails, and is left alone until it is probed again";
            Error::new(ErrorKind::SourceDown, message).retry_after(refused.retry_after)
        })
    }
}

/// A place in front of a source, given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    guard: Guard,
    place: bulkhead::Place,
    /// Taken by the answer. Whoever asks more than once with one place takes a new one each time.
    permission: Mutex<Option<Permission>>,
}

impl Place {
    /// Waits for the turn. The load runs as long as the permit lives; turns come in the order of
    /// asking.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the breaker opened meanwhile.
    pub(crate) async fn turn(&self, clock: &Arc<dyn Clock>) -> Result<OwnedSemaphorePermit> {
        let gone = || Error::new(ErrorKind::Internal, "the guard of a source was closed");
        let turn = self.place.turn().await.ok_or_else(gone)?;
        let may_probe = self.permission.lock().as_ref().is_some_and(Permission::is_probe);
        if !may_probe {
            // What was permitted before the wait may not be any more.
            *self.permission.lock() = self.guard.permission(clock.now())?;
        }
        Ok(turn)
    }

    /// Says how the source answered, and after how long.
    pub(crate) fn answered<T>(&self, result: &Result<T>, cost: Duration, now: Moment) {
        self.place.loaded(cost);
        let Some(permission) = self.permission.lock().take() else { return };
        match result {
            Ok(_) => permission.succeeded(now),
            Err(error) if is_failure(error) => permission.failed(now),
            Err(_) => permission.neutral(),
        }
    }
}

/// Whether an error says that its source doesn't work, rather than that something was asked which
/// it can't answer.
pub(crate) fn is_failure(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SourceDown | ErrorKind::Timeout | ErrorKind::Loader)
}
