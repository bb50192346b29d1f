//! larder and a real Redis are told the same and have to answer the same, byte for byte, in both
//! versions of the protocol. Where they differ on purpose stands in [`on_purpose`].
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;
#[path = "redis_differential/stream.rs"]
mod stream;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Bench, Client, MS, S, Setup, block_on, replies, service, split, words};
use larder_engine::runtime::SystemClock;
use larder_resp::codec::{Reply, ReplyLimits, decode_reply, encode_request};
use larder_test::Redis;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// The ways in which larder answers otherwise, on purpose. `spent` is how long the two took
/// together.
///
/// - A lifetime is told as it is when the question arrives, and it doesn't arrive at both at once;
///   nor does what gives it one.
/// - A lifetime ends in 584 years at the latest, those of Redis in 292 million.
/// - Errors are text: where Redis repeats bytes that aren't UTF-8, larder replaces them. And what
///   it repeats has 128 bytes at most everywhere, not only where Redis cuts it, too.
///
/// And what the streams here don't contain, because it differs by design:
///
/// - The commands that larder doesn't have, LARDER.*, and more than one database.
/// - What is refused: keys beyond 64 KiB, values beyond what memory takes, requests beyond the
///   decoder's limits, client names beyond 256 bytes.
/// - What has no order in either: KEYS, SCAN and RANDOMKEY of more than one key. They are compared
///   apart.
/// - What a server tells of itself: HELLO's server, version and id, CLIENT ID, COMMAND, INFO, the
///   values of CONFIG GET, and DBSIZE of what has expired.
/// - A zero byte in an inline request, behind which Redis doesn't see the end of the line; an
///   argument that is longer than it says, of which Redis takes the beginning; a control character
///   in the place of a `$`, which larder shows escaped; and what was asked before a `POST`, which
///   Redis leaves unanswered.
fn on_purpose(request: &[Vec<u8>], redis: &Reply, larder: &Reply, spent: Duration) -> bool {
    /// In seconds, without the years that this machine has been up.
    const LONGEST: i64 = 18_000_000_000;
    let unit = match request.first().map(|name| name.to_ascii_uppercase()).as_deref() {
        Some(b"TTL" | b"EXPIRETIME") => S,
        Some(b"PTTL" | b"PEXPIRETIME") => MS,
        _ => Duration::ZERO,
    };
    match (redis, larder) {
        (Reply::Error(redis), Reply::Error(larder)) => {
            let redis = String::from_utf8_lossy(redis);
            redis.as_bytes() == larder
                || (redis.as_bytes().starts_with(larder) && larder.len() > 128)
        }
        (Reply::Integer(redis), Reply::Integer(larder)) if !unit.is_zero() => {
            let ends = *redis >= 0 && *larder >= 0;
            // Both ends are rounded, each in its way.
            let tolerance = (spent.as_millis() / unit.as_millis()) as u64 + 2;
            let longest = LONGEST * (S.as_millis() / unit.as_millis()) as i64;
            ends && (redis.abs_diff(*larder) <= tolerance || *redis.min(larder) > longest)
        }
        _ => false,
    }
}

/// A Redis with one database, and a connection to it.
struct Real {
    server: Redis,
    connection: TcpStream,
}

impl Real {
    fn start(arguments: &[&str]) -> Self {
        let server = Redis::start_with(&[&["--databases", "1"], arguments].concat());
        let connection = connect(&server);
        Self { server, connection }
    }

    /// Sends requests at once; their replies as bytes.
    fn exchange(&mut self, requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
        self.connection.write_all(&encode(requests)).unwrap();
        let (mut output, mut decoded) = (Vec::new(), 0);
        let mut buffer = [0; 64 * 1024];
        for _ in requests {
            let reply = loop {
                match decode_reply(&output[decoded..], &ReplyLimits::default()).unwrap() {
                    Some((_, length)) => break length,
                    None => {
                        let read = self.connection.read(&mut buffer).unwrap();
                        assert!(read > 0, "Redis has closed the connection");
                        output.extend_from_slice(&buffer[..read]);
                    }
                }
            };
            decoded += reply;
        }
        assert_eq!(decoded, output.len(), "Redis has replied more than it was asked");
        output
    }

