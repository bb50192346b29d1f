//! Time as a value and as a seam: a [`Moment`] on this process's clock, and the [`Clock`] that
//! tells it.
//!
//! Nothing in larder reads the time from the air: it comes in as an argument or through a
//! [`Clock`], so that a test can turn it. A moment means nothing in another process: ages are
//! measured on one machine's clock, and no two machines' clocks are ever compared.

use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime};

use crate::BoxFuture;

/// A point in time: nanoseconds since an origin that its [`Clock`] chose.
///
/// Arithmetic saturates at both ends: a lifetime of "for ever" is [`Moment::MAX`], and an age is
/// never negative. The range is 584 years.
///
/// ```
/// use larder_core::Moment;
/// use std::time::Duration;
///
/// let start = Moment::from_nanos(1_000);
/// let later = start + Duration::from_secs(2);
/// assert_eq!(later - start, Duration::from_secs(2));
/// assert_eq!(start - later, Duration::ZERO);
/// assert_eq!(Moment::MAX + Duration::from_secs(1), Moment::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The clock's origin; nothing happened before it.
    pub const ZERO: Self = Self(0);
    /// Never: later than every other moment.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the clock's origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this moment is; zero if it isn't after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved back by `duration`, not beyond the origin.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// The duration in nanoseconds, at most `u64::MAX`.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What time it is, and a way to wait for a time.
///
/// A clock that stands behind a promise about staleness must not stand still while the machine
/// is suspended: an entry that slept through the night is a night older.
pub trait Clock: Send + Sync + 'static {
    /// Now. Never less than an earlier answer.
    fn now(&self) -> Moment;

    /// Now or somewhat later, a few milliseconds at most, and cheaper to tell where the system
    /// has a coarse clock: what a hit asks. An entry that is fresh by this time is fresh.
    fn about_now(&self) -> Moment {
        self.now()
    }

    /// The calendar's time, for what is written to people and for times of day that a client
    /// names. It may jump; nothing is ever ordered by it.
    fn wall(&self) -> SystemTime;

    /// Waits until [`now`](Clock::now) has reached `moment`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the wait and nothing else.
    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()>;
}
