//! SET and its kin, DEL and UNLINK: plain keys are written as in Redis; of a declared key the row
//! is stored, and DEL invalidates what is held of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use larder_core::{Key, Moment, Result, Value};
use larder_engine::{Invalidation, Occupant, Plain, PlainChange, PlainHeld};

use super::expiry::{self, Lifetime, Unit};
use super::{Call, Outcome, Says, declared, rows};
use crate::codec::Writer;
use crate::keyspace::{Declared, Home};
use crate::row::Statement;

/// On which keys SET sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    IfMissing,
    IfHeld,
}

impl Condition {
    pub(super) fn is_met(self, is_held: bool) -> bool {
        match self {
            Self::Always => true,
            Self::IfMissing => !is_held,
            Self::IfHeld => is_held,
        }
    }
}

/// What SET replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    /// OK, or null when the condition wasn't met.
    Done,
    /// What was held before.
    Old,
    /// 1, or 0 when the condition wasn't met.
    Whether,
}

impl Reply {
    fn write(self, put: &Put, reply: &mut Writer<'_>) {
        match (self, put) {
            (Self::Old, Put { old: Some(old), .. }) => reply.bulk(&old.bytes),
            (Self::Old, Put { old: None, .. }) | (Self::Done, Put { set: false, .. }) => {
                reply.null();
            }
            (Self::Done, Put { set: true, .. }) => reply.simple("OK"),
            (Self::Whether, put) => reply.integer(i64::from(put.set)),
        }
    }
}

/// The options of SET.
#[derive(Debug)]
struct Options {
    condition: Condition,
    reply: Reply,
    lifetime: Option<Lifetime>,
}

