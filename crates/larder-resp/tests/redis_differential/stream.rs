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
    let name = || select(vec!["EXPIRE", "PEXPIRE", "expire", "EXPIREAT", "PEXPIREAT"]);
    let option = select(vec!["NX", "XX", "xx", "GT", "LT", "gt", "FOO", ""]);
    prop_oneof![
        (name(), key(), lifetime()).prop_map(|(name, key, time)| vec![bytes(name), key, time]),
        (name(), key(), short_lifetime(), vec(option, 1..3)).prop_map(
            |(name, key, time, options)| {
                [bytes(name), key, time].into_iter().chain(options.iter().map(bytes)).collect()
            }
        ),
        (key(), select(vec![None, Some("GT"), Some("LT"), Some("NX"), Some("XX")])).prop_map(
            |(key, option)| {
                let time = [bytes("EXPIREAT"), key, Part::UnixSeconds];
                time.into_iter().chain(option.map(bytes)).collect()
            }
        ),
        key().prop_map(|key| vec![bytes("PEXPIREAT"), key, Part::UnixMilliseconds]),
    ]
}

/// What counts in floating point, and what only looks so.
fn float() -> impl Strategy<Value = Part> {
    prop_oneof![
        2 => number(),
        2 => one_of(&[
            b"0.1", b"0.2", b"-0.3", b"3.14159", b"1e17", b"1e-20", b"-1E+3", b".5", b"5.", b".",
            b"12345678901234567890.123", b"1e400", b"1e4932", b"-1e4931", b"1e5000", b"1e-5000",
            b"inf", b"-Infinity", b"nan", b"0x1.8p1", b"0X.8", b"0x", b"1e", b"1.5 ", b"5e-18",
            b"0.000000000000000005", b"1e-4940", b"99999999999999999.99999999999999999",
        ]),
        1 => (any::<i64>(), -30_i32..30)
            .prop_map(|(digits, power)| bytes(format!("{digits}e{power}"))),
        1 => (any::<u32>(), 0_u64..1_000_000_000_000)
            .prop_map(|(whole, decimals)| bytes(format!("{whole}.{decimals:012}"))),
    ]
}

/// A value of which many fit into an entry.
fn short_value() -> impl Strategy<Value = Part> {
    prop_oneof![number(), vec(any::<u8>(), 0..40).prop_map(bytes)]
}

/// Commands on bits.
fn on_bits() -> impl Strategy<Value = Vec<Part>> {
    let offset = || {
        prop_oneof![
            3 => (0_u32..100).prop_map(|offset| bytes(offset.to_string())),
            1 => number(),
            1 => one_of(&[b"4294967296", b"-1"]),
        ]
    };
    let end =
        || prop_oneof![3 => (-40_i32..40).prop_map(|at| bytes(at.to_string())), 1 => number()];
    let unit = || select(vec!["BYTE", "BIT", "bit", "x"]).prop_map(bytes);
    let bit = || one_of(&[b"0", b"1", b"0", b"1", b"2", b"-1", b"x"]);
    let call = |name: &'static str, rest: Vec<Part>| [vec![bytes(name)], rest].concat();
    prop_oneof![
        2 => (key(), offset()).prop_map(move |(key, at)| call("GETBIT", vec![key, at])),
        3 => (key(), offset(), bit()).prop_map(move |(key, at, bit)| call("SETBIT", vec![key, at, bit])),
        1 => key().prop_map(move |key| call("BITCOUNT", vec![key])),
        2 => (key(), end(), end()).prop_map(move |(key, a, b)| call("BITCOUNT", vec![key, a, b])),
        2 => (key(), end(), end(), unit())
            .prop_map(move |(key, a, b, unit)| call("BITCOUNT", vec![key, a, b, unit])),
        1 => (key(), bit()).prop_map(move |(key, bit)| call("BITPOS", vec![key, bit])),
        1 => (key(), bit(), end()).prop_map(move |(key, bit, a)| call("BITPOS", vec![key, bit, a])),
        2 => (key(), bit(), end(), end())
            .prop_map(move |(key, bit, a, b)| call("BITPOS", vec![key, bit, a, b])),
        2 => (key(), bit(), end(), end(), unit())
            .prop_map(move |(key, bit, a, b, unit)| call("BITPOS", vec![key, bit, a, b, unit])),
        1 => (key(), select(vec![&b"\xff\xff"[..], b"\0\0\x10", b"\xff\0", b"\0", b"\xff\xff\xff\xff"]))
            .prop_map(move |(key, value)| call("SET", vec![key, bytes(value)])),
    ]
}

