//! What doesn't go upstream: keys of caches, larder's own, and what concerns the Redis itself.

use larder_test::{Redis, Reply};

use crate::support::{Bench, int, ok, refusal, talk};

#[test]
fn a_key_of_a_cache_is_refused_to_commands_that_would_go_upstream() {
    let bench = Bench::new();
    let mut client = bench.client();
    for line in [
        "HSET user:42 a 1",
        "LPUSH user:42 x",
        "EVAL return 1 user:42",
        "XREAD BLOCK 0 STREAMS user:42 0",
        "BLPOP user:42 0",
        "RENAME a user:42",
        "RENAME user:42 a",
        "SORT a STORE user:42",
        "ZUNIONSTORE user:42 1 z",
        "ZUNIONSTORE z 1 user:42",
        "MSET a 1 user:42 2",
        "WATCH a user:42",
        "HGETALL user:nonsense",
        "OBJECT ENCODING user:42",
    ] {
        let reply = talk(&mut client, line);
        let text = refusal(&reply);
        assert!(text.starts_with("REFUSED ") && text.contains("cache user (key user:"), "{text}");
    }
    assert_eq!(bench.redis.cli(&["DBSIZE"]), "0");
    // What is executed here says what it always says.
    let reply = talk(&mut client, "APPEND user:42 x");
    assert!(refusal(&reply).starts_with("REFUSED APPEND is for plain keys"), "{reply:?}");
    assert!(refusal(&talk(&mut client, "GET user:x")).starts_with("BADKEY "));
}

#[test]
fn larders_own_names_are_refused_and_not_shown() {
    let bench = Bench::new();
    let mut client = bench.client();
    for name in ["larder:e:user:1", "larder.marks"] {
        bench.redis.cli(&["SET", name, "x"]);
        for line in [
            format!("GET {name}"),
            format!("SET {name} y"),
            format!("DEL a {name}"),
            format!("MGET a {name} user:1"),
            format!("EVAL return 1 {name}"),
            format!("PUBLISH {name} x"),
            format!("SUBSCRIBE a {name}"),
            format!("WATCH {name}"),
            format!("COPY {name} a"),
        ] {
            let reply = talk(&mut client, &line);
            assert!(refusal(&reply).contains("larder's own"), "{line}: {reply:?}");
        }
    }
    talk(&mut client, "MSET a 1 larder 2 b 3");
    for hello in ["HELLO 2", "HELLO 3"] {
        talk(&mut client, hello);
        let Reply::Array(mut keys) = talk(&mut client, "KEYS *") else { panic!("no array") };
        keys.sort_by_key(|key| key.text().to_owned());
        assert_eq!(keys, ["a", "b", "larder"].map(Reply::bulk));
        assert_eq!(talk(&mut client, "KEYS larder:*"), Reply::Array(Vec::new()));
        let Reply::Array(page) = talk(&mut client, "SCAN 0 COUNT 100") else { panic!("no array") };
        let Reply::Array(mut keys) = page[1].clone() else { panic!("no array") };
        keys.sort_by_key(|key| key.text().to_owned());
        assert_eq!(
            (&page[0], &keys[..]),
            (&Reply::bulk("0"), &["a", "b", "larder"].map(Reply::bulk)[..])
        );
        for _ in 0..50 {
            let key = talk(&mut client, "RANDOMKEY");
            assert!(["a", "b", "larder"].contains(&key.text()), "{key:?}");
        }
        let error = talk(&mut client, "SCAN x");
        assert_eq!(refusal(&error), "ERR invalid cursor");
    }
    talk(&mut client, "DEL a b larder");
    assert_eq!(talk(&mut client, "RANDOMKEY"), Reply::Null);
    assert_eq!(bench.redis.cli(&["GET", "larder.marks"]), "x");
}

#[test]
fn patterns_of_sort_reach_only_plain_keys() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "RPUSH ids 2 1");
    talk(&mut client, "MSET w_1 9 w_2 1 larder_1 x");
    bench.redis.cli(&["SET", "larder:1", "secret"]);
    let sorted = talk(&mut client, "SORT ids BY w_* GET # GET w_*");
    assert_eq!(sorted, Reply::Array(["2", "1", "1", "9"].map(Reply::bulk).into()));
    let unsorted = Reply::Array(["2", "1"].map(Reply::bulk).into());
    assert_eq!(talk(&mut client, "SORT ids BY nosort"), unsorted);
    for pattern in ["larder:*", "lard*", "*", "user:*", "us*", "larder:*->x", "larder:1"] {
        for word in ["GET", "BY"] {
            let reply = talk(&mut client, &format!("SORT ids {word} {pattern}"));
            assert!(refusal(&reply).starts_with("REFUSED SORT"), "{word} {pattern}: {reply:?}");
        }
    }
}

