//! GET, MGET, EXISTS, STRLEN, TYPE: reads that load declared keys through.

use larder_core::{Answer, Result, Value};

use super::{Call, Outcome};
use crate::codec::Writer;
use crate::fault;
use crate::keyspace::Home;
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

/// The longest reply of an MGET, in bytes of values: what one client can make the server hold.
const MGET_BYTES_MAX: usize = 512 << 20;

pub(super) fn mget(call: &mut Call<'_>) -> Outcome {
    read_many(call, |values, reply| {
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
    })
}

pub(super) fn exists(call: &mut Call<'_>) -> Outcome {
    read_many(call, |values, reply| {
        reply.integer(number(values.iter().flatten().count()));
    })
}

/// Reads the key that follows the command: at once where it can be, otherwise when it is loaded.
#[inline]
fn read_one(call: &mut Call<'_>, write: fn(Option<&Value>, &mut Writer<'_>)) -> Outcome {
    let Call { service, now, request, reply, .. } = call;
    let key = &request[1];
    if service.keyspace.at_once(key, *now, |value| write(value, reply)).is_some() {
        return Outcome::Written;
    }
    match service.keyspace.home(key) {
        Ok(Home::Plain(plain)) => {
            let value = plain.get(key, *now, |value, _| value.clone());
            write(value.as_ref(), reply);
            Outcome::Written
        }
        Ok(Home::Declared(declared, meant)) => {
            // What was asked for in another spelling is looked for once more.
            let write_held = |value: Option<&Value>| write(value, reply);
            let other = meant.as_bytes() != key;
            if other && declared.cache.fresh(meant.as_bytes(), *now, write_held).is_some() {
                return Outcome::Written;
            }
            let ask = Ask { cache: declared.cache.clone(), key: meant };
            Outcome::Read(Read::one(ask, move |answer, reply| match answer {
                Ok(answer) => write(answer.value.as_ref(), reply),
                Err(error) => fault::error(reply, &error),
            }))
        }
        Err(error) => call.fail(&error),
    }
}

/// A key among many: known already, or one of those that are asked for.
enum Found {
    Known(Option<Value>),
    Asked,
}

/// Reads all keys that follow the command. One that can't be read fails the command.
fn read_many(call: &mut Call<'_>, write: fn(&[Option<Value>], &mut Writer<'_>)) -> Outcome {
    let keyspace = &call.service.keyspace;
    let mut asks = Vec::new();
    let mut found = Vec::with_capacity(call.request.len() - 1);
    for key in call.request.iter().skip(1) {
        if let Some(value) = keyspace.at_once(key, call.now, owned) {
            found.push(Found::Known(value));
            continue;
        }
        match keyspace.home(key) {
            Ok(Home::Plain(plain)) => {
                found.push(Found::Known(plain.get(key, call.now, |value, _| value.clone())));
            }
            Ok(Home::Declared(declared, key)) => {
                asks.push(Ask { cache: declared.cache.clone(), key });
                found.push(Found::Asked);
            }
            Err(error) => return call.fail(&error),
        }
    }
    if asks.is_empty() {
        let known = found.into_iter().map(|found| match found {
            Found::Known(value) => value,
            Found::Asked => None,
        });
        write(&known.collect::<Vec<_>>(), &mut call.reply);
        return Outcome::Written;
    }
    let reply = move |answers: Answers, reply: &mut Writer<'_>| match merge(found, answers) {
        Ok(values) => write(&values, reply),
        Err(error) => fault::error(reply, &error),
    };
    Outcome::Read(Read { asks, reply: Box::new(reply) })
}

/// Puts the answers where they were asked for.
fn merge(found: Vec<Found>, answers: Answers) -> Result<Vec<Option<Value>>> {
    let mut answers = answers.into_iter();
    let value = |found| match found {
        Found::Known(value) => Ok(value),
        Found::Asked => answers
            .next()
            .transpose()
            .map(|answer: Option<Answer<Value>>| answer.and_then(|answer| answer.value)),
    };
    found.into_iter().map(value).collect()
}

fn owned(value: Option<&Value>) -> Option<Value> {
    value.cloned()
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
