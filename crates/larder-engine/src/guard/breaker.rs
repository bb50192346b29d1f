//! The breaker: what fails too often is left alone for a while, and then asked again, one question
//! at a time, until it answers.
//!
//! A source has one, whatever number of caches read from it. The machine is pure: it knows neither
//! a clock nor what it guards, and every moment is an argument. Who wants to ask takes a
//! [`Permission`] first and tells it the outcome. (The pattern: M. Nygard, "Release It!", 2007,
//! "Circuit Breaker".)
//!
//! | state | event | state after it |
//! |---|---|---|
//! | closed | somebody asks | closed: permitted |
//! | closed | a success | closed, one success more in the window |
//! | closed | an outcome that is neutral, or never told | closed |
//! | closed | an error, and too few or too small a share in the window | closed, one error more |
//! | closed | an error that makes enough of them | open, for `probe_after` |
//! | open | somebody asks | open: refused, with the time that is left |
//! | open | the time is over | half-open, nobody probes |
//! | half-open, nobody probes | somebody asks | half-open, one probes: permitted |
//! | half-open, nobody probes | somebody asks who mustn't probe | the same: refused |
//! | half-open, one probes | somebody asks | the same: refused |
//! | half-open, one probes | the probe succeeds, and `probes` have | closed, the window is empty |
//! | half-open, one probes | the probe succeeds, and fewer have | half-open, nobody probes |
//! | half-open, one probes | the probe fails | open, twice as long as before, up to `probe_after_max` |
//! | half-open, one probes | its outcome is neutral, or never told | half-open, nobody probes |
//! | any | an outcome of what was permitted before the last change from or to closed | the same |
//!
//! The last row is kept by numbering the periods: a permission of a closed period counts in that
//! period or nowhere. While the breaker is closed, asking and succeeding take no lock.

mod bounds;
mod permission;
mod window;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::sync::{AtomicU64, Counter, Mutex, Ordering};
use larder_core::{Moment, Result};

pub use bounds::BreakerBounds;
use permission::Role;
pub use permission::{Permission, Refused};
use window::Window;

/// What a breaker does with who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everybody may ask.
    Closed,
    /// Nobody may ask.
    Open,
    /// One at a time may ask, to find out whether it works again.
    HalfOpen,
}

impl BreakerState {
    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A breaker in front of one source or one shared tier. Cloning it is cheap and shares it.
///
/// ```
/// use larder_core::Moment;
/// use larder_engine::guard::{Breaker, BreakerState};
/// use std::time::Duration;
///
/// let breaker = Breaker::default();
/// let mut now = Moment::from_nanos(1);
/// for _ in 0..5 {
///     let permission = breaker.ask(now).expect("it is closed");
///     permission.failed(now);
/// }
/// let refused = breaker.ask(now).expect_err("it is open");
/// assert_eq!(refused.retry_after, Duration::from_secs(5));
///
/// now = now + refused.retry_after;
/// let probe = breaker.ask(now).expect("one may try");
/// assert!(breaker.ask(now).is_err());
/// probe.succeeded(now);
/// assert_eq!(breaker.state(now), BreakerState::Closed);
/// ```
#[derive(Clone)]
pub struct Breaker(Arc<Inner>);

struct Inner {
    bounds: BreakerBounds,
    /// Raised by each change from or to closed, under the lock. Even while closed.
    period: AtomicU64,
    window: Window,
    /// What an open or half-open breaker must remember; of no meaning while it is closed. Errors
    /// are counted under this lock, and every change of state is made under it.
    rest: Mutex<Rest>,
    opened: Counter,
    refused: Counter,
    probes: Counter,
}

#[derive(Debug, Default)]
struct Rest {
    /// From when on a probe may be made.
    ends_at: Moment,
    /// How long the rest is that ends then.
    lasts: Duration,
    /// Whether a probe has not told its outcome yet.
    probing: bool,
    /// Probes that succeeded since the last rest.
    succeeded: u32,
}

impl Breaker {
    /// A closed breaker with these bounds.
    ///
    /// # Errors
    ///
    /// `Config` for bounds that make no sense: see [`BreakerBounds::check`].
    pub fn new(bounds: BreakerBounds) -> Result<Self> {
        bounds.check()?;
        Ok(Self::with(bounds))
    }

    fn with(bounds: BreakerBounds) -> Self {
        Self(Arc::new(Inner {
            bounds,
            period: AtomicU64::new(0),
            window: Window::new(bounds.window),
            rest: Mutex::default(),
            opened: Counter::default(),
            refused: Counter::default(),
            probes: Counter::default(),
        }))
    }

