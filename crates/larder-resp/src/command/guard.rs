//! What goes upstream beside a command on plain keys, where those may have companions: a script
//! before it, which deletes what a tag has struck, and for some one behind it.
//!
//! | the command | before it | behind it |
//! |---|---|---|
//! | reads | what was struck is deleted | |
//! | sets or deletes | the tags are forgotten, the lease is void | |
//! | writes into the value | the lease is void | the tags are bound to what became of it |
//! | changes the expiry | the lease is void | the tags last as long |
//! | moves or copies | the leases are void | the tags go with the value |
//! | writes in another way | the lease is void; other bytes have no tags | |
//!
//! All of it is one piece of a pipeline, and what writes into a value is a transaction, so that
//! nobody sets the key in between. In a client's own transaction each command stands between two
//! others; what those reply is left out of the reply to EXEC.
//!
//! It knows one server: where keys live on several, they have no companions.

use bytes::Bytes;
use larder_core::Result;

use super::Call;
use super::places::Keys;
use super::redis;
use crate::codec::{Delimited, Delimiter, Writer, encode_request};
use crate::companion::{Companions, Script};
use crate::exchange::{Ends, Exchange};
use crate::fault;
use crate::reads::{Forward, Replies};
use crate::upstream::{Stands, To};

/// What a command does to plain keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Reads,
    Sets,
    WritesInto,
    Lasts,
    Moves,
    Writes,
}

const READS: [&str; 23] = [
    "BITCOUNT",
    "BITFIELD_RO",
    "BITPOS",
    "DUMP",
    "EVALSHA_RO",
    "EVAL_RO",
    "EXISTS",
    "EXPIRETIME",
    "FCALL_RO",
    "GET",
    "GETBIT",
    "GETRANGE",
    "LCS",
    "MEMORY",
    "MGET",
    "OBJECT",
    "PEXPIRETIME",
    "PTTL",
    "SORT_RO",
    "STRLEN",
    "SUBSTR",
    "TTL",
    "TYPE",
];
const SETS: [&str; 7] = ["DEL", "GETDEL", "GETSET", "MSET", "PSETEX", "SETEX", "UNLINK"];
const WRITES_INTO: [&str; 10] = [
    "APPEND",
    "BITFIELD",
    "DECR",
    "DECRBY",
    "INCR",
    "INCRBY",
    "INCRBYFLOAT",
    "PFADD",
    "SETBIT",
    "SETRANGE",
];
const LASTS: [&str; 6] = ["EXPIRE", "EXPIREAT", "GETEX", "PERSIST", "PEXPIRE", "PEXPIREAT"];

impl Does {
    fn of(call: &Call<'_>) -> Self {
        let is = |names: &[&str]| names.iter().any(|name| call.is(0, name));
        let conditional =
            || (3..call.request.len()).any(|at| call.is(at, "NX") || call.is(at, "XX"));
        if is(&READS) || is(&["TOUCH", "WATCH"]) {
            Self::Reads
        } else if is(&SETS) || is(&["SET"]) && !conditional() {
            Self::Sets
        } else if is(&WRITES_INTO) {
            Self::WritesInto
        } else if is(&LASTS) {
            Self::Lasts
        } else if is(&["RENAME", "RENAMENX", "COPY"]) {
            Self::Moves
        } else {
            Self::Writes
        }
    }

    /// The modes of the script before the command and behind it.
    fn modes(self) -> (&'static [u8], Option<&'static [u8]>) {
        match self {
            Self::Reads => (b"r", None),
            Self::Sets => (b"f", None),
            Self::Writes => (b"w", None),
            Self::WritesInto => (b"b", Some(b"a")),
            Self::Lasts => (b"w", Some(b"r")),
            Self::Moves => (b"b", Some(b"m")),
        }
    }
}

/// A script looks at the companions of so many keys: Redis takes a million arguments. In a
/// transaction, where one command has one script, a command names no more.
const KEYS_MAX: usize = 1024;

/// What goes beside a command: requests, encoded.
pub(super) struct Guarded {
    before: Vec<Vec<u8>>,
    behind: Vec<Vec<u8>>,
    shape: Shape,
}

/// What a command stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// So many scripts before it.
    Behind(usize),
    /// A request before it and one behind it.
    Between,
    /// The same in a transaction of larder's.
    Transaction,
}

/// The companions that are to be looked at, if there may be any.
fn needed<'a>(call: &'a Call<'_>) -> Option<&'a Companions> {
    let companions = call.service.keyspace.companions()?;
    call.service.engine.may_have_companions().then_some(companions)
}

/// Whether a transaction that begins now must guard its commands.
pub(super) fn is_needed(call: &Call<'_>) -> bool {
    needed(call).is_some()
}

/// Whether it is known for sure that keys may have companions.
pub(super) fn is_known(call: &Call<'_>) -> bool {
    call.service.keyspace.companions().is_some() && call.service.engine.knows_of_companions()
}

