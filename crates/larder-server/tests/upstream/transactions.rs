//! MULTI, WATCH and EXEC over a connection of the client's own.

use larder_test::Reply;

use crate::support::{Bench, int, ok, pipeline, queued, refusal, talk};

#[test]
fn a_watched_key_that_changes_undoes_the_transaction() {
    let bench = Bench::new();
    let (mut one, mut other) = (bench.client(), bench.client());
    talk(&mut one, "SET balance 10");
    assert_eq!(talk(&mut one, "WATCH balance"), ok());
    assert_eq!(talk(&mut one, "GET balance"), Reply::bulk("10"));
    assert_eq!(talk(&mut other, "INCR balance"), int(11));
    let replies = pipeline(&mut one, &["MULTI", "SET balance 0", "EXEC", "GET balance"]);
    assert_eq!(replies, [ok(), queued(), Reply::Null, Reply::bulk("11")]);
    assert_eq!(talk(&mut one, "WATCH balance"), ok());
    let replies = pipeline(&mut one, &["MULTI", "SET balance 0", "EXEC", "GET balance"]);
    assert_eq!(replies, [ok(), queued(), Reply::Array(vec![ok()]), Reply::bulk("0")]);
    bench.until_dedicated(0);
}

#[test]
fn transactions_of_two_clients_do_not_mix() {
    let bench = Bench::new();
    let (mut one, mut other) = (bench.client(), bench.client());
    assert_eq!(pipeline(&mut one, &["MULTI", "SET a one"]), [ok(), queued()]);
    assert_eq!(pipeline(&mut other, &["MULTI", "SET a other"]), [ok(), queued()]);
    bench.until_dedicated(2);
    let mut third = bench.client();
    assert_eq!(talk(&mut third, "GET a"), Reply::Null);
    assert_eq!(talk(&mut other, "EXEC"), Reply::Array(vec![ok()]));
    assert_eq!(talk(&mut third, "GET a"), Reply::bulk("other"));
    assert_eq!(talk(&mut one, "DISCARD"), ok());
    assert_eq!(talk(&mut one, "GET a"), Reply::bulk("other"));
    bench.until_dedicated(0);
}

#[test]
fn a_key_of_a_cache_poisons_a_transaction() {
    let bench = Bench::new();
    let mut client = bench.client();
    for refused in [
        "GET user:1",
        "DEL user:1 a",
        "SET user:1 a",
        "INCR count:1",
        "LARDER.DELETE user:1",
        "HSET user:1 a b",
        "SUBSCRIBE c",
        "KEYS *",
        "INFO",
        "FLUSHALL",
    ] {
        let line = ["SET a 1", "MULTI", "SET a 2", refused, "SET a 3", "EXEC", "GET a"];
        let replies = pipeline(&mut client, &line);
        assert_eq!(replies[..3], [ok(), ok(), queued()], "{refused}");
        assert!(refusal(&replies[3]).starts_with("REFUSED "), "{refused}: {:?}", replies[3]);
        assert_eq!(replies[4], queued());
        let aborted = "EXECABORT Transaction discarded because of previous errors.";
        assert_eq!(replies[5], Reply::Error(aborted.into()), "{refused}");
        assert_eq!(replies[6], Reply::bulk("1"), "{refused}");
    }
    // The next one is clean, and DISCARD ends a poisoned one, too.
    let replies =
        pipeline(&mut client, &["MULTI", "GET user:1", "DISCARD", "MULTI", "GET a", "EXEC"]);
    assert_eq!(replies[5], Reply::Array(vec![Reply::bulk("1")]));
    assert_eq!(talk(&mut client, "GET user:1"), Reply::bulk("row of user:1"));
    bench.until_dedicated(0);
}

#[test]
fn declared_keys_are_read_while_keys_are_watched() {
    let bench = Bench::new();
    let mut client = bench.client();
    let replies = pipeline(&mut client, &["WATCH a", "GET user:1", "MGET user:1 a", "UNWATCH"]);
    let row = Reply::bulk("row of user:1");
    assert_eq!(replies, [ok(), row.clone(), Reply::Array(vec![row, Reply::Null]), ok()]);
    bench.until_dedicated(0);
}

#[test]
fn a_client_that_leaves_or_resets_gives_its_connection_up() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "WATCH a");
    bench.until_dedicated(1);
    drop(client);
    bench.until_dedicated(0);
    let mut client = bench.client();
    assert_eq!(pipeline(&mut client, &["MULTI", "SET a 1"]), [ok(), queued()]);
    assert_eq!(talk(&mut client, "RESET"), Reply::Simple("RESET".into()));
    assert_eq!(talk(&mut client, "GET a"), Reply::Null);
    bench.until_dedicated(0);
}

#[test]
fn a_connection_that_was_given_back_serves_the_next_transaction() {
    let bench = Bench::new();
    let connections = |bench: &Bench| {
        let info = bench.redis.cli(&["INFO", "stats"]);
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let mut client = bench.client();
    pipeline(&mut client, &["MULTI", "SET a 1", "EXEC"]);
    let before = connections(&bench);
    for _ in 0..20 {
        let replies = pipeline(&mut client, &["MULTI", "INCR a", "EXEC"]);
        assert_eq!(replies[..2], [ok(), queued()]);
    }
    // The one that asks is one itself.
    assert_eq!(connections(&bench), before + 1);
}

#[test]
fn the_version_of_the_protocol_stays_while_keys_are_watched() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "WATCH a");
    assert!(refusal(&talk(&mut client, "HELLO 3")).starts_with("REFUSED HELLO"));
    assert!(matches!(talk(&mut client, "HELLO 2"), Reply::Array(_)));
    talk(&mut client, "UNWATCH");
    assert!(matches!(talk(&mut client, "HELLO 3"), Reply::Map(_)));
    let replies = pipeline(&mut client, &["HSET h a 1", "MULTI", "HGETALL h", "EXEC"]);
    let map = Reply::Map(vec![(Reply::bulk("a"), Reply::bulk("1"))]);
    assert_eq!(replies[3], Reply::Array(vec![map]));
}
