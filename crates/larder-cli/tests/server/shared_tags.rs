//! Plain keys that live in the shared Redis, with tags and leases, at two larders; and what a
//! client sees that goes straight to that Redis.

use larder_test::{Larder, Redis, Reply, RespClient};

use crate::shared_leases::{field, lease, text};
use crate::support::{connect, error_code, serve, until};

/// Two larders over a Redis.
struct Pair {
    redis: Redis,
    larders: [Larder; 2],
}

impl Pair {
    fn new() -> Self {
        Self::over(Redis::start())
    }

    fn over(redis: Redis) -> Self {
        let config = format!("[shared]\nurl = \"{}\"\n", redis.url());
        Self { larders: [serve(&config), serve(&config)], redis }
    }

    fn clients(&self) -> [RespClient; 2] {
        [connect(&self.larders[0]), connect(&self.larders[1])]
    }

    /// The same, when tags are in use already.
    fn tagged_clients(&self) -> [RespClient; 2] {
        let mut clients = self.clients();
        assert_eq!(talk(&mut clients[0], "LARDER.SET first v EX 1 TAGS first"), ok());
        clients
    }

    /// How often Redis was asked to execute a script that it was sent.
    fn scripts(&self) -> String {
        let stats = self.redis.cli(&["INFO", "commandstats"]);
        let eval = stats.lines().find(|line| line.starts_with("cmdstat_eval:"));
        eval.map_or_else(String::new, |line| line.split(',').next().unwrap().to_owned())
    }
}

fn talk(client: &mut RespClient, line: &str) -> Reply {
    client.command(&line.split(' ').collect::<Vec<_>>())
}

fn ok() -> Reply {
    Reply::Simple("OK".into())
}

fn int(number: i64) -> Reply {
    Reply::Integer(number)
}

#[test]
fn a_plain_key_is_forgotten_with_its_tag_at_every_larder_and_its_value_is_raw() {
    let pair = Pair::new();
    let [mut one, mut other] = pair.clients();
    for strike in ["LARDER.INVALIDATE TAGS b", "LARDER.INVALIDATE SOFT TAGS x a"] {
        assert_eq!(talk(&mut one, "LARDER.SET p v EX 100 TAGS a b"), ok());
        assert_eq!(talk(&mut one, "LARDER.SET q v TAGS c"), ok());
        assert_eq!(pair.redis.cli(&["GET", "p"]), "v");
        talk(&mut other, "LARDER.INVALIDATE TAGS nobody");
        assert_eq!(talk(&mut other, "GET p"), Reply::bulk("v"));
        talk(&mut other, strike);
        assert_eq!(pair.redis.cli(&["GET", "p"]), "v", "nobody has come for it");
        for client in [&mut one, &mut other] {
            let values = talk(client, "MGET p q");
            assert_eq!(values, Reply::Array(vec![Reply::Null, Reply::bulk("v")]), "{strike}");
        }
        assert_eq!(pair.redis.cli(&["GET", "p"]), "");
    }
}

#[test]
fn to_every_command_a_key_that_a_tag_has_struck_has_expired() {
    let pair = Pair::new();
    let [mut one, mut other] = pair.tagged_clients();
    for (line, reply) in [
        ("GET p", Reply::Null),
        ("EXISTS p", int(0)),
        ("STRLEN p", int(0)),
        ("GETRANGE p 0 -1", Reply::bulk("")),
        ("TTL p", int(-2)),
        ("TYPE p", Reply::Simple("none".into())),
        ("DEL p", int(0)),
        ("EXPIRE p 10", int(0)),
        ("PERSIST p", int(0)),
        ("GETDEL p", Reply::Null),
        ("GETSET p v", Reply::Null),
        ("SETNX p v", int(1)),
        ("INCR p", int(1)),
        ("APPEND p xy", int(2)),
        ("RENAMENX p q", Reply::Error("ERR no such key".into())),
        ("COPY p q", int(0)),
        ("HSET p a 1", int(1)),
        ("EVAL return(redis.call('EXISTS',KEYS[1])) 1 p", int(0)),
    ] {
        talk(&mut one, "DEL p q");
        talk(&mut one, "LARDER.SET p 41 EX 100 TAGS t");
        talk(&mut one, "LARDER.INVALIDATE TAGS t");
        assert_eq!(talk(&mut other, line), reply, "{line}");
        // What was begun anew has neither the expiry of before nor the tag.
        talk(&mut one, "LARDER.INVALIDATE TAGS t");
        let Reply::Integer(ttl) = talk(&mut other, "TTL p") else { panic!("{line}") };
        let expected = if ["GETSET", "SETNX", "INCR", "APPEND", "HSET"]
            .iter()
            .any(|name| line.starts_with(name))
        {
            -1
        } else {
            -2
        };
        assert_eq!(ttl, expected, "{line}");
    }
}

