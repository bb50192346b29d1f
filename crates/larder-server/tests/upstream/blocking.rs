//! Commands that block have a connection of their own, and leave it when their client goes.

use std::time::{Duration, Instant};

use larder_resp::codec::encode_request;
use larder_test::Reply;

use crate::support::{Bench, int, pipeline, refusal, talk, until};

#[test]
fn a_blocked_client_is_woken_by_another() {
    let bench = Bench::new();
    for hello in ["HELLO 2", "HELLO 3"] {
        let (mut waiter, mut pusher) = (bench.client(), bench.client());
        talk(&mut waiter, hello);
        waiter.send(b"BLPOP list 0\r\nGET user:1\r\n");
        bench.until_dedicated(1);
        // Nobody else waits for it.
        assert_eq!(talk(&mut pusher, "GET user:2"), Reply::bulk("row of user:2"));
        until("Redis has blocked it", || {
            bench.redis.cli(&["INFO", "clients"]).contains("blocked_clients:1")
        });
        assert_eq!(talk(&mut pusher, "RPUSH list x"), int(1));
        let popped = Reply::Array(vec![Reply::bulk("list"), Reply::bulk("x")]);
        assert_eq!([waiter.receive(), waiter.receive()], [popped, Reply::bulk("row of user:1")]);
        bench.until_dedicated(0);
    }
}

#[test]
fn a_block_is_as_long_as_the_client_says_and_no_patience_ends_it() {
    let bench = Bench::new();
    let mut client = bench.client();
    let begun = Instant::now();
    assert_eq!(talk(&mut client, "BLPOP none 1.2"), Reply::Null);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1150), "{took:?}");
    bench.until_dedicated(0);
}

#[test]
fn what_stands_before_a_blocking_command_is_done_before_it() {
    let bench = Bench::new();
    let mut client = bench.client();
    let lines = [
        "RPUSH list a",
        "BLPOP list 0",
        "XADD s 1-1 f v",
        "XREAD BLOCK 0 STREAMS s 0",
        "LLEN list",
    ];
    let replies = pipeline(&mut client, &lines);
    assert_eq!((&replies[0], &replies[4]), (&int(1), &int(0)));
    assert!(matches!(&replies[1], Reply::Array(_)) && matches!(&replies[3], Reply::Array(_)));
}

#[test]
fn a_client_that_goes_while_it_blocks_leaves_nothing_behind() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.send(b"BLPOP list 0\r\n");
    until("Redis has blocked it", || {
        bench.redis.cli(&["INFO", "clients"]).contains("blocked_clients:1")
    });
    drop(client);
    bench.until_dedicated(0);
    until("Redis has let it go", || {
        bench.redis.cli(&["INFO", "clients"]).contains("blocked_clients:0")
    });
    // What is pushed now is nobody's.
    bench.redis.cli(&["RPUSH", "list", "x"]);
    assert_eq!(talk(&mut bench.client(), "LLEN list"), int(1));
}

#[test]
fn no_more_connections_are_dedicated_than_may_be() {
    let bench = Bench::with(larder_test::Redis::start(), |behind| {
        behind.options.dedicated_max = 2;
    });
    let mut clients = [bench.client(), bench.client(), bench.client()];
    talk(&mut clients[0], "SUBSCRIBE a");
    talk(&mut clients[1], "WATCH a");
    for line in ["SUBSCRIBE a", "BLPOP a 0"] {
        let mut client = bench.client();
        let reply = talk(&mut client, line);
        assert!(refusal(&reply).starts_with("SHED all 2 connections"), "{line}: {reply:?}");
    }
    assert_eq!(talk(&mut clients[2], "SET a 1"), Reply::Simple("OK".into()));
    // Somebody who thinks to be in a transaction must not go on outside of one.
    assert!(refusal(&talk(&mut clients[2], "MULTI")).starts_with("SHED "));
    assert!(clients[2].is_closed());
    let mut late = bench.client();
    talk(&mut clients[1], "UNWATCH");
    assert_eq!(talk(&mut late, "BLPOP none 0.01"), Reply::Null);
}

#[test]
fn a_client_that_waits_holds_up_no_stop() {
    let bench = Bench::new();
    let (mut blocked, mut subscribed) = (bench.client(), bench.client());
    blocked.send(b"BLPOP list 0\r\n");
    talk(&mut subscribed, "SUBSCRIBE news");
    bench.until_dedicated(2);
    let begun = Instant::now();
    bench.stop();
    assert!(blocked.is_closed() && subscribed.is_closed());
    // Connections that don't end by themselves would be ended after five seconds.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    bench.until_dedicated(0);
}

#[test]
fn what_a_blocked_client_sends_meanwhile_is_answered_afterwards() {
    let bench = Bench::new();
    let (mut client, mut pusher) = (bench.client(), bench.client());
    client.send(b"BLPOP list 0\r\n");
    bench.until_dedicated(1);
    // More than is read ahead.
    let value = vec![b'v'; 100_000];
    let mut bytes = Vec::new();
    encode_request(&mut bytes, &[&b"SET"[..], b"a", &value]);
    client.send(&bytes);
    client.send(b"STRLEN a\r\nGET user:1\r\n");
    assert_eq!(talk(&mut pusher, "RPUSH list x"), int(1));
    let popped = Reply::Array(vec![Reply::bulk("list"), Reply::bulk("x")]);
    assert_eq!([client.receive(), client.receive()], [popped, Reply::Simple("OK".into())]);
    assert_eq!([client.receive(), client.receive()], [int(100_000), Reply::bulk("row of user:1")]);
}