/// The scripts before a command that names these plain keys; none where there are no companions.
pub(super) fn before(call: &Call<'_>, plain: &[&[u8]]) -> Vec<Vec<u8>> {
    match needed(call) {
        Some(companions) => scripts(companions, plain, Does::of(call).modes().0),
        None => Vec::new(),
    }
}

fn scripts(companions: &Companions, keys: &[&[u8]], mode: &[u8]) -> Vec<Vec<u8>> {
    let script = |keys: &[&[u8]]| companions.call(Script::Around, keys, &[mode]);
    keys.chunks(KEYS_MAX).map(script).collect()
}

/// What goes before a command all of whose arguments are plain keys; `None` where nothing does.
pub(super) fn before_watch(call: &Call<'_>) -> Option<Guarded> {
    let keys: Vec<&[u8]> = call.request.iter().skip(1).collect();
    let before = before(call, &keys);
    let shape = Shape::Behind(before.len());
    (!before.is_empty()).then_some(Guarded { before, behind: Vec::new(), shape })
}

/// Whether a command names more keys than it may in a transaction that is guarded.
pub(super) fn names_too_many(call: &Call<'_>) -> bool {
    let transaction = call.session.transaction;
    let entry = redis::find(call.request.name());
    transaction.queues
        && transaction.guarded
        && call.request.len() > KEYS_MAX
        && entry.is_some_and(|entry| entry.keys.places(&call.request).count() > KEYS_MAX)
}

/// What goes beside a command that goes upstream as it came; `None` where nothing does.
pub(super) fn around(call: &Call<'_>) -> Option<Guarded> {
    let transaction = call.session.transaction;
    let companions = match transaction.queues {
        true => call.service.keyspace.companions().filter(|_| transaction.guarded)?,
        false => needed(call)?,
    };
    let keys = redis::find(call.request.name()).map_or(Keys::None, |entry| entry.keys);
    let keys: Vec<&[u8]> = keys.places(&call.request).map(|at| &call.request[at]).collect();
    if keys.is_empty() && !transaction.queues {
        return None;
    }
    let does = Does::of(call);
    let (before, behind) = does.modes();
    // What moves between two keys names two, or is malformed.
    let behind = behind.filter(|_| does != Does::Moves || keys.len() == 2);
    let script = |mode| match keys.is_empty() {
        true => request("PING"),
        false => companions.call(Script::Around, &keys, &[mode]),
    };
    let shape = match behind {
        _ if transaction.queues => Shape::Between,
        None => Shape::Behind(keys.len().div_ceil(KEYS_MAX)),
        // A transaction of larder's would end what the client watches.
        Some(_) if does == Does::WritesInto && !transaction.is_open() => Shape::Transaction,
        Some(_) => Shape::Between,
    };
    if let Shape::Behind(_) = shape {
        let before = scripts(companions, &keys, before);
        return Some(Guarded { before, behind: Vec::new(), shape });
    }
    let (mut before, mut behind) =
        (vec![script(before)], vec![behind.map_or_else(|| request("PING"), script)]);
    if shape == Shape::Transaction {
        before.insert(0, request("MULTI"));
        behind.push(request("EXEC"));
    }
    Some(Guarded { before, behind, shape })
}

/// A request of one word. PING does nothing.
fn request(word: &str) -> Vec<u8> {
    let mut request = Vec::new();
    encode_request(&mut request, &[word]);
    request
}

/// Adds scripts and the command behind them.
pub(super) fn push_behind(exchange: &mut Exchange, scripts: &[Vec<u8>], words: &[&[u8]], to: To) {
    scripts.iter().for_each(|script| exchange.push_beside(script, to, Stands::Before));
    exchange.push(words, to, Ends::Reply);
}

/// The replies to commands of which each stood behind so many scripts: the error of a script in
/// the place of what stands behind it.
pub(super) fn own_replies(came: Replies, scripts: &[usize]) -> Replies {
    let mut came = came.into_iter();
    let refused = |script: &Result<Bytes>| script.as_ref().map_or(true, |bytes| is_error(bytes));
    let own = |&count: &usize| {
        let mut wrong = None;
        for script in came.by_ref().take(count).filter(refused) {
            wrong.get_or_insert(script);
        }
        let own = came.next()?;
        Some(wrong.unwrap_or(own))
    };
    scripts.iter().filter_map(own).collect()
}

impl Guarded {
    /// How the reply of the command is made of those that come.
    pub(super) fn forward(&self) -> Forward {
        let shape = self.shape;
        let reply = move |replies: Replies, _, reply: &mut Writer<'_>| shape.write(&replies, reply);
        Forward { asks: Vec::new(), reply: Some(Box::new(reply)) }
    }

    /// Adds the command, and what goes beside it to the same server.
    pub(super) fn push(self, exchange: &mut Exchange, own: &[&[u8]], to: To, ends: Ends) {
        self.before.iter().for_each(|one| exchange.push_beside(one, to, Stands::Before));
        exchange.push(own, to, ends);
        self.behind.iter().for_each(|one| exchange.push_beside(one, to, Stands::Behind));
    }
}

