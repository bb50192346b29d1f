//! INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT: counting in plain keys, and but for the last in rows.

use bytes::Bytes;
use larder_core::{Moment, Value};
use larder_engine::{PlainChange, PlainHeld};

use super::expiry::integer;
use super::long_double::LongDouble;
use super::{Call, Outcome, declared, rows};
use crate::keyspace::Home;

pub(super) fn incr(call: &mut Call<'_>) -> Outcome {
    add(call, 1)
}

pub(super) fn decr(call: &mut Call<'_>) -> Outcome {
    add(call, -1)
}

pub(super) fn incrby(call: &mut Call<'_>) -> Outcome {
    match integer(&call.request[2]) {
        Some(amount) => add(call, amount),
        None => call.not_an_integer(),
    }
}

pub(super) fn decrby(call: &mut Call<'_>) -> Outcome {
    match integer(&call.request[2]).map(i64::checked_neg) {
        Some(Some(amount)) => add(call, amount),
        Some(None) => {
            call.reply.error("ERR", "decrement would overflow");
            Outcome::Written
        }
        None => call.not_an_integer(),
    }
}

/// What came of counting.
enum Sum {
    Is(i64),
    NotANumber,
    Overflow,
}

/// Adds to the number in the key; a key that isn't held counts from 0. The expiry stays.
fn add(call: &mut Call<'_>, amount: i64) -> Outcome {
    let key = call.key(1);
    let service = call.service;
    let plain = match service.keyspace.home(key.as_bytes()) {
        Ok(Home::Plain(plain)) => plain,
        Ok(Home::Declared(declared, key)) => return rows::add(call, declared, key, amount),
        Err(error) => return call.fail(&error),
    };
    let count = |held: Option<PlainHeld<'_, Value>>| {
        let old = held.as_ref().map_or(Some(0), |held| integer(&held.value.bytes));
        let sum = match old.map(|old| old.checked_add(amount)) {
            None => Sum::NotANumber,
            Some(None) => Sum::Overflow,
            Some(Some(sum)) => Sum::Is(sum),
        };
        let expires_at = held.map_or(Moment::MAX, |held| held.expires_at);
        let change = match sum {
            Sum::Is(sum) => {
                let value = Value::raw(Bytes::from(sum.to_string().into_bytes()));
                PlainChange::Revise { value, expires_at }
            }
            Sum::NotANumber | Sum::Overflow => PlainChange::Keep,
        };
        (change, sum)
    };
    let result = service.keyspace.update(plain, &key, call.now, count);
    match result {
        Ok(Sum::Is(sum)) => call.reply.integer(sum),
        Ok(Sum::NotANumber) => return call.not_an_integer(),
        Ok(Sum::Overflow) => {
            call.reply.error("ERR", "increment or decrement would overflow");
        }
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

/// What came of counting in floating point.
enum FloatSum {
    Is(Bytes),
    NotANumber,
    NotFinite,
}

/// `INCRBYFLOAT key amount`; a key that isn't held counts from 0. The expiry stays.
pub(super) fn incrbyfloat(call: &mut Call<'_>) -> Outcome {
    let key = call.key(1);
    let amount = LongDouble::parse(&call.request[2]);
    let instead = "a row counts in whole numbers: INCRBY it, or SET its value";
    let result = declared::plain(call, 1, instead).and_then(|plain| {
        let keyspace = &call.service.keyspace;
        keyspace.update(plain, &key, call.now, |held: Option<PlainHeld<'_, Value>>| {
            let old = held.as_ref().map_or(&b"0"[..], |held| &held.value.bytes);
            let (Some(old), Some(amount)) = (LongDouble::parse(old), amount) else {
                return (PlainChange::Keep, FloatSum::NotANumber);
            };
            let Some(sum) = old.add(amount) else {
                return (PlainChange::Keep, FloatSum::NotFinite);
            };
            let sum = Bytes::from(sum.text());
            let value = Value::raw(sum.clone());
            let expires_at = held.map_or(Moment::MAX, |held| held.expires_at);
            (PlainChange::Revise { value, expires_at }, FloatSum::Is(sum))
        })
    });
    match result {
        Ok(FloatSum::Is(sum)) => call.reply.bulk(&sum),
        Ok(FloatSum::NotANumber) => call.reply.error("ERR", "value is not a valid float"),
        Ok(FloatSum::NotFinite) => {
            call.reply.error("ERR", "increment would produce NaN or Infinity");
        }
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}
