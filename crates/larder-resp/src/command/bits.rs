//! GETBIT, SETBIT, BITCOUNT, BITPOS: strings as bits, the highest bit of the first byte first.

use bytes::Bytes;
use larder_core::{Moment, Value};
use larder_engine::PlainChange;

use super::expiry::integer;
use super::reads::read_one;
use super::strings::{Longer, check_length, update};
use super::{Call, Outcome};
use crate::codec::Writer;
use crate::fault;

/// The longest string of Redis, in bits.
const REDIS_BITS_MAX: i64 = (512 << 20) * 8;

/// Where a bit is: in which byte, and under which mask.
#[derive(Clone, Copy, Debug)]
struct Place {
    byte: usize,
    mask: u8,
}

impl Place {
    /// What the argument at `at` names; the error is written already.
    fn of(call: &mut Call<'_>, at: usize) -> Result<Self, Outcome> {
        let offset = integer(&call.request[at]).filter(|offset| *offset < REDIS_BITS_MAX);
        let Some(offset) = offset.and_then(|offset| usize::try_from(offset).ok()) else {
            call.reply.error("ERR", "bit offset is not an integer or out of range");
            return Err(Outcome::Written);
        };
        Ok(Self { byte: offset / 8, mask: 0x80 >> (offset % 8) })
    }

    fn is_set(self, bytes: &[u8]) -> bool {
        bytes.get(self.byte).is_some_and(|byte| byte & self.mask != 0)
    }
}

pub(super) fn getbit(call: &mut Call<'_>) -> Outcome {
    let place = match Place::of(call, 2) {
        Ok(place) => place,
        Err(written) => return written,
    };
    read_one(call, move |value, reply| {
        reply.integer(i64::from(value.is_some_and(|value| place.is_set(&value.bytes))));
    })
}

/// `SETBIT key offset bit`: replies the bit that was there. The expiry stays.
pub(super) fn setbit(call: &mut Call<'_>) -> Outcome {
    let place = match Place::of(call, 2) {
        Ok(place) => place,
        Err(written) => return written,
    };
    let Some(bit @ (0 | 1)) = integer(&call.request[3]) else {
        call.reply.error("ERR", "bit is not an integer or out of range");
        return Outcome::Written;
    };
    let key = call.key(1);
    let result = update(call, |plain, held| {
        let old = held.as_ref().map_or(&[][..], |held| &held.value.bytes);
        if let Err(refused) = check_length(plain, &key, place.byte as u64 + 1) {
            return (PlainChange::Keep, Err(refused));
        }
        let was_set = place.is_set(old);
        let mut bytes = Vec::with_capacity(old.len().max(place.byte + 1));
        bytes.extend_from_slice(old);
        bytes.resize(old.len().max(place.byte + 1), 0);
        match bit {
            0 => bytes[place.byte] &= !place.mask,
            _ => bytes[place.byte] |= place.mask,
        }
        let value = Value::raw(Bytes::from(bytes));
        let expires_at = held.map_or(Moment::MAX, |held| held.expires_at);
        (PlainChange::Revise { value, expires_at }, Ok(was_set))
    });
    match result {
        Ok(Ok(was_set)) => call.reply.integer(i64::from(was_set)),
        Ok(Err(refused)) => return Longer::tell(refused, call),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

/// What the ends of a range are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Bits,
}

/// What is wrong with a range.
#[derive(Clone, Copy, Debug)]
enum BadRange {
    NotANumber,
    Syntax,
}

impl BadRange {
    fn tell(self, reply: &mut Writer<'_>) {
        match self {
            Self::NotANumber => fault::not_an_integer(reply),
            Self::Syntax => fault::syntax(reply),
        }
    }
}

/// A part of a string, as a client gives it; both ends belong to it, and negative ones count from
/// the end.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: i64,
    end: Option<i64>,
    /// `None` for a word that is no unit.
    unit: Option<Unit>,
}

impl Range {
    /// What stands at `at` of the request and behind it: nothing, a start, both ends, or both and
    /// their unit. `first` is what Redis complains of where end and unit are both wrong.
    fn of(call: &Call<'_>, at: usize, first: BadRange) -> Result<Self, BadRange> {
        let number = |at: usize| match call.request.get(at) {
            Some(text) => integer(text).map(Some).ok_or(BadRange::NotANumber),
            None => Ok(None),
        };
        if call.request.len() > at + 3 {
            return Err(BadRange::Syntax);
        }
        let start = number(at)?.unwrap_or(0);
        let unit = match call.request.get(at + 2) {
            Some(_) if call.is(at + 2, "BIT") => Some(Unit::Bits),
            Some(_) if !call.is(at + 2, "BYTE") => None,
            _ => Some(Unit::Bytes),
        };
        match number(at + 1) {
            Ok(end) => Ok(Self { start, end, unit }),
            Err(_) if unit.is_none() => Err(first),
            Err(bad) => Err(bad),
        }
    }