impl Shape {
    /// Writes the reply to the command, or why what must be done before it couldn't be.
    fn write(self, replies: &Replies, reply: &mut Writer<'_>) {
        let mut came = Vec::with_capacity(replies.len());
        for one in replies {
            match one {
                Ok(bytes) => {
                    // Messages for a subscriber come in between.
                    let (messages, bytes) = messages(bytes);
                    reply.raw(messages);
                    came.push(bytes);
                }
                Err(error) => return fault::error(reply, error),
            }
        }
        match (self, &came[..]) {
            (Self::Behind(_), [before @ .., own]) => {
                reply.raw(before.iter().find(|before| is_error(before)).unwrap_or(own));
            }
            (Self::Between, [before, own, _]) => {
                reply.raw(if is_error(before) { before } else { own });
            }
            (Self::Transaction, [_, before, own, _, done]) => {
                match [before, own].into_iter().find(|queued| is_error(queued)) {
                    Some(refused) => reply.raw(refused),
                    None => match elements(done).as_deref() {
                        Some([before, own, _]) => {
                            reply.raw(if is_error(before) { before } else { own });
                        }
                        _ => reply.raw(done),
                    },
                }
            }
            _ => reply.error("INTERNAL", "the shared Redis gave another number of replies"),
        }
    }
}

/// Writes the reply to an EXEC without what stood around its commands.
pub(super) fn write_executed(mut replies: Replies, reply: &mut Writer<'_>) {
    let done = match replies.pop() {
        Some(Ok(done)) => done,
        Some(Err(error)) => return fault::error(reply, &error),
        None => return reply.null(),
    };
    let (messages, done) = messages(&done);
    reply.raw(messages);
    let Some(elements) = elements(done) else { return reply.raw(done) };
    reply.array(elements.len() / 3);
    for around in elements.chunks_exact(3) {
        reply.raw(if is_error(around[0]) { around[0] } else { around[1] });
    }
}

fn is_error(reply: &[u8]) -> bool {
    matches!(reply.first(), Some(b'-' | b'!'))
}

/// The messages before a reply, and the reply.
fn messages(came: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while came.get(at) == Some(&b'>')
        && let Ok(Delimited::Ended(length)) = Delimiter::default().feed(&came[at..])
    {
        at += length;
    }
    came.split_at(at)
}

/// The elements of an array; `None` of anything else.
fn elements(reply: &[u8]) -> Option<Vec<&[u8]>> {
    let header = reply.windows(2).position(|end| end == b"\r\n")?;
    let count: usize = str::from_utf8(reply[..header].strip_prefix(b"*")?).ok()?.parse().ok()?;
    let mut rest = &reply[header + 2..];
    let mut elements = Vec::new();
    for _ in 0..count {
        let Ok(Delimited::Ended(length)) = Delimiter::default().feed(rest) else { return None };
        let (element, behind) = rest.split_at(length);
        elements.push(element);
        rest = behind;
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Protocol;

    fn executed(reply: &'static [u8]) -> String {
        let mut out = Vec::new();
        write_executed(vec![Ok(reply.into())], &mut Writer::new(&mut out, Protocol::Resp3));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_error_of_a_script_stands_in_the_place_of_what_is_behind_it() {
        let came = [":0", "-OOM no", "-ERR x", ":2", "*0", ":0", ":7"];
        let came = came.iter().map(|reply| Ok(Bytes::from(*reply))).collect();
        let own: Vec<_> = own_replies(came, &[3, 0, 1]).into_iter().map(Result::unwrap).collect();
        assert_eq!(own, ["-OOM no", "*0", ":7"]);
        let lost = || larder_core::Error::new(larder_core::ErrorKind::SharedDown, "gone");
        let own = own_replies(vec![Err(lost()), Ok(Bytes::from(":1"))], &[1]);
        let kind = |error: &larder_core::Error| error.kind() == lost().kind();
        assert!(matches!(&own[..], [Err(error)] if kind(error)));
    }

    #[test]
    fn an_exec_tells_of_the_clients_commands_only() {
        let reply = b">2\r\n+a\r\n+b\r\n\
            *6\r\n:0\r\n*2\r\n+x\r\n$1\r\ny\r\n+PONG\r\n:0\r\n-ERR no\r\n:0\r\n";
        assert_eq!(executed(reply), ">2\r\n+a\r\n+b\r\n*2\r\n*2\r\n+x\r\n$1\r\ny\r\n-ERR no\r\n");
        assert_eq!(executed(b"*3\r\n-OOM no\r\n+x\r\n:0\r\n"), "*1\r\n-OOM no\r\n");
        for as_it_is in ["_\r\n", "*-1\r\n", "-EXECABORT because\r\n"] {
            assert_eq!(executed(as_it_is.as_bytes()), as_it_is);
        }
    }
}
