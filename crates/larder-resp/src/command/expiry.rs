//! TTL, EXPIRE, EXPIREAT, EXPIRETIME, their kin in milliseconds, PERSIST, and how SET is told a
//! lifetime.
//!
//! A declared key's lifetime is declared: its TTL says for how long what is held may still be
//! served, and it can't be set.

use std::time::{Duration, UNIX_EPOCH};

use larder_core::{Key, Moment};
use larder_engine::{PlainChange, PlainHeld};

use super::{Call, Outcome, declared};
use crate::fault;
use crate::keyspace::Home;

/// What a client gives a lifetime in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
}

/// A lifetime as a client gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// The one that the key has.
    Keep,
    /// So much.
    For {
        /// The number, or `None` for what isn't one.
        amount: Option<i64>,
        unit: Unit,
    },
}

impl Lifetime {
    /// The word that it stands behind.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Keep => "KEEPTTL",
            Self::For { unit: Unit::Seconds, .. } => "EX",
            Self::For { unit: Unit::Milliseconds, .. } => "PX",
            Self::For { unit: Unit::UnixSeconds, .. } => "EXAT",
            Self::For { unit: Unit::UnixMilliseconds, .. } => "PXAT",
        }
    }

    /// Whether `other` may stand behind this one: Redis takes the last of several of one kind.
    pub(super) fn is_replaced_by(self, other: Self) -> bool {
        match (self, other) {
            (Self::For { unit, .. }, Self::For { unit: other, .. }) => unit == other,
            _ => self == other,
        }
    }
}

pub(super) fn ttl(call: &mut Call<'_>) -> Outcome {
    // Rounded as in Redis: half a second left is one.
    tell_end(call, |_, left| (left.as_millis() + 500) / 1000)
}

pub(super) fn pttl(call: &mut Call<'_>) -> Outcome {
    // What has just been set is read as it was set, and not as one less.
    tell_end(call, |_, left| left.as_nanos().div_ceil(1_000_000))
}

pub(super) fn expiretime(call: &mut Call<'_>) -> Outcome {
    tell_end(call, |wall, left| (nearest_millis(wall + left) + 500) / 1000)
}

pub(super) fn pexpiretime(call: &mut Call<'_>) -> Outcome {
    tell_end(call, |wall, left| nearest_millis(wall + left))
}

/// The two clocks don't tick together: what was set as a whole millisecond is read as that one.
fn nearest_millis(time: Duration) -> u128 {
    (time.as_nanos() + 500_000) / 1_000_000
}

/// Replies when the end of the key is: what `count` makes of the time since 1970 and of what is
/// left. −2 when it isn't held, −1 when it has no end.
fn tell_end(call: &mut Call<'_>, count: fn(Duration, Duration) -> u128) -> Outcome {
    let key = call.key(1);
    let until = match call.service.keyspace.home(key.as_bytes()) {
        Ok(Home::Plain(plain)) => plain.get(key.as_bytes(), call.now, |_, until| until),
        Ok(Home::Declared(..)) if call.behind => return Outcome::Later,
        Ok(Home::Declared(declared, key)) => declared.cache.held_until(&key),
        Err(error) => return call.fail(&error),
    };
    call.reply.integer(match until {
        None => -2,
        Some(Moment::MAX) => -1,
        Some(until) => {
            let Time { now, wall } = Time::of(call);
            i64::try_from(count(wall, until - now)).unwrap_or(i64::MAX)
        }
    });
    Outcome::Written
}

pub(super) fn expire(call: &mut Call<'_>) -> Outcome {
    set_expiry(call, "expire", Unit::Seconds)
}

pub(super) fn pexpire(call: &mut Call<'_>) -> Outcome {
    set_expiry(call, "pexpire", Unit::Milliseconds)
}

pub(super) fn expireat(call: &mut Call<'_>) -> Outcome {
    set_expiry(call, "expireat", Unit::UnixSeconds)
}

pub(super) fn pexpireat(call: &mut Call<'_>) -> Outcome {
    set_expiry(call, "pexpireat", Unit::UnixMilliseconds)
}

/// Sets the expiry of a plain key; one that has passed already forgets the key, as in Redis.
fn set_expiry(call: &mut Call<'_>, command: &str, unit: Unit) -> Outcome {
    let conditions = match Conditions::of(call) {
        Ok(conditions) => conditions,
        Err(written) => return written,
    };
    let Some(amount) = integer(&call.request[2]) else {
        return call.not_an_integer();
    };
    let time = Time::of(call);
    let Some(until) = time.after(amount, unit) else {
        return invalid_expire(call, command);
    };
    change_expiry(call, time.now, |held_until| match until {
        _ if !conditions.allow(held_until, until) => Expiry::Same,
        Moment::ZERO => Expiry::Past,
        _ => Expiry::At(until),
    })
}

/// The conditions of EXPIRE: NX, XX, GT and LT.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    endless: bool,
    ending: bool,
    later: bool,
    sooner: bool,
}

impl Conditions {
    /// Those that stand behind `EXPIRE key time`.
    fn of(call: &mut Call<'_>) -> Result<Self, Outcome> {
        let mut all = Self::default();
        for at in 3..call.request.len() {
            let words = [
                ("NX", &mut all.endless),
                ("XX", &mut all.ending),
                ("GT", &mut all.later),
                ("LT", &mut all.sooner),
            ];
            let Some((_, condition)) = words.into_iter().find(|(word, _)| call.is(at, word)) else {
                let option = fault::shown(&call.request[at]);
                call.reply.error("ERR", format_args!("Unsupported option {option}"));
                return Err(Outcome::Written);
            };
            *condition = true;
        }
        let contradiction = if all.endless && (all.ending || all.later || all.sooner) {
            "NX and XX, GT or LT options at the same time are not compatible"
        } else if all.later && all.sooner {
            "GT and LT options at the same time are not compatible"
        } else {
            return Ok(all);
        };
        call.reply.error("ERR", contradiction);
        Err(Outcome::Written)
    }

