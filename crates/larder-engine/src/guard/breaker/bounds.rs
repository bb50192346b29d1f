//! When a breaker opens and how it closes again. It knows nothing of how outcomes are counted.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};

use super::window::Sums;

/// The shortest window: a tenth of it is still far longer than threads disagree about the time.
const WINDOW_MIN: Duration = Duration::from_millis(10);

/// The bounds of what a breaker puts up with.
///
/// The default is for a source: a database that has failed needs rest. What answers a cheap
/// question on a connection of its own can be probed often:
///
/// ```
/// use larder_engine::guard::BreakerBounds;
/// use std::time::Duration;
///
/// let often = Duration::from_millis(250);
/// let bounds =
///     BreakerBounds { probe_after: often, probe_after_max: often, ..BreakerBounds::default() };
/// assert!(bounds.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerBounds {
    /// It opens at no fewer errors in the window; at least one, 5 by default.
    pub errors_min: u32,
    /// It opens at no smaller share of errors among all outcomes in the window, from 0 to 1;
    /// 0.5 by default.
    pub error_share: f64,
    /// How long an outcome counts; 10 s by default, at least 10 ms. It is looked at in tenths:
    /// what counts is the current tenth and the nine before it, so an outcome counts for between
    /// nine tenths and the whole of this.
    pub window: Duration,
    /// How long it stays open before the first probe; more than zero, 5 s by default.
    pub probe_after: Duration,
    /// Each probe that fails doubles the time to the next, up to this; 30 s by default. The same
    /// as `probe_after` for no doubling.
    pub probe_after_max: Duration,
    /// How many probes must succeed, one after the other, to close it; at least one, 1 by default.
    pub probes: u32,
}

impl Default for BreakerBounds {
    fn default() -> Self {
        Self {
            errors_min: 5,
            error_share: 0.5,
            window: Duration::from_secs(10),
            probe_after: Duration::from_secs(5),
            probe_after_max: Duration::from_secs(30),
            probes: 1,
        }
    }
}

impl BreakerBounds {
    /// Whether these bounds make sense.
    ///
    /// # Errors
    ///
    /// `Config`, with the field that doesn't and what it may be.
    pub fn check(&self) -> Result<()> {
        let wrong = if self.errors_min == 0 {
            "errors_min must be at least 1: a breaker that opens without an error never closes"
        } else if !(0.0..=1.0).contains(&self.error_share) {
            "error_share must be between 0 and 1: it is the part of all outcomes that are errors"
        } else if self.window < WINDOW_MIN {
            "window must be at least 10 ms: nothing else can be counted in tenths of it"
        } else if self.probe_after.is_zero() {
            "probe_after must be longer than zero: an open breaker must give some rest"
        } else if self.probe_after_max < self.probe_after {
            "probe_after_max must be no shorter than probe_after, which it bounds"
        } else if self.probes == 0 {
            "probes must be at least 1: something must show that it works again"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Config, wrong))
    }

    /// Whether so many outcomes in the window are more than these bounds put up with.
    pub(super) fn are_exceeded(&self, sums: Sums) -> bool {
        let all = sums.errors + sums.successes;
        sums.errors >= self.errors_min.into() && sums.errors as f64 >= self.error_share * all as f64
    }
}
