//! Plain keys in a cluster: clients that know nothing of one see a Redis.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use larder_test::{RedisCluster, Reply, RespClient};

use crate::support::{Bench, int, ok, pipeline, queued, refusal, talk, until};

/// Keys of three servers.
const KEYS: [&str; 3] = ["foo", "bar", "{c}ar"];

fn bench(primaries: usize, replicas_each: usize) -> Bench<RedisCluster> {
    let cluster = RedisCluster::start(primaries, replicas_each);
    let url = cluster.url();
    Bench::over(cluster, url, None, |_| ())
}

/// A client of the server that has the slot of a key.
fn owner(cluster: &RedisCluster, key: &str) -> RespClient {
    let owner = cluster.node(cluster.owner_of(key));
    RespClient::connect(("127.0.0.1", owner.port()))
}

#[test]
fn each_command_goes_where_its_keys_are_and_those_that_can_be_are_split() {
    let bench = bench(3, 0);
    let owners: BTreeSet<_> = KEYS.iter().map(|key| bench.redis.owner_of(key)).collect();
    assert_eq!(owners.len(), 3, "one key on each");
    let mut client = bench.client();
    for hello in ["HELLO 2", "HELLO 3"] {
        talk(&mut client, hello);
        assert_eq!(talk(&mut client, "MSET foo 1 bar 2 {c}ar 3"), ok());
        assert_eq!(talk(&mut owner(&bench.redis, "bar"), "GET bar"), Reply::bulk("2"));
        let mget = talk(&mut client, "MGET {c}ar user:1 foo nothing bar foo");
        let (one, two, three) = (Reply::bulk("1"), Reply::bulk("2"), Reply::bulk("3"));
        let row = Reply::bulk("row of user:1");
        let values = vec![three, row, one.clone(), Reply::Null, two, one];
        assert_eq!(mget, Reply::Array(values));
        assert_eq!(talk(&mut client, "EXISTS foo bar {c}ar nothing foo"), int(4));
        assert_eq!(talk(&mut client, "TOUCH foo user:1 bar"), int(3));
        assert_eq!(talk(&mut client, "DBSIZE"), int(3));
        let replies = pipeline(&mut client, &["INCR foo", "INCR bar", "GET user:2", "INCR foo"]);
        assert_eq!(replies, [int(2), int(3), Reply::bulk("row of user:2"), int(3)]);
        assert_eq!(talk(&mut client, "UNLINK foo bar"), int(2));
        assert_eq!(talk(&mut client, "DEL foo {c}ar user:1"), int(2));
        assert_eq!(talk(&mut client, "DBSIZE"), int(0));
    }
    // What needs all keys at once needs them in one slot, in Redis's own words.
    for line in ["MSETNX foo 1 bar 2", "RENAME foo bar", "SUNION foo bar", "EVAL x 2 foo bar"] {
        let reply = talk(&mut client, line);
        assert_eq!(refusal(&reply), "CROSSSLOT Keys in request don't hash to the same slot");
    }
    assert_eq!(talk(&mut client, "MSETNX {s}a 1 {s}b 2"), int(1));
    assert!(refusal(&talk(&mut client, "MSET foo 1 bar")).contains("CROSSSLOT"));
    assert_eq!(talk(&mut client, "EXISTS foo bar"), int(0), "nothing of it was executed");
}

#[test]
fn tags_and_leases_of_plain_keys_are_refused_and_it_is_said_why() {
    let bench = bench(3, 0);
    let mut client = bench.client();
    assert_eq!(talk(&mut client, "SET foo 1"), ok());
    let token = "0".repeat(80);
    for line in [
        "LARDER.SET foo 2 TAGS red",
        "LARDER.SET foo 2",
        "LARDER.GET foo",
        "LARDER.GET foo LEASE",
        &format!("LARDER.FILL foo {token} 2"),
        "LARDER.INVALIDATE KEYS foo user:1",
    ] {
        let reply = talk(&mut client, line);
        let text = refusal(&reply);
        assert!(text.starts_with("REFUSED plain keys live in the shared Redis"), "{text}");
        assert!(text.contains("cluster") && text.contains("one server"), "{text}");
    }
    assert_eq!(talk(&mut client, "GET foo"), Reply::bulk("1"));
    // Those of caches have them.
    assert!(matches!(talk(&mut client, "LARDER.GET user:1 LEASE"), Reply::Array(_)));
    assert_eq!(talk(&mut client, "LARDER.INVALIDATE TAGS red"), int(1));
}

