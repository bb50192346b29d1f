//! Fresh, stale or gone, as pure arithmetic on moments.
//!
//! The promise: a read that starts at *t* returns a value that was the source's value at some
//! moment not earlier than *t − `max_staleness`*. An entry is known to be current at its
//! *as-of*: the moment before its load began, or, where a stream of changes vouches for it, the
//! stream's horizon, if that is later. Until `fresh_for` an entry is served as it is; for
//! `stale_for` after that it may be served while one refresh runs; `max_staleness` bounds both.
//!
//! An entry that was marked stale is frozen: no later horizon vouches for it.

use std::time::Duration;

use crate::{Error, ErrorKind, Moment, Result, State};

/// The windows that a cache declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How long an entry is served as it is.
    pub fresh_for: Duration,
    /// How much longer it may be served while one refresh runs.
    pub stale_for: Duration,
    /// The promise, which bounds both.
    pub max_staleness: Duration,
    /// How long the absence of a value is remembered.
    pub missing_for: Duration,
    /// How much of `fresh_for` chance may take away, so that entries filled together don't
    /// expire together.
    pub jitter: Duration,
}

/// What a user wrote; [`Window::resolve`] fills in the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// `fresh_for`, if given.
    pub fresh_for: Option<Duration>,
    /// `stale_for`, if given; otherwise zero: nothing is silently old.
    pub stale_for: Option<Duration>,
    /// `max_staleness`, if given.
    pub max_staleness: Option<Duration>,
    /// `missing_for`, if given; otherwise 30 s, at most `max_staleness`.
    pub missing_for: Option<Duration>,
    /// `jitter`, if given; otherwise a tenth of `fresh_for`, at most 60 s.
    pub jitter: Option<Duration>,
}

impl Window {
    /// The longest memory of an absence that nobody asked for: absence is forgotten sooner than
    /// presence.
    pub const MISSING_FOR_DEFAULT: Duration = Duration::from_secs(30);
    /// The most that jitter takes by default.
    pub const JITTER_DEFAULT_MAX: Duration = Duration::from_secs(60);

    /// The windows that follow from what was declared, for data that anyone may change at any
    /// time: nothing but age bounds the staleness.
    ///
    /// ```
    /// use larder_core::freshness::{Declared, Window};
    /// use std::time::Duration;
    ///
    /// let two = Some(Duration::from_secs(2));
    /// let window = Window::resolve(Declared { max_staleness: two, ..Declared::default() })?;
    /// assert_eq!(window.fresh_for, Duration::from_secs(2));
    /// assert_eq!(window.missing_for, Duration::from_secs(2));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Config` when no window is named, or when the windows contradict each other.
    pub fn resolve(declared: Declared) -> Result<Self> {
        let stale_for = declared.stale_for.unwrap_or(Duration::ZERO);
        let (fresh_for, max_staleness) = match (declared.fresh_for, declared.max_staleness) {
            (None, None) => {
                return Err(config(
                    "name the window: how stale may an answer be? Set max_staleness or fresh_for",
                ));
            }
            (Some(fresh_for), None) => (fresh_for, fresh_for.saturating_add(stale_for)),
            (None, Some(max_staleness)) => (max_staleness, max_staleness),
            (Some(fresh_for), Some(max_staleness)) => (fresh_for, max_staleness),
        };
        if fresh_for > max_staleness {
            return Err(config(
                "fresh_for is longer than max_staleness: without a feed of changes nothing but \
                 age bounds the staleness, so an entry can't stay fresh longer than the promise. \
                 Shorten fresh_for or widen max_staleness",
            ));
        }
        let jitter =
            declared.jitter.unwrap_or_else(|| (fresh_for / 10).min(Self::JITTER_DEFAULT_MAX));
        if jitter > fresh_for {
            return Err(config("jitter is longer than fresh_for; it only ever shortens it"));
        }
        let missing_for =
            declared.missing_for.unwrap_or(Self::MISSING_FOR_DEFAULT.min(max_staleness));
        if missing_for > max_staleness {
            return Err(config(
                "missing_for is longer than max_staleness: absence is an answer too, and the \
                 promise covers it. Shorten missing_for or widen max_staleness",
            ));
        }
        Ok(Self { fresh_for, stale_for, max_staleness, missing_for, jitter })
    }

    /// Whether anything may be kept at all. With `max_staleness = 0` every read asks the source.
    #[must_use]
    pub const fn keeps(&self) -> bool {
        !self.max_staleness.is_zero()
    }

    /// The times of an entry whose load began at `loaded_at`. `draw` is a random number that
    /// decides the jitter; `present` tells a value from an absence.
    #[must_use]
    pub fn times(&self, loaded_at: Moment, present: bool, draw: u32) -> Times {
        let (fresh_for, stale_for) = if present {
            (self.fresh_for - share(self.jitter, draw), self.stale_for)
        } else {
            (self.missing_for, Duration::ZERO)
        };
        Times {
            loaded_at,
            fresh_until: loaded_at + fresh_for,
            stale_until: loaded_at + fresh_for.saturating_add(stale_for),
            frozen_at: Times::NOT_FROZEN,
        }
    }

    /// What an entry is worth to a read that starts at `now`. `horizon` is what the entry's
    /// stream vouches for; it must have been read before the entry was.
    #[must_use]
    pub fn state(&self, times: &Times, horizon: Moment, now: Moment) -> State {
        if now - times.as_of(horizon) > self.max_staleness || now > times.stale_until {
            State::Gone
        } else if times.is_frozen() || now > times.fresh_until {
            State::Stale
        } else {
            State::Fresh
        }
    }

