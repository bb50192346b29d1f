//! LARDER.GET, FILL, SET and INVALIDATE KEYS of plain keys that live in the shared Redis: each is
//! one script there.
//!
//! Tags and leases are refused at first, until every larder looks out for them: the script says
//! so, it is announced, and the script is called again.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{BoxFuture, Error, ErrorKind, Key, Result};
use larder_engine::shared::tag_bucket;
use larder_engine::{Engine, Invalidation, Token};

use super::expiry::{self, Lifetime};
use super::filter::{LIMITS, write_refusal};
use super::larder::{terms, write_text};
use super::{Call, Outcome, Says};
use crate::codec::{Protocol, Reply, Writer, decode_reply};
use crate::companion::{Companions, FLAG, Script};
use crate::fault;
use crate::keyspace::{Declared, Home, Whose, shown};
use crate::reads::Later;
use crate::service::Service;
use crate::upstream::{Part, Requests, Stands, To, Upstream};

/// For how long the token of a plain key permits to fill it, in milliseconds.
const LEASE_MS: &[u8] = b"10000";
/// So often a script is called until every larder looks out for what it writes.
const CALLS_MAX: usize = 8;
/// So many keys are forgotten by one script.
const KEYS_MAX: usize = 256;

/// What is asked of one Redis.
#[derive(Clone)]
struct Asked {
    upstream: Arc<dyn Upstream>,
    companions: Companions,
    engine: Engine,
}

/// Whether `key` is a plain key whose companions live in the shared Redis.
pub(super) fn has(service: &Service, key: &[u8]) -> bool {
    let keyspace = &service.keyspace;
    keyspace.companions().is_some()
        && keyspace.upstream().is_some()
        && matches!(keyspace.whose(key), Whose::Upstream)
}

impl Asked {
    /// Where plain keys have companions.
    fn of(service: &Service) -> Option<Self> {
        let (upstream, companions) = (service.keyspace.upstream()?, service.keyspace.companions()?);
        let (upstream, companions) = (Arc::clone(upstream), companions.clone());
        Some(Self { upstream, companions, engine: service.engine.clone() })
    }

    /// Calls a script until it needn't wait any more, and returns what it said: a word and what is
    /// behind it, or an error of Redis.
    async fn call(&self, script: Script, key: &[u8], arguments: &[&[u8]]) -> Result<Said> {
        let request = self.companions.call(script, &[key], arguments);
        for _ in 0..CALLS_MAX {
            let said = match self.ask(&[&request]).await.pop() {
                Some(said) => said?,
                None => return Err(odd()),
            };
            let Reply::Array(parts) = &said else { return Ok(Said::Refused(said)) };
            match &parts[..] {
                [Reply::Bulk(word)] if word == "announce" => {
                    self.engine.announce_companions().await?;
                }
                [Reply::Bulk(word), Reply::Integer(millis)] if word == "wait" => {
                    let wait = Duration::from_millis(u64::try_from(*millis).unwrap_or(0));
                    let clock = self.engine.clock();
                    clock.sleep_until(clock.now() + wait).await;
                }
                [Reply::Bulk(word), rest @ ..] => {
                    let word = String::from_utf8_lossy(word).into_owned();
                    return Ok(Said::Word(word, rest.to_vec()));
                }
                _ => return Err(odd()),
            }
        }
        let message = "it couldn't be announced that plain keys have tags or leases";
        Err(Error::new(ErrorKind::SharedDown, message))
    }

    async fn ask<R: AsRef<[u8]>>(&self, requests: &[R]) -> Vec<Result<Reply>> {
        let part = |request: &R| {
            let length = request.as_ref().len();
            Part { length, to: To::Any, stands: Stands::ForItself }
        };
        let parts = requests.iter().map(part).collect();
        let bytes: Vec<u8> = requests.iter().flat_map(AsRef::as_ref).copied().collect();
        let requests = Requests { bytes: bytes.into(), parts, protocol: Protocol::Resp2 };
        let replies = self.upstream.forward(requests).await;
        let read = |reply: Result<bytes::Bytes>| match decode_reply(&reply?, &LIMITS) {
            Ok(Some((reply, _))) => Ok(reply),
            _ => Err(odd()),
        };
        replies.into_iter().map(read).collect()
    }
}

/// What a script said.
enum Said {
    Word(String, Vec<Reply>),
    /// Something else: an error of Redis.
    Refused(Reply),
}

fn odd() -> Error {
    let message = "the shared Redis gave a reply of an unexpected kind";
    Error::new(ErrorKind::Internal, message)
}

