//! The one file of the engine that knows tokio: the machine's clock with its timers, the
//! spawner, and the semaphore behind the bulkhead.

#[cfg(target_os = "linux")]
use std::cell::Cell;
use std::time::{Duration, SystemTime};

use larder_core::{BoxFuture, Clock, Error, ErrorKind, Moment, Result, Spawn};
use tokio::runtime::Handle;

pub(crate) use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Runs tasks on a tokio runtime.
#[derive(Clone, Debug)]
pub struct TokioSpawn(Handle);

impl TokioSpawn {
    /// Runs them on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// `Config` when there is none.
    pub fn current() -> Result<Self> {
        let handle = Handle::try_current().map_err(|error| {
            let message = "larder runs on tokio: build the cache inside a tokio runtime";
            Error::new(ErrorKind::Config, message).caused_by(error)
        })?;
        Ok(Self(handle))
    }
}

impl Spawn for TokioSpawn {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }
}

/// The machine's clock. It counts the time that the machine was suspended, as a promise about
/// staleness must: on Linux it is `CLOCK_BOOTTIME`, elsewhere the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock(());

/// After a suspension a timer of the runtime is late by the time that was slept, so a long wait
/// looks at the clock again at least this often.
const SLEEP_MAX: Duration = Duration::from_secs(1);

impl SystemClock {
    /// The machine's clock.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

/// What a thread last read of the precise clock.
///
/// The calendar's coarse clock costs a fraction of it. It moves at every tick of the kernel, and
/// it jumps when the machine wakes up, before any program runs again. So as long as it hasn't
/// moved, the precise clock hasn't moved further than a tick.
///
/// Where the processor that keeps the time is held up (by a hypervisor, say) ticks are late. The
/// precise clock is asked again after a number of uses in any case, so that it can't be missed
/// for long by a thread that reads a lot.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
struct Recent {
    tick: u64,
    /// The end of that tick: what is fresh then is fresh now.
    now: Moment,
    uses: u8,
}

/// The longest tick that kernels are built with.
#[cfg(target_os = "linux")]
const TICK_MAX: Duration = Duration::from_millis(10);
/// How often the precise clock is done without, at most.
#[cfg(target_os = "linux")]
const RECENT_USES_MAX: u8 = 32;

#[cfg(target_os = "linux")]
thread_local! {
    static RECENT: Cell<Recent> =
        const { Cell::new(Recent { tick: 0, now: Moment::ZERO, uses: 0 }) };
}

/// The calendar's coarse clock, as a number that changes with every tick.
#[cfg(target_os = "linux")]
fn ticks() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    time.tv_sec
        .cast_unsigned()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec.cast_unsigned())
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let time = rustix::time::clock_gettime(CLOCK);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Moment::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    #[cfg(target_os = "linux")]
    fn about_now(&self) -> Moment {
        let tick = ticks();
        RECENT.with(|recent| match recent.get() {
            Recent { tick: last, now, uses: 1.. } if last == tick => {
                recent.update(|recent| Recent { uses: recent.uses - 1, ..recent });
                now
            }
            _ => {
                let now = self.now() + TICK_MAX;
                recent.set(Recent { tick, now, uses: RECENT_USES_MAX });
                now
            }
        })
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        let clock = *self;
        Box::pin(async move {
            loop {
                let left = moment - clock.now();
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(SLEEP_MAX)).await;
            }
        })
    }
}

#[cfg(target_os = "linux")]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward() {
        let clock = SystemClock::new();
        let before = clock.now();
        assert!(before > Moment::ZERO);
        assert!(clock.now() >= before);
    }

    #[test]
    fn about_now_is_never_earlier_than_now_and_at_most_a_tick_later() {
        let clock = SystemClock::new();
        for _ in 0..100_000 {
            let before = clock.now();
            let about = clock.about_now();
            let after = clock.now();
            assert!(about <= after + Duration::from_millis(10), "{:?} later", about - after);
            // A tick may be late on a machine that is busy, and that is all that may be missed.
            assert!(about + Duration::from_secs(1) >= before, "{:?} earlier", before - about);
        }
    }
}
