//! What a filter can be told, each with a default.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};

/// What a filter can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterOptions {
    /// The share of the keys that don't exist which the filter may let through, when it holds as
    /// many keys as were planned: 0.01 by default, above 0 and at most 0.5.
    ///
    /// The rate grows with the keys that are added; at twice the planned number, where a build
    /// is due, the default has become 0.16.
    pub false_positives: f64,
    /// The bytes of all bits together, 64 MiB by default and at least 1 KiB. While a build runs
    /// there are two generations, so one takes at most half: 32 MiB hold 28 million keys at 1 %.
    ///
    /// More keys get no more room: the rate is worse then, and
    /// [`FilterStats::capped`](super::FilterStats::capped) says so.
    pub bytes_max: usize,
    /// A build is due when the last one began longer ago than this, 24 hours by default; a key
    /// that was removed from the source leaves the filter only so. A build that itself takes
    /// longer fails.
    pub rebuild_after: Duration,
    /// For how many keys room is made when the list doesn't know its count and was never read:
    /// 1,000,000 by default, which take 1.2 MB.
    pub keys_planned: u64,
    /// How many keys a page has at most, 4,096 by default and at least 1.
    pub page_keys: usize,
    /// How long the list may take for its count or for one page, 60 seconds by default; a build
    /// that waits longer fails.
    pub page_timeout: Duration,
}

impl Default for FilterOptions {
    fn default() -> Self {
        Self {
            false_positives: 0.01,
            bytes_max: 64 << 20,
            rebuild_after: Duration::from_secs(24 * 60 * 60),
            keys_planned: 1_000_000,
            page_keys: 4_096,
            page_timeout: Duration::from_secs(60),
        }
    }
}

impl FilterOptions {
    const BYTES_MIN: usize = 1 << 10;

    /// Refuses what can't be kept.
    ///
    /// # Errors
    ///
    /// `Config`, saying what can be.
    pub fn check(&self) -> Result<()> {
        let refuse = |message| Err(Error::new(ErrorKind::Config, message));
        // A rate that is no number is in no range.
        if !(f64::MIN_POSITIVE..=0.5).contains(&self.false_positives) {
            return refuse("the false positives of a filter are a share above 0 and at most 0.5");
        }
        if self.bytes_max < Self::BYTES_MIN {
            return refuse("a filter takes at least 1 KiB");
        }
        if self.page_keys == 0 {
            return refuse("a page of a filter's list holds at least one key");
        }
        if self.rebuild_after.is_zero() || self.page_timeout.is_zero() {
            return refuse("a filter needs time to read its list");
        }
        Ok(())
    }
}