#[test]
fn what_concerns_the_redis_itself_is_refused() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "SET a 1");
    for line in [
        "FLUSHALL",
        "FLUSHDB",
        "DEBUG SLEEP 0",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "ACL WHOAMI",
        "MODULE LIST",
        "CLUSTER INFO",
        "MONITOR",
        "SAVE",
        "BGSAVE",
        "SCRIPT KILL",
        "FUNCTION FLUSH",
        "MEMORY PURGE",
        "WAIT 0 0",
        "SWAPDB 0 1",
        "MOVE a 1",
        "SYNC",
        "LATENCY RESET",
        "MIGRATE h 1 a 0 5",
    ] {
        let reply = talk(&mut client, line);
        assert!(refusal(&reply).starts_with("REFUSED "), "{line}: {reply:?}");
    }
    assert!(matches!(talk(&mut client, "CONFIG SET save x"), Reply::Error(_)));
    assert!(matches!(talk(&mut client, "CLIENT KILL a"), Reply::Error(_)));
    assert_eq!(talk(&mut client, "GET a"), Reply::bulk("1"));
    assert!(
        matches!(talk(&mut client, "NONSENSE a"), Reply::Error(text) if text.starts_with("ERR unknown"))
    );
    assert_eq!(talk(&mut client, "DBSIZE"), int(1));
    assert_eq!(talk(&mut client, "SELECT 0"), ok());
}

#[test]
fn larders_own_commands_refuse_plain_keys() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "SET a 1");
    let token = "0".repeat(80);
    for line in [
        "LARDER.GET a",
        "LARDER.GET a LEASE",
        &format!("LARDER.FILL a {token} v"),
        "LARDER.INVALIDATE KEYS a",
    ] {
        let reply = talk(&mut client, line);
        assert!(refusal(&reply).starts_with("REFUSED plain keys live"), "{line}: {reply:?}");
    }
    assert!(matches!(talk(&mut client, "LARDER.GET user:1"), Reply::Array(_)));
}

#[test]
fn nothing_goes_upstream_before_the_client_has_authenticated() {
    let redis = Redis::start();
    let url = redis.url();
    let bench = Bench::over(redis, url, Some("sesame"), |_| ());
    let mut client = bench.client();
    for line in ["SET a 1", "HSET h a 1", "SUBSCRIBE c", "MULTI", "BLPOP l 0", "MGET a user:1"] {
        let reply = talk(&mut client, line);
        assert_eq!(refusal(&reply), "NOAUTH Authentication required.", "{line}");
    }
    assert_eq!(bench.redis.cli(&["DBSIZE"]), "0");
    assert_eq!(talk(&mut client, "AUTH sesame"), ok());
    assert_eq!(talk(&mut client, "SET a 1"), ok());
}

#[test]
fn command_tells_of_what_is_passed_through_as_redis_does() {
    let bench = Bench::new();
    let (mut client, mut redis) = (bench.client(), bench.straight());
    let array = |reply: Reply| match reply {
        Reply::Array(parts) => parts,
        other => panic!("no array: {other:?}"),
    };
    let all = array(talk(&mut client, "COMMAND"));
    assert_eq!(talk(&mut client, "COMMAND COUNT"), int(all.len() as i64));
    assert_eq!(array(talk(&mut client, "COMMAND LIST")).len(), all.len());
    let mut passed = 0;
    for command in all {
        let own = array(command);
        let name = own[0].text().to_owned();
        let one = array(talk(&mut client, &format!("COMMAND INFO {name}")));
        assert_eq!(one, [Reply::Array(own.clone())], "{name}");
        let Some(Reply::Array(theirs)) =
            array(talk(&mut redis, &format!("COMMAND INFO {name}"))).pop()
        else {
            continue; // larder's own, or of a later Redis
        };
        // Channels of shards have no slots of their own here.
        if !["ssubscribe", "sunsubscribe", "spublish"].contains(&name.as_str()) {
            assert_eq!(own[..2], theirs[..2], "{name}");
            assert_eq!(own[3..6], theirs[3..6], "{name}");
        }
        passed += 1;
    }
    assert!(passed > 200, "{passed}");
    for refused in ["flushall", "cluster", "nonsense"] {
        let info = talk(&mut client, &format!("COMMAND INFO {refused}"));
        assert_eq!(info, Reply::Array(vec![Reply::Null]));
    }
    let keys = talk(&mut client, "COMMAND GETKEYS XREAD COUNT 1 STREAMS a b 0 0");
    assert_eq!(keys, Reply::Array(["a", "b"].map(Reply::bulk).into()));
}
