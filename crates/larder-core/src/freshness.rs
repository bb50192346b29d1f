//! Fresh, stale or gone, as pure arithmetic on moments.
//!
//! The promise: a read that starts at *t* returns a value that was the source's value at some
//! moment not earlier than *t − `max_staleness`*. An entry is known to be current at its
//! *as-of*: the moment before its load began, or, where a stream of changes vouches for it, the
//! stream's horizon, if that is later. Until `fresh_for` an entry is served as it is; for
//! `stale_for` after that it may be served while one refresh runs; `max_staleness` bounds both.
//!
//! An entry that was marked stale is frozen: no later horizon vouches for it.
//!
//! Only `stale_on_error` goes beyond the promise: for so long after an entry is gone its value may
//! stand in while the source fails, and such answers say so.

mod early;
#[cfg(test)]
mod tests;
mod times;

use std::time::Duration;

use crate::{Error, ErrorKind, Moment, Result, State};

pub use early::Early;
pub use times::Times;

/// The windows that a cache declares.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// How long after an entry is gone its value may stand in while the source fails; zero: never.
    pub stale_on_error: Duration,
    /// When a fresh entry that is read is refreshed already.
    pub early: Early,
    /// Whether a stream of changes vouches for entries: then the promise counts from its horizon,
    /// and an entry may be fresh for longer than `max_staleness`.
    pub vouched: bool,
}

/// What a user wrote; [`Window::resolve`] fills in the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    /// `stale_on_error`, if given; otherwise zero: an error is an error.
    pub stale_on_error: Option<Duration>,
    /// `refresh_at`, if given, from 0 to 1; otherwise 0.8.
    pub refresh_at: Option<f64>,
    /// `xfetch`, if given; otherwise 1.
    pub xfetch: Option<f64>,
    /// Whether a stream of changes vouches for entries.
    pub vouched: bool,
}

impl Window {
    /// The longest memory of an absence that nobody asked for: absence is forgotten sooner than
    /// presence.
    pub const MISSING_FOR_DEFAULT: Duration = Duration::from_secs(30);
    /// The most that jitter takes by default.
    pub const JITTER_DEFAULT_MAX: Duration = Duration::from_secs(60);
    /// How long an entry is fresh that a stream vouches for, if nothing is said.
    pub const VOUCHED_FRESH_FOR_DEFAULT: Duration = Duration::from_secs(3600);