#[test]
fn what_names_no_key_is_asked_of_all_servers_or_of_any() {
    let bench = bench(3, 0);
    let mut client = bench.client();
    let mut expected = BTreeSet::new();
    for at in 0..300 {
        let key = format!("key:{at}");
        talk(&mut client, &format!("SET {key} x"));
        expected.insert(key);
    }
    for node in bench.redis.nodes() {
        let mut straight = RespClient::connect(("127.0.0.1", node.port()));
        let own = (0..99).map(|at| format!("larder:{at}"));
        own.for_each(|key| drop(talk(&mut straight, &format!("SET {key} x"))));
    }
    let keys = |reply: &Reply| match reply {
        Reply::Array(keys) => keys.iter().map(|key| key.text().to_owned()).collect::<Vec<_>>(),
        other => panic!("no array: {other:?}"),
    };
    assert_eq!(BTreeSet::from_iter(keys(&talk(&mut client, "KEYS *"))), expected);
    // Each key once, over a cursor that a client hands back.
    let (mut found, mut cursor, mut calls) = (Vec::new(), "0".to_owned(), 0);
    loop {
        let Reply::Array(page) = talk(&mut client, &format!("SCAN {cursor} COUNT 20")) else {
            panic!("no page")
        };
        found.extend(keys(&page[1]));
        calls += 1;
        cursor = page[0].text().to_owned();
        if cursor == "0" {
            break;
        }
        assert!(calls < 100, "it ends");
    }
    assert!(calls > 10 && found.len() == 300, "{calls} {}", found.len());
    assert_eq!(BTreeSet::from_iter(found), expected);
    assert_eq!(refusal(&talk(&mut client, "SCAN x")), "ERR invalid cursor");
    let drawn: BTreeSet<_> =
        (0..60).map(|_| bench.redis.owner_of(talk(&mut client, "RANDOMKEY").text())).collect();
    assert_eq!(drawn.len(), 3, "keys of each server are drawn");
    // Scripts are loaded everywhere.
    let script = "return redis.call('GET', KEYS[1])";
    let sha = client.command(&["SCRIPT", "LOAD", script]).text().to_owned();
    assert_eq!(
        talk(&mut client, &format!("SCRIPT EXISTS {sha} {}", "0".repeat(40))),
        Reply::Array(vec![int(1), int(0)])
    );
    for key in KEYS {
        talk(&mut client, &format!("SET {key} {key}"));
        assert_eq!(talk(&mut client, &format!("EVALSHA {sha} 1 {key}")), Reply::bulk(key));
    }
    let unknown = talk(&mut client, &format!("EVALSHA {} 1 foo", "0".repeat(40)));
    assert!(refusal(&unknown).starts_with("NOSCRIPT "));
    assert_eq!(talk(&mut client, "SCRIPT FLUSH"), ok());
    assert_eq!(talk(&mut client, &format!("SCRIPT EXISTS {sha}")), Reply::Array(vec![int(0)]));
    assert!(matches!(talk(&mut client, "TIME"), Reply::Array(_)));
    for line in ["FLUSHDB", "FLUSHALL", "CLUSTER SLOTS", "READONLY", "ASKING"] {
        assert!(refusal(&talk(&mut client, line)).starts_with("REFUSED "), "{line}");
    }
}

#[test]
fn rows_are_written_here_whichever_server_has_the_plain_keys() {
    let bench = bench(3, 0);
    let mut client = bench.client();
    let mut lines: Vec<String> = Vec::new();
    for (number, key) in KEYS.iter().enumerate() {
        lines.push(format!("SET {key} {number}"));
        lines.push(format!("INCRBY count:{number} {number}"));
    }
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let replies = pipeline(&mut client, &lines);
    for (number, replies) in (0..).zip(replies.chunks(2)) {
        assert_eq!(replies, [ok(), int(number)]);
    }
    let reply = talk(&mut client, "LARDER.DELETE count:1 foo");
    assert!(refusal(&reply).contains("DEL deletes a plain key (key foo)"), "{reply:?}");
    assert_eq!(talk(&mut client, "LARDER.DELETE count:1 count:2"), int(2));
    assert_eq!(talk(&mut client, "EXISTS count:0 count:1 count:2"), int(1));
}