#[test]
fn what_is_made_of_a_tagged_key_has_its_tags_and_what_is_set_has_none() {
    let pair = Pair::new();
    let [mut one, mut other] = pair.tagged_clients();
    for (line, key, forgotten) in [
        ("EXPIRE p 1000", "p", true),
        ("PERSIST p", "p", true),
        ("INCR p", "p", true),
        ("INCRBYFLOAT p 0.5", "p", true),
        ("APPEND p 1", "p", true),
        ("SETRANGE p 0 1", "p", true),
        ("GETEX p EX 1000", "p", true),
        ("SETBIT p 3 1", "p", true),
        ("RENAME p q", "q", true),
        ("RENAMENX p q", "q", true),
        ("COPY p q", "q", true),
        ("SETNX p 41", "p", true),
        ("SET p 41 NX", "p", true),
        ("SET p 41", "p", false),
        ("SET p 42 XX", "p", false),
        ("SET p 41 KEEPTTL", "p", false),
        ("GETSET p 41", "p", false),
        ("MSET p 41", "p", false),
        ("LARDER.SET p 41", "p", false),
    ] {
        for in_transaction in [false, true] {
            talk(&mut one, "DEL p q");
            talk(&mut one, "LARDER.SET p 41 EX 100 TAGS t");
            if in_transaction && !line.starts_with("LARDER") {
                assert_eq!(talk(&mut other, "MULTI"), ok());
                assert_eq!(talk(&mut other, line), Reply::Simple("QUEUED".into()));
                let Reply::Array(done) = talk(&mut other, "EXEC") else { panic!("{line}") };
                assert_eq!(done.len(), 1, "{done:?}");
            } else {
                talk(&mut other, line);
            }
            let exists = format!("EXISTS {key}");
            assert_eq!(talk(&mut one, &exists), int(1), "{line}");
            talk(&mut one, "LARDER.INVALIDATE TAGS t");
            let expected = int(i64::from(!forgotten));
            assert_eq!(talk(&mut one, &exists), expected, "{line}, {in_transaction}");
        }
    }
}

#[test]
fn what_a_client_sets_straight_in_redis_is_not_hit_by_the_tags_of_before() {
    let pair = Pair::new();
    let [mut one, mut other] = pair.tagged_clients();
    for line in ["SET p new", "SETEX p 1000 new", "LPUSH p new"] {
        talk(&mut one, "LARDER.SET p old EX 100 TAGS t");
        pair.redis.cli(&["DEL", "p"]);
        pair.redis.cli(&line.split(' ').collect::<Vec<_>>());
        talk(&mut one, "LARDER.INVALIDATE TAGS t");
        for client in [&mut one, &mut other] {
            assert_eq!(talk(client, "EXISTS p"), int(1), "{line}");
        }
        pair.redis.cli(&["DEL", "p"]);
    }
    // What is written into behind its back is another value, too.
    talk(&mut one, "LARDER.SET p old TAGS t");
    pair.redis.cli(&["SET", "p", "new"]);
    talk(&mut one, "APPEND p er");
    talk(&mut one, "LARDER.INVALIDATE TAGS t");
    assert_eq!(talk(&mut other, "GET p"), Reply::bulk("newer"));
}

#[test]
fn the_companion_ends_with_its_key() {
    let pair = Pair::new();
    let [mut one, _] = pair.tagged_clients();
    let companion = "larder.p:1:{p}:p:T";
    let end = |key: &str| pair.redis.cli(&["PEXPIRETIME", key]).parse::<i64>().unwrap();
    let now = || pair.redis.cli(&["TIME"]).lines().next().unwrap().parse::<i64>().unwrap() * 1000;
    talk(&mut one, "LARDER.SET p v EX 100 TAGS t");
    let in_step = |least: i64| {
        let (key, companion) = (end("p"), end(companion));
        assert!(key > now() + least && (key..=key + 2).contains(&companion), "{key} {companion}");
    };
    in_step(0);
    talk(&mut one, "EXPIRE p 1000");
    in_step(900_000);
    // Straight in Redis: the next one who comes for it through larder sees it.
    pair.redis.cli(&["EXPIRE", "p", "5000"]);
    talk(&mut one, "GET p");
    in_step(4_900_000);
    talk(&mut one, "PERSIST p");
    assert_eq!((end("p"), end(companion)), (-1, -1));
    talk(&mut one, "SET p v");
    assert_eq!(end(companion), -2);
    talk(&mut one, "LARDER.SET p v PX 20 TAGS t");
    until("both have expired", || (end("p"), end(companion)) == (-2, -2));
}

