//! LARDER.GET, LARDER.FILL, LARDER.SET, LARDER.STATS: what Redis has no words for.

use std::sync::Arc;

use larder_core::bus::{NotAPosition, Position};
use larder_core::terms::TAGS_MAX;
use larder_core::{Answer, Error, ErrorKind, Key, Moment, Result, Terms, Tier, Value};
use larder_engine::verdict::verdict;
use larder_engine::{Cache, Fill, Lookup, PlainChange, Ticket, Token};

use super::expiry::{self, Lifetime};
use super::invalidate::read_tags;
use super::writes::value;
use super::{Call, Outcome, declared, shared_plain};
use crate::codec::Writer;
use crate::fault;
use crate::key_log::{Op, size};
use crate::keyspace::{Declared, Home};
use crate::reads::{Ask, Later, Read};

/// `LARDER.GET key [LEASE | AT position]`. AT reads what was written before that position, in
/// whatever larder that was. With LEASE a miss is not loaded: the client gets a token, loads for
/// itself, and fills with it.
pub(super) fn get(call: &mut Call<'_>) -> Outcome {
    let (lease, at) = match call.request.len() {
        2 => (false, None),
        3 if call.is(2, "LEASE") => (true, None),
        4 if call.is(2, "AT") => match position(&call.request[3]) {
            Ok(position) => (false, Some(position)),
            Err(error) => return call.fail(&error),
        },
        _ => return call.syntax(),
    };
    let key = call.key(1);
    if shared_plain::has(call.service, key.as_bytes()) {
        return shared_plain::get(call, lease);
    }
    match call.service.keyspace.home(key.as_bytes()) {
        Ok(Home::Declared(..)) if lease && call.behind => return Outcome::Later,
        Ok(Home::Declared(declared, key)) if lease && call.service.engine.shares() => {
            return lookup_everywhere(call, declared, key);
        }
        Ok(Home::Declared(declared, key)) if lease => lookup(call, declared, &key),
        Ok(Home::Declared(declared, key)) => {
            let ask = Ask { cache: declared.cache.clone(), key, at };
            return Outcome::Read(Read::one(ask, |answer, reply| match answer {
                Ok(answer) => write_answer(&answer, reply),
                Err(error) => fault::error(reply, &error),
            }));
        }
        Ok(Home::Plain(plain)) => match call.service.keyspace.lookup_plain(plain, &key, call.now) {
            Ok(answer) => write_answer(&answer, &mut call.reply),
            Err(token) => write_miss(lease.then_some(token), &mut call.reply),
        },
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

/// A position, as LARDER.INVALIDATE replied it.
fn position(text: &[u8]) -> Result<Position> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().map_err(|error: NotAPosition| Error::new(ErrorKind::BadKey, error.to_string()))
}

fn lookup(call: &mut Call<'_>, declared: &Declared, key: &Key) {
    match call.service.keyspace.lookup(declared, key) {
        Lookup::Hit(answer) => write_answer(&answer, &mut call.reply),
        Lookup::Miss(ticket) => write_miss(Some(ticket.token()), &mut call.reply),
    }
}

/// Looks a key up in the shared tier, too. Who gets the lease there gets a token; who doesn't
/// waits for another one's fill.
fn lookup_everywhere(call: &Call<'_>, declared: &Declared, key: Key) -> Outcome {
    let (service, session) = (Arc::clone(call.service), call.session.id);
    let cache = declared.cache.clone();
    Outcome::Wait(Box::pin(async move {
        let found = cache.lookup(&key).await;
        if let Some(log) = service.keyspace.key_log() {
            let size = match &found {
                Lookup::Hit(answer) => answer.value.as_ref().map(size),
                Lookup::Miss(_) => None,
            };
            log.loaded(Op::Read, key.as_bytes(), cache.window(), size);
        }
        let later: Later = match found {
            Lookup::Hit(answer) => Box::new(move |reply| write_answer(&answer, reply)),
            Lookup::Miss(ticket) => match ticket.busy_for() {
                Some(time) => {
                    let left = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                    Box::new(move |reply| shared_plain::write_busy(left, reply))
                }
                None => {
                    let token = ticket.token();
                    service.tickets.keep(session, ticket, service.engine.clock().now());
                    Box::new(move |reply| write_miss(Some(token), reply))
                }
            },
        };
        later
    }))
}

/// Fills a key under the lease that its ticket holds.
fn fill_everywhere(
    call: &Call<'_>,
    cache: &Cache<Key, Value>,
    ticket: Ticket<Key, Value>,
    value: Value,
    terms: Terms,
) -> Outcome {
    let (service, cache) = (Arc::clone(call.service), cache.clone());
    Outcome::Wait(Box::pin(async move {
        let (key, bytes) = (ticket.key().clone(), size(&value));
        let filled = ticket.fill_under_lease(Some(value), &terms).await;
        if let (Some(log), Fill::Stored) = (service.keyspace.key_log(), filled) {
            log.loaded(Op::Write, key.as_bytes(), cache.window(), Some(bytes));
        }
        let later: Later = Box::new(move |reply| reply.integer(i64::from(filled == Fill::Stored)));
        later
    }))
}

/// An answer as a map: value, tier, age and currency in milliseconds, state, reason.
fn write_answer(answer: &Answer<Value>, reply: &mut Writer<'_>) {
    reply.map(6);
    reply.bulk(b"value");
    match &answer.value {
        Some(value) => reply.bulk(&value.bytes),
        None => reply.null(),
    }
    write_text("tier", answer.tier.as_str(), reply);
    for (name, duration) in [("age_ms", answer.age), ("current_ms", answer.current)] {
        reply.bulk(name.as_bytes());
        reply.integer(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
    }
    write_text("state", answer.state.as_str(), reply);
    write_text("reason", answer.reason.as_str(), reply);
}

/// A miss as a map: the value is null, the state gone, and the token, if one was asked for.
fn write_miss(token: Option<Token>, reply: &mut Writer<'_>) {
    reply.map(if token.is_some() { 5 } else { 4 });
    reply.bulk(b"value");
    reply.null();
    write_text("tier", Tier::Memory.as_str(), reply);
    write_text("state", "gone", reply);
    write_text("reason", "missing", reply);
    if let Some(token) = token {
        write_text("token", &token.to_string(), reply);
    }
}

pub(super) fn write_text(name: &str, text: &str, reply: &mut Writer<'_>) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

/// `LARDER.FILL key token value [EX s | PX ms | EXAT s | PXAT ms | TAGS tag …]`. Replies 1 when
/// the value is kept, 0 when the key changed since the token was given or the value is too heavy to
/// be kept. A declared key has its lifetime from its declaration; its tags are those that the
/// client says, since only who loaded the row knows them.
pub(super) fn fill(call: &mut Call<'_>) -> Outcome {
    let Some(token) = std::str::from_utf8(&call.request[2]).ok().and_then(|t| t.parse().ok())
    else {
        call.reply
            .error("ERR", "a token has 80 hexadecimal digits; LARDER.GET key LEASE gives one");
        return Outcome::Written;
    };
    let key = call.key(1);
    if shared_plain::has(call.service, key.as_bytes()) {
        return shared_plain::fill(call, token);
    }
    let value = value(&call.request[3]);
    let filled = match call.service.keyspace.home(key.as_bytes()) {
        Ok(Home::Declared(..)) if call.request.len() > 4 && !call.is(4, "TAGS") => {
            call.reply.error("REFUSED", "a declared key has its lifetime from its declaration");
            return Outcome::Written;
        }
        Ok(Home::Declared(declared, key)) => {
            let terms = match terms(call, 5) {
                Ok(Some(terms)) => terms,
                Ok(None) => return call.syntax(),
                Err(error) => return call.fail(&error),
            };
            if call.service.engine.shares() && declared.cache.redeem(&key, token).is_some() {
                let Some(ticket) = call.service.tickets.take(&token) else {
                    call.reply.integer(0);
                    return Outcome::Written;
                };
                return fill_everywhere(call, &declared.cache, ticket, value, terms);
            }
            // What a source gives is typed by the cache; a client's bytes are its own.
            call.service.keyspace.fill(declared, &key, token, value, &terms)
        }
        Ok(Home::Plain(plain)) => match lifetime(call) {
            Ok(until) => {
                let keyspace = &call.service.keyspace;
                keyspace.fill_plain(plain, &key, token, (value, until), call.now)
            }
            Err(written) => return written,
        },
        Err(error) => return call.fail(&error),
    };
    match filled {
        Some(Fill::Stored) => call.reply.integer(1),
        Some(Fill::Refused | Fill::NotKept) => call.reply.integer(0),
        None => call.reply.error("REFUSED", "the token was not given out here for this key"),
    }
    Outcome::Written
}

/// `LARDER.SET key value [EX s | PX ms | EXAT s | PXAT ms] [TAGS tag …]`: a plain key that is
/// forgotten when one of its tags is invalidated.
pub(super) fn set(call: &mut Call<'_>) -> Outcome {
    if shared_plain::has(call.service, &call.request[1]) {
        return shared_plain::set(call);
    }
    let (mut until, mut at) = (Moment::MAX, 3);
    if call.request.len() > 3 && !call.is(3, "TAGS") {
        let Some((Lifetime::For { amount, unit }, words)) = expiry::lifetime(call, 3) else {
            return call.syntax();
        };
        until = match expiry::moment(call, "larder.set", amount, unit) {
            Ok(until) => until,
            Err(written) => return written,
        };
        at += words;
    }
    let tags = match terms(call, at + 1) {
        _ if call.request.len() == at => Vec::new(),
        _ if !call.is(at, "TAGS") => return call.syntax(),
        Ok(Some(terms)) => terms.tags().to_vec(),
        Ok(None) => return call.syntax(),
        Err(error) => return call.fail(&error),
    };
    let (key, value) = (call.key(1), value(&call.request[2]));
    let change = PlainChange::PutTagged { value, expires_at: until, tags };
    let result = declared::plain(call, 1, "its tags are those that its load says: SET it")
        .and_then(|plain| call.service.keyspace.update(plain, &key, call.now, |_| (change, ())));
    match result {
        Ok(()) => call.reply.simple("OK"),
        Err(error) => return call.fail(&error),
    }
    Outcome::Written
}

/// The terms that the tags from the argument at `first` on make; `None` for a TAGS without any.
pub(super) fn terms(call: &Call<'_>, first: usize) -> Result<Option<Terms>> {
    let mut terms = Terms::default();
    if call.request.len() == first {
        return Ok(None);
    }
    for tag in read_tags(call, first)? {
        terms.tag(tag);
    }
    if terms.tags().len() > TAGS_MAX {
        let message = format!("an entry has at most {TAGS_MAX} tags");
        return Err(Error::new(ErrorKind::Refused, message));
    }
    Ok(Some(terms))
}

/// When a filled plain key expires; never, if nothing is said.
fn lifetime(call: &mut Call<'_>) -> Result<Moment, Outcome> {
    if call.request.len() == 4 {
        return Ok(Moment::MAX);
    }
    match expiry::lifetime(call, 4) {
        Some((Lifetime::For { amount, unit }, words)) if call.request.len() == 4 + words => {
            expiry::moment(call, "larder.fill", amount, unit)
        }
        _ => Err(call.syntax()),
    }
}

/// `LARDER.STATS [cache]`.
pub(super) fn stats(call: &mut Call<'_>) -> Outcome {
    let declared = call.service.keyspace.declared();
    match call.request.get(1) {
        None => {
            call.reply.map(declared.len());
            for declared in declared {
                call.reply.bulk(declared.cache.name().as_bytes());
                write_stats(&declared.cache, &mut call.reply);
            }
        }
        Some(name) if call.request.len() == 2 => match call.service.keyspace.cache(name) {
            Ok(declared) => write_stats(&declared.cache, &mut call.reply),
            Err(sentence) => call.reply.error("ERR", sentence),
        },
        Some(_) => return call.wrong_arity("LARDER.STATS"),
    }
    Outcome::Written
}

/// What a cache has counted, and what that comes down to.
fn write_stats(cache: &Cache<Key, Value>, reply: &mut Writer<'_>) {
    let (stats, worth) = (cache.stats(), cache.worth());
    let verdict = verdict(&worth);
    let counts = [
        ("hits_fresh", stats.fresh_hit_age.count()),
        ("hits_stale", stats.stale_hit_age.count()),
        ("stood_in", stats.stood_in_age.count()),
        ("misses", stats.misses),
        ("joined", stats.joined),
        ("loads", stats.loads.count()),
        ("load_errors", stats.load_errors),
        ("absent", stats.absent),
        ("unchanged", stats.unchanged),
        ("fills_refused", stats.fills_refused),
        ("not_kept", stats.not_kept),
        ("invalidations", stats.invalidations),
        ("sweeps", stats.sweeps),
        ("filtered", stats.filtered),
        ("bytes", worth.bytes),
    ];
    let sums = [
        ("load_seconds", stats.loads.sum.as_secs_f64()),
        ("load_seconds_saved", worth.load_time_saved.as_secs_f64()),
        ("load_seconds_spent", worth.load_time_spent.as_secs_f64()),
        ("byte_seconds", worth.byte_seconds),
    ];
    reply.map(counts.len() + sums.len() + 3);
    for (name, count) in counts {
        reply.bulk(name.as_bytes());
        reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }
    for (name, sum) in sums {
        reply.bulk(name.as_bytes());
        reply.double(sum);
    }
    reply.bulk(b"hit_ratio");
    match stats.hit_ratio() {
        Some(ratio) => reply.double(ratio),
        None => reply.null(),
    }
    write_text("verdict_kind", verdict.kind.as_str(), reply);
    write_text("verdict", &verdict.sentence, reply);
}