    /// Sends bytes over a connection of their own; all that comes back until it ends.
    fn send_raw(&self, input: &[u8]) -> Vec<u8> {
        let mut connection = connect(&self.server);
        connection.write_all(input).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        let mut output = Vec::new();
        connection.read_to_end(&mut output).unwrap();
        output
    }
}

fn connect(server: &Redis) -> TcpStream {
    let connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(30 * S)).unwrap();
    connection
}

/// A larder without caches, by the machine's clock.
fn larder(password: Option<&'static str>) -> Client {
    let setup = Setup { password, ..Setup::default() };
    Client::new(&Arc::new(service(Arc::new(SystemClock::new()), &[], setup)))
}

fn encode(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut input = Vec::new();
    requests.iter().for_each(|request| encode_request(&mut input, request));
    input
}

/// The requests that `|` separates.
fn requests(lines: &str) -> Vec<Vec<Vec<u8>>> {
    lines.split('|').map(request).collect()
}

fn request(line: &str) -> Vec<Vec<u8>> {
    words(line).into_iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// Tells both the same, beginning with `hello`, and compares what they answer.
fn compare(
    real: &mut Real,
    password: Option<&'static str>,
    hello: &str,
    requests: &[Vec<Vec<u8>>],
) -> Result<(), String> {
    real.exchange(&["RESET", hello].map(request));
    let began = Instant::now();
    let redis = real.exchange(requests);
    let larder = block_on(async {
        let mut client = larder(password);
        client.send(&encode(&["RESET", hello].map(request))).await;
        client.send(&encode(requests)).await
    });
    let spent = began.elapsed();
    let (redis, larder) = (split(&redis), split(&larder));
    for ((request, (redis, redis_bytes)), (larder, larder_bytes)) in
        requests.iter().zip(&redis).zip(&larder)
    {
        if redis_bytes != larder_bytes && !on_purpose(request, redis, larder, spent) {
            return Err(format!(
                "to {} Redis replies\n  {}\nand larder\n  {}",
                request
                    .iter()
                    .map(|part| part.escape_ascii().to_string())
                    .collect::<Vec<_>>()
                    .join(" "),
                redis_bytes.escape_ascii(),
                larder_bytes.escape_ascii(),
            ));
        }
    }
    if redis.len() == larder.len() { Ok(()) } else { Err("larder has replied less".to_owned()) }
}

/// Runs `test` with random values until it fails or enough were tried.
fn for_all<T: std::fmt::Debug>(
    cases: u32,
    strategy: impl Strategy<Value = T>,
    mut test: impl FnMut(T) -> Result<(), String>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let test = std::cell::RefCell::new(&mut test);
    let run = TestRunner::new(config)
        .run(&strategy, |value| (test.borrow_mut())(value).map_err(TestCaseError::fail));
    if let Err(error) = run {
        panic!("{error}");
    }
}

#[test]
fn streams_of_commands_are_answered_as_redis_answers_them() {
    let mut real = Real::start(&[]);
    let hello = select(vec!["HELLO 2", "HELLO 3"]);
    for_all(1500, (hello, vec(stream::command(), 1..50)), |(hello, commands)| {
        real.exchange(&[request("FLUSHALL")]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let resolve = |(number, parts): (usize, &Vec<stream::Part>)| {
            parts.iter().map(|part| part.resolve(number, now)).collect::<Vec<_>>()
        };
        let requests: Vec<_> = commands.iter().enumerate().map(resolve).collect();
        compare(&mut real, None, hello, &requests)
    });
}

#[test]
fn the_connection_is_talked_about_as_in_redis() {
    let mut real = Real::start(&[]);
    let lines = requests(
        "PING | PING hello | PING '' | PING a b | ECHO hello | ECHO | ECHO a b | SELECT 0 | \
         SELECT 1 | SELECT -1 | SELECT 2147483647 | SELECT 2147483648 | SELECT -2147483649 | \
         SELECT 99999999999999999999 | SELECT x | SELECT | SELECT 0 0 | HELLO 1 | HELLO 4 | \
         HELLO x | HELLO 99999999999999999999 | HELLO '' | HELLO 2 NONSENSE | HELLO 2 SETNAME | \
         HELLO 3 AUTH default | HELLO 3 AUTH other x | AUTH | AUTH x | AUTH default x | \
         AUTH other x | AUTH a b c | CLIENT | CLIENT GETNAME | CLIENT GETNAME x | \
         CLIENT SETNAME worker | CLIENT GETNAME | client setname a\u{e4} | CLIENT SETNAME | \
         CLIENT SETNAME '' | CLIENT GETNAME | CLIENT ID x | CLIENT NONSENSE | CLIENT HELP x | \
         COMMAND NONSENSE | COMMAND COUNT x | COMMAND INFO nothing | COMMAND DOCS nothing | \
         COMMAND HELP x | COMMAND GETKEYS | COMMAND GETKEYS MGET a b | \
         COMMAND GETKEYS mset a 1 b 2 | \
         COMMAND GETKEYS HSET h f v | COMMAND GETKEYS EVAL x 2 a b c | COMMAND GETKEYS EVAL x 0 | \
         COMMAND GETKEYS XREAD COUNT 1 STREAMS a b 0 0 | COMMAND GETKEYS NONSENSE a | \
         COMMAND GETKEYS PING x | COMMAND GETKEYS GET | COMMAND GETKEYS GET a b | \
         COMMAND GETKEYS ZUNIONSTORE d 2 a b | COMMAND GETKEYS SORT a STORE b | \
         COMMAND LIST FILTERBY PATTERN | COMMAND LIST x | CONFIG | CONFIG GET | \
         CONFIG NONSENSE | CONFIG GET nothing | \
         CONFIG GET save | CONFIG GET appendonly | CONFIG GET APPEND[nop]nly | CONFIG HELP x | \
         CONFIG GET databases | INFO nothing | DBSIZE | DBSIZE x | RESET x | RESET | NONSENSE | \
         NONSENSE a b | GET | GET a b | get | MGET | SET a | ''",
    );
    for hello in ["HELLO 2", "HELLO 3"] {
        compare(&mut real, None, hello, &lines).unwrap();
        let reset = requests("RESET | CLIENT GETNAME | GET nothing | CONFIG GET save");
        compare(&mut real, None, hello, &reset).unwrap();
    }
}

#[test]
fn hello_has_the_fields_of_redis() {
    let mut real = Real::start(&[]);
    for hello in ["HELLO", "HELLO 2", "HELLO 3", "HELLO 3 SETNAME x", "HELLO 2 AUTH default x"] {
        let redis = common::one(replies(&real.exchange(&[request(hello)])));
        let larder = block_on(async { larder(None).talk(hello).await });
        let fields = |reply| match reply {
            Reply::Map(pairs) => pairs,
            Reply::Array(parts) => {
                parts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
            }
            other => panic!("it is no map: {other:?}"),
        };
        let its_own = [b"server".as_slice(), b"version", b"id"];
        let comparable = |reply: Reply| {
            let own =
                |name: &Reply| matches!(name, Reply::Bulk(name) if its_own.contains(&&name[..]));
            let pairs = fields(reply).into_iter();
            let pairs = pairs.map(|(name, value)| (own(&name), name, value));
            pairs
                .map(|(own, name, value)| (name, if own { Reply::Null } else { value }))
                .collect::<Vec<_>>()
        };
        assert_eq!(comparable(redis), comparable(larder), "{hello}");
    }
}

#[test]
fn a_password_is_asked_for_as_in_redis() {
    let mut real = Real::start(&["--requirepass", "secret"]);
    let lines = requests(
        "PING | GET a | GET | NONSENSE x | SELECT 0 | INFO | DBSIZE | COMMAND | HELLO | \
         HELLO 3 | HELLO 4 | HELLO x | HELLO 3 AUTH default wrong | HELLO 3 AUTH other secret | \
         HELLO 3 SETNAME x | AUTH | AUTH wrong | AUTH '' | AUTH default wrong | \
         AUTH other secret | AUTH default secret x | GET a | AUTH secret | GET a | AUTH wrong | \
         GET a | RESET | GET a | AUTH default secret | GET a | RESET",
    );
    compare(&mut real, Some("secret"), "PING", &lines).unwrap();
    let hello = "HELLO 3 AUTH default secret";
    let lines = requests("GET a | CONFIG GET save | RESET | GET a | CONFIG GET save");
    compare(&mut real, Some("secret"), hello, &lines).unwrap();
}

#[test]
fn commands_are_described_as_in_redis() {
    let mut real = Real::start(&[]);
    for hello in ["HELLO 2", "HELLO 3"] {
        real.exchange(&[request(hello)]);
        block_on(async {
            let mut client = larder(None);
            client.talk(hello).await;
            let Reply::Array(own) = client.talk("COMMAND").await else { panic!("no array") };
            for command in own {
                let Reply::Array(own) = command else { panic!("no array") };
                let name = common::text(&own[0]);
                let info = request(&format!("COMMAND INFO {name}"));
                let Reply::Array(redis) = common::one(replies(&real.exchange(&[info]))) else {
                    panic!("no array")
                };
                let Reply::Array(redis) = &redis[0] else {
                    assert!(name.starts_with("larder."), "Redis has no {name}");
                    continue;
                };
                assert_eq!(own.len(), redis.len());
                // Its name, its arity, and where its keys are; the flags say the same in fewer
                // words, and the rest is empty.
                for at in [0, 1, 3, 4, 5] {
                    assert_eq!(own[at], redis[at], "{name}");
                }
                let flags = |reply: &Reply| match reply {
                    Reply::Set(flags) | Reply::Array(flags) => {
                        let flags = flags.iter().map(|flag| common::text(flag).to_owned());
                        flags.collect::<Vec<_>>()
                    }
                    other => panic!("no flags: {other:?}"),
                };
                let (own_flags, redis_flags) = (flags(&own[2]), flags(&redis[2]));
                let of_keys = own[3] != Reply::Integer(0);
                let telling: &[_] = if of_keys { &["readonly", "write"] } else { &["no_auth"] };
                for flag in telling {
                    let has = |flags: &[String]| flags.iter().any(|has| has == flag);
                    assert_eq!(has(&own_flags), has(&redis_flags), "{name} {flag}");
                }
                for at in [2, 6, 7, 8] {
                    let kinds = [&own[at], &redis[at]].map(std::mem::discriminant);
                    assert_eq!(kinds[0], kinds[1], "{name} {at}");
                }
            }
        });
    }
}

#[test]
fn bytes_that_are_hardly_requests_are_answered_as_redis_answers_them() {
    let real = Real::start(&[]);
    let part = select(vec![
        "PING\r\n",
        "ping\n",
        "\r\n",
        "*0\r\n",
        "*-1\r\n",
        "*1\r\n$4\r\nPING\r\n",
        "QUIT\r\n",
        "ECHO \"a b\"\r\n",
        "ECHO 'a\\'b'\r\n",
        "ECHO \"a\\x41\\n\"\r\n",
        "ECHO \"a\r\n",
        "ECHO \"a\"b\r\n",
        "*1\r\nPING\r\n",
        "*x\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$-1\r\n",
        "*2\r\n$4\r\nECHO\r\nx\r\n",
        "a\r\n",
        "\t PING\r\n",
        "GET \r\n",
        "*99999999999\r\n",
        "\x0b\r\n",
        "$",
        "*",
        "ECHO \u{e4}\r\n",
        "RESET\r\n",
        "get none\r\n",
    ]);
    let end = select(vec!["", "", "*1\r\n$4\r\nPI", "*2\r\n$4\r\nECHO\r\n$1\r\n", "PING"]);
    let check = |input: &str| {
        let redis = real.send_raw(input.as_bytes());
        let larder = block_on(async { larder(None).send(input.as_bytes()).await });
        if redis == larder {
            return Ok(());
        }
        let (redis, larder) = (redis.escape_ascii(), larder.escape_ascii());
        Err(format!("to {input:?} Redis replies\n  {redis}\nand larder\n  {larder}"))
    };
    for input in ["POST / HTTP/1.1\r\nPING\r\n", "host: x\r\nPING\r\n", "Host : x\r\nPING\r\n"] {
        check(input).unwrap();
    }
    for_all(500, (vec(part, 1..8), end), |(parts, end)| check(&(parts.concat() + end)));
}

#[test]
fn what_has_expired_is_gone_as_in_redis() {
    let questions = [
        "GET k",
        "EXISTS k",
        "TTL k",
        "PTTL k",
        "TYPE k",
        "STRLEN k",
        "MGET k",
        "PERSIST k",
        "EXPIRE k 1000",
        "DEL k",
        "SET k v XX",
        "SET k v XX GET",
        "DECR k",
        "GETDEL k",
        "GETEX k PERSIST",
        "GETEX k EX 0",
        "GETRANGE k 0 -1",
        "TOUCH k",
        "EXPIRETIME k",
        "KEYS *",
        "RANDOMKEY",
        "SCAN 0",
        "RENAME k l",
        "RENAMENX k l",
        "COPY k l",
        "EXPIREAT k 99999999999",
    ];
    let mut real = Real::start(&[]);
    // Each of these is the first to come across the key.
    for question in questions.into_iter().chain(["SET k w KEEPTTL", "SETNX k w", "INCR k"]).chain([
        "APPEND k w",
        "SETRANGE k 1 w",
        "GETSET k w",
        "INCRBYFLOAT k 1.5",
        "MSETNX k w l w",
    ]) {
        real.exchange(&["FLUSHALL", "SET k 41 PX 5", "SET later x PX 5"].map(request));
        while real.exchange(&[request("EXISTS later")]) == b":1\r\n" {}
        let requests = [question, "GET k", "TTL k"].map(request);
        let redis = real.exchange(&requests);
        let larder = block_on(async {
            let bench = Bench::new();
            let mut client = bench.client();
            client.talk("SET k 41 PX 5").await;
            bench.clock.advance(6 * MS);
            client.send(&encode(&requests)).await
        });
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(shown(&redis), shown(&larder), "{question}");
    }
}

#[test]
fn every_command_of_redis_has_its_fate() {
    let mut real = Real::start(&[]);
    let Reply::Array(names) = common::one(replies(&real.exchange(&[request("COMMAND LIST")])))
    else {
        panic!("no array")
    };
    let page = larder_resp::compatibility();
    let names = names.iter().map(|name| common::text(name).to_ascii_uppercase());
    // `client|id` and the like belong to their command.
    let mut names: Vec<_> = names.filter(|name| !name.contains('|')).collect();
    assert!(names.len() > 200, "{names:?}");
    let rows = |name: &str| page.matches(&format!("\n| `{name}` | ")).count();
    let wrong: Vec<_> = names.iter().filter(|name| rows(name) != 1).collect();
    assert!(wrong.is_empty(), "the page has not one row each for {wrong:?}");
    // And nothing that Redis doesn't have.
    let fates = ["here", "Redis", "refused"].map(|fate| format!("` | {fate} | "));
    let is_row = |line: &&str| fates.iter().any(|fate| line.contains(fate));
    assert_eq!(page.lines().filter(is_row).count(), names.len());
    names.sort_unstable();

    // Each is known: none is answered as something that nobody has heard of, and its group is
    // that of Redis.
    block_on(async {
        let mut client = larder(None);
        for name in names.iter().filter(|name| !["QUIT", "RESET"].contains(&&***name)) {
            let reply = client.talk(name).await;
            if let Reply::Error(_) = reply {
                assert!(!common::text(&reply).contains("unknown command"), "{name}");
            }
            let docs = request(&format!("COMMAND DOCS {name}"));
            let docs = common::one(replies(&real.exchange(&[docs])));
            let Reply::Array(docs) = docs else { panic!("no array") };
            let group = common::text(common::field(&docs[1], "group"));
            let at = page.find(&format!("\n| `{name}` | ")).unwrap();
            let heading = page[..at].rsplit("\n## ").next().unwrap().lines().next().unwrap();
            assert_eq!(heading, heading_of(group), "{name}");
        }
    });
}

fn heading_of(group: &str) -> &'static str {
    match group {
        "string" => "Strings",
        "generic" => "Keys",
        "bitmap" => "Bitmaps",
        "hash" => "Hashes",
        "list" => "Lists",
        "set" => "Sets",
        "sorted-set" => "Sorted sets",
        "stream" => "Streams",
        "geo" => "Places",
        "hyperloglog" => "HyperLogLog",
        "pubsub" => "Pub/Sub",
        "transactions" => "Transactions",
        "scripting" => "Scripts",
        "connection" => "The connection",
        "server" => "The server",
        "cluster" => "Clusters",
        other => panic!("what is {other}?"),
    }
}

#[test]
fn keys_are_found_by_patterns_as_in_redis() {
    let mut real = Real::start(&[]);
    let keys = ["a", "A", "ab", "b:1", "b:2", "b:10", "[x]", "a*c", "", "b\\", "-", "\u{e4}"];
    let set = keys.iter().map(|key| vec!["SET".into(), key.as_bytes().to_vec(), vec![]]);
    let set: Vec<_> = set.collect();
    let patterns = [
        "*", "a*", "?", "??", "b:[0-9]", "b:[^1]", "[a-]", "[]", "[x", "[^", "\\[x\\]", "a\\*c",
        "a\\", "b\\\\", "**", "*1*", "[-a]", "[b-a]*", "", "x", "[\\]x]", "?*:?",
    ];
    let sorted = |reply: &Reply| {
        let Reply::Array(keys) = reply else { panic!("no array: {reply:?}") };
        let mut keys: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
        keys.sort_unstable();
        keys
    };
    real.exchange(&set);
    block_on(async {
        let mut client = larder(None);
        client.pipeline(&set).await;
        for pattern in patterns {
            let keys = vec![b"KEYS".to_vec(), pattern.as_bytes().to_vec()];
            let redis = common::one(replies(&real.exchange(std::slice::from_ref(&keys))));
            let larder = client.command(&keys).await;
            assert_eq!(sorted(&redis), sorted(&larder), "{pattern}");
            for more in ["TYPE string", "TYPE STRING", "TYPE list", "TYPE nonsense COUNT 100"] {
                let mut scan = request("SCAN 0 COUNT 1000 MATCH");
                scan.push(pattern.as_bytes().to_vec());
                scan.extend(request(more));
                let redis = common::one(replies(&real.exchange(std::slice::from_ref(&scan))));
                let larder = client.command(&scan).await;
                let parts = |reply: Reply| match reply {
                    Reply::Array(parts) => (parts[0].clone(), sorted(&parts[1])),
                    other => panic!("no array: {other:?}"),
                };
                assert_eq!(parts(redis), parts(larder), "{pattern} {more}");
            }
        }
    });
}

#[test]
fn a_scan_that_makes_no_sense_is_refused_as_in_redis() {
    let mut real = Real::start(&[]);
    let lines = requests(
        "SCAN | SCAN x | SCAN 0x1 | SCAN 99999999999999999999 | SCAN 0 MATCH | SCAN 0 COUNT 0 | \
         SCAN 0 COUNT -1 | SCAN 0 COUNT x | SCAN 0 COUNT 99999999999999999999 | SCAN 0 TYPE | \
         SCAN 0 NONSENSE | SCAN 0 NONSENSE x | SCAN 0 | SCAN '' | SCAN 0 COUNT 10 COUNT 20 | \
         scan 0 match * type hash | RANDOMKEY | RANDOMKEY x | KEYS | KEYS a b | KEYS *",
    );
    for hello in ["HELLO 2", "HELLO 3"] {
        real.exchange(&[request("FLUSHALL")]);
        compare(&mut real, None, hello, &lines).unwrap();
    }
}