/// Has the reply written when the script has answered.
fn wait(
    said: impl Future<Output = Result<Said>> + Send + 'static,
    write: impl FnOnce(&str, &[Reply], &mut Writer<'_>) + Send + 'static,
) -> Outcome {
    Outcome::Wait(Box::pin(async move {
        let said = said.await;
        let later: Later = Box::new(move |reply: &mut Writer<'_>| match said {
            Ok(Said::Word(word, rest)) if word == "evicts" => {
                let policy = match rest.first() {
                    Some(Reply::Bulk(policy)) => String::from_utf8_lossy(policy).into_owned(),
                    _ => String::new(),
                };
                let message = format_args!(
                    "the shared Redis evicts keys ({policy}), and may forget the tags of a key \
                     before the key: there a key with tags needs an end (EX seconds)"
                );
                reply.error("REFUSED", message);
            }
            Ok(Said::Word(word, rest)) => write(&word, &rest, reply),
            Ok(Said::Refused(other)) => write_refusal(Ok(Some((other, 0))), reply),
            Err(error) => fault::error(reply, &error),
        });
        later
    }))
}

/// `LARDER.GET key [LEASE | AT position]`. What Redis answers is never behind any position.
pub(super) fn get(call: &mut Call<'_>, lease: bool) -> Outcome {
    if call.behind {
        return Outcome::Later;
    }
    let Some(asked) = Asked::of(call.service) else { return call.syntax() };
    let key = call.key(1);
    let token = match lease {
        true => Token::unique(&call.service.engine).to_string(),
        false => String::new(),
    };
    let given = token.clone();
    let said = async move {
        let arguments = [FLAG.as_bytes(), token.as_bytes(), LEASE_MS];
        asked.call(Script::Get, key.as_bytes(), &arguments).await
    };
    wait(said, move |word, rest, reply| match (word, rest) {
        ("held", [Reply::Bulk(value), Reply::Integer(age)]) => write_held(value, *age, reply),
        ("busy", [Reply::Integer(left)]) => write_busy(*left, reply),
        ("leased", _) => write_gone(Some(&given), reply),
        _ => write_gone(None, reply),
    })
}

fn write_held(value: &[u8], age: i64, reply: &mut Writer<'_>) {
    reply.map(if age < 0 { 4 } else { 6 });
    reply.bulk(b"value");
    reply.bulk(value);
    write_text("tier", "shared", reply);
    if age >= 0 {
        for name in ["age_ms", "current_ms"] {
            reply.bulk(name.as_bytes());
            reply.integer(age);
        }
    }
    write_text("state", "fresh", reply);
    write_text("reason", "held", reply);
}

fn write_gone(token: Option<&str>, reply: &mut Writer<'_>) {
    reply.map(if token.is_some() { 5 } else { 4 });
    reply.bulk(b"value");
    reply.null();
    write_text("tier", "shared", reply);
    write_text("state", "gone", reply);
    write_text("reason", "missing", reply);
    if let Some(token) = token {
        write_text("token", token, reply);
    }
}

/// Somebody else loads the key: for how long, at most, who waits needn't load it too.
pub(super) fn write_busy(left_ms: i64, reply: &mut Writer<'_>) {
    reply.map(5);
    reply.bulk(b"value");
    reply.null();
    write_text("tier", "shared", reply);
    write_text("state", "gone", reply);
    write_text("reason", "busy", reply);
    reply.bulk(b"busy_ms");
    reply.integer(left_ms);
}

/// `LARDER.SET key value [EX s | …] [TAGS tag …]`.
pub(super) fn set(call: &mut Call<'_>) -> Outcome {
    let Some(asked) = Asked::of(call.service) else { return call.syntax() };
    let terms = match read(call, "larder.set", 3) {
        Ok(terms) => terms,
        Err(written) => return written,
    };
    let (key, value) = (call.key(1), call.request[2].to_vec());
    let said = async move {
        let mut arguments = vec![FLAG.as_bytes(), &value, &terms.buckets];
        arguments.extend(terms.expiry.iter().map(Vec::as_slice));
        asked.call(Script::Set, key.as_bytes(), &arguments).await
    };
    wait(said, |_, _, reply| reply.simple("OK"))
}

