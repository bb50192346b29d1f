//! GETDEL, GETEX, APPEND, SETRANGE: plain keys whose value is read and changed in one step.

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Key, Moment, Result, Value};
use larder_engine::{Plain, PlainChange, PlainHeld};

use super::expiry::{self, Lifetime};
use super::{Call, Outcome, declared};

/// The longest string of Redis, in bytes: its `proto-max-bulk-len`.
const REDIS_BYTES_MAX: u64 = 512 << 20;

type Held<'a> = Option<PlainHeld<'a, Value>>;

/// Changes the plain key that follows the command.
pub(super) fn update<R>(
    call: &Call<'_>,
    change: impl FnOnce(&Plain<Key, Value>, Held<'_>) -> (PlainChange<Value>, R),
) -> Result<R> {
    let key = call.key(1);
    let plain = declared::plain(call, 1, "SET its whole value")?;
    call.service.keyspace.update(plain, &key, call.now, |held| change(plain, held))
}

/// Replies with the value that was held.
fn old(call: &mut Call<'_>, old: Result<Option<Value>>) -> Outcome {
    match old {
        Ok(Some(old)) => call.reply.bulk(&old.bytes),
        Ok(None) => call.reply.null(),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

pub(super) fn getdel(call: &mut Call<'_>) -> Outcome {
    if let Err(error) = declared::plain(call, 1, "GET the key, then LARDER.DELETE it") {
        return call.fail(&error);
    }
    let result = update(call, |_, held| match held {
        Some(held) => (PlainChange::Remove, Some(held.value.clone())),
        None => (PlainChange::Keep, None),
    });
    old(call, result)
}

/// What GETEX makes of the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GetEx {
    Keep,
    Persist,
    For(Lifetime),
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`. As in Redis, a lifetime that makes no
/// sense is only noticed where there is a key that could have it.
pub(super) fn getex(call: &mut Call<'_>) -> Outcome {
    let Some(wanted) = getex_option(call) else {
        return call.syntax();
    };
    let cure = "GET the key: how long it is held is declared with the cache";
    if let Err(error) = declared::plain(call, 1, cure) {
        return call.fail(&error);
    }
    let until = match wanted {
        GetEx::For(Lifetime::For { amount, unit }) => Some(expiry::end(call, amount, unit)),
        GetEx::Persist => Some(Ok(Moment::MAX)),
        GetEx::Keep | GetEx::For(Lifetime::Keep) => None,
    };
    let result = update(call, |_, held| {
        let Some(held) = held else {
            return (PlainChange::Keep, Ok(None));
        };
        let value = held.value.clone();
        let change = match until {
            None => PlainChange::Keep,
            Some(Err(bad)) => return (PlainChange::Keep, Err(bad)),
            Some(Ok(Moment::ZERO)) => PlainChange::Remove,
            Some(Ok(until)) if until == held.expires_at => PlainChange::Keep,
            Some(Ok(expires_at)) => PlainChange::Revise { value: value.clone(), expires_at },
        };
        (change, Ok(Some(value)))
    });
    match result {
        Ok(Ok(value)) => old(call, Ok(value)),
        Ok(Err(bad)) => bad.tell(call, "getex"),
        Err(error) => call.fail(&error),
    }
}

/// The options of GETEX; `None` for what Redis calls a syntax error.
fn getex_option(call: &Call<'_>) -> Option<GetEx> {
    let mut wanted = GetEx::Keep;
    let mut at = 2;
    while at < call.request.len() {
        if call.is(at, "PERSIST") && matches!(wanted, GetEx::Keep | GetEx::Persist) {
            wanted = GetEx::Persist;
            at += 1;
            continue;
        }
        let (lifetime, words) = expiry::lifetime(call, at)?;
        wanted = match wanted {
            _ if lifetime == Lifetime::Keep => return None,
            GetEx::Keep => GetEx::For(lifetime),
            GetEx::For(first) if first.is_replaced_by(lifetime) => GetEx::For(lifetime),
            GetEx::For(_) | GetEx::Persist => return None,
        };
        at += words;
    }
    Some(wanted)
}

/// What came of making a value longer.
pub(super) enum Longer {
    Is(usize),
    /// Longer than Redis has any.
    BeyondRedis,
    /// Longer than an entry may be here.
    TooLong(Error),
}

impl Longer {
    pub(super) fn tell(self, call: &mut Call<'_>) -> Outcome {
        match self {
            Self::Is(length) => call.reply.integer(i64::try_from(length).unwrap_or(i64::MAX)),
            Self::BeyondRedis => {
                call.reply.error("ERR", "string exceeds maximum allowed size (proto-max-bulk-len)");
            }
            Self::TooLong(error) => return call.fail(&error),
        }
        Outcome::Written
    }
}

/// Refuses a length before anything of it is allocated.
pub(super) fn check_length(
    plain: &Plain<Key, Value>,
    key: &Key,
    length: u64,
) -> Result<(), Longer> {
    if length > REDIS_BYTES_MAX {
        return Err(Longer::BeyondRedis);
    }
    let max = plain.weight_max();
    if usize::try_from(length).is_ok_and(|length| length <= max) {
        return Ok(());
    }
    let message = format!("the value would have {length} bytes; an entry may take {max}");
    let error = Error::new(ErrorKind::Refused, message);
    Err(Longer::TooLong(error.for_key(String::from_utf8_lossy(key.as_bytes()))))
}

/// Where a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Behind what is there. Even nothing makes a key.
    End,
    /// So many bytes from its beginning; what lies between is zeros. Nothing makes no key.
    Offset(u64),
}

/// Writes `part` into the plain key that follows the command; one that isn't held is empty. The
/// expiry stays.
fn write(call: &mut Call<'_>, at: At, part: usize) -> Outcome {
    let key = call.key(1);
    let part = &call.request[part];
    let result = update(call, |plain, held| {
        let old = held.as_ref().map_or(&[][..], |held| &held.value.bytes);
        if part.is_empty() && (held.is_some() || at != At::End) {
            return (PlainChange::Keep, Longer::Is(old.len()));
        }
        let from = match at {
            At::End => old.len() as u64,
            At::Offset(offset) => offset,
        };
        let end = from.saturating_add(part.len() as u64);
        if let Err(refused) = check_length(plain, &key, end) {
            return (PlainChange::Keep, refused);
        }
        // Both are no more than an entry may take.
        let (from, end) = (from as usize, end as usize);
        let mut bytes = Vec::with_capacity(old.len().max(end));
        bytes.extend_from_slice(old);
        bytes.resize(old.len().max(end), 0);
        bytes[from..end].copy_from_slice(part);
        let length = bytes.len();
        let value = Value::raw(Bytes::from(bytes));
        let expires_at = held.map_or(Moment::MAX, |held| held.expires_at);
        (PlainChange::Revise { value, expires_at }, Longer::Is(length))
    });
    match result {
        Ok(longer) => longer.tell(call),
        Err(error) => call.fail(&error),
    }
}

pub(super) fn append(call: &mut Call<'_>) -> Outcome {
    write(call, At::End, 2)
}

pub(super) fn setrange(call: &mut Call<'_>) -> Outcome {
    let Some(offset) = expiry::integer(&call.request[2]) else {
        return call.not_an_integer();
    };
    let Ok(offset) = u64::try_from(offset) else {
        call.reply.error("ERR", "offset is out of range");
        return Outcome::Written;
    };
    write(call, At::Offset(offset), 3)
}
