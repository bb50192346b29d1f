//! What time it is, asked only where somebody needs to know.

use larder_core::Moment;

/// A moment, or a clock that is read when the moment is needed: what every operation takes as
/// its `now`.
///
/// Operations on entries that never expire don't ask. One operation may ask more than once.
pub trait Now: Copy {
    /// The moment.
    fn now(self) -> Moment;
}

impl Now for Moment {
    #[inline]
    fn now(self) -> Moment {
        self
    }
}

/// The system's coarse monotonic clock: read in a few nanoseconds, right to a tick of the kernel
/// (one to ten milliseconds), and standing still while the machine is suspended. Where the system
/// has none, a precise one.
///
/// It suits a tier whose expiries bound memory and little else. Where a suspended machine must
/// not make old data look young, give a moment of a clock that goes on.
///
/// ```
/// use larder_memory::{Bounds, CoarseClock, Memory, Now};
/// use std::time::Duration;
///
/// let memory: Memory<u64, u64> = Memory::new(Bounds::entries(100));
/// let expires_at = CoarseClock.now() + Duration::from_secs(60);
/// let _ = memory.insert(1, 10, 0, expires_at, CoarseClock);
/// assert_eq!(memory.get(&1, CoarseClock), Some(10));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock;

impl Now for CoarseClock {
    #[inline]
    fn now(self) -> Moment {
        let time = rustix::time::clock_gettime(CLOCK);
        let (seconds, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
        Moment::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

#[cfg(target_os = "linux")]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::MonotonicCoarse;
#[cfg(not(target_os = "linux"))]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
