//! Strings that are read in parts, written into, and set together.

use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};
use larder_resp::codec::Reply;
use larder_test::ManualClock;

use crate::common::{Bench, MS, S, Setup, assert_error, bulk, int, ok};

#[tokio::test]
async fn parts_of_a_declared_key_are_loaded_through() {
    let bench = Bench::new();
    let mut client = bench.client();
    let replies = client
        .talk_all(&["GETRANGE user:1 0 2", "SUBSTR user:2 -1 -1", "TOUCH user:1 user:3 user:1000"])
        .await;
    assert_eq!(replies, [bulk("row"), bulk("2"), int(2)]);
    assert_eq!(client.talk("GETRANGE user:1000 0 -1").await, bulk(""));
    let replies = client.talk_all(&["GETBIT user:1 1", "BITCOUNT user:3 0 0", "BITPOS user:4 1"]);
    assert_eq!(replies.await, [1, 4, 1].map(int), "the row begins with an r");
    let loads = bench.questions();
    assert_eq!(client.talk("GETRANGE user:1 -6 -1").await, bulk("user:1"));
    assert_eq!(bench.questions(), loads, "what is held isn't loaded again");
}

#[tokio::test]
async fn a_pipeline_of_parts_is_loaded_together() {
    let bench = Bench::new();
    let lines = ["GETRANGE user:1 0 2", "GET user:2", "SUBSTR user:3 0 0", "KEYS *"];
    bench.client().talk_all(&lines).await;
    assert_eq!(bench.questions(), 1);
}

#[tokio::test]
async fn what_would_be_too_long_is_refused_before_it_is_made_and_the_old_value_stays() {
    let bounds = Bounds::bytes(1 << 20).entry_bytes_max(1000);
    let mut client = Bench::with(Setup { bounds, ..Setup::default() }).client();
    assert_eq!(client.talk("SETRANGE p 990 0123456789").await, int(1000));
    for line in [
        "APPEND p x",
        "SETRANGE p 991 0123456789",
        "SETRANGE q 500000000 x",
        "SETBIT p 8000 1",
        "SETBIT q 4000000000 0",
    ] {
        assert_error(&client.talk(line).await, "REFUSED", "an entry may take 1000");
    }
    let reply = client.talk("SETRANGE q 536870912 x").await;
    assert_error(&reply, "ERR", "proto-max-bulk-len");
    assert_eq!(client.talk_all(&["STRLEN p", "EXISTS q"]).await, [int(1000), int(0)]);
}

#[tokio::test]
async fn reading_can_move_the_expiry_and_take_it_away() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk_all(&["SET p v", "GETEX p EX 10"]).await;
    assert_eq!(
        client.talk_all(&["TTL p", "GETEX p", "TTL p"]).await,
        [int(10), bulk("v"), int(10)]
    );
    assert_eq!(client.talk_all(&["GETEX p PERSIST", "TTL p"]).await, [bulk("v"), int(-1)]);
    assert_eq!(client.talk_all(&["GETEX p PXAT 1", "GET p"]).await, [bulk("v"), Reply::Null]);
    client.talk("PSETEX p 2 v").await;
    bench.clock.advance(3 * MS);
    assert_eq!(client.talk("GETEX p PERSIST").await, Reply::Null);
}

#[tokio::test]
async fn ends_are_told_by_the_calendar() {
    let bench = Bench::new();
    let mut client = bench.client();
    let now = ManualClock::WALL_START.as_secs() as i64;
    client.talk("SET p v EX 100").await;
    bench.clock.advance(30 * S);
    let replies = client.talk_all(&["EXPIRETIME p", "PEXPIRETIME p", "TTL p"]).await;
    assert_eq!(replies, [int(now + 100), int((now + 100) * 1000), int(70)]);
    let at = format!("PEXPIREAT p {}", (now + 200) * 1000 + 7);
    assert_eq!(
        client.talk_all(&[&at, "PEXPIRETIME p"]).await,
        [int(1), int((now + 200) * 1000 + 7)]
    );
    let replies = client.talk_all(&["PERSIST p", "EXPIRETIME p", "PEXPIRETIME none"]).await;
    assert_eq!(replies, [int(1), int(-1), int(-2)]);
    assert_eq!(client.talk_all(&["EXPIREAT p 1", "GET p"]).await, [int(1), Reply::Null]);
    // Of a declared key it is when what is held ends.
    client.talk("GET user:1").await;
    assert_eq!(
        client.talk_all(&["EXPIRETIME user:1", "EXPIRETIME user:2"]).await,
        [int(now + 40), int(-2)]
    );
}

#[tokio::test]
async fn several_keys_are_set_all_or_none() {
    let mut client = Bench::new().client();
    assert_eq!(client.talk("MSETNX a 1 b 2 a 3").await, int(1));
    assert_eq!(client.talk("MSETNX c 1 b 9").await, int(0));
    assert_eq!(
        client.talk("MGET a b c").await,
        Reply::Array(vec![bulk("3"), bulk("2"), Reply::Null])
    );
    assert_eq!(client.talk("MSET a 5 c 6").await, ok());
    assert_eq!(client.talk("MGET a b c").await, Reply::Array(["5", "2", "6"].map(bulk).to_vec()));
}

#[tokio::test]
async fn where_one_has_no_room_the_others_are_as_they_were() {
    let bounds = Bounds::bytes(1 << 20).entry_bytes_max(1000);
    let mut client = Bench::with(Setup { bounds, ..Setup::default() }).client();
    client.talk("LARDER.SET a old EX 100 TAGS t").await;
    for command in ["MSET", "MSETNX"] {
        // Keys are written in their order: the one that is too heavy comes last.
        let heavy = "x".repeat(2000);
        let request = match command {
            "MSET" => vec![command, "a", "1", "b", "2", "c", &heavy],
            _ => vec![command, "b", "2", "c", &heavy],
        };
        assert_error(&client.command(&request).await, "REFUSED", "an entry may take 1000");
        let replies = client.talk_all(&["GET a", "TTL a", "EXISTS b c"]).await;
        assert_eq!(replies, [bulk("old"), int(100), int(0)], "{command}");
    }
    // What was taken back has its tags again.
    client.talk("LARDER.INVALIDATE TAGS t").await;
    assert_eq!(client.talk("EXISTS a").await, int(0));
}

#[tokio::test]
async fn where_nothing_may_be_evicted_nothing_of_many_is_set() {
    let apart = (PolicyKind::Lru, Candidates::Expiring, Bounds::entries(3));
    let bench = Bench::with(Setup { plain_apart: Some(apart), ..Setup::default() });
    let mut client = bench.client();
    client.talk_all(&["SET a old", "SET x 1"]).await;
    for line in ["MSET a 1 b 1 c 1", "MSETNX b 1 c 1"] {
        assert_error(&client.talk(line).await, "OOM", "memory is full");
        assert_eq!(
            client.talk_all(&["GET a", "EXISTS b c"]).await,
            [bulk("old"), int(0)],
            "{line}"
        );
    }
    assert_eq!(client.talk_all(&["RENAME a z", "GET z"]).await, [ok(), bulk("old")]);
    client.talk("SET y 1").await;
    assert_error(&client.talk("COPY z w").await, "OOM", "memory is full");
}
