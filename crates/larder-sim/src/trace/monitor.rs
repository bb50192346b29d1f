//! What `redis-cli MONITOR` prints: `1339518083.107412 [0 127.0.0.1:60866] "GET" "user:42"`.
//!
//! Commands that read the values of keys are reads, commands that store are writes, and those
//! that delete remove. All others are left out and are no faults. The text of values isn't their
//! size in Redis, so sizes are unknown.

use std::collections::VecDeque;

use super::fault::{Faults, TraceError};
use super::lines::{Lines, number, seconds};
use super::{Decode, Input};
use crate::request::{Op, Request, named};

pub(super) struct Monitor<'a> {
    lines: Lines<'a>,
    /// The requests of one command; at most as many as a line has bytes.
    requests: VecDeque<Request>,
}

impl<'a> Monitor<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { lines: Lines::new(input), requests: VecDeque::new() }
    }
}

impl Decode for Monitor<'_> {
    fn next(&mut self, faults: &mut Faults) -> Result<Option<Request>, TraceError> {
        loop {
            if let Some(request) = self.requests.pop_front() {
                return Ok(Some(request));
            }
            if !self.lines.advance(faults)? {
                return Ok(None);
            }
            // `OK` is the reply to MONITOR itself.
            let line = self.lines.line();
            if matches!(line, b"" | b"OK") {
                continue;
            }
            match Command::read(line) {
                Some(command) => command.requests(&mut self.requests),
                None => self.lines.refuse("it isn't a line of MONITOR", faults),
            }
        }
    }
}

/// One command, as it was sent.
struct Command<'a> {
    time_ms: u64,
    database: &'a [u8],
    /// The name and what follows it.
    words: Vec<Vec<u8>>,
}

/// Which arguments are keys.
enum Keys {
    First,
    All,
    EverySecond,
}

impl<'a> Command<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let space = line.iter().position(|&byte| byte == b' ')?;
        let time_ms = seconds(&line[..space])?;
        let client = line[space..].strip_prefix(b" [")?;
        let end = client.windows(3).position(|window| window == b"] \"")?;
        let database = client[..end].split(|&byte| byte == b' ').next()?;
        let words = words(&client[end + 2..])?;
        Some(Self { time_ms, database, words })
    }

    fn requests(&self, requests: &mut VecDeque<Request>) {
        let Some((name, arguments)) = self.words.split_first() else { return };
        let Some((op, keys)) = meaning(&name.to_ascii_uppercase()) else { return };
        let (taken, step) = match keys {
            Keys::First => (1, 1),
            Keys::All => (arguments.len(), 1),
            Keys::EverySecond => (arguments.len(), 2),
        };
        let ttl_ms = self.ttl_ms(name);
        requests.extend(arguments.iter().take(taken).step_by(step).map(|key| {
            // The same key in two databases is two keys.
            let key = named(&[self.database, b":", key].concat());
            Request { op, time_ms: Some(self.time_ms), ttl_ms, ..Request::read(key) }
        }));
    }

    fn ttl_ms(&self, name: &[u8]) -> Option<u64> {
        let number_at = |at: usize| self.words.get(at).and_then(|word| number(word));
        let seconds_at = |at| number_at(at)?.checked_mul(1000);
        match name.to_ascii_uppercase().as_slice() {
            b"SETEX" => seconds_at(2),
            b"PSETEX" => number_at(2),
            b"SET" => (3..self.words.len()).find_map(|at| {
                match self.words[at].to_ascii_uppercase().as_slice() {
                    b"EX" => seconds_at(at + 1),
                    b"PX" => number_at(at + 1),
                    b"EXAT" => Some(seconds_at(at + 1)?.saturating_sub(self.time_ms)),
                    b"PXAT" => Some(number_at(at + 1)?.saturating_sub(self.time_ms)),
                    _ => None,
                }
            }),
            _ => None,
        }
    }
}

/// What a command does and to which of its arguments; `None` for one that is no request.
fn meaning(name: &[u8]) -> Option<(Op, Keys)> {
    Some(match name {
        b"GET" | b"GETEX" | b"GETRANGE" | b"SUBSTR" | b"STRLEN" | b"HGET" | b"HMGET"
        | b"HGETALL" | b"HEXISTS" | b"HLEN" | b"HKEYS" | b"HVALS" | b"LRANGE" | b"LINDEX"
        | b"LLEN" | b"SMEMBERS" | b"SISMEMBER" | b"SCARD" | b"ZRANGE" | b"ZRANGEBYSCORE"
        | b"ZREVRANGE" | b"ZSCORE" | b"ZRANK" | b"ZCARD" => (Op::Read, Keys::First),
        b"MGET" => (Op::Read, Keys::All),
        b"SET" | b"SETEX" | b"PSETEX" | b"SETNX" | b"GETSET" | b"APPEND" | b"SETRANGE"
        | b"INCR" | b"DECR" | b"INCRBY" | b"DECRBY" | b"INCRBYFLOAT" | b"HSET" | b"HMSET"
        | b"HSETNX" | b"HINCRBY" | b"LPUSH" | b"RPUSH" | b"SADD" | b"ZADD" => {
            (Op::Write, Keys::First)
        }
        b"MSET" | b"MSETNX" => (Op::Write, Keys::EverySecond),
        b"GETDEL" => (Op::Remove, Keys::First),
        b"DEL" | b"UNLINK" => (Op::Remove, Keys::All),
        _ => return None,
    })
}

/// Quoted words with a space between them; `None` where they are anything else.
fn words(mut text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    loop {
        let (word, rest) = word(text.strip_prefix(b"\"")?)?;
        words.push(word);
        match rest {
            b"" => return Some(words),
            _ => text = rest.strip_prefix(b" ")?,
        }
    }
}

/// The word up to the closing quote, and what follows that.
fn word(mut text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        let (&byte, rest) = text.split_first()?;
        text = rest;
        match byte {
            b'"' => return Some((word, text)),
            b'\\' => {
                let (&escaped, rest) = text.split_first()?;
                text = rest;
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    b'x' => {
                        let (digits, rest) = text.split_at_checked(2)?;
                        text = rest;
                        u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?
                    }
                    other => other,
                });
            }
            byte => word.push(byte),
        }
    }
}