#[test]
fn transactions_and_pipelines_tell_of_nothing_but_their_own_commands() {
    let pair = Pair::new();
    let [mut one, mut other] = pair.tagged_clients();
    for hello in ["HELLO 2", "HELLO 3"] {
        talk(&mut one, hello);
        talk(&mut one, "LARDER.SET p 1 TAGS t");
        talk(&mut one, "LARDER.SET q 1 TAGS u");
        talk(&mut other, "LARDER.INVALIDATE TAGS t");
        let lines = ["WATCH q", "MULTI", "GET p", "INCR q", "PING", "MGET p q", "EXEC", "GET q"];
        let replies = one.pipeline(lines.iter().map(|line| line.split(' ').collect::<Vec<_>>()));
        let pong = Reply::Simple("PONG".into());
        let both = Reply::Array(vec![Reply::Null, Reply::bulk("2")]);
        let queued = || Reply::Simple("QUEUED".into());
        let done = Reply::Array(vec![Reply::Null, int(2), pong, both]);
        let expected = [ok(), ok(), queued(), queued(), queued(), queued(), done, Reply::bulk("2")];
        assert_eq!(replies, expected, "{hello}");
        // What is watched keeps its watch, whatever goes beside a command.
        talk(&mut one, "WATCH q");
        assert_eq!(talk(&mut one, "APPEND q 0"), int(2));
        talk(&mut other, "SET q 5");
        talk(&mut one, "MULTI");
        talk(&mut one, "GET q");
        assert_eq!(talk(&mut one, "EXEC"), Reply::Null);
        talk(&mut one, "UNWATCH");
        assert!(
            matches!(talk(&mut one, "GET"), Reply::Error(text) if text.contains("wrong number"))
        );
        assert!(
            matches!(talk(&mut one, "SETBIT q"), Reply::Error(text) if text.contains("wrong number"))
        );
        talk(&mut one, "SET q x");
        assert!(matches!(talk(&mut one, "INCR q"), Reply::Error(text) if text.contains("integer")));
    }
}

#[test]
fn a_command_may_name_as_many_keys_as_it_likes_and_in_a_transaction_a_thousand() {
    let pair = Pair::new();
    let [mut one, _] = pair.tagged_clients();
    talk(&mut one, "LARDER.SET k2999 v TAGS t");
    talk(&mut one, "SET k7 v");
    talk(&mut one, "LARDER.INVALIDATE TAGS t");
    let many: String = (0..3000).map(|number| format!(" k{number}")).collect();
    let Reply::Array(values) = talk(&mut one, &format!("MGET{many}")) else { panic!("no array") };
    assert_eq!((values.len(), &values[7], &values[2999]), (3000, &Reply::bulk("v"), &Reply::Null));
    talk(&mut one, "MULTI");
    assert_eq!(error_code(&talk(&mut one, &format!("MGET{many}"))), "REFUSED");
    assert_eq!(error_code(&talk(&mut one, "EXEC")), "EXECABORT");
}

#[test]
fn while_no_key_has_tags_a_read_is_one_command_and_companions_are_never_shown() {
    let pair = Pair::new();
    let [mut one, mut other] = pair.clients();
    talk(&mut one, "SET p v");
    until("both are in touch with the tier", || {
        let before = pair.scripts();
        talk(&mut one, "GET p");
        talk(&mut other, "GET p");
        pair.scripts() == before
    });
    // A transaction that was begun before there were tags isn't executed behind their back.
    let mut early = connect(&pair.larders[1]);
    assert_eq!(talk(&mut early, "MULTI"), ok());
    talk(&mut early, "GET q");
    let before = pair.scripts();
    (0..50).for_each(|_| assert_eq!(talk(&mut other, "GET p"), Reply::bulk("v")));
    assert_eq!(pair.scripts(), before);
    talk(&mut one, "LARDER.SET q v TAGS t");
    // Whoever might not have heard by then looks out for them for want of news.
    let announced = pair.redis.cli(&["HGET", "larder.b:{bus}:marks", "dkplain/"]);
    let companion = pair.redis.cli(&["GET", "larder.p:1:{q}:q:T"]);
    let written: u64 = companion.split(' ').nth(4).unwrap().parse().unwrap();
    assert!(written - announced.parse::<u64>().unwrap() >= 1_000_000, "{companion} {announced}");
    let before = pair.scripts();
    talk(&mut other, "GET p");
    assert_ne!(pair.scripts(), before, "now it looks");
    assert_eq!(error_code(&talk(&mut early, "EXEC")), "EXECABORT");
    assert_eq!(talk(&mut early, "GET q"), Reply::bulk("v"));
    let Reply::Array(keys) = talk(&mut other, "KEYS *") else { panic!("no array") };
    assert_eq!(keys.len(), 2, "{keys:?}");
    let name = "larder.p:1:{q}:q:T";
    assert_eq!(error_code(&talk(&mut other, &format!("GET {name}"))), "REFUSED");
    assert!(!pair.redis.cli(&["GET", name]).is_empty());
}