    /// Whether they let an expiry become another one. A key without an end ends later than any.
    fn allow(self, old: Moment, new: Moment) -> bool {
        !(self.endless && old != Moment::MAX
            || self.ending && old == Moment::MAX
            || self.later && new <= old
            || self.sooner && new >= old)
    }
}

pub(super) fn persist(call: &mut Call<'_>) -> Outcome {
    let now = call.now;
    change_expiry(call, now, |until| match until {
        Moment::MAX => Expiry::Same,
        _ => Expiry::At(Moment::MAX),
    })
}

/// What becomes of a key's expiry.
enum Expiry {
    Same,
    At(Moment),
    Past,
}

/// Changes the expiry of a plain key that is held, and replies whether it did.
fn change_expiry(
    call: &mut Call<'_>,
    now: Moment,
    change: impl FnOnce(Moment) -> Expiry,
) -> Outcome {
    let key: Key = call.key(1);
    let instead = "how long it is held is declared with the cache";
    let result = declared::plain(call, 1, instead).and_then(|plain| {
        let keyspace = &call.service.keyspace;
        keyspace.update(plain, &key, now, |held: Option<PlainHeld<'_, _>>| {
            let Some(held) = held else {
                return (PlainChange::Keep, false);
            };
            match change(held.expires_at) {
                Expiry::Same => (PlainChange::Keep, false),
                Expiry::Past => (PlainChange::Remove, true),
                Expiry::At(expires_at) => {
                    (PlainChange::Revise { value: held.value.clone(), expires_at }, true)
                }
            }
        })
    });
    match result {
        Ok(changed) => call.reply.integer(i64::from(changed)),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

/// The lifetime that stands at `at` of the request and how many words it takes; `None` for what
/// is none.
pub(super) fn lifetime(call: &Call<'_>, at: usize) -> Option<(Lifetime, usize)> {
    if call.is(at, "KEEPTTL") {
        return Some((Lifetime::Keep, 1));
    }
    let units = [
        ("EX", Unit::Seconds),
        ("PX", Unit::Milliseconds),
        ("EXAT", Unit::UnixSeconds),
        ("PXAT", Unit::UnixMilliseconds),
    ];
    let (_, unit) = units.into_iter().find(|(word, _)| call.is(at, word))?;
    let amount = integer(call.request.get(at + 1)?);
    Some((Lifetime::For { amount, unit }, 2))
}

/// What is wrong with a lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadLifetime {
    NotANumber,
    /// It isn't positive, or Redis has no number for its end.
    Impossible,
}

impl BadLifetime {
    /// Redis's own words for it.
    pub(super) fn tell(self, call: &mut Call<'_>, command: &str) -> Outcome {
        match self {
            Self::NotANumber => call.not_an_integer(),
            Self::Impossible => invalid_expire(call, command),
        }
    }
}

/// The moment at which a lifetime that begins now ends; [`Moment::ZERO`] if it is over already.
/// `amount` is `None` for what isn't a number.
pub(super) fn end(call: &Call<'_>, amount: Option<i64>, unit: Unit) -> Result<Moment, BadLifetime> {
    let amount = amount.ok_or(BadLifetime::NotANumber)?;
    let until = Some(amount).filter(|&amount| amount > 0);
    until.and_then(|amount| Time::of(call).after(amount, unit)).ok_or(BadLifetime::Impossible)
}

/// The same; the error is written already.
pub(super) fn moment(
    call: &mut Call<'_>,
    command: &str,
    amount: Option<i64>,
    unit: Unit,
) -> Result<Moment, Outcome> {
    end(call, amount, unit).map_err(|bad| bad.tell(call, command))
}

fn invalid_expire(call: &mut Call<'_>, command: &str) -> Outcome {
    call.reply.error("ERR", format_args!("invalid expire time in '{command}' command"));
    Outcome::Written
}

/// The latest end of a lifetime, in 584 years. [`Moment::MAX`] would be none.
const LAST: Moment = Moment::from_nanos(Moment::MAX.as_nanos() - 1);

/// The time, by both of its clocks.
#[derive(Clone, Copy, Debug)]
struct Time {
    now: Moment,
    /// Since 1970.
    wall: Duration,
}

impl Time {
    fn of(call: &Call<'_>) -> Self {
        let clock = call.service.engine.clock();
        let wall = clock.wall().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // A call begins with others, a little before it is executed.
        Self { now: call.now, wall: wall.saturating_sub(clock.now() - call.now) }
    }

    /// When the lifetime is over: [`Moment::ZERO`] if it is already, [`LAST`] at the latest.
    /// `None` where Redis, which counts milliseconds since 1970 in 64 bits, has no number for it.
    fn after(self, amount: i64, unit: Unit) -> Option<Moment> {
        let millis = match unit {
            Unit::Seconds | Unit::UnixSeconds => amount.checked_mul(1000)?,
            Unit::Milliseconds | Unit::UnixMilliseconds => amount,
        };
        let given = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        let left = match unit {
            Unit::Seconds | Unit::Milliseconds => {
                i64::try_from(self.wall.as_millis()).ok()?.checked_add(millis)?;
                given
            }
            Unit::UnixSeconds | Unit::UnixMilliseconds => given.saturating_sub(self.wall),
        };
        Some(if left.is_zero() { Moment::ZERO } else { (self.now + left).min(LAST) })
    }
}

/// A number in Redis's one spelling.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-").unwrap_or(text) {
        [b'0'] if text.len() == 1 => Some(0),
        [b'1'..=b'9', ..] => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}
