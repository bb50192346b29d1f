//! SET and its kin, DEL and UNLINK, EXPIRE and its kin, and counting.

use larder_core::Value;
use larder_memory::Bounds;
use larder_resp::codec::Reply;
use larder_test::ManualClock;

use crate::common::{Bench, MS, S, Setup, assert_error, bulk, int, ok, row};

#[tokio::test]
async fn del_and_unlink_invalidate_a_declared_key() {
    for command in ["DEL", "UNLINK"] {
        let bench = Bench::new();
        let mut client = bench.client();
        let line = format!("{command} user:1 user:1 note:a user:1000 p q");
        assert_eq!(client.talk(&line).await, int(0));
        client.talk_all(&["SET p v", "GET user:1", "GET user:1000"]).await;
        bench.users().set("user:1000".into(), Value::raw("new"));
        // The absence that was remembered counts as held.
        assert_eq!(client.talk(&line).await, int(3));
        let replies = client.talk_all(&["GET user:1", "GET user:1000", "GET p"]).await;
        assert_eq!(replies, [row("user:1"), bulk("new"), Reply::Null]);
        assert_eq!(bench.users().loads_of(&"user:1".into()), 2);
    }
}

#[tokio::test]
async fn a_bad_key_among_those_to_delete_leaves_all_as_they_are() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk_all(&["SET p v", "GET user:1"]).await;
    assert_error(&client.talk("DEL p user:1 user:x").await, "BADKEY", "user:x");
    assert_eq!(client.talk_all(&["GET p", "GET user:1"]).await, [bulk("v"), row("user:1")]);
    assert_eq!(bench.users().loads_of(&"user:1".into()), 1);
}

#[tokio::test]
async fn a_declared_key_without_statements_can_only_be_invalidated() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk("GET user:1").await;
    for (line, option) in [
        ("SET user:1 v", "store"),
        ("SET user:1 v EX 10", "store"),
        ("SET user:1 v XX GET", "store"),
        ("SETNX user:1 v", "store"),
        ("SETNX user:2 v", "store"),
        ("GETSET user:1 v", "store"),
        ("INCR user:1", "add"),
        ("DECR user:1", "add"),
        ("INCRBY user:1 2", "add"),
        ("DECRBY user:1 2", "add"),
        ("LARDER.DELETE user:1", "delete"),
        ("LARDER.DELETE user:1 user:2", "delete"),
    ] {
        let reply = client.talk(line).await;
        let what = format!(
            "no {option} declared for the cache user: declare {option} = \"...\" in [cache.user], or \
             write to the database, then DEL the key"
        );
        assert_error(&reply, "REFUSED", &what);
    }
    for line in [
        "SETEX user:1 10 v",
        "EXPIRE user:1 10",
        "EXPIRE user:1 0",
        "PEXPIRE user:1 10",
        "PERSIST user:1",
        "PSETEX user:1 10 v",
        "GETDEL user:1",
        "GETEX user:1",
        "GETEX user:1 EX 10",
        "APPEND user:1 v",
        "SETRANGE user:1 0 v",
        "SETBIT user:1 7 1",
        "MSET p v user:1 v",
        "MSETNX p v user:1 v",
        "RENAME user:1 p",
        "RENAMENX user:1 p",
        "COPY user:1 p",
        "EXPIREAT user:1 9999999999",
        "PEXPIREAT user:1 1",
        "INCRBYFLOAT user:1 1.5",
        "LARDER.SET user:1 v",
    ] {
        let reply = client.talk(line).await;
        let what = "is for plain keys, and this one belongs to the cache user: ";
        assert_error(&reply, "REFUSED", what);
    }
    assert_eq!(client.talk_all(&["GET user:1", "GET p"]).await, [row("user:1"), Reply::Null]);
    assert_eq!(bench.questions(), 1);
}

#[tokio::test]
async fn who_can_do_something_else_with_a_declared_key_is_told_what() {
    let mut client = Bench::new().client();
    for (line, instead) in [
        ("SET user:1 v", "write to the database, then DEL the key"),
        ("GETDEL user:1", "GET the key, then LARDER.DELETE it"),
        ("GETEX user:1 EX 10", "GET the key: how long it is held is declared with the cache"),
    ] {
        assert_error(&client.talk(line).await, "REFUSED", instead);
    }
}

#[tokio::test]
async fn what_is_set_expires_in_its_time() {
    for line in ["SET p v EX 2", "SET p v PX 2000", "SETEX p 2 v"] {
        let bench = Bench::new();
        let mut client = bench.client();
        assert_eq!(client.talk(line).await, ok());
        bench.clock.advance(2 * S);
        assert_eq!(client.talk("GET p").await, bulk("v"));
        bench.clock.advance(MS);
        let replies = client.talk_all(&["GET p", "EXISTS p", "SETNX p w", "TTL p"]).await;
        assert_eq!(replies, [Reply::Null, int(0), int(1), int(-1)], "{line}");
    }
}

