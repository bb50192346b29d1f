//! Plain keys on the master that Sentinels name, and on the one that takes its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use larder_test::{RedisSentinel, Reply, RespClient};

use crate::support::{Bench, check_tags_and_leases, int, ok, pipeline, refusal, talk, until};

fn bench() -> Bench<RedisSentinel> {
    let redis = RedisSentinel::start();
    let url = redis.url();
    Bench::over(redis, url, None, |_| ())
}

/// A client of the first Sentinel.
fn sentinel_of(bench: &Bench<RedisSentinel>) -> RespClient {
    let url = bench.redis.url();
    let port = url.split("127.0.0.1:").nth(1).unwrap().split(['/', ',']).next().unwrap();
    RespClient::connect(("127.0.0.1", port.parse().unwrap()))
}

#[test]
fn a_failover_under_traffic_repeats_nothing_and_ends_by_itself() {
    let bench = bench();
    let done = AtomicBool::new(false);
    let old = bench.redis.primary().port();
    let (mut subscriber, mut client) = (bench.client(), bench.client());
    talk(&mut subscriber, "SUBSCRIBE news");
    assert_eq!(talk(&mut client, "SET a 1"), ok());
    assert_eq!(bench.redis.primary().cli(&["GET", "a"]), "1");
    thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let mut client = bench.client();
            // What was answered, and what may or may not have been executed.
            let (mut counted, mut unknown, mut failed) = (0, 0, false);
            while !done.load(Ordering::Relaxed)
                || !matches!(talk(&mut client, "GET a"), Reply::Bulk(_))
            {
                match talk(&mut client, "INCR count") {
                    Reply::Integer(_) => counted += 1,
                    Reply::Error(text) => {
                        assert!(
                            text.starts_with("SHAREDDOWN ") || text.starts_with("READONLY "),
                            "{text}"
                        );
                        failed = true;
                        unknown += u32::from(text.contains("isn't repeated"));
                    }
                    other => panic!("{other:?}"),
                }
                assert_eq!(talk(&mut client, "GET user:1"), Reply::bulk("row of user:1"));
            }
            (counted, unknown, failed)
        });
        bench.redis.kill_primary();
        assert!(subscriber.is_closed(), "its server has gone");
        bench.redis.wait_until_promoted(old);
        until("the new master is asked", || talk(&mut client, "SET a 2") == ok());
        done.store(true, Ordering::Relaxed);
        let (counted, unknown, failed) = counting.join().unwrap();
        assert!(failed && counted > 0);
        // Replication isn't waited for, so what the old one counted last may be lost with it; but
        // nothing is counted twice.
        let Reply::Bulk(count) = talk(&mut client, "GET count") else { panic!("no count") };
        let count: u32 = String::from_utf8(count).unwrap().parse().unwrap();
        assert!(count <= counted + unknown, "{count} of {counted} and {unknown}");
    });
    assert_ne!(bench.redis.primary().port(), old);
    assert_eq!(bench.redis.primary().cli(&["GET", "a"]), "2");
    let replies = pipeline(&mut client, &["MULTI", "INCR a", "EXEC"]);
    assert_eq!(replies[2], Reply::Array(vec![int(3)]));
    bench.until_dedicated(0);
}

#[test]
fn a_master_that_becomes_a_replica_is_left_and_what_it_refused_is_asked_again() {
    let bench = bench();
    let mut client = bench.client();
    assert_eq!(talk(&mut client, "SET a 1"), ok());
    pipeline(&mut client, &["MULTI", "SET a 1", "EXEC"]);
    let old = bench.redis.primary().port();
    let mut sentinel = sentinel_of(&bench);
    until("the Sentinel begins", || talk(&mut sentinel, "SENTINEL FAILOVER mymaster") == ok());
    bench.redis.wait_until_promoted(old);
    // Until the old one is told, it takes writes that are lost.
    bench.redis.wait_until_replicated();
    until("the new master is asked", || talk(&mut client, "SET a 2") == ok());
    assert_eq!(bench.redis.primary().cli(&["GET", "a"]), "2");
    let whole = ["MULTI", "SET a 3", "EXEC"];
    until("by transactions as well", || {
        pipeline(&mut client, &whole)[2] == Reply::Array(vec![ok()])
    });
    assert_eq!(bench.redis.primary().cli(&["GET", "a"]), "3");
}