#[test]
fn a_lease_of_a_plain_key_is_one_for_all_larders_and_void_after_every_change() {
    let pair = Pair::new();
    let [mut one, mut other] = pair.tagged_clients();
    let first = lease(&mut one, "p");
    let token = text(&first, "token").to_owned();
    assert_eq!((token.len(), text(&first, "tier")), (80, "shared"));
    let busy = lease(&mut other, "p");
    assert_eq!((text(&busy, "reason"), field(&busy, "token")), ("busy", None));
    // Whichever larder it is filled through.
    let filled = other.command(&["LARDER.FILL", "p", &token, "v", "EX", "100", "TAGS", "t"]);
    assert_eq!(filled, int(1));
    assert_eq!(pair.redis.cli(&["GET", "p"]), "v");
    let held = lease(&mut one, "p");
    assert_eq!(field(&held, "value"), Some(&Reply::bulk("v")));
    assert_eq!((text(&held, "tier"), text(&held, "state")), ("shared", "fresh"));
    assert!(matches!(field(&held, "age_ms"), Some(Reply::Integer(0..=60_000))), "{held:?}");
    talk(&mut one, "LARDER.INVALIDATE TAGS t");
    assert_eq!(text(&talk(&mut one, "LARDER.GET p"), "reason"), "missing");
    for change in [
        "SET p new",
        "DEL p",
        "UNLINK p x",
        "SETNX p new",
        "INCR p",
        "RENAME x p",
        "LARDER.SET p new",
        "LARDER.INVALIDATE KEYS p",
        "LARDER.INVALIDATE SOFT KEYS x p",
        "EVAL return(1) 1 p",
        "LARDER.INVALIDATE TAGS t",
        "straight SET p new",
    ] {
        talk(&mut one, "DEL p");
        talk(&mut one, "SET x y");
        let token = text(&lease(&mut one, "p"), "token").to_owned();
        assert_eq!(token.len(), 80, "{change}");
        match change.strip_prefix("straight ") {
            Some(line) => drop(pair.redis.cli(&line.split(' ').collect::<Vec<_>>())),
            None => drop(talk(&mut other, change)),
        }
        let filled = talk(&mut one, &format!("LARDER.FILL p {token} old EX 9 TAGS t"));
        assert_eq!(filled, int(0), "{change}");
        assert_ne!(talk(&mut other, "GET p"), Reply::bulk("old"), "{change}");
    }
    // A read takes nothing away, and a tag that it doesn't have.
    talk(&mut one, "DEL p");
    let token = text(&lease(&mut one, "p"), "token").to_owned();
    talk(&mut other, "GET p");
    talk(&mut other, "LARDER.INVALIDATE TAGS nobody");
    assert_eq!(talk(&mut one, &format!("LARDER.FILL p {token} v")), int(1));
    assert_eq!(talk(&mut one, "TTL p"), int(-1));
    let reply = talk(&mut other, "LARDER.GET p");
    assert_eq!((text(&reply, "reason"), field(&reply, "age_ms")), ("held", None));
}

#[test]
fn what_a_redis_brings_back_from_its_disk_has_neither_its_tags_nor_its_leases() {
    let pair = Pair::over(Redis::start_saving());
    let [mut one, mut other] = pair.tagged_clients();
    talk(&mut one, "LARDER.SET p old TAGS t");
    talk(&mut one, "SET q v");
    let token = text(&lease(&mut one, "l"), "token").to_owned();
    pair.redis.save();
    // Both are void now, and the disk doesn't know.
    talk(&mut one, "LARDER.INVALIDATE TAGS t");
    talk(&mut one, "DEL l");
    pair.redis.kill();
    pair.redis.restart();
    assert_eq!(pair.redis.cli(&["GET", "p"]), "old");
    until("the Redis is there again", || talk(&mut other, "GET q") == Reply::bulk("v"));
    assert_eq!(talk(&mut other, "GET p"), Reply::Null);
    until("the Redis is there again", || talk(&mut one, "GET q") == Reply::bulk("v"));
    assert_eq!(talk(&mut one, &format!("LARDER.FILL l {token} old")), int(0));
    assert_eq!(talk(&mut one, "EXISTS p l q"), int(1));
}