#[test]
fn a_transaction_has_the_server_of_its_first_key() {
    let bench = bench(3, 0);
    let (mut one, mut other) = (bench.client(), bench.client());
    for key in KEYS {
        // In one piece, and word by word: its beginning names no key.
        let whole = ["MULTI", &format!("SET {key} 1"), &format!("INCR {key}"), "EXEC"];
        let done = Reply::Array(vec![ok(), int(2)]);
        assert_eq!(pipeline(&mut one, &whole)[3], done);
        assert_eq!(talk(&mut one, "MULTI"), ok());
        assert_eq!(talk(&mut one, "PING"), queued());
        assert_eq!(talk(&mut one, &format!("INCR {key}")), queued());
        let Reply::Array(replies) = talk(&mut one, "EXEC") else { panic!("not executed") };
        assert_eq!(replies, [Reply::Simple("PONG".into()), int(3)]);
        // Watched, and changed by another.
        assert_eq!(talk(&mut one, &format!("WATCH {key}")), ok());
        assert_eq!(talk(&mut one, &format!("GET {key}")), Reply::bulk("3"));
        assert_eq!(talk(&mut one, "SET elsewhere x"), ok(), "it isn't in the transaction");
        assert_eq!(talk(&mut other, &format!("INCR {key}")), int(4));
        let replies = pipeline(&mut one, &["MULTI", &format!("SET {key} 0"), "EXEC"]);
        assert_eq!(replies[2], Reply::Null);
        assert_eq!(talk(&mut one, &format!("GET {key}")), Reply::bulk("4"));
    }
    // Two in one piece, of two servers.
    let two = ["MULTI", "SET foo 1", "EXEC", "MULTI", "SET bar 2", "EXEC", "GET foo", "GET bar"];
    let replies = pipeline(&mut one, &two);
    assert_eq!((&replies[2], &replies[5]), (&Reply::Array(vec![ok()]), &Reply::Array(vec![ok()])));
    assert_eq!(replies[6..], [Reply::bulk("1"), Reply::bulk("2")]);
    // A key of another slot spoils it.
    let crossing = ["MULTI", "SET foo 9", "SET bar 9", "EXEC"];
    let replies = pipeline(&mut one, &crossing);
    assert!(refusal(&replies[2]).starts_with("CROSSSLOT "));
    assert!(refusal(&replies[3]).starts_with("EXECABORT "));
    assert_eq!(talk(&mut one, "MGET foo bar"), Reply::Array(["1", "2"].map(Reply::bulk).into()));
    talk(&mut one, "WATCH foo");
    assert!(refusal(&talk(&mut one, "WATCH bar")).starts_with("CROSSSLOT "));
    assert_eq!(talk(&mut one, "UNWATCH"), ok());
    assert_eq!(talk(&mut one, "WATCH bar"), ok());
    assert_eq!(talk(&mut one, "UNWATCH"), ok());
    // One without any key.
    let replies = pipeline(&mut one, &["MULTI", "PING", "EXEC"]);
    assert_eq!(replies[2], Reply::Array(vec![Reply::Simple("PONG".into())]));
    assert_eq!(talk(&mut one, "MULTI"), ok());
    assert_eq!(talk(&mut one, "DISCARD"), ok());
    assert!(refusal(&talk(&mut one, "EXEC")).contains("without MULTI"));
    bench.until_dedicated(0);
}