#[test]
fn on_a_sentinels_master_plain_keys_have_tags_and_leases_and_on_the_next_one_as_well() {
    let redis = RedisSentinel::start();
    let url = redis.url();
    // With one connection the same one is used before and afterwards.
    let bench = Bench::guarding_over(redis, url, |behind| behind.options.connections = 1);
    check_tags_and_leases(&bench);
    let mut client = bench.client();
    assert_eq!(talk(&mut client, "LARDER.SET tagged v TAGS red"), ok());
    assert_eq!(talk(&mut client, "SET count 5"), ok());
    bench.redis.wait_until_replicated();
    let (old, new) = (bench.redis.primary(), bench.redis.replica());
    let port = old.port();
    let mut sentinel = sentinel_of(&bench);
    // So the old one can be told that it is a replica, and keeps its connections.
    old.cli(&["ACL", "SETUSER", "default", "-multi", "-client|kill"]);
    until("the Sentinel begins", || talk(&mut sentinel, "SENTINEL FAILOVER mymaster") == ok());
    bench.redis.wait_until_promoted(port);
    bench.redis.wait_until_replicated();
    old.cli(&["ACL", "SETUSER", "default", "+multi", "+client|kill"]);
    // It refuses a part of what is sent; all of that goes to the new one.
    assert_eq!(talk(&mut client, "INCR count"), int(6));
    assert_eq!(new.cli(&["GET", "count"]), "6");
    // Another run of a server may not know what was struck.
    assert_eq!(talk(&mut client, "GET tagged"), Reply::Null);
    let announced = || talk(&mut client, "LARDER.SET tagged v TAGS red") == ok();
    until("the tier is heard again", announced);
    check_tags_and_leases(&bench);
}

#[test]
fn without_sentinels_a_master_is_used_on_until_it_says_that_it_is_none() {
    let redis = RedisSentinel::start();
    let url = redis.url();
    let bench = Bench::over(redis, url, None, |behind| behind.options.connections = 1);
    let mut client = bench.client();
    assert_eq!(talk(&mut client, "SET a 1"), ok());
    pipeline(&mut client, &["MULTI", "SET a 1", "EXEC"]);
    let (old, new) = (bench.redis.primary(), bench.redis.replica());
    bench.redis.sentinels()[0].kill();
    assert_eq!(pipeline(&mut client, &["SET a 2", "MULTI", "INCR a", "EXEC", "GET a"])[0], ok());
    until("the replica has it", || new.cli(&["GET", "a"]) == "3");
    // Its connections stay as they are.
    new.cli(&["REPLICAOF", "NO", "ONE"]);
    old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    let replies = pipeline(&mut client, &["GET user:1", "GET a", "INCR a"]);
    assert_eq!(replies[..2], [Reply::bulk("row of user:1"), Reply::bulk("3")]);
    let text = refusal(&replies[2]);
    assert!(text.starts_with("SHAREDDOWN ") && text.contains("sentinels"), "{text}");
    assert_eq!(new.cli(&["GET", "a"]), "3");
    // Nor is a connection used that was given back.
    let reply = talk(&mut client, "WATCH a");
    assert!(refusal(&reply).starts_with("SHAREDDOWN "), "{reply:?}");
    assert_eq!(talk(&mut bench.client(), "GET user:1"), Reply::bulk("row of user:1"));
}

#[test]
fn a_sentinel_that_hangs_is_passed_over() {
    let redis = RedisSentinel::start_with(3);
    redis.sentinels()[0].pause();
    let url = redis.url();
    let bench = Bench::over(redis, url, None, |_| ());
    let mut client = bench.client();
    until("another one is asked", || talk(&mut client, "SET a 1") == ok());
    bench.redis.sentinels()[0].resume();
    assert_eq!(bench.redis.primary().cli(&["GET", "a"]), "1");
}

#[test]
fn a_master_that_only_its_sentinels_gave_up_is_left_within_seconds() {
    let bench = bench();
    let (mut client, mut subscriber) = (bench.client(), bench.client());
    assert_eq!(talk(&mut client, "SET a 1"), ok());
    talk(&mut subscriber, "SUBSCRIBE news");
    let old = bench.redis.primary();
    bench.redis.wait_until_replicated();
    // For them it is dead, and can't be told that it is a replica now; for us it answers.
    let forbidden = ["-ping", "-slaveof", "-replicaof", "-multi", "-client|kill"];
    old.cli(&[&["ACL", "SETUSER", "default"], &forbidden[..]].concat());
    bench.redis.wait_until_promoted(old.port());
    assert!(subscriber.is_closed(), "there it would hear nothing");
    assert!(old.cli(&["ROLE"]).starts_with("master"), "it never said that it is none");
    for number in 2..20 {
        assert_eq!(talk(&mut client, &format!("SET a {number}")), ok());
        assert_eq!(bench.redis.primary().cli(&["GET", "a"]), number.to_string());
    }
    let mut subscriber = bench.client();
    talk(&mut subscriber, "SUBSCRIBE news");
    assert_eq!(talk(&mut client, "PUBLISH news x"), int(1));
}