    /// The windows that follow from what was declared. For data that anyone may change at any time
    /// nothing but age bounds the staleness; where a stream of changes vouches for entries, they
    /// may be fresh for longer than the promise.
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
            (None, Some(max_staleness)) if declared.vouched && !max_staleness.is_zero() => {
                (max_staleness.max(Self::VOUCHED_FRESH_FOR_DEFAULT), max_staleness)
            }
            (None, Some(max_staleness)) => (max_staleness, max_staleness),
            (Some(fresh_for), Some(max_staleness)) => (fresh_for, max_staleness),
        };
        if fresh_for > max_staleness && !declared.vouched {
            return Err(config(
                "fresh_for is longer than max_staleness: without a stream of changes nothing but \
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
        if missing_for > max_staleness && !declared.vouched {
            return Err(config(
                "missing_for is longer than max_staleness: absence is an answer too, and the \
                 promise covers it. Shorten missing_for or widen max_staleness",
            ));
        }
        let early = Early::new(declared.refresh_at, declared.xfetch)?;
        let stale_on_error = declared.stale_on_error.unwrap_or(Duration::ZERO);
        if !stale_on_error.is_zero() && max_staleness.is_zero() {
            return Err(config(
                "stale_on_error needs something that is held, and with max_staleness = 0 nothing \
                 is. Leave it out, or widen max_staleness",
            ));
        }
        Ok(Self {
            fresh_for,
            stale_for,
            max_staleness,
            missing_for,
            jitter,
            stale_on_error,
            early,
            vouched: declared.vouched,
        })
    }

    /// Whether anything may be kept at all. With `max_staleness = 0` every read asks the source.
    #[must_use]
    pub const fn keeps(&self) -> bool {
        !self.max_staleness.is_zero()
    }

    /// The times of an entry.
    #[must_use]
    pub fn times(&self, loaded: &Loaded) -> Times {
        let (fresh_for, stale_for) = if loaded.present {
            let lifetime = loaded.fresh_for.unwrap_or(self.fresh_for);
            let jitter = self.jitter_of(lifetime);
            let stale_for = loaded.stale_for.unwrap_or(self.stale_for);
            (lifetime - share(jitter, loaded.draw), stale_for)
        } else {
            (loaded.fresh_for.unwrap_or(self.missing_for), Duration::ZERO)
        };
        let lasting = Lasting { fresh_for, stale_for, cost: loaded.cost };
        self.times_of_lasting(loaded.at, loaded.present, lasting)
    }

    /// The times of an entry whose lifetime was drawn already, in another process for instance.
    #[must_use]
    pub fn times_of_lasting(&self, at: Moment, present: bool, lasting: Lasting) -> Times {
        let fresh_until = at + lasting.fresh_for;
        let promised_until = fresh_until.min(self.promised_until(at));
        let calm_until = if present {
            promised_until.min(self.early.calm_until(at, fresh_until, lasting.cost))
        } else {
            promised_until
        };
        Times::new(at, fresh_until, fresh_until + lasting.stale_for, calm_until)
    }

    /// Until when an entry may be served at most that was loaded at `at`, and that nothing has
    /// vouched for since: for ever, where something may vouch for it later.
    fn promised_until(&self, at: Moment) -> Moment {
        if self.vouched { Moment::MAX } else { at + self.max_staleness }
    }

    /// What chance may take of a lifetime: as large a part of it as `jitter` is of `fresh_for`,
    /// and never more than `jitter`.
    fn jitter_of(&self, lifetime: Duration) -> Duration {
        if lifetime == self.fresh_for || self.fresh_for.is_zero() {
            return self.jitter.min(lifetime);
        }
        let part = self.jitter.as_secs_f64() / self.fresh_for.as_secs_f64();
        lifetime.mul_f64(part.clamp(0.0, 1.0)).min(self.jitter)
    }

    /// What an entry is worth to a read that starts at `now`. `horizon` is what the entry's
    /// stream vouches for; it must have been read before the entry was.
    #[must_use]
    pub fn state(&self, times: &Times, horizon: Moment, now: Moment) -> State {
        if !self.keeps_promise(times.as_of(horizon), now) || now > times.stale_until() {
            State::Gone
        } else if times.is_frozen() || now > times.fresh_until() {
            State::Stale
        } else {
            State::Fresh
        }
    }

    /// Whether a fresh entry that is read at `now` is to be refreshed already. `cost` is how long
    /// its load took, and `draw` a random number.
    #[must_use]
    pub fn wants_refresh(&self, times: &Times, cost: Duration, now: Moment, draw: u32) -> bool {
        self.early.wants_refresh(times.loaded_at(), times.fresh_until(), cost, now, draw)
    }

    /// When an entry is gone, if its stream vouches for nothing beyond `horizon`.
    #[must_use]
    pub fn gone_after(&self, times: &Times, horizon: Moment) -> Moment {
        times.stale_until().min(times.as_of(horizon) + self.max_staleness)
    }

    /// When an entry is certainly gone, whatever its stream will vouch for.
    #[must_use]
    pub fn surely_gone_after(&self, times: &Times) -> Moment {
        let horizon = if self.vouched { Moment::MAX } else { Moment::ZERO };
        self.gone_after(times, horizon)
    }

    /// Until when the value of an entry may stand in while the source fails.
    #[must_use]
    pub fn stands_in_until(&self, times: &Times, horizon: Moment) -> Moment {
        self.gone_after(times, horizon) + self.stale_on_error
    }

    /// After which a tier may forget an entry: neither it nor its value is of use any more.
    #[must_use]
    pub fn forgotten_after(&self, times: &Times, present: bool) -> Moment {
        let gone_after = self.surely_gone_after(times);
        if present { gone_after + self.stale_on_error } else { gone_after }
    }

    /// Whether something that is known to be current at `as_of` keeps the promise to who starts at
    /// `now`.
    #[inline]
    #[must_use]
    pub fn keeps_promise(&self, as_of: Moment, now: Moment) -> bool {
        now.since(as_of) <= self.max_staleness
    }
}

/// What is known of an entry when its load is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// When its load began.
    pub at: Moment,
    /// Whether there is a value; otherwise it is an absence.
    pub present: bool,
    /// How long the load took.
    pub cost: Duration,
    /// A random number, which decides the jitter.
    pub draw: u32,
    /// Its own `fresh_for`, if its loader said one.
    pub fresh_for: Option<Duration>,
    /// Its own `stale_for`, if its loader said one.
    pub stale_for: Option<Duration>,
}

/// How long an entry lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// How long it is served as it is.
    pub fresh_for: Duration,
    /// How long after that it may be served while a refresh runs.
    pub stale_for: Duration,
    /// How long its load took.
    pub cost: Duration,
}

impl Loaded {
    /// A value, or its absence, whose load began at `at` and took no time worth mentioning.
    #[must_use]
    pub const fn at(at: Moment, present: bool, draw: u32) -> Self {
        Self { at, present, cost: Duration::ZERO, draw, fresh_for: None, stale_for: None }
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