    /// When an entry is certainly gone, where no horizon will lift it: memory may forget it just
    /// after.
    #[must_use]
    pub fn gone_after(&self, times: &Times) -> Moment {
        times.stale_until.min(times.as_of(Moment::ZERO) + self.max_staleness)
    }
}

/// `duration * draw / 2^32`, without floating point.
fn share(duration: Duration, draw: u32) -> Duration {
    let nanos = (duration.as_nanos() * u128::from(draw)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// What an entry carries to be judged by its cache's [`Window`]: four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Taken before the load began.
    pub loaded_at: Moment,
    /// Until when it is served as it is.
    pub fresh_until: Moment,
    /// Until when it may be served while a refresh runs.
    pub stale_until: Moment,
    /// The as-of that no horizon lifts any more, once it was marked stale; until then
    /// [`NOT_FROZEN`](Self::NOT_FROZEN).
    frozen_at: Moment,
}

impl Times {
    /// No entry was ever current at the end of time.
    const NOT_FROZEN: Moment = Moment::MAX;

    /// The times of what is the truth from `since` until it expires: nothing was loaded, and
    /// nothing can make it stale.
    #[must_use]
    pub const fn of_truth(since: Moment, expires_at: Moment) -> Self {
        Self {
            loaded_at: since,
            fresh_until: expires_at,
            stale_until: expires_at,
            frozen_at: Self::NOT_FROZEN,
        }
    }

    /// Whether it was marked stale.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen_at != Self::NOT_FROZEN
    }

    /// The last moment at which the entry is known to have been the source's value. `horizon` is
    /// what its stream vouches for, or [`Moment::ZERO`] where there is no stream.
    #[must_use]
    pub fn as_of(&self, horizon: Moment) -> Moment {
        if self.is_frozen() { self.frozen_at } else { self.loaded_at.max(horizon) }
    }

    /// Marks the entry stale: it is as current as it will ever be. A second mark changes
    /// nothing.
    ///
    /// It stays servable, under the rule for stale entries, for what `stale_until` and the
    /// promise leave.
    pub fn mark_stale(&mut self, horizon: Moment) {
        self.frozen_at = self.as_of(horizon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    fn window(fresh: u32, stale: u32, max: u32) -> Window {
        Window::resolve(Declared {
            fresh_for: Some(S * fresh),
            stale_for: Some(S * stale),
            max_staleness: Some(S * max),
            missing_for: None,
            jitter: Some(Duration::ZERO),
        })
        .unwrap()
    }

    #[test]
    fn fresh_then_stale_then_gone_with_both_ends_included() {
        let window = window(10, 5, 60);
        let times = window.times(at(100), true, 0);
        for (now, state) in [
            (100, State::Fresh),
            (110, State::Fresh),
            (111, State::Stale),
            (115, State::Stale),
            (116, State::Gone),
        ] {
            assert_eq!(window.state(&times, Moment::ZERO, at(now)), state, "at {now}");
        }
        assert_eq!(window.gone_after(&times), at(115));
    }

    #[test]
    fn the_promise_bounds_the_stale_window() {
        let window = window(10, 50, 12);
        let times = window.times(at(100), true, 0);
        assert_eq!(window.state(&times, Moment::ZERO, at(112)), State::Stale);
        assert_eq!(window.state(&times, Moment::ZERO, at(113)), State::Gone);
        assert_eq!(window.gone_after(&times), at(112));
    }

    #[test]
    fn a_horizon_vouches_until_the_entry_is_marked() {
        let window = window(10, 0, 10);
        let mut times = window.times(at(100), true, 0);
        times.fresh_until = at(1000);
        times.stale_until = at(1000);
        assert_eq!(window.state(&times, at(495), at(500)), State::Fresh);
        times.mark_stale(at(495));
        assert_eq!(window.state(&times, at(505), at(505)), State::Stale);
        assert_eq!(window.state(&times, at(506), at(506)), State::Gone);
        times.mark_stale(at(900));
        assert_eq!(times.as_of(at(900)), at(495));
    }

    #[test]
    fn jitter_only_ever_shortens() {
        let mut window = window(100, 0, 100);
        window.jitter = S * 10;
        assert_eq!(window.times(at(0), true, 0).fresh_until, at(100));
        let least = window.times(at(0), true, u32::MAX).fresh_until;
        assert!(least > at(90) && least < at(91), "{least:?}");
        assert_eq!(window.times(at(0), false, u32::MAX).fresh_until, at(30));
    }

    #[test]
    fn contradictions_are_refused_with_the_reason() {
        let hour = Some(S * 3600);
        let two = Some(S * 2);
        for (declared, reason) in [
            (Declared::default(), "name the window"),
            (
                Declared { fresh_for: hour, max_staleness: two, ..Declared::default() },
                "fresh_for is longer",
            ),
            (
                Declared { missing_for: hour, max_staleness: two, ..Declared::default() },
                "missing_for",
            ),
            (Declared { jitter: hour, max_staleness: two, ..Declared::default() }, "jitter"),
        ] {
            let error = Window::resolve(declared).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn a_promise_of_zero_keeps_nothing() {
        let declared = Declared { max_staleness: Some(Duration::ZERO), ..Declared::default() };
        assert!(!Window::resolve(declared).unwrap().keeps());
    }
}