    /// Whether both ends count from the end, and the first one from further behind.
    fn is_backwards(self) -> bool {
        self.start < 0 && self.end.is_some_and(|end| end < 0 && self.start > end)
    }

    /// The first and the last bit of the range in a string of so many bytes.
    fn bits(self, bytes: usize) -> Result<Option<(usize, usize)>, BadRange> {
        let unit = self.unit.ok_or(BadRange::Syntax)?;
        let whole = match unit {
            Unit::Bytes => bytes,
            Unit::Bits => bytes * 8,
        };
        let length = i64::try_from(whole).unwrap_or(i64::MAX);
        let place = |at: i64| if at < 0 { length.saturating_add(at).max(0) } else { at };
        let (start, end) = (place(self.start), place(self.end.unwrap_or(-1)).min(length - 1));
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
            return Ok(None);
        };
        Ok((start <= end).then_some(match unit {
            Unit::Bytes => (start.saturating_mul(8), end * 8 + 7),
            Unit::Bits => (start, end),
        }))
    }
}

/// The bytes from one bit to another, those outside of the range zero, with their numbers.
fn masked(
    bytes: &[u8],
    (first, last): (usize, usize),
    turn: fn(u8) -> u8,
) -> impl Iterator<Item = (usize, u8)> {
    bytes.iter().enumerate().take(last / 8 + 1).skip(first / 8).map(move |(at, &byte)| {
        let above = if at == first / 8 { 0xff >> (first % 8) } else { 0xff };
        let below = if at == last / 8 { 0xff << (7 - last % 8) } else { 0xff };
        (at, turn(byte) & above & below)
    })
}

/// `BITCOUNT key [start end [BYTE | BIT]]`. As in Redis, a range is only looked at where there is a
/// string.
pub(super) fn bitcount(call: &mut Call<'_>) -> Outcome {
    let range = match call.request.len() {
        3 => Err(BadRange::Syntax),
        _ => Range::of(call, 2, BadRange::NotANumber),
    };
    read_one(call, move |value, reply| {
        let Some(value) = value else { return reply.integer(0) };
        let bits = match range {
            Ok(range) if range.is_backwards() => Ok(None),
            Ok(range) => range.bits(value.bytes.len()),
            Err(bad) => Err(bad),
        };
        let bits = match bits {
            Ok(bits) => bits,
            Err(bad) => return bad.tell(reply),
        };
        let count = bits.map_or(0, |bits| {
            masked(&value.bytes, bits, |byte| byte).map(|(_, byte)| byte.count_ones()).sum()
        });
        reply.integer(i64::from(count));
    })
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`. Behind a string without an end in the range are
/// zeros.
pub(super) fn bitpos(call: &mut Call<'_>) -> Outcome {
    let bit = match integer(&call.request[2]) {
        Some(bit @ (0 | 1)) => bit,
        Some(_) => {
            call.reply.error("ERR", "The bit argument must be 1 or 0.");
            return Outcome::Written;
        }
        None => return call.not_an_integer(),
    };
    let range = Range::of(call, 3, BadRange::Syntax);
    read_one(call, move |value, reply| {
        let Some(value) = value else { return reply.integer(-bit) };
        let (bits, has_end) = match range.and_then(|it| Ok((it.bits(value.bytes.len())?, it.end))) {
            Ok((Some(bits), end)) => (bits, end.is_some()),
            Ok((None, _)) => return reply.integer(-1),
            Err(bad) => return bad.tell(reply),
        };
        let turn = if bit == 0 { |byte: u8| !byte } else { |byte| byte };
        let found = masked(&value.bytes, bits, turn).find(|(_, byte)| *byte != 0);
        let found = found.map(|(at, byte)| at * 8 + byte.leading_zeros() as usize);
        let behind = (bit == 0 && !has_end).then_some(value.bytes.len() * 8);
        let place = found.or(behind).and_then(|place| i64::try_from(place).ok());
        reply.integer(place.unwrap_or(-1));
    })
}
