//! DEL, UNLINK, EXISTS, TOUCH and MGET of plain keys and keys of caches in one command: the plain
//! ones are asked upstream, the others here, and the replies are merged.

use larder_core::{Key, Value};
use larder_engine::Invalidation;

use super::filter::{LIMITS, write_refusal};
use super::forward::{Route, Router};
use super::guard;
use super::reads::{number, owned, write_values};
use super::{Call, Outcome};
use crate::codec::{Reply, Writer, decode_reply, encode_request};
use crate::exchange::Ends;
use crate::fault;
use crate::keyspace::{Found, Home, Whose};
use crate::reads::{Answers, Ask, Forward, Replies};
use crate::upstream::Patience;

/// A key among many: known already, asked here, or asked upstream.
enum Place {
    Known(Option<Value>),
    Asked,
    Upstream,
}

/// Splits a command. At least one of its keys is of a cache; none is larder's own.
pub(super) fn split(call: &mut Call<'_>, router: &mut Router<'_>) -> Route {
    let invalidates = call.is(0, "DEL") || call.is(0, "UNLINK");
    // A read that stands before it mustn't be made after it.
    if invalidates && call.behind {
        return Route::Wait;
    }
    let upstream = |key: &&[u8]| matches!(call.service.keyspace.whose(key), Whose::Upstream);
    let mut arguments = vec![call.request.name()];
    arguments.extend(call.request.iter().skip(1).filter(upstream));
    let before = guard::before(call, &arguments[1..]);
    let requests =
        usize::from(arguments.len() > 1) + before.as_ref().map_or(0, |before| before.count);
    let forward = match invalidates {
        true => invalidate(call, requests),
        false => read(call, requests),
    };
    let forward = match forward {
        Ok(forward) => forward,
        Err(error) => {
            let Outcome::Written = call.fail(&error) else { return Route::Here };
            return Route::Written;
        }
    };
    let write = |out: &mut Vec<u8>| {
        if requests > 0 {
            out.extend(before.map_or_else(Vec::new, |before| before.requests));
            encode_request(out, &arguments);
        }
    };
    let route = router.send(call, router.over(call), Patience::Usual, write, Ends::Reply, forward);
    if invalidates && route == Route::Forwarded && call.service.engine.shares() {
        router.settle(&call.service.engine);
    }
    route
}

/// Invalidates the keys of caches; the reply counts those with the plain ones.
fn invalidate(call: &Call<'_>, requests: usize) -> larder_core::Result<Forward> {
    let keyspace = &call.service.keyspace;
    let mut homes = Vec::new();
    for key in call.request.iter().skip(1) {
        if let Whose::Cache(_) = keyspace.whose(key) {
            homes.push(keyspace.home(key)?);
        }
    }
    let mut held = 0;
    for home in homes {
        if let Home::Declared(declared, key) = home {
            held += i64::from(keyspace.invalidate(declared, &key, Invalidation::Drop)?);
        }
    }
    let reply = move |replies: Replies, _: Answers, reply: &mut Writer<'_>| {
        add(held, replies, reply);
    };
    Ok(Forward { requests, asks: Vec::new(), reply: Some(Box::new(reply)) })
}

fn read(call: &Call<'_>, requests: usize) -> larder_core::Result<Forward> {
    let keyspace = &call.service.keyspace;
    let mut asks = Vec::new();
    let mut places = Vec::with_capacity(call.request.len() - 1);
    for key in call.request.iter().skip(1) {
        places.push(match keyspace.whose(key) {
            Whose::Upstream | Whose::Larder => Place::Upstream,
            Whose::Cache(_) => match keyspace.read(key, call.now, owned)? {
                Found::Held(value) => Place::Known(value),
                Found::Missing(declared, key) => {
                    let key: Key = key;
                    asks.push(Ask { cache: declared.cache.clone(), key, at: None });
                    Place::Asked
                }
            },
        });
    }
    let values = call.is(0, "MGET");
    let reply = move |replies: Replies, answers: Answers, reply: &mut Writer<'_>| {
        let mut asked = Vec::with_capacity(answers.len());
        for answer in answers {
            match answer {
                Ok(answer) => asked.push(answer.value),
                Err(error) => return fault::error(reply, &error),
            }
        }
        match values {
            true => merge(places, asked, replies, reply),
            false => {
                let known = places.iter().filter(|place| matches!(place, Place::Known(Some(_))));
                let here = known.count() + asked.iter().flatten().count();
                add(number(here), replies, reply);
            }
        }
    };
    Ok(Forward { requests, asks, reply: Some(Box::new(reply)) })
}

/// Replies a count of keys here and those upstream.
fn add(here: i64, mut replies: Replies, reply: &mut Writer<'_>) {
    match replies.pop() {
        None => reply.integer(here),
        Some(Err(error)) => fault::error(reply, &error),
        Some(Ok(bytes)) => match decode_reply(&bytes, &LIMITS) {
            Ok(Some((Reply::Integer(there), _))) => reply.integer(here + there),
            other => write_refusal(other, reply),
        },
    }
}

/// Puts the values where they were asked for.
fn merge(
    places: Vec<Place>,
    asked: Vec<Option<Value>>,
    mut replies: Replies,
    reply: &mut Writer<'_>,
) {
    let upstream = match replies.pop() {
        None => Vec::new(),
        Some(Err(error)) => return fault::error(reply, &error),
        Some(Ok(bytes)) => match decode_reply(&bytes, &LIMITS) {
            Ok(Some((Reply::Array(values), _))) => values,
            other => return write_refusal(other, reply),
        },
    };
    let (mut asked, mut upstream) = (asked.into_iter(), upstream.into_iter());
    let value = |place| match place {
        Place::Known(value) => value,
        Place::Asked => asked.next().flatten(),
        Place::Upstream => match upstream.next() {
            Some(Reply::Bulk(bytes)) => Some(Value::raw(bytes)),
            _ => None,
        },
    };
    write_values(&places.into_iter().map(value).collect::<Vec<_>>(), reply);
}
