//! Time that a test turns, under a checker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::{BoxFuture, Clock, Moment};

/// A clock that stands still. It is of the standard library: to look at it adds no interleavings.
#[derive(Clone, Default)]
pub(crate) struct Still {
    /// How much time has passed, in nanoseconds, and passes with each look.
    passed: Arc<AtomicU64>,
    tick: Arc<AtomicU64>,
}

impl Still {
    pub(crate) fn turn(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap();
        self.passed.fetch_add(nanos, Ordering::SeqCst);
    }

    /// No two looks at it see the same from now on: of two loads one began later. Where nothing
    /// may be stale nobody joins a load that began before him then, whatever its epoch.
    pub(crate) fn ticks(&self) {
        self.tick.store(1, Ordering::SeqCst);
    }
}

impl Clock for Still {
    fn now(&self) -> Moment {
        let tick = self.tick.load(Ordering::SeqCst);
        Moment::from_nanos(1_000_000_000 + self.passed.fetch_add(tick, Ordering::SeqCst))
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH
    }

    fn sleep_until(&self, _: Moment) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}