#[tokio::test]
async fn times_of_day_are_those_of_the_calendar() {
    let bench = Bench::new();
    let mut client = bench.client();
    let now = ManualClock::WALL_START.as_secs();
    assert_eq!(client.talk(&format!("SET p v EXAT {}", now + 100)).await, ok());
    assert_eq!(client.talk("TTL p").await, int(100));
    assert_eq!(client.talk(&format!("SET p v PXAT {}", (now + 100) * 1000 + 1)).await, ok());
    assert_eq!(client.talk("PTTL p").await, int(100_001));
    assert_eq!(client.talk(&format!("SET p w GET EXAT {now}")).await, bulk("v"));
    assert_eq!(client.talk_all(&["GET p", "TTL p"]).await, [Reply::Null, int(-2)]);
}

#[tokio::test]
async fn a_lifetime_ends_in_584_years_at_the_latest() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk("SET p v EX 1000000000000").await;
    let latest = int(18_446_744_074 - 3600);
    assert_eq!(client.talk("TTL p").await, latest);
    assert_eq!(client.talk("EXPIRE p 2000000000000").await, int(1));
    assert_eq!(client.talk("TTL p").await, latest);
    assert_eq!(client.talk_all(&["PERSIST p", "TTL p", "PERSIST p"]).await, [1, -1, 0].map(int));
}

#[tokio::test]
async fn expiry_can_be_moved_and_taken_away() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.talk_all(&["EXPIRE p 10", "PERSIST p"]).await, [int(0), int(0)]);
    client.talk("SET p v EX 2").await;
    assert_eq!(client.talk("PEXPIRE p 5000").await, int(1));
    bench.clock.advance(4 * S);
    assert_eq!(client.talk_all(&["GET p", "PERSIST p"]).await, [bulk("v"), int(1)]);
    bench.clock.advance(1000 * S);
    assert_eq!(client.talk_all(&["GET p", "EXPIRE p -1"]).await, [bulk("v"), int(1)]);
    assert_eq!(client.talk("GET p").await, Reply::Null);
}

#[tokio::test]
async fn counting_keeps_the_expiry() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk_all(&["SET n 41 EX 10", "SET n 41 KEEPTTL"]).await;
    assert_eq!(client.talk_all(&["INCR n", "TTL n"]).await, [int(42), int(10)]);
    bench.clock.advance(10 * S + MS);
    assert_eq!(client.talk_all(&["DECRBY n 5", "TTL n", "GET n"]).await[..2], [int(-5), int(-1)]);
}

#[tokio::test]
async fn a_value_that_is_too_heavy_is_refused_and_the_old_one_stays() {
    let bounds = Bounds::bytes(1 << 20).entry_bytes_max(1000);
    let bench = Bench::with(Setup { bounds, ..Setup::default() });
    let mut client = bench.client();
    assert_eq!(client.command(&["SET", "p", &"x".repeat(1000)]).await, ok());
    let reply = client.command(&["SET", "p", &"y".repeat(1001)]).await;
    assert_error(&reply, "REFUSED", "key and value take 1001 bytes; an entry may take 1000");
    assert_eq!(client.talk("GET p").await, bulk(&"x".repeat(1000)));
}

#[tokio::test]
async fn a_change_of_a_plain_key_is_seen_by_other_clients() {
    let bench = Bench::new();
    let (mut one, mut other) = (bench.client(), bench.client());
    one.talk("SET p v").await;
    assert_eq!(other.talk("INCR n").await, int(1));
    assert_eq!(other.talk("GET p").await, bulk("v"));
    assert_eq!(one.talk_all(&["INCR n", "DEL p"]).await, [int(2), int(1)]);
    assert_eq!(other.talk("GET p").await, Reply::Null);
}

#[tokio::test]
async fn conditions_decide_whether_an_expiry_is_moved() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk("SET p v").await;
    for (line, moved, ttl) in [
        ("EXPIRE p 100 XX", 0, -1),
        ("EXPIRE p 100 GT", 0, -1),
        ("EXPIRE p 100 LT", 1, 100),
        ("EXPIRE p 200 NX", 0, 100),
        ("EXPIRE p 100 GT", 0, 100),
        ("EXPIRE p 100 LT", 0, 100),
        ("EXPIRE p 101 LT", 0, 100),
        ("EXPIRE p 99 GT", 0, 100),
        ("EXPIRE p 101 xx gt", 1, 101),
        ("EXPIRE p 99 XX LT", 1, 99),
        ("EXPIRE p 0 GT", 0, 99),
        ("EXPIRE p 0 LT", 1, -2),
        ("EXPIRE p 100 NX", 0, -2),
    ] {
        assert_eq!(client.talk(line).await, int(moved), "{line}");
        assert_eq!(client.talk("TTL p").await, int(ttl), "{line}");
    }
}