#[test]
fn a_full_redis_refuses_tagged_keys_whole_and_loses_no_tags() {
    let pair = Pair::over(Redis::start_limited(8 << 20, "noeviction"));
    let [mut one, mut other] = pair.tagged_clients();
    talk(&mut one, "LARDER.SET p v EX 100 TAGS t");
    talk(&mut one, "LARDER.SET r v EX 100 TAGS t");
    let heavy = "x".repeat(100_000);
    let mut filled = 0;
    while other.command(&["SET", &format!("heavy:{filled}"), &heavy]) == ok() {
        filled += 1;
        assert!(filled < 1000);
    }
    for tags in ["", " TAGS t"] {
        let reply = talk(&mut one, &format!("LARDER.SET q {heavy}{tags}"));
        assert_eq!(error_code(&reply), "OOM", "{reply:?}");
        assert_eq!(talk(&mut one, "EXISTS q"), int(0));
    }
    assert_eq!(talk(&mut one, "RENAME p q"), ok());
    assert_eq!(talk(&mut one, "EXPIRE r 10000"), int(1));
    assert_eq!(talk(&mut one, "EXISTS q r"), int(2));
    let companion = pair.redis.cli(&["PTTL", "larder.p:1:{r}:r:T"]);
    assert!(companion.parse::<i64>().unwrap() > 1_000_000, "{companion}");
    talk(&mut other, "LARDER.INVALIDATE TAGS t");
    assert_eq!(talk(&mut one, "EXISTS q r"), int(0));
}

#[test]
fn a_redis_that_evicts_takes_tags_only_with_an_end() {
    let pair = Pair::over(Redis::start_limited(64 << 20, "allkeys-lru"));
    let [mut one, _] = pair.clients();
    let reply = talk(&mut one, "LARDER.SET p v TAGS t");
    let Reply::Error(error) = &reply else { panic!("{reply:?}") };
    assert!(error.starts_with("REFUSED") && error.contains("allkeys-lru"), "{error}");
    assert_eq!(talk(&mut one, "EXISTS p"), int(0));
    assert_eq!(talk(&mut one, "LARDER.SET p v"), ok());
    assert_eq!(talk(&mut one, "LARDER.SET p v EX 100 TAGS t"), ok());
    talk(&mut one, "LARDER.INVALIDATE TAGS t");
    assert_eq!(talk(&mut one, "EXISTS p"), int(0));
}

#[test]
fn the_words_are_checked_and_nothing_is_set() {
    let pair = Pair::new();
    let [mut one, _] = pair.tagged_clients();
    for line in [
        "LARDER.SET p v TAGS",
        "LARDER.SET p v EX 10 TAGS",
        "LARDER.SET p v NX",
        "LARDER.SET p v EX",
        "LARDER.SET p v EX 10 t",
        "LARDER.SET p v KEEPTTL",
    ] {
        assert_eq!(talk(&mut one, line), Reply::Error("ERR syntax error".into()), "{line}");
    }
    let tags = |count: usize| (0..count).map(|tag| format!(" t{tag}")).collect::<String>();
    let many = talk(&mut one, &format!("LARDER.SET p v TAGS{}", tags(129)));
    assert_eq!(error_code(&many), "REFUSED");
    assert_eq!(error_code(&talk(&mut one, "LARDER.SET p v EX 0 TAGS t")), "ERR");
    assert_eq!(error_code(&talk(&mut one, "LARDER.GET larder.x LEASE")), "REFUSED");
    assert_eq!(error_code(&talk(&mut one, "LARDER.INVALIDATE KEYS p larder.x")), "REFUSED");
    assert_eq!(talk(&mut one, "EXISTS p"), int(0));
    talk(&mut one, "LPUSH list x");
    assert_eq!(error_code(&talk(&mut one, "LARDER.GET list")), "WRONGTYPE");
    assert_eq!(talk(&mut one, &format!("LARDER.SET p v TAGS{}", tags(128))), ok());
    let companion = pair.redis.cli(&["STRLEN", "larder.p:1:{p}:p:T"]);
    assert!(companion.parse::<usize>().unwrap() < 1024, "{companion}");
}