#[test]
fn messages_come_from_any_server_and_those_of_a_shard_from_its_own() {
    let bench = bench(3, 0);
    let (mut listener, mut speaker) = (bench.client(), bench.client());
    for client in [&mut listener, &mut speaker] {
        talk(client, "HELLO 3");
    }
    talk(&mut listener, "SUBSCRIBE news");
    for at in 0..6 {
        talk(&mut speaker, &format!("PUBLISH news {at}"));
        let message = Reply::Push(["message", "news", &at.to_string()].map(Reply::bulk).into());
        assert_eq!(listener.receive(), message);
    }
    assert_eq!(
        talk(&mut speaker, "PUBSUB NUMSUB news"),
        Reply::Array(vec![Reply::bulk("news"), int(1)])
    );
    assert_eq!(talk(&mut speaker, "PUBSUB CHANNELS"), Reply::Array(vec![Reply::bulk("news")]));
    // It reads and writes meanwhile, anywhere.
    for key in KEYS {
        assert_eq!(talk(&mut listener, &format!("SET {key} x")), ok());
    }
    for channel in KEYS {
        let mut listener = bench.client();
        talk(&mut listener, "HELLO 3");
        talk(&mut listener, &format!("SSUBSCRIBE {channel}"));
        assert_eq!(talk(&mut speaker, &format!("SPUBLISH {channel} hello")), int(1));
        let message = Reply::Push(["smessage", channel, "hello"].map(Reply::bulk).into());
        assert_eq!(listener.receive(), message);
    }
    let reply = talk(&mut bench.client(), "SSUBSCRIBE foo bar");
    assert!(refusal(&reply).starts_with("CROSSSLOT "), "{reply:?}");
}

#[test]
fn who_blocks_is_woken_on_the_server_of_the_key() {
    let bench = bench(3, 0);
    for key in KEYS {
        let mut blocked = bench.client();
        let popped = thread::scope(|scope| {
            let popped = scope.spawn(|| talk(&mut blocked, &format!("BLPOP {key} 30")));
            bench.until_dedicated(1);
            talk(&mut bench.client(), &format!("RPUSH {key} x"));
            popped.join().unwrap()
        });
        assert_eq!(popped, Reply::Array(vec![Reply::bulk(key), Reply::bulk("x")]));
        bench.until_dedicated(0);
    }
    let reply = talk(&mut bench.client(), "BLPOP foo bar 0");
    assert!(refusal(&reply).starts_with("CROSSSLOT "));
}

