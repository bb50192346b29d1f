//! DEL, UNLINK, EXISTS, TOUCH and MGET of keys that no single server has: those of caches are
//! asked here, plain ones upstream, and where these live on several servers, those of each slot by
//! themselves. The replies are merged. MSET is split by slots as well: then it is atomic within
//! each of them, and no more.

use std::collections::HashMap;

use larder_core::{Key, Value};
use larder_engine::Invalidation;

use super::filter::{LIMITS, write_refusal};
use super::forward::{Route, Router};
use super::guard;
use super::reads::{number, owned, write_values};
use super::redis::RedisCommand;
use super::way::Way;
use super::{Call, Outcome};
use crate::codec::{Reply, Writer, decode_reply};
use crate::exchange::{Exchange, Over};
use crate::fault;
use crate::keyspace::{Found, Home, Whose};
use crate::reads::{Answers, Ask, Forward, MergedReply, Replies};
use crate::upstream::{Patience, To};

/// A key among many: known already, asked here, or asked upstream, in this request.
enum Place {
    Known(Option<Value>),
    Asked,
    Upstream(usize),
}

/// The plain keys, in requests of one slot each.
#[derive(Default)]
struct Parts<'a> {
    requests: Vec<Part<'a>>,
    of_slots: HashMap<Option<u16>, usize>,
}

/// A request for the keys of one slot.
struct Part<'a> {
    to: To,
    words: Vec<&'a [u8]>,
    /// The scripts before it.
    before: Vec<Vec<u8>>,
}

impl<'a> Parts<'a> {
    /// Adds words to the request for those whose first is in this slot; returns which it is.
    fn add(&mut self, name: &'a [u8], slot: Option<u16>, words: &[&'a [u8]]) -> usize {
        let at = *self.of_slots.entry(slot).or_insert_with(|| {
            let to = slot.map_or(To::Any, To::Slot);
            self.requests.push(Part { to, words: vec![name], before: Vec::new() });
            self.requests.len() - 1
        });
        self.requests[at].words.extend(words);
        at
    }

    /// Gathers them, behind what must come before them where keys have companions; each of the
    /// keys has so many words.
    fn send(
        mut self,
        call: &Call<'_>,
        router: &mut Router<'_>,
        words_each: usize,
        forward: Forward,
    ) -> Route {
        for part in &mut self.requests {
            let keys: Vec<_> = part.words[1..].iter().copied().step_by(words_each).collect();
            part.before = guard::before(call, &keys);
        }
        let over = match &self.requests[..] {
            [] => router.over(call, To::Any),
            [part] => router.over(call, part.to),
            _ => Over::Shared,
        };
        let scripts: Vec<_> = self.requests.iter().map(|part| part.before.len()).collect();
        let reply = forward.reply.map(|write| -> MergedReply {
            Box::new(move |came, answers, reply| {
                write(guard::own_replies(came, &scripts), answers, reply);
            })
        });
        let write = |exchange: &mut Exchange| {
            for Part { to, words, before } in &self.requests {
                guard::push_behind(exchange, before, words, *to);
            }
        };
        router.send(call, (over, Patience::Usual), write, Forward { reply, ..forward })
    }
}

/// Whether it is split if its keys are in several slots.
pub(super) fn divides(command: &RedisCommand, call: &Call<'_>) -> bool {
    // Of an MSET whose last key has no value nothing is to be executed.
    command.way == Way::Split || (command.name == "MSET" && call.request.len() % 2 == 1)
}

