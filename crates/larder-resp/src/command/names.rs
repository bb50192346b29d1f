//! RENAME, RENAMENX, COPY, and what finds plain keys: KEYS, SCAN, RANDOMKEY.

use larder_core::{Key, Result};
use larder_engine::{Moved, Moving, Occupant};
use larder_memory::Cursor;

use super::expiry::integer;
use super::glob::{self, Case};
use super::{Call, Outcome, connection, declared};

/// The longest reply of KEYS, in bytes of keys.
const KEYS_BYTES_MAX: usize = 64 << 20;

/// So many entries one SCAN looks at, at most, whatever its COUNT.
const SCAN_MAX: usize = 10_000;

/// So many it looks at when nobody says.
const SCAN_DEFAULT: usize = 10;

pub(super) fn rename(call: &mut Call<'_>) -> Outcome {
    match relocate(call, Moving::Rename, Occupant::Replaced) {
        Ok(Moved::Missing) => call.reply.error("ERR", "no such key"),
        Ok(Moved::Done { .. } | Moved::Occupied) => call.reply.simple("OK"),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

pub(super) fn renamenx(call: &mut Call<'_>) -> Outcome {
    match relocate(call, Moving::Rename, Occupant::Stays) {
        Ok(Moved::Missing) => call.reply.error("ERR", "no such key"),
        Ok(Moved::Occupied) => call.reply.integer(0),
        Ok(Moved::Done { .. }) => call.reply.integer(1),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

/// `COPY from to [DB 0] [REPLACE]`.
pub(super) fn copy(call: &mut Call<'_>) -> Outcome {
    let mut occupant = Occupant::Stays;
    let mut at = 3;
    while at < call.request.len() {
        if call.is(at, "REPLACE") {
            occupant = Occupant::Replaced;
        } else if call.is(at, "DB") && at + 1 < call.request.len() {
            at += 1;
            if let Err(written) = connection::database(call, at) {
                return written;
            }
        } else {
            return call.syntax();
        }
        at += 1;
    }
    if call.request[1] == call.request[2] {
        call.reply.error("ERR", "source and destination objects are the same");
        return Outcome::Written;
    }
    match relocate(call, Moving::Copy, occupant) {
        Ok(moved) => call.reply.integer(i64::from(matches!(moved, Moved::Done { .. }))),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

/// Gives the value of the first key to the second. A key that is given its own is occupied.
fn relocate(
    call: &Call<'_>,
    moving: Moving,
    occupant: Occupant,
) -> Result<Moved<larder_core::Value>> {
    let (from, to) = (call.key(1), call.key(2));
    let instead = "GET the one key and SET the other";
    let plain = declared::plain(call, 1, instead)?;
    declared::plain(call, 2, instead)?;
    if from == to {
        let held = plain.get(from.as_bytes(), call.now, |_, _| ());
        return Ok(held.map_or(Moved::Missing, |()| Moved::Occupied));
    }
    call.service.keyspace.relocate(plain, (&from, &to), moving, occupant, call.now)
}

/// `KEYS pattern`: every plain key that fits.
pub(super) fn keys(call: &mut Call<'_>) -> Outcome {
    let pattern = &call.request[1];
    let (mut found, mut bytes) = (Vec::new(), 0);
    let mut at = Some(Cursor::START);
    while let Some(from) = at.filter(|_| bytes <= KEYS_BYTES_MAX) {
        at = call.service.keyspace.page(from, SCAN_MAX, call.now, |key| {
            if bytes <= KEYS_BYTES_MAX && glob::matches(pattern, key.as_bytes(), Case::Differs) {
                bytes += key.as_bytes().len() + size_of::<Key>();
                found.push(key.clone());
            }
        });
    }
    if bytes > KEYS_BYTES_MAX {
        let message = format_args!(
            "the keys that fit take more than the {KEYS_BYTES_MAX} bytes that one KEYS may return; \
             use SCAN"
        );
        call.reply.error("REFUSED", message);
        return Outcome::Written;
    }
    write_keys(call, &found);
    Outcome::Written
}

/// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]`. The cursor is a place in the order of
/// hashes, so nothing is kept between two calls.
pub(super) fn scan(call: &mut Call<'_>) -> Outcome {
    let Some(from) = cursor(&call.request[1]) else {
        call.reply.error("ERR", "invalid cursor");
        return Outcome::Written;
    };
    let (mut pattern, mut count, mut strings) = (None, SCAN_DEFAULT, true);
    let mut at = 2;
    while at < call.request.len() {
        let Some(argument) = call.request.get(at + 1) else {
            return call.syntax();
        };
        if call.is(at, "MATCH") {
            pattern = Some(at + 1);
        } else if call.is(at, "COUNT") {
            match integer(argument) {
                Some(wanted @ 1..) => count = usize::try_from(wanted).unwrap_or(SCAN_MAX),
                Some(_) => return call.syntax(),
                None => return call.not_an_integer(),
            }
        } else if call.is(at, "TYPE") {
            strings = argument.eq_ignore_ascii_case(b"string");
        } else {
            return call.syntax();
        }
        at += 2;
    }
    let pattern = pattern.map(|at| &call.request[at]);
    let mut found = Vec::new();
    let next = call.service.keyspace.page(from, count.min(SCAN_MAX), call.now, |key| {
        let fits = pattern.is_none_or(|it| glob::matches(it, key.as_bytes(), Case::Differs));
        if fits && strings {
            found.push(key.clone());
        }
    });
    call.reply.array(2);
    call.reply.bulk(next.map_or(0, Cursor::number).to_string().as_bytes());
    write_keys(call, &found);
    Outcome::Written
}

/// A cursor as C reads a number: with a sign, if need be, and nothing is zero.
fn cursor(text: &[u8]) -> Option<Cursor> {
    let (negative, digits) = match text {
        [] => return Some(Cursor::START),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Cursor::from_number(if negative { number.wrapping_neg() } else { number }))
}

pub(super) fn randomkey(call: &mut Call<'_>) -> Outcome {
    match call.service.keyspace.random(call.now) {
        Some(key) => call.reply.bulk(key.as_bytes()),
        None => call.reply.null(),
    }
    Outcome::Written
}

fn write_keys(call: &mut Call<'_>, keys: &[Key]) {
    call.reply.array(keys.len());
    keys.iter().for_each(|key| call.reply.bulk(key.as_bytes()));
}