/// Commands that read and change in one step, and those of several keys.
fn in_one_step() -> impl Strategy<Value = Vec<Part>> {
    let getex_option = prop_oneof![
        2 => select(vec!["PERSIST", "persist", "KEEPTTL", "NX", ""]).prop_map(|word| vec![bytes(word)]),
        3 => (select(vec!["EX", "PX", "ex", "EXAT", "PXAT"]), lifetime())
            .prop_map(|(unit, lifetime)| vec![bytes(unit), lifetime]),
        1 => Just(vec![bytes("EXAT"), Part::UnixSeconds]),
        1 => Just(vec![bytes("EXAT"), bytes("1")]),
    ];
    let copy_option =
        select(vec!["REPLACE", "replace", "DB 0", "DB 1", "DB x", "DB", "DB 3000000000", ""]);
    let words = |text: &str| text.split(' ').map(bytes).collect::<Vec<_>>();
    let pairs = vec((key(), short_value()), 1..4);
    prop_oneof![
        1 => key().prop_map(|key| vec![bytes("GETDEL"), key]),
        2 => (key(), vec(getex_option, 0..3)).prop_map(|(key, options)| {
            [bytes("GETEX"), key].into_iter().chain(options.into_iter().flatten()).collect()
        }),
        2 => (select(vec!["GETSET", "APPEND"]), key(), short_value())
            .prop_map(|(name, key, value)| vec![bytes(name), key, value]),
        2 => (key(), number(), short_value())
            .prop_map(|(key, offset, value)| vec![bytes("SETRANGE"), key, offset, value]),
        3 => (select(vec!["GETRANGE", "SUBSTR"]), key(), number(), number())
            .prop_map(|(name, key, start, end)| vec![bytes(name), key, start, end]),
        3 => (key(), float()).prop_map(|(key, amount)| vec![bytes("INCRBYFLOAT"), key, amount]),
        1 => (key(), float()).prop_map(|(key, amount)| vec![bytes("SET"), key, amount]),
        2 => (select(vec!["MSET", "MSETNX"]), pairs).prop_map(|(name, pairs)| {
            let pairs = pairs.into_iter().flat_map(|(key, value)| [key, value]);
            [bytes(name)].into_iter().chain(pairs).collect()
        }),
        3 => (select(vec!["RENAME", "RENAMENX"]), key(), key())
            .prop_map(|(name, from, to)| vec![bytes(name), from, to]),
        2 => (key(), key(), vec(copy_option, 0..3)).prop_map(move |(from, to, options)| {
            let options = options.into_iter().flat_map(words);
            [bytes("COPY"), from, to].into_iter().chain(options).collect()
        }),
    ]
}

/// A command, right or wrong.
pub(crate) fn command() -> impl Strategy<Value = Vec<Part>> {
    let with_key = |names: &[&'static str]| {
        (select(names.to_vec()), key()).prop_map(|(name, key)| vec![bytes(name), key])
    };
    let with_number = (select(vec!["INCRBY", "DECRBY", "incrby"]), key(), number());
    let with_keys = select(vec!["MGET", "EXISTS", "TOUCH", "DEL", "UNLINK", "del"]);
    let any_name = select(vec![
        "GET",
        "MGET",
        "EXISTS",
        "STRLEN",
        "TYPE",
        "TTL",
        "PTTL",
        "SET",
        "SETEX",
        "SETNX",
        "DEL",
        "UNLINK",
        "EXPIRE",
        "PEXPIRE",
        "PERSIST",
        "INCR",
        "DECR",
        "INCRBY",
        "DECRBY",
        "ECHO",
        "PING",
        "SELECT",
        "NONSENSE",
        "",
        "\r\n",
        "getx",
        "GETDEL",
        "GETEX",
        "GETRANGE",
        "SUBSTR",
        "SETRANGE",
        "APPEND",
        "GETSET",
        "INCRBYFLOAT",
        "MSET",
        "MSETNX",
        "PSETEX",
        "EXPIREAT",
        "PEXPIREAT",
        "EXPIRETIME",
        "PEXPIRETIME",
        "TOUCH",
        "KEYS",
        "RENAME",
        "RENAMENX",
        "COPY",
        "GETBIT",
        "SETBIT",
        "BITCOUNT",
        "BITPOS",
    ]);
    prop_oneof![
        6 => with_key(&["GET", "get", "STRLEN", "TYPE", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]),
        3 => with_key(&["INCR", "DECR", "PERSIST", "DEL", "EXISTS", "Incr"]),
        6 => (key(), value(), vec(set_option(), 0..4)).prop_map(|(key, value, options)| {
            [bytes("SET"), key, value].into_iter().chain(options.into_iter().flatten()).collect()
        }),
        1 => (select(vec!["SETEX", "PSETEX"]), key(), lifetime(), value())
            .prop_map(|(name, key, time, value)| vec![bytes(name), key, time, value]),
        8 => in_one_step(),
        5 => on_bits(),
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
