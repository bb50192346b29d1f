//! Which keys are declared, which are plain, and which are neither.

use std::sync::Arc;

use larder_core::{Key, KeyTemplate, Value};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine};
use larder_resp::codec::Reply;
use larder_resp::{Declared, Keyspace};
use larder_test::{ManualClock, TestSource};

use crate::common::{Bench, S, Setup, assert_error, bulk, int, ok, row, text};

/// Every command that takes keys; `KEY` is one.
const WITH_KEY: [&str; 62] = [
    "GET KEY",
    "MGET KEY",
    "MGET p KEY user:1",
    "MGET user:1 KEY",
    "EXISTS KEY",
    "EXISTS user:1 KEY",
    "STRLEN KEY",
    "TYPE KEY",
    "TTL KEY",
    "PTTL KEY",
    "SET KEY v",
    "SET KEY v EX 10",
    "SET KEY v NX GET",
    "SETEX KEY 10 v",
    "SETNX KEY v",
    "DEL KEY",
    "DEL p user:1 KEY",
    "UNLINK KEY",
    "EXPIRE KEY 10",
    "EXPIRE KEY 0",
    "PEXPIRE KEY 10 NX",
    "PERSIST KEY",
    "INCR KEY",
    "DECR KEY",
    "INCRBY KEY 2",
    "DECRBY KEY 2",
    "GETRANGE KEY 0 -1",
    "SUBSTR KEY 0 -1",
    "TOUCH KEY",
    "TOUCH user:1 KEY",
    "EXPIRETIME KEY",
    "PEXPIRETIME KEY",
    "GETBIT KEY 7",
    "BITCOUNT KEY",
    "BITPOS KEY 1",
    "SETBIT KEY 7 1",
    "PSETEX KEY 10 v",
    "GETSET KEY v",
    "GETDEL KEY",
    "GETEX KEY",
    "GETEX KEY PERSIST",
    "APPEND KEY v",
    "SETRANGE KEY 0 v",
    "MSET KEY v",
    "MSET q v KEY v",
    "MSETNX q v KEY v",
    "RENAME KEY q",
    "RENAME p KEY",
    "RENAMENX p KEY",
    "COPY KEY q",
    "COPY p KEY REPLACE",
    "EXPIREAT KEY 9999999999",
    "PEXPIREAT KEY 1",
    "INCRBYFLOAT KEY 1.5",
    "LARDER.SET KEY v TAGS t",
    "LARDER.GET KEY",
    "LARDER.GET KEY LEASE",
    "LARDER.FILL KEY TOKEN v",
    "LARDER.FILL KEY TOKEN v EX 10",
    "LARDER.DELETE KEY",
    "LARDER.INVALIDATE KEYS p user:1 KEY",
    "LARDER.INVALIDATE SOFT KEYS KEY",
];

/// The command with `key` in its place.
fn with_key(line: &str, key: &[u8]) -> Vec<Vec<u8>> {
    let argument = |word| match word {
        "KEY" => key.to_vec(),
        "TOKEN" => vec![b'0'; 80],
        _ => word.as_bytes().to_vec(),
    };
    line.split(' ').map(argument).collect()
}

#[tokio::test]
async fn every_command_with_keys_is_tried() {
    let Reply::Array(commands) = Bench::new().client().talk("COMMAND").await else {
        panic!("COMMAND returns an array");
    };
    let tried = |name: &str| {
        let same = |line: &&str| line.split(' ').next().unwrap().eq_ignore_ascii_case(name);
        WITH_KEY.iter().any(same)
    };
    for command in commands {
        let Reply::Array(fields) = command else { panic!("a command has fields") };
        assert!(fields[3] == int(0) || tried(text(&fields[0])), "{}", text(&fields[0]));
    }
}

#[tokio::test]
async fn a_key_of_a_namespace_that_fits_no_template_is_bad_everywhere() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk("SET p v").await;
    let too_long = [b"note:".as_slice(), &[b'x'; 1020]].concat();
    let keys: [(&[u8], &str); 12] = [
        (b"user:abc", "user:abc"),
        (b"user:042", "user:042"),
        (b"user:-0", "user:-0"),
        (b"user:+1", "user:+1"),
        (b"user: 1", "user: 1"),
        (b"user:1 ", "user:1 "),
        (b"user:", "user:"),
        (b"user:9223372036854775808", "user:9223372036854775808"),
        (b"note:", "note:"),
        (b"note:a\0\r\nb", r"note:a\x00\r\nb"),
        (b"note:\xff", r"note:\xff"),
        (&too_long, "note:xxx"),
    ];
    for (key, shown) in keys {
        for line in WITH_KEY {
            let reply = client.command(&with_key(line, key)).await;
            assert_error(&reply, "BADKEY", shown);
        }
    }
    let reply = client.command(&[&b"GET"[..], &too_long]).await;
    assert_error(&reply, "BADKEY", "longer than 1024 bytes");
    assert_eq!(bench.questions(), 0);
    assert_eq!(client.talk("DBSIZE").await, int(1), "a bad key fails a command as a whole");
}