    /// Asks for permission. In half-open it is the permission to probe, which one holds at a time;
    /// [`is_probe`](Permission::is_probe) tells.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the time after which asking makes sense, while the breaker is open or
    /// somebody else probes.
    pub fn ask(&self, now: Moment) -> Result<Permission, Refused> {
        self.permit(now, |rest| {
            self.0.probes.add(1);
            rest.probing = true;
            Some(self.permission(Role::Probe))
        })
    }

    /// Asks for permission, but never to probe: for the traffic of what is probed in another way.
    ///
    /// # Errors
    ///
    /// [`Refused`] unless the breaker is closed.
    pub fn ask_without_probing(&self, now: Moment) -> Result<Permission, Refused> {
        self.permit(now, |_| None)
    }

    fn permit(
        &self,
        now: Moment,
        probe: impl FnOnce(&mut Rest) -> Option<Permission>,
    ) -> Result<Permission, Refused> {
        if let Some(period) = self.closed() {
            return Ok(self.permission(Role::OfPeriod(period)));
        }
        let mut rest = self.0.rest.lock();
        // It may have closed while this waited for the lock.
        if let Some(period) = self.closed() {
            return Ok(self.permission(Role::OfPeriod(period)));
        }
        if !rest.probing
            && rest.ends_at <= now
            && let Some(permission) = probe(&mut rest)
        {
            return Ok(permission);
        }
        let left = rest.ends_at - now;
        drop(rest);
        self.0.refused.add(1);
        // Nobody knows how long a probe takes: come back after the shortest rest.
        let retry_after = if left.is_zero() { self.0.bounds.probe_after } else { left };
        Err(Refused { retry_after })
    }

    /// What the breaker does at this moment with who asks.
    #[must_use]
    pub fn state(&self, now: Moment) -> BreakerState {
        let rest = self.0.rest.lock();
        match self.closed() {
            Some(_) => BreakerState::Closed,
            None if rest.probing || rest.ends_at <= now => BreakerState::HalfOpen,
            None => BreakerState::Open,
        }
    }

    /// The bounds in force.
    #[must_use]
    pub fn bounds(&self) -> BreakerBounds {
        self.0.bounds
    }

    /// How often it changed from closed to open so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.0.opened.get()
    }

    /// How many were refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.get()
    }

    /// How many permissions to probe it gave so far.
    #[must_use]
    pub fn probes(&self) -> u64 {
        self.0.probes.get()
    }

    /// The period, if it is a closed one.
    fn closed(&self) -> Option<u64> {
        let period = self.0.period.load(Ordering::Acquire);
        period.is_multiple_of(2).then_some(period)
    }

    fn permission(&self, role: Role) -> Permission {
        Permission::new(self.clone(), role)
    }

    /// Counts a success of a closed period.
    fn count_success(&self, period: u64, now: Moment) {
        // If the period ends in between, the window refuses it.
        if self.0.period.load(Ordering::Acquire) == period {
            self.0.window.success(period, now);
        }
    }

    /// Counts an error of a closed period, and opens if that is one too many.
    fn count_error(&self, period: u64, now: Moment) {
        let mut rest = self.0.rest.lock();
        if self.0.period.load(Ordering::Acquire) != period {
            return;
        }
        let sums = self.0.window.error(period, now);
        if self.0.bounds.are_exceeded(sums) {
            let lasts = self.0.bounds.probe_after;
            *rest = Rest { ends_at: now + lasts, lasts, probing: false, succeeded: 0 };
            self.0.period.store(period + 1, Ordering::Release);
            self.0.opened.add(1);
        }
    }

    fn probe_succeeded(&self) {
        let mut rest = self.0.rest.lock();
        rest.probing = false;
        rest.succeeded += 1;
        if rest.succeeded >= self.0.bounds.probes {
            // Only who probes gets here, and only the end of a probe closes: the period is odd.
            let period = self.0.period.load(Ordering::Acquire) + 1;
            // Before anybody can hold a permission of the new period.
            self.0.window.begin(period);
            self.0.period.store(period, Ordering::Release);
        }
    }

    fn probe_failed(&self, now: Moment) {
        let mut rest = self.0.rest.lock();
        let lasts = rest.lasts.saturating_mul(2).min(self.0.bounds.probe_after_max);
        *rest = Rest { ends_at: now + lasts, lasts, probing: false, succeeded: 0 };
    }

    fn probe_told_nothing(&self) {
        self.0.rest.lock().probing = false;
    }
}

impl Default for Breaker {
    /// With the bounds of a source.
    fn default() -> Self {
        Self::with(BreakerBounds::default())
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("bounds", &self.0.bounds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
