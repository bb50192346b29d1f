//! Early refresh: a fresh entry that is read near its end is loaded again while it is served, so
//! that who reads often never waits.
//!
//! Two rules, each sufficient:
//!
//! - **Threshold.** A part of the lifetime has passed (`refresh_at`, 0.8 by default). It scales
//!   with the lifetime, and asks for nothing of the load.
//! - **XFetch.** Each read draws `cost · β · −ln(u)` with `u` uniform in (0, 1], and refreshes if
//!   that reaches beyond the end. Expensive loads begin earlier, and readers in different
//!   processes draw differently, so that they don't begin together. Vattani, Chierichetti and
//!   Lowenstein, *Optimal Probabilistic Cache Stampede Prevention*, VLDB 2015.

use std::time::Duration;

use super::config;
use crate::{Moment, Result};

/// When a fresh entry that is read is refreshed already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Early {
    refresh_at: f64,
    xfetch: f64,
}

/// `−ln(2^-32)`: no draw of 32 bits reaches further.
const REACH_MAX: f64 = 22.2;

impl Early {
    /// The part of the lifetime after which a read refreshes, if nothing is said.
    pub const REFRESH_AT_DEFAULT: f64 = 0.8;
    /// β of XFetch, if nothing is said.
    pub const XFETCH_DEFAULT: f64 = 1.0;
    /// Never: an entry is refreshed when it is stale.
    pub const OFF: Self = Self { refresh_at: 1.0, xfetch: 0.0 };

    /// A threshold from 0 to 1, where 1 is none, and a β from 0, which is none, to 100.
    ///
    /// # Errors
    ///
    /// `Config` when one lies outside.
    pub fn new(refresh_at: Option<f64>, xfetch: Option<f64>) -> Result<Self> {
        let refresh_at = refresh_at.unwrap_or(Self::REFRESH_AT_DEFAULT);
        if !(0.0..=1.0).contains(&refresh_at) {
            return Err(config(
                "refresh_at is a part of fresh_for: a number from 0 (every read) to 1 (never \
                 early)",
            ));
        }
        let xfetch = xfetch.unwrap_or(Self::XFETCH_DEFAULT);
        if !(0.0..=100.0).contains(&xfetch) {
            return Err(config("xfetch is a number from 0 (off) to 100; 1 is right for most"));
        }
        Ok(Self { refresh_at, xfetch })
    }

    /// The part of the lifetime after which a read refreshes.
    #[must_use]
    pub const fn refresh_at(&self) -> f64 {
        self.refresh_at
    }

    /// β of XFetch.
    #[must_use]
    pub const fn xfetch(&self) -> f64 {
        self.xfetch
    }

    /// Until when neither rule can want a refresh.
    pub(super) fn calm_until(&self, at: Moment, fresh_until: Moment, cost: Duration) -> Moment {
        let drawn = fresh_until.before(cost.mul_f64(self.xfetch * REACH_MAX));
        self.threshold(at, fresh_until).min(drawn)
    }

    pub(super) fn wants_refresh(
        &self,
        at: Moment,
        fresh_until: Moment,
        cost: Duration,
        now: Moment,
        draw: u32,
    ) -> bool {
        if now > self.threshold(at, fresh_until) {
            return self.refresh_at < 1.0;
        }
        let uniform = (f64::from(draw) + 1.0) / 4_294_967_296.0;
        let reach = cost.mul_f64(self.xfetch * -uniform.ln());
        !reach.is_zero() && now + reach >= fresh_until
    }

    fn threshold(&self, at: Moment, fresh_until: Moment) -> Moment {
        if self.refresh_at >= 1.0 {
            return fresh_until;
        }
        at + (fresh_until - at).mul_f64(self.refresh_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_threshold_is_a_part_of_the_lifetime() {
        let early = Early::new(Some(0.8), Some(0.0)).unwrap();
        let wants = |now| early.wants_refresh(at(100), at(110), S, now, 0);
        assert!(!wants(at(108)));
        assert!(wants(at(108) + Duration::from_nanos(1)));
        assert_eq!(early.calm_until(at(100), at(110), S), at(108));
    }

    #[test]
    fn off_is_never() {
        for draw in [0, 1, u32::MAX] {
            assert!(!Early::OFF.wants_refresh(at(100), at(110), 100 * S, at(110), draw));
        }
        assert_eq!(Early::OFF.calm_until(at(100), at(110), 100 * S), at(110));
    }

    /// With cost 1 s and β = 1, a read 2 s before the end refreshes with probability e^-2.
    #[test]
    fn the_draw_reaches_as_far_as_the_exponential_distribution_says() {
        let early = Early::new(Some(1.0), None).unwrap();
        let draws = 100_000_u32;
        let drawn = |n: u32| n.wrapping_mul(u32::MAX / draws);
        for before in 1..=4_u32 {
            let now = at(200).before(S * before);
            let wanting =
                (0..draws).filter(|&n| early.wants_refresh(at(0), at(200), S, now, drawn(n)));
            let share = wanting.count() as f64 / f64::from(draws);
            let expected = (-f64::from(before)).exp();
            assert!((share - expected).abs() < 0.002, "{before} s: {share}, not {expected}");
        }
    }

    #[test]
    fn nothing_is_drawn_while_it_is_calm() {
        let early = Early::new(Some(1.0), None).unwrap();
        let calm = early.calm_until(at(0), at(200), S);
        assert!(!early.wants_refresh(at(0), at(200), S, calm, 0));
        assert!(calm > at(170), "{calm:?}");
    }

    #[test]
    fn an_expensive_load_begins_earlier() {
        let early = Early::new(Some(1.0), None).unwrap();
        let draw = u32::MAX / 3;
        let wants = |cost| early.wants_refresh(at(0), at(200), cost, at(190), draw);
        assert!(wants(10 * S));
        assert!(!wants(S));
    }

    #[test]
    fn what_lies_outside_is_refused() {
        for (refresh_at, xfetch) in [(1.1, 1.0), (-0.1, 1.0), (f64::NAN, 1.0), (0.5, -1.0)] {
            assert!(Early::new(Some(refresh_at), Some(xfetch)).is_err(), "{refresh_at} {xfetch}");
        }
    }
}