#[tokio::test]
async fn the_longest_declared_key_is_good() {
    let bench = Bench::new();
    let key = format!("note:{}", "x".repeat(1019));
    assert_eq!(bench.client().command(&["GET", &key]).await, row(&key));
    let key = "user:-9223372036854775808";
    assert_eq!(bench.client().command(&["GET", key]).await, row(key));
}

/// redis-benchmark writes `__rand_int__` so.
#[tokio::test]
async fn a_number_padded_to_twelve_digits_is_the_number() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.talk("GET user:000000000001").await, row("user:1"));
    assert_eq!(client.talk("GET user:1").await, row("user:1"));
    assert_eq!(client.talk("GET user:000000000001").await, row("user:1"));
    let both = Reply::Array(vec![row("user:1"), row("user:1")]);
    assert_eq!(client.talk("MGET user:000000000001 user:1").await, both);
    assert_eq!(bench.questions(), 1);
    assert_eq!(client.talk("DEL user:000000000001").await, int(1));
    assert_eq!(client.talk("TTL user:1").await, int(-2));
}

#[tokio::test]
async fn a_namespace_ends_where_its_prefix_does() {
    let bench = Bench::new();
    let mut client = bench.client();
    for key in ["user", "user1", "users:1", "User:1", " user:1", "xuser:1", "u"] {
        assert_eq!(client.command(&["SET", key, "v"]).await, ok());
        assert_eq!(client.command(&["GET", key]).await, bulk("v"));
    }
    assert_eq!(bench.questions(), 0);
}

#[tokio::test]
async fn the_longest_plain_key_is_64_kib() {
    let bench = Bench::new();
    let mut client = bench.client();
    let is_good = |line: &&str| !line.contains("FILL") && !line.contains("DELETE");
    for line in WITH_KEY.into_iter().filter(is_good) {
        for set in ["SET p 1", "SET KEY 1"] {
            assert_eq!(client.command(&with_key(set, &[b'k'; 64 * 1024])).await, ok());
        }
        let longest = with_key(line, &[b'k'; 64 * 1024]);
        let reply = client.command(&longest).await;
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
        let reply = client.command(&with_key(line, &[b'k'; 64 * 1024 + 1])).await;
        assert_error(&reply, "BADKEY", "a plain key has at most 65536 bytes");
    }
}

#[tokio::test]
async fn without_plain_keys_only_declared_ones_are_taken() {
    let bench = Bench::with(Setup { with_plain: false, ..Setup::default() });
    let mut client = bench.client();
    let alone = |line: &&str| !line.contains(" p ") && !line.contains(" q v");
    for line in WITH_KEY.into_iter().filter(alone) {
        let reply = client.command(&with_key(line, b"plain")).await;
        assert_error(&reply, "BADKEY", "plain keys are switched off (key plain)");
    }
    assert_eq!(client.talk("GET user:1").await, row("user:1"));
    assert_eq!(client.talk("DEL user:1").await, int(1));
    assert_eq!(client.talk("SELECT 0").await, ok());
}

#[tokio::test]
async fn namespaces_may_lie_inside_one_another() {
    let templates = &["a:{id:int}", "a:b:{id:int}", "a:b:c:{yes:bool}"];
    let bench = Bench::with(Setup { templates, ..Setup::default() });
    let mut client = bench.client();
    let lines = ["GET a:1", "GET a:b:1", "GET a:b:c:true", "MGET a:2 a:b:2 a:b:c:false"];
    for _ in 0..2 {
        let replies = client.talk_all(&lines).await;
        assert_eq!(replies[..3], [row("a:1"), row("a:b:1"), row("a:b:c:true")]);
        assert_eq!(replies[3], Reply::Array(vec![row("a:2"), row("a:b:2"), row("a:b:c:false")]));
    }
    let asked: Vec<_> = bench.sources.iter().map(TestSource::batches).collect();
    assert_eq!(asked, [[2], [2], [2]]);
    assert_eq!(client.waits, 1, "what is held is read at once");
    assert_error(&client.talk("GET a:b:x").await, "BADKEY", "; ");
    assert_eq!(client.talk("DEL a:1 a:b:1 a:b:c:true a:b:3").await, int(3));
    assert_eq!(bench.questions(), 3);
}

#[tokio::test]
async fn templates_that_could_match_one_key_are_refused() {
    let spawn = Arc::new(TokioSpawn::current().unwrap());
    let engine = Engine::new(Arc::new(ManualClock::new()), spawn);
    let declared = |name: &str, template: &str| Declared {
        template: KeyTemplate::parse(template).unwrap(),
        cache: Cache::builder(name)
            .max_staleness(S)
            .source(TestSource::<Key, Value>::of([]))
            .engine(&engine)
            .build()
            .unwrap(),
        counter: None,
    };
    let both = vec![declared("one", "user:{id:int}"), declared("two", "user:{name:text}")];
    let error = Keyspace::new(both, None).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("the cache one") && message.contains("the cache two"), "{message}");
    let apart = vec![declared("one", "user:{id:int}"), declared("two", "users:{name:text}")];
    assert_eq!(Keyspace::new(apart, None).unwrap().declared().len(), 2);
}