#[test]
fn a_slot_that_moves_under_traffic_costs_no_request() {
    let bench = bench(3, 0);
    let (cluster, done) = (&bench.redis, AtomicBool::new(false));
    let begun = AtomicUsize::new(0);
    let keys: Vec<_> = (0..20).map(|at| format!("{{foo}}:{at}")).collect();
    let mut client = bench.client();
    keys.iter().for_each(|key| assert_eq!(talk(&mut client, &format!("SET {key} 0")), ok()));
    thread::scope(|scope| {
        let counting = |own: usize| {
            let (bench, keys, done, begun) = (&bench, &keys, &done, &begun);
            move || {
                let mut client = bench.client();
                let mut rounds = 0;
                while !done.load(Ordering::Relaxed) || rounds == 0 {
                    rounds += 1;
                    begun.fetch_add(1, Ordering::Relaxed);
                    let lines: Vec<_> =
                        keys.iter().skip(own).step_by(2).map(|key| format!("INCR {key}")).collect();
                    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
                    assert_eq!(pipeline(&mut client, &lines), vec![int(rounds); 10]);
                    // A transaction may have to be begun again, and is then not executed.
                    let key = format!("{{foo}}:own{own}");
                    let whole = ["MULTI", &format!("INCR {key}"), "EXEC"];
                    loop {
                        match &pipeline(&mut client, &whole)[2] {
                            Reply::Array(replies) => break assert_eq!(*replies, [int(rounds)]),
                            Reply::Error(error) => {
                                assert!(error.starts_with("EXECABORT "), "{error}");
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
            }
        };
        let clients = [scope.spawn(counting(0)), scope.spawn(counting(1))];
        for _ in 0..3 {
            let before = begun.load(Ordering::Relaxed);
            until("there is traffic", || begun.load(Ordering::Relaxed) > before + 2);
            let slot = cluster.slot_of("foo");
            let to = (cluster.owner_of_slot(slot) + 1) % 3;
            let migration = cluster.migrate_slot(slot, to);
            // Some of them are there for a while, the others here.
            keys.iter().take(10).for_each(|key| assert!(migration.move_key(key)));
            migration.finish();
        }
        done.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    // And who comes later with an old map, for a connection of its own.
    let slot = cluster.slot_of("bar");
    pipeline(&mut client, &["MULTI", "SET bar 1", "EXEC"]);
    let to = (cluster.owner_of_slot(slot) + 1) % 3;
    let migration = cluster.migrate_slot(slot, to);
    migration.finish();
    let replies = pipeline(&mut client, &["MULTI", "INCR bar", "EXEC"]);
    assert_eq!(replies[2], Reply::Array(vec![int(2)]), "{replies:?}");
    assert_eq!(talk(&mut client, "WATCH bar"), ok());
}

#[test]
fn a_server_that_dies_takes_only_its_own_keys_until_its_replica_takes_its_place() {
    let bench = bench(3, 1);
    let mut client = bench.client();
    for key in KEYS {
        assert_eq!(talk(&mut client, &format!("SET {key} x")), ok());
    }
    let dead = bench.redis.owner_of("foo");
    // Replication isn't waited for by who writes.
    until("the replica has it", || {
        let replica = bench.redis.replicas_of(dead)[0];
        let mut straight = RespClient::connect(("127.0.0.1", bench.redis.node(replica).port()));
        talk(&mut straight, "READONLY");
        talk(&mut straight, "GET foo") == Reply::bulk("x")
    });
    bench.redis.node(dead).kill();
    let reply = talk(&mut client, "GET foo");
    let text = refusal(&reply);
    assert!(text.starts_with("SHAREDDOWN ") || text.starts_with("CLUSTERDOWN "), "{text}");
    assert_eq!(talk(&mut client, "GET user:1"), Reply::bulk("row of user:1"));
    bench.redis.failover(dead);
    until("its replica is asked", || talk(&mut client, "GET foo") == Reply::bulk("x"));
    assert_eq!(talk(&mut client, "GET bar"), Reply::bulk("x"));
    let replies = pipeline(&mut client, &["MULTI", "SET foo y", "EXEC"]);
    assert_eq!(replies[2], Reply::Array(vec![ok()]));
}

#[test]
fn what_a_server_that_hangs_was_sent_is_not_sent_again() {
    let bench = bench(3, 0);
    let mut client = bench.client();
    for key in KEYS {
        assert_eq!(talk(&mut client, &format!("SET {key} 0")), ok());
    }
    let hung = bench.redis.node(bench.redis.owner_of("foo"));
    hung.pause();
    let replies = pipeline(&mut client, &["INCR bar", "INCR foo", "GET user:1", "INCR {c}ar"]);
    assert!(refusal(&replies[1]).contains("isn't repeated"), "{:?}", replies[1]);
    let others = [int(1), Reply::bulk("row of user:1"), int(1)];
    assert_eq!([&replies[0], &replies[2], &replies[3]], [&others[0], &others[1], &others[2]]);
    for line in ["DBSIZE", "KEYS *", "MGET bar foo", "SCRIPT LOAD x"] {
        let reply = talk(&mut client, line);
        // When the others have noticed they serve nothing.
        let text = refusal(&reply);
        assert!(
            text.starts_with("SHAREDDOWN ") || text.starts_with("CLUSTERDOWN "),
            "{line}: {text}"
        );
    }
    hung.resume();
    let mut straight = RespClient::connect(("127.0.0.1", hung.port()));
    until("it goes on", || talk(&mut straight, "GET foo") == Reply::bulk("1"));
    until("it is asked again", || talk(&mut client, "GET foo") == Reply::bulk("1"));
}

#[test]
fn a_transaction_that_began_elsewhere_than_its_key_is_not_executed() {
    let bench = bench(3, 0);
    let mut subscribed = bench.client();
    talk(&mut subscribed, "HELLO 3");
    talk(&mut subscribed, "SUBSCRIBE news");
    assert_eq!(talk(&mut subscribed, "MULTI"), ok());
    // More than is kept until a key says where it belongs.
    let mut long = bench.client();
    assert_eq!(talk(&mut long, "MULTI"), ok());
    for _ in 0..2 {
        assert_eq!(talk(&mut long, &format!("PING {}", "x".repeat(40_000))), queued());
    }
    for client in [&mut subscribed, &mut long] {
        let reply = talk(client, "SET foo 1");
        assert!(refusal(&reply).starts_with("REFUSED SET: the transaction began"), "{reply:?}");
        assert!(refusal(&talk(client, "EXEC")).starts_with("EXECABORT "));
        assert_eq!(talk(client, "GET foo"), Reply::Null);
        assert_eq!(talk(client, "SET bar x"), ok(), "outside of it anything goes");
    }
    bench.until_dedicated(1);
}