/// `LARDER.FILL key token value [EX s | …] [TAGS tag …]`.
pub(super) fn fill(call: &mut Call<'_>, token: Token) -> Outcome {
    let Some(asked) = Asked::of(call.service) else { return call.syntax() };
    let terms = match read(call, "larder.fill", 4) {
        Ok(terms) => terms,
        Err(written) => return written,
    };
    let (key, value) = (call.key(1), call.request[3].to_vec());
    let said = async move {
        let token = token.to_string();
        let mut arguments = vec![token.as_bytes(), &value, &terms.buckets];
        arguments.extend(terms.expiry.iter().map(Vec::as_slice));
        asked.call(Script::Fill, key.as_bytes(), &arguments).await
    };
    wait(said, |word, _, reply| reply.integer(i64::from(word == "stored")))
}

/// The expiry and the tags of a key, as the scripts take them.
struct Terms {
    expiry: Vec<Vec<u8>>,
    buckets: Vec<u8>,
}

/// Reads `[EX s | PX ms | EXAT s | PXAT ms] [TAGS tag …]` from the argument at `at` on.
fn read(call: &mut Call<'_>, command: &str, mut at: usize) -> Result<Terms, Outcome> {
    let mut expiry = Vec::new();
    if call.request.len() > at && !call.is(at, "TAGS") {
        let Some((Lifetime::For { amount, unit }, words)) = expiry::lifetime(call, at) else {
            return Err(call.syntax());
        };
        expiry::moment(call, command, amount, unit)?;
        expiry.extend((at..at + words).map(|at| call.request[at].to_vec()));
        at += words;
    }
    if call.request.len() == at {
        return Ok(Terms { expiry, buckets: Vec::new() });
    }
    if !call.is(at, "TAGS") {
        return Err(call.syntax());
    }
    let mut buckets: Vec<u16> = match terms(call, at + 1) {
        Ok(Some(terms)) => terms.tags().iter().map(|tag| tag_bucket(tag)).collect(),
        Ok(None) => return Err(call.syntax()),
        Err(error) => return Err(call.fail(&error)),
    };
    buckets.sort_unstable();
    buckets.dedup();
    let words: Vec<String> = buckets.iter().map(u16::to_string).collect();
    Ok(Terms { expiry, buckets: words.join(" ").into_bytes() })
}

/// `LARDER.INVALIDATE KEYS` where some of the keys, which begin at `first`, are plain and live in
/// the shared Redis: those are forgotten there. `None` where none is.
pub(super) fn forget(
    call: &mut Call<'_>,
    first: usize,
    what: Invalidation,
    says: Says,
) -> Option<Outcome> {
    let asked = Asked::of(call.service)?;
    let keyspace = &call.service.keyspace;
    let (mut plain, mut declared): (Vec<Key>, Vec<(&Declared, Key)>) = (Vec::new(), Vec::new());
    for key in call.request.iter().skip(first) {
        match keyspace.whose(key) {
            Whose::Upstream => plain.push(Key::new(key)),
            Whose::Larder => {
                let message = "what begins with larder: or larder. is larder's own";
                let error = Error::new(ErrorKind::Refused, message).for_key(shown(key));
                return Some(call.fail(&error));
            }
            Whose::Cache(_) => match keyspace.home(key) {
                Ok(Home::Declared(home, key)) => declared.push((home, key)),
                Ok(Home::Plain(_)) => {}
                Err(error) => return Some(call.fail(&error)),
            },
        }
    }
    if plain.is_empty() {
        return None;
    }
    let mut held = 0;
    for (home, key) in &declared {
        match keyspace.invalidate(home, key, what) {
            Ok(was_held) => held += i64::from(was_held),
            Err(error) => return Some(call.fail(&error)),
        }
    }
    let forgotten: BoxFuture<'static, Later> = Box::pin(async move {
        let came = asked.forget(&plain).await;
        let settled = asked.engine.settled().await;
        let later: Later = Box::new(move |reply: &mut Writer<'_>| {
            let mut count = held;
            for one in came {
                match one {
                    Ok(Reply::Integer(number)) => count += number,
                    Ok(other) => return write_refusal(Ok(Some((other, 0))), reply),
                    Err(error) => return fault::error(reply, &error),
                }
            }
            match settled {
                Ok(position) => says.write(count, position, reply),
                Err(error) => fault::error(reply, &error),
            }
        });
        later
    });
    Some(Outcome::Wait(forgotten))
}

impl Asked {
    /// Deletes keys, and voids their leases.
    async fn forget(&self, keys: &[Key]) -> Vec<Result<Reply>> {
        let script = |chunk: &[Key]| {
            let chunk: Vec<&[u8]> = chunk.iter().map(Key::as_bytes).collect();
            self.companions.call(Script::Forget, &chunk, &[])
        };
        self.ask(&keys.chunks(KEYS_MAX).map(script).collect::<Vec<_>>()).await
    }
}