/// Splits a command. None of its keys is larder's own.
pub(super) fn split(call: &mut Call<'_>, router: &mut Router<'_>) -> Route {
    let keyspace = &call.service.keyspace;
    let of_cache = |key| matches!(keyspace.whose(key), Whose::Cache(_));
    let of_cache = call.request.iter().skip(1).any(of_cache);
    let invalidates = of_cache && (call.is(0, "DEL") || call.is(0, "UNLINK"));
    // A read that stands before it mustn't be made after it.
    if invalidates && call.behind {
        return Route::Wait;
    }
    let (name, values) = (call.request.name(), call.is(0, "MGET"));
    let upstream = call.service.keyspace.upstream();
    let slot = |key: &[u8]| upstream.and_then(|upstream| upstream.slot(key));
    let mut parts = Parts::default();
    if call.is(0, "MSET") {
        let words: Vec<_> = call.request.iter().skip(1).collect();
        for pair in words.chunks(2) {
            parts.add(name, slot(pair[0]), pair);
        }
        let reply: MergedReply = Box::new(|came, _, reply| ok(came, reply));
        let forward = Forward { reply: Some(reply), ..Forward::default() };
        return parts.send(call, router, 2, forward);
    }
    let forward = match call.is(0, "DEL") || call.is(0, "UNLINK") {
        true => invalidate(call),
        false => Ok(Forward::default()),
    };
    let mut at = Vec::new();
    for key in call.request.iter().skip(1) {
        if let Whose::Upstream = keyspace.whose(key) {
            at.push(parts.add(name, slot(key), &[key]));
        }
    }
    let forward = forward.and_then(|forward| match forward.reply {
        Some(_) => Ok(forward),
        None => read(call, at, values),
    });
    let forward = match forward {
        Ok(forward) => forward,
        Err(error) => {
            let Outcome::Written = call.fail(&error) else { return Route::Here };
            return Route::Written;
        }
    };
    let route = parts.send(call, router, 1, forward);
    if invalidates && route == Route::Forwarded && call.service.engine.shares() {
        router.settle(&call.service.engine);
    }
    route
}

/// Invalidates the keys of caches; the reply counts those with the plain ones.
fn invalidate(call: &Call<'_>) -> larder_core::Result<Forward> {
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
    Ok(Forward { asks: Vec::new(), reply: Some(Box::new(reply)) })
}

/// Reads the keys of caches; `at` says for each plain key in which request it is asked.
fn read(call: &Call<'_>, at: Vec<usize>, values: bool) -> larder_core::Result<Forward> {
    let keyspace = &call.service.keyspace;
    let mut asks = Vec::new();
    let mut places = Vec::with_capacity(call.request.len() - 1);
    let mut at = at.into_iter();
    for key in call.request.iter().skip(1) {
        places.push(match keyspace.whose(key) {
            Whose::Upstream | Whose::Larder => Place::Upstream(at.next().unwrap_or(0)),
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
    Ok(Forward { asks, reply: Some(Box::new(reply) as MergedReply) })
}

/// Replies a count of keys here and those upstream.
fn add(here: i64, replies: Replies, reply: &mut Writer<'_>) {
    let mut count = here;
    for came in replies {
        match came.map(|bytes| decode_reply(&bytes, &LIMITS)) {
            Ok(Ok(Some((Reply::Integer(there), _)))) => count += there,
            Ok(other) => return write_refusal(other, reply),
            Err(error) => return fault::error(reply, &error),
        }
    }
    reply.integer(count);
}

/// Replies OK if all do.
fn ok(replies: Replies, reply: &mut Writer<'_>) {
    for came in replies {
        match came.map(|bytes| decode_reply(&bytes, &LIMITS)) {
            Ok(Ok(Some((Reply::Simple(_), _)))) => {}
            Ok(other) => return write_refusal(other, reply),
            Err(error) => return fault::error(reply, &error),
        }
    }
    reply.simple("OK");
}

/// Puts the values where they were asked for.
fn merge(places: Vec<Place>, asked: Vec<Option<Value>>, replies: Replies, reply: &mut Writer<'_>) {
    let mut upstream = Vec::with_capacity(replies.len());
    for came in replies {
        match came.map(|bytes| decode_reply(&bytes, &LIMITS)) {
            Ok(Ok(Some((Reply::Array(values), _)))) => upstream.push(values.into_iter()),
            Ok(other) => return write_refusal(other, reply),
            Err(error) => return fault::error(reply, &error),
        }
    }
    let mut asked = asked.into_iter();
    let value = |place| match place {
        Place::Known(value) => value,
        Place::Asked => asked.next().flatten(),
        Place::Upstream(part) => match upstream.get_mut(part).and_then(Iterator::next) {
            Some(Reply::Bulk(bytes)) => Some(Value::raw(bytes)),
            _ => None,
        },
    };
    write_values(&places.into_iter().map(value).collect::<Vec<_>>(), reply);
}