pub(super) fn set(call: &mut Call<'_>) -> Outcome {
    let Some(options) = options(call) else {
        return call.syntax();
    };
    let key = call.key(1);
    let service = call.service;
    let plain = match service.keyspace.home(key.as_bytes()) {
        Ok(Home::Plain(plain)) => plain,
        Ok(Home::Declared(declared, key)) => return store(call, declared, key, &options),
        Err(error) => return call.fail(&error),
    };
    let until = match options.lifetime {
        Some(Lifetime::Keep) => None,
        Some(Lifetime::For { amount, unit }) => match expiry::moment(call, "set", amount, unit) {
            Ok(until) => Some(until),
            Err(written) => return written,
        },
        None => Some(Moment::MAX),
    };
    let value = value(&call.request[2]);
    match put(call, plain, &key, value, until, options.condition) {
        Ok(put) => options.reply.write(&put, &mut call.reply),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

/// SET of a declared key, whose lifetime is declared, too.
fn store(call: &mut Call<'_>, declared: &Declared, key: Key, options: &Options) -> Outcome {
    let refusal = Statement::Store.check(&declared.cache, &key).err().or_else(|| {
        let option = options.lifetime?.option();
        let instead =
            format!("how long it is held is declared with the cache: SET it without {option}");
        let refused = declared::refused(call, declared, &key, &instead);
        Some(refused)
    });
    if let Some(error) = refusal {
        return call.fail(&error);
    }
    let reply = options.reply;
    let how = (options.condition, reply == Reply::Old);
    rows::put(call, (declared, key), 2, how, move |put, writer| reply.write(put, writer))
}

/// `GETSET key value`.
pub(super) fn getset(call: &mut Call<'_>) -> Outcome {
    put_always(call, Condition::Always, Reply::Old)
}

pub(super) fn setex(call: &mut Call<'_>) -> Outcome {
    set_for(call, "setex", Unit::Seconds)
}

pub(super) fn psetex(call: &mut Call<'_>) -> Outcome {
    set_for(call, "psetex", Unit::Milliseconds)
}

/// `SETEX key amount value` and its kin.
fn set_for(call: &mut Call<'_>, command: &str, unit: Unit) -> Outcome {
    let amount = expiry::integer(&call.request[2]);
    let until = match expiry::moment(call, command, amount, unit) {
        Ok(until) => until,
        Err(written) => return written,
    };
    let key = call.key(1);
    let value = value(&call.request[3]);
    let instead = "how long it is held is declared with the cache: SET it";
    let result = declared::plain(call, 1, instead)
        .and_then(|plain| put(call, plain, &key, value, Some(until), Condition::Always));
    match result {
        Ok(_) => call.reply.simple("OK"),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

pub(super) fn setnx(call: &mut Call<'_>) -> Outcome {
    put_always(call, Condition::IfMissing, Reply::Whether)
}

/// `SETNX key value` and `GETSET key value`: SET with one option.
fn put_always(call: &mut Call<'_>, condition: Condition, reply: Reply) -> Outcome {
    let key = call.key(1);
    let service = call.service;
    let plain = match service.keyspace.home(key.as_bytes()) {
        Ok(Home::Plain(plain)) => plain,
        Ok(Home::Declared(declared, key)) => {
            let options = Options { condition, reply, lifetime: None };
            return store(call, declared, key, &options);
        }
        Err(error) => return call.fail(&error),
    };
    let value = value(&call.request[2]);
    match put(call, plain, &key, value, Some(Moment::MAX), condition) {
        Ok(put) => reply.write(&put, &mut call.reply),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

pub(super) fn mset(call: &mut Call<'_>) -> Outcome {
    match put_all(call, "MSET", Occupant::Replaced) {
        Ok(_) => call.reply.simple("OK"),
        Err(written) => return written,
    }
    Outcome::Written
}

pub(super) fn msetnx(call: &mut Call<'_>) -> Outcome {
    match put_all(call, "MSETNX", Occupant::Stays) {
        Ok(all) => call.reply.integer(i64::from(all)),
        Err(written) => return written,
    }
    Outcome::Written
}

/// Puts the pairs that follow the command, all or none; of two pairs with one key the last.
fn put_all(call: &mut Call<'_>, command: &str, occupant: Occupant) -> Result<bool, Outcome> {
    if call.request.len().is_multiple_of(2) {
        return Err(call.wrong_arity(command));
    }
    let places = (1..call.request.len()).step_by(2);
    let instead = "rows are stored each by itself, so SET each key";
    let homes = places.clone().map(|at| declared::plain(call, at, instead));
    let plain = match homes.collect::<Result<Vec<_>>>() {
        Ok(homes) => homes.first().copied(),
        Err(error) => return Err(call.fail(&error)),
    };
    let Some(plain) = plain else { return Ok(true) };
    let pairs: BTreeMap<_, _> =
        places.map(|at| (&call.request[at], &call.request[at + 1])).collect();
    let pairs: Vec<_> =
        pairs.into_iter().map(|(key, bytes)| (Key::new(key), value(bytes))).collect();
    let put = call.service.keyspace.put_all(plain, &pairs, occupant, call.now);
    put.map_err(|error| call.fail(&error))
}

/// DEL and UNLINK: a declared key counts as deleted if something was held of it.
pub(super) fn del(call: &mut Call<'_>) -> Outcome {
    forget(call, 1, Invalidation::Drop, Says::Count)
}

/// Forgets plain keys and invalidates declared ones, from the argument at `first` on, and
/// replies of how many something was held. A bad key fails the command before anything is done.
/// Marking a plain key stale makes no sense, as nothing would refresh it: it is forgotten.
pub(super) fn forget(call: &mut Call<'_>, first: usize, what: Invalidation, says: Says) -> Outcome {
    let keyspace = &call.service.keyspace;
    let keys = call.request.iter().skip(first);
    if let Some(error) = keys.clone().find_map(|key| keyspace.home(key).err()) {
        return call.fail(&error);
    }
    let now = call.now;
    let mut count = 0;
    for key in keys {
        let key = Key::new(key);
        let held = keyspace.home(key.as_bytes()).and_then(|home| match home {
            Home::Plain(plain) => {
                keyspace.update(plain, &key, now, |held| (PlainChange::Remove, held.is_some()))
            }
            Home::Declared(declared, key) => keyspace.invalidate(declared, &key, what),
        });
        match held {
            Ok(held) => count += i64::from(held),
            Err(error) => return call.fail(&error),
        }
    }
    call.settled(count, says)
}

/// What a write found and did.
pub(super) struct Put {
    pub(super) set: bool,
    pub(super) old: Option<Value>,
}

/// Puts a plain value under a condition; no `until` keeps the expiry that the key has.
fn put(
    call: &Call<'_>,
    plain: &Plain<Key, Value>,
    key: &Key,
    value: Value,
    until: Option<Moment>,
    condition: Condition,
) -> Result<Put> {
    call.service.keyspace.update(plain, key, call.now, |held: Option<PlainHeld<'_, Value>>| {
        let old = held.as_ref().map(|held| held.value.clone());
        let set = condition.is_met(old.is_some());
        let kept = held.map_or(Moment::MAX, |held| held.expires_at);
        let change = match set {
            true => PlainChange::Put { value, expires_at: until.unwrap_or(kept) },
            false => PlainChange::Keep,
        };
        (change, Put { set, old })
    })
}

/// A value of the client's bytes, in memory of their own size.
pub(super) fn value(bytes: &[u8]) -> Value {
    Value::raw(Bytes::copy_from_slice(bytes))
}

/// The options after `SET key value`; `None` for what Redis calls a syntax error.
fn options(call: &Call<'_>) -> Option<Options> {
    let mut options = Options { condition: Condition::Always, reply: Reply::Done, lifetime: None };
    let mut at = 3;
    while at < call.request.len() {
        if call.is(at, "NX") && options.condition != Condition::IfHeld {
            options.condition = Condition::IfMissing;
        } else if call.is(at, "XX") && options.condition != Condition::IfMissing {
            options.condition = Condition::IfHeld;
        } else if call.is(at, "GET") {
            options.reply = Reply::Old;
        } else {
            let (lifetime, words) = expiry::lifetime(call, at)?;
            if options.lifetime.is_some_and(|first| !first.is_replaced_by(lifetime)) {
                return None;
            }
            options.lifetime = Some(lifetime);
            at += words - 1;
        }
        at += 1;
    }
    Some(options)
}
