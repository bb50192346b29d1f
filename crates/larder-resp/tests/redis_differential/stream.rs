//! Random streams of commands on plain keys.
//!
//! No lifetime in them ends while the test runs, and which of two ends later never depends on how
//! fast it runs.

use std::fmt;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

/// A part of a request. Times are numbered by the request they are in, so that of two lifetimes of
/// one kind the later one is always longer: which of two equal ones ends later is chance.
#[derive(Clone)]
pub(crate) enum Part {
    Bytes(Vec<u8>),
    /// A lifetime, whatever its unit.
    For,
    /// A time of day in seconds, to come.
    UnixSeconds,
    /// A time of day in milliseconds, to come.
    UnixMilliseconds,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::For => f.write_str("lifetime"),
            Self::UnixSeconds => f.write_str("seconds"),
            Self::UnixMilliseconds => f.write_str("milliseconds"),
        }
    }
}

impl Part {
    /// The bytes of this part of request `number`, when it is `now` since 1970.
    pub(crate) fn resolve(&self, number: usize, now: Duration) -> Vec<u8> {
        let amount = 1_000_000 + 100_000 * number as u128;
        match self {
            Self::Bytes(bytes) => return bytes.clone(),
            Self::For => amount,
            Self::UnixSeconds => u128::from(now.as_secs()) + amount,
            Self::UnixMilliseconds => now.as_millis() + amount,
        }
        .to_string()
        .into_bytes()
    }
}

fn bytes(text: impl AsRef<[u8]>) -> Part {
    Part::Bytes(text.as_ref().to_vec())
}

fn one_of(texts: &[&'static [u8]]) -> impl Strategy<Value = Part> + use<> {
    select(texts.to_vec()).prop_map(bytes)
}

fn key() -> impl Strategy<Value = Part> {
    one_of(&[b"a", b"a", b"a", b"b", b"b", b"c", b"", b"\xff\0\r\n", b"user:1", &[b'k'; 300]])
}

/// Numbers at their edges, and what only looks like a number.
fn number() -> impl Strategy<Value = Part> {
    one_of(&[
        b"0",
        b"1",
        b"-1",
        b"7",
        b"10",
        b"-10",
        b"100000",
        b"9223372036854775807",
        b"9223372036854775806",
        b"-9223372036854775808",
        b"-9223372036854775807",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"99999999999999999999999",
        b"",
        b" 1",
        b"1 ",
        b"01",
        b"-0",
        b"+1",
        b"1.5",
        b"1e3",
        b"0x10",
        b"--1",
        b"-",
        b"abc",
        b"\xff",
        b"1\0",
    ])
}

fn value() -> impl Strategy<Value = Part> {
    prop_oneof![
        2 => number(),
        1 => one_of(&[b"value", b"\r\n", b"\0\xff", b"$-1\r\n"]),
        1 => vec(any::<u8>(), 0..40).prop_map(bytes),
        1 => (0_usize..40_000).prop_map(|length| bytes("x".repeat(length))),
    ]
}

/// Lifetimes that end long after the test or have ended already, and wrong ones.
fn lifetime() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => Just(Part::For),
        2 => number().prop_filter("it would end during the test", |number| match number {
            Part::Bytes(bytes) => !matches!(&bytes[..], b"1" | b"7" | b"10" | b"100000"),
            _ => true,
        }),
        1 => one_of(&[
            b"9223372036854775", b"9223372036854776", b"-9223372036854775", b"-9223372036854776",
            b"9000000000000000", b"9000000000000000000", b"99999999999999",
        ]),
    ]
}

/// Lifetimes that larder doesn't cut, so that the order of any two is the same in both.
fn short_lifetime() -> impl Strategy<Value = Part> {
    prop_oneof![Just(Part::For), one_of(&[b"0", b"-1", b"-9223372036854775", b"x"])]
}

fn set_option() -> impl Strategy<Value = Vec<Part>> {
    let word = select(vec!["NX", "XX", "GET", "KEEPTTL", "nx", "Get", "PERSIST", "EX", "", "NXX"]);
    let unit = select(vec!["EX", "PX", "ex", "EXAT", "PXAT"]);
    prop_oneof![
        4 => word.prop_map(|word| vec![bytes(word)]),
        3 => (unit, lifetime()).prop_map(|(unit, lifetime)| vec![bytes(unit), lifetime]),
        1 => Just(vec![bytes("EXAT"), Part::UnixSeconds]),
        1 => Just(vec![bytes("PXAT"), Part::UnixMilliseconds]),
        1 => Just(vec![bytes("EXAT"), bytes("1")]),
    ]
}

fn expire() -> impl Strategy<Value = Vec<Part>> {
    let name = || select(vec!["EXPIRE", "PEXPIRE", "expire"]);
    let option = select(vec!["NX", "XX", "xx", "GT", "LT", "gt", "FOO", ""]);
    prop_oneof![
        (name(), key(), lifetime()).prop_map(|(name, key, time)| vec![bytes(name), key, time]),
        (name(), key(), short_lifetime(), vec(option, 1..3)).prop_map(
            |(name, key, time, options)| {
                [bytes(name), key, time].into_iter().chain(options.iter().map(bytes)).collect()
            }
        ),
    ]
}

/// A command, right or wrong.
pub(crate) fn command() -> impl Strategy<Value = Vec<Part>> {
    let with_key = |names: &[&'static str]| {
        (select(names.to_vec()), key()).prop_map(|(name, key)| vec![bytes(name), key])
    };
    let with_number = (select(vec!["INCRBY", "DECRBY", "incrby"]), key(), number());
    let with_keys = select(vec!["MGET", "EXISTS", "DEL", "UNLINK", "del"]);
    let any_name = select(vec![
        "GET", "MGET", "EXISTS", "STRLEN", "TYPE", "TTL", "PTTL", "SET", "SETEX", "SETNX", "DEL",
        "UNLINK", "EXPIRE", "PEXPIRE", "PERSIST", "INCR", "DECR", "INCRBY", "DECRBY", "ECHO",
        "PING", "SELECT", "NONSENSE", "", "\r\n", "getx",
    ]);
    prop_oneof![
        6 => with_key(&["GET", "get", "STRLEN", "TYPE", "TTL", "PTTL"]),
        3 => with_key(&["INCR", "DECR", "PERSIST", "DEL", "EXISTS", "Incr"]),
        6 => (key(), value(), vec(set_option(), 0..4)).prop_map(|(key, value, options)| {
            [bytes("SET"), key, value].into_iter().chain(options.into_iter().flatten()).collect()
        }),
        1 => (key(), lifetime(), value())
            .prop_map(|(key, time, value)| vec![bytes("SETEX"), key, time, value]),
        1 => (key(), value()).prop_map(|(key, value)| vec![bytes("SETNX"), key, value]),
        2 => with_number.prop_map(|(name, key, number)| vec![bytes(name), key, number]),
        2 => (key(), number()).prop_map(|(key, number)| vec![bytes("SET"), key, number]),
        3 => expire(),
        2 => (with_keys, vec(key(), 1..5))
            .prop_map(|(name, keys)| [bytes(name)].into_iter().chain(keys).collect()),
        1 => (select(vec!["ECHO", "PING", "SELECT"]), value())
            .prop_map(|(name, value)| vec![bytes(name), value]),
        // Whatever this is, of whatever length. No lifetime here is short.
        1 => (any_name, vec(one_of(&[b"a", b"b", b"NX", b"-1", b"x\0y", b"\xff", &[b'l'; 200]]), 0..5))
            .prop_map(|(name, rest)| [bytes(name)].into_iter().chain(rest).collect()),
    ]
}
