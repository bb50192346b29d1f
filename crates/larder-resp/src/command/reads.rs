//! GET, MGET, EXISTS, STRLEN, GETRANGE, TYPE: reads that load declared keys through.

use larder_core::{Answer, Result, Value};

use super::expiry::integer;
use super::{Call, Outcome};
use crate::codec::Writer;
use crate::fault;
use crate::keyspace::Found;
use crate::reads::{Answers, Ask, Read};

#[inline]
pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    read_one(call, |value, reply| match value {
        Some(value) => reply.bulk(&value.bytes),
        None => reply.null(),
    })
}

pub(super) fn strlen(call: &mut Call<'_>) -> Outcome {
    read_one(call, |value, reply| reply.integer(value.map_or(0, |value| number(value.bytes.len()))))
}

pub(super) fn kind(call: &mut Call<'_>) -> Outcome {
    read_one(call, |value, reply| reply.simple(if value.is_some() { "string" } else { "none" }))
}

/// `GETRANGE key start end` and SUBSTR, its first name: both ends belong to it, and negative ones
/// count from the end.
pub(super) fn getrange(call: &mut Call<'_>) -> Outcome {
    let ends = (integer(&call.request[2]), integer(&call.request[3]));
    let (Some(start), Some(end)) = ends else {
        return call.not_an_integer();
    };
    read_one(call, move |value, reply| {
        reply.bulk(value.map_or(&[], |value| part(&value.bytes, start, end)));
    })
}

/// The part of `bytes` from `start` to `end`, as GETRANGE has it.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let length = number(bytes.len());
    let place = |at: i64| if at < 0 { length.saturating_add(at).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(length - 1));
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start <= end => &bytes[start..=end],
        _ => &[],
    }
}

/// The longest reply of an MGET, in bytes of values: what one client can make the server hold.
const MGET_BYTES_MAX: usize = 512 << 20;

pub(super) fn mget(call: &mut Call<'_>) -> Outcome {
    read_many(call, write_values)
}

/// The reply of an MGET.
pub(super) fn write_values(values: &[Option<Value>], reply: &mut Writer<'_>) {
    let bytes: usize = values.iter().flatten().map(|value| value.bytes.len()).sum();
    if bytes > MGET_BYTES_MAX {
        let message = format_args!(
            "the values take {bytes} bytes and one MGET may return {MGET_BYTES_MAX}; ask for \
             fewer keys"
        );
        return reply.error("REFUSED", message);
    }
    reply.array(values.len());
    for value in values {
        match value {
            Some(value) => reply.bulk(&value.bytes),
            None => reply.null(),
        }
    }
}

pub(super) fn exists(call: &mut Call<'_>) -> Outcome {
    read_many(call, |values, reply| {
        reply.integer(number(values.iter().flatten().count()));
    })
}

/// Reads the key that follows the command: at once where it can be, otherwise when it is loaded.
#[inline]
pub(super) fn read_one(
    call: &mut Call<'_>,
    write: impl Fn(Option<&Value>, &mut Writer<'_>) + Send + 'static,
) -> Outcome {
    let Call { service, now, request, reply, .. } = call;
    match service.keyspace.read(&request[1], *now, |value| write(value, reply)) {
        Ok(Found::Held(())) => Outcome::Written,
        Ok(Found::Missing(declared, key)) => {
            let ask = Ask { cache: declared.cache.clone(), key, at: None };
            Outcome::Read(Read::one(ask, move |answer, reply| match answer {
                Ok(answer) => write(answer.value.as_ref(), reply),
                Err(error) => fault::error(reply, &error),
            }))
        }
        Err(error) => call.fail(&error),
    }
}

/// A key among many: known already, or one of those that are asked for.
enum Place {
    Known(Option<Value>),
    Asked,
}

/// Reads all keys that follow the command. One that can't be read fails the command.
fn read_many(call: &mut Call<'_>, write: fn(&[Option<Value>], &mut Writer<'_>)) -> Outcome {
    let keyspace = &call.service.keyspace;
    let mut asks = Vec::new();
    let mut places = Vec::with_capacity(call.request.len() - 1);
    for key in call.request.iter().skip(1) {
        places.push(match keyspace.read(key, call.now, owned) {
            Ok(Found::Held(value)) => Place::Known(value),
            Ok(Found::Missing(declared, key)) => {
                asks.push(Ask { cache: declared.cache.clone(), key, at: None });
                Place::Asked
            }
            Err(error) => return call.fail(&error),
        });
    }
    if asks.is_empty() {
        let known = places.into_iter().map(|place| match place {
            Place::Known(value) => value,
            Place::Asked => None,
        });
        write(&known.collect::<Vec<_>>(), &mut call.reply);
        return Outcome::Written;
    }
    let reply = move |answers: Answers, reply: &mut Writer<'_>| match merge(places, answers) {
        Ok(values) => write(&values, reply),
        Err(error) => fault::error(reply, &error),
    };
    Outcome::Read(Read { asks, reply: Box::new(reply) })
}

/// Puts the answers where they were asked for.
fn merge(places: Vec<Place>, answers: Answers) -> Result<Vec<Option<Value>>> {
    let mut answers = answers.into_iter();
    let value = |place| match place {
        Place::Known(value) => Ok(value),
        Place::Asked => answers
            .next()
            .transpose()
            .map(|answer: Option<Answer<Value>>| answer.and_then(|answer| answer.value)),
    };
    places.into_iter().map(value).collect()
}

pub(super) fn owned(value: Option<&Value>) -> Option<Value> {
    value.cloned()
}

pub(super) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
