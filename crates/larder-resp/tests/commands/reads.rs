//! GET, MGET, EXISTS, STRLEN, TYPE, TTL, PTTL.

use larder_core::{ErrorKind, Key};
use larder_engine::GuardBounds;
use larder_resp::codec::Reply;

use crate::common::{Bench, Client, MS, S, Setup, assert_error, bulk, field, int, ok, row, simple};

#[tokio::test]
async fn a_declared_key_is_loaded_through_once() {
    for (command, reply) in [
        ("GET", row("user:1")),
        ("EXISTS", int(1)),
        ("STRLEN", int("row of user:1".len() as i64)),
        ("TYPE", simple("string")),
        ("MGET", Reply::Array(vec![row("user:1")])),
    ] {
        let bench = Bench::new();
        let mut client = bench.client();
        for _ in 0..3 {
            assert_eq!(client.talk(&format!("{command} user:1")).await, reply, "{command}");
        }
        assert_eq!((bench.users().loads_of(&"user:1".into()), client.waits), (1, 1), "{command}");
    }
}

#[tokio::test]
async fn an_absent_row_is_asked_for_once_and_is_no_key() {
    let bench = Bench::new();
    let mut client = bench.client();
    for _ in 0..2 {
        assert_eq!(client.talk("GET user:1000").await, Reply::Null);
        assert_eq!(client.talk("EXISTS user:1000").await, int(0));
        assert_eq!(client.talk("STRLEN user:1000").await, int(0));
        assert_eq!(client.talk("TYPE user:1000").await, simple("none"));
        assert_eq!(client.talk("MGET user:1000").await, Reply::Array(vec![Reply::Null]));
    }
    assert_eq!(bench.questions(), 1);
}

#[tokio::test]
async fn the_row_is_asked_for_again_when_the_promise_has_run_out() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.talk("GET user:1").await, row("user:1"));
    bench.users().remove("user:1".into());
    bench.clock.advance(10 * S);
    assert_eq!(client.talk("GET user:1").await, row("user:1"));
    bench.clock.advance(MS);
    assert_eq!(client.talk("GET user:1").await, Reply::Null);
}

#[tokio::test]
async fn plain_keys_are_read_without_a_source() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.talk("GET p").await, Reply::Null);
    assert_eq!(client.talk("TYPE p").await, simple("none"));
    assert_eq!(client.talk("STRLEN p").await, int(0));
    assert_eq!(client.talk("SET p abc").await, ok());
    assert_eq!(client.talk("GET p").await, bulk("abc"));
    assert_eq!(client.talk("TYPE p").await, simple("string"));
    assert_eq!(client.talk("STRLEN p").await, int(3));
    assert_eq!(client.talk("EXISTS p q p").await, int(2));
    let binary = Reply::Bulk(vec![0, 255, b'\r', b'\n'].into());
    assert_eq!(client.command(&[&b"SET"[..], b"\xff\0", b"\0\xff\r\n"]).await, ok());
    assert_eq!(client.command(&[&b"GET"[..], b"\xff\0"]).await, binary);
    assert_eq!(client.command(&["SET", "", ""]).await, ok());
    assert_eq!(client.command(&["GET", ""]).await, bulk(""));
    assert_eq!((bench.questions(), client.waits), (0, 0));
}

#[tokio::test]
async fn mget_asks_each_cache_once_for_what_is_missing() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk_all(&["GET user:2", "SET p plain"]).await;
    let keys = "user:1 note:a user:2 p user:1 user:1000 nothing user:3 note:b";
    let reply = Reply::Array(vec![
        row("user:1"),
        row("note:a"),
        row("user:2"),
        bulk("plain"),
        row("user:1"),
        Reply::Null,
        Reply::Null,
        row("user:3"),
        row("note:b"),
    ]);
    assert_eq!(client.talk(&format!("MGET {keys}")).await, reply);
    assert_eq!((bench.users().batches(), bench.notes().batches()), (vec![3], vec![2]));
    assert_eq!(bench.users().loads(), 1);
    assert_eq!(client.talk(&format!("MGET {keys}")).await, reply);
    assert_eq!(client.talk(&format!("EXISTS {keys}")).await, int(7));
    assert_eq!(bench.questions(), 3);
}

#[tokio::test]
async fn pipelined_reads_of_cold_keys_are_one_question() {
    let bench = Bench::new();
    let mut client = bench.client();
    let lines: Vec<_> = (1..=16).map(|id| format!("GET user:{id}")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let rows: Vec<_> = (1..=16).map(|id| row(&format!("user:{id}"))).collect();
    assert_eq!(client.talk_all(&lines).await, rows);
    assert_eq!((bench.users().batches(), bench.questions(), client.waits), (vec![16], 1, 1));
    assert_eq!(client.talk_all(&lines).await, rows);
    assert_eq!((bench.questions(), client.waits), (1, 1));
}

#[tokio::test]
async fn all_commands_that_read_are_gathered() {
    let bench = Bench::new();
    let mut client = bench.client();
    let replies = client
        .talk_all(&[
            "SET p v",
            "GET user:1",
            "GET p",
            "STRLEN user:2",
            "TYPE user:3",
            "EXISTS user:4 user:5",
            "GET p q",
            "MGET user:6 p",
            "GET user:x",
            "LARDER.GET user:7",
        ])
        .await;
    assert_eq!(replies[1..5], [row("user:1"), bulk("v"), int(13), simple("string")]);
    assert_eq!(replies[5], int(2));
    assert_error(&replies[6], "ERR", "wrong number of arguments for 'get' command");
    assert_eq!(replies[7], Reply::Array(vec![row("user:6"), bulk("v")]));
    assert_error(&replies[8], "BADKEY", "user:x");
    assert_eq!(field(&replies[9], "value"), &row("user:7"));
    assert_eq!((bench.users().batches(), client.waits), (vec![7], 1));
}

#[tokio::test]
async fn more_than_is_gathered_at_once_is_gathered_twice() {
    let bench = Bench::new();
    let mut client = bench.client();
    let ids = (1001..=2026).filter(|id| *id != 2000);
    let gets: Vec<_> = ids.map(|id| vec!["GET".to_owned(), format!("user:{id}")]).collect();
    let rows: Vec<_> = gets.iter().map(|get| row(&get[1])).collect();
    assert_eq!(client.pipeline(&gets).await, rows);
    assert_eq!(client.waits, 2);
    // So are keys: one command goes beyond the limit, the next one waits.
    let mget = |from: usize| {
        let keys = (0..1000).map(|id| format!("note:{}", from + id));
        std::iter::once("MGET".to_owned()).chain(keys).collect::<Vec<_>>()
    };
    client.waits = 0;
    assert_eq!(client.pipeline(&[mget(1), mget(1001), mget(2001)]).await.len(), 3);
    assert_eq!(client.waits, 2);
    assert_eq!(bench.notes().batches().iter().sum::<usize>(), 3000);
}

#[tokio::test]
async fn a_load_that_fails_is_an_error_of_its_kind() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.talk("GET user:2").await, row("user:2"));
    bench.users().fail(ErrorKind::SourceDown);
    for line in ["GET user:1", "MGET user:2 note:a user:1", "EXISTS user:1", "LARDER.GET user:1"] {
        assert_error(&client.talk(line).await, "SOURCEDOWN", "the test said so");
    }
    assert_eq!(client.talk("GET user:2").await, row("user:2"));
    bench.users().succeed();
    assert_eq!(client.talk("GET user:1").await, row("user:1"));
}

#[tokio::test]
async fn a_shed_read_says_when_to_come_back() {
    let guard = GuardBounds { loads_max: 1, loads_waiting_max: 0, breaker: None };
    let bench = Bench::with(Setup { guard, ..Setup::default() });
    bench.users().close();
    let mut first = bench.client();
    let waiting = tokio::spawn(async move { first.talk("GET user:1").await });
    bench.users().until_waiting(1).await;
    let reply = bench.client().talk("GET user:2").await;
    assert_error(&reply, "SHED", "; retry after 10 ms");
    bench.users().open();
    assert_eq!(waiting.await.unwrap(), row("user:1"));
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_a_timeout() {
    let bench = Bench::new();
    bench.users().close();
    let mut client = bench.client();
    let waiting = tokio::spawn(async move { client.talk_all(&["GET user:1", "PING"]).await });
    bench.users().until_waiting(1).await;
    bench.clock.until_sleepers(1).await;
    bench.clock.advance(10 * S);
    let replies = waiting.await.unwrap();
    assert_error(&replies[0], "TIMEOUT", "user");
    assert_eq!(replies[1], simple("PONG"));
}

#[tokio::test]
async fn a_load_that_began_before_the_change_is_not_what_is_read_after_it() {
    let bench = Bench::new();
    let key = Key::from("user:1");
    bench.users().close();
    let mut early = bench.client();
    let early = tokio::spawn(async move { early.talk("GET user:1").await });
    bench.users().until_waiting(1).await;
    bench.users().remove(key.clone());
    let mut client = bench.client();
    assert_eq!(client.talk("DEL user:1").await, int(0));
    bench.users().open();
    assert_eq!(client.talk("GET user:1").await, Reply::Null);
    assert_eq!(early.await.unwrap(), Reply::Null);
    assert_eq!(client.talk("GET user:1").await, Reply::Null);
}

#[tokio::test]
async fn ttl_tells_for_how_long_a_declared_key_is_held() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.talk_all(&["TTL user:1", "PTTL user:1"]).await, [int(-2), int(-2)]);
    assert_eq!(bench.questions(), 0);
    client.talk_all(&["GET user:1", "GET user:1000"]).await;
    assert_eq!(client.talk_all(&["TTL user:1", "PTTL user:1"]).await, [int(10), int(10_000)]);
    assert_eq!(client.talk_all(&["TTL user:1000", "PTTL user:1000"]).await, [int(-2), int(-2)]);
    bench.clock.advance(4 * S + 501 * MS);
    assert_eq!(client.talk_all(&["TTL user:1", "PTTL user:1"]).await, [int(5), int(5499)]);
    bench.clock.advance(5499 * MS);
    assert_eq!(client.talk_all(&["TTL user:1", "PTTL user:1"]).await, [int(0), int(0)]);
    bench.clock.advance(MS);
    assert_eq!(client.talk_all(&["TTL user:1", "PTTL user:1"]).await, [int(-2), int(-2)]);
    client.talk_all(&["GET user:1", "DEL user:1"]).await;
    assert_eq!(client.talk_all(&["TTL user:1", "PTTL user:1"]).await, [int(-2), int(-2)]);
}

#[tokio::test]
async fn ttl_behind_a_cold_read_tells_of_what_that_read_loaded() {
    let bench = Bench::new();
    let mut client = bench.client();
    let replies = client.talk_all(&["GET user:1", "TTL user:1", "GET user:2", "PTTL user:2"]).await;
    assert_eq!(replies, [row("user:1"), int(10), row("user:2"), int(10_000)]);
}

#[tokio::test]
async fn ttl_of_a_plain_key_is_what_was_set() {
    let bench = Bench::new();
    let mut client = bench.client();
    let ttls = async |client: &mut Client| {
        let replies = client.talk_all(&["TTL p", "PTTL p"]).await;
        (replies[0].clone(), replies[1].clone())
    };
    assert_eq!(ttls(&mut client).await, (int(-2), int(-2)));
    client.talk("SET p v").await;
    assert_eq!(ttls(&mut client).await, (int(-1), int(-1)));
    client.talk("SET p v PX 1500").await;
    assert_eq!(ttls(&mut client).await, (int(2), int(1500)));
    bench.clock.advance(MS);
    assert_eq!(ttls(&mut client).await, (int(1), int(1499)));
    bench.clock.advance(MS / 2);
    assert_eq!(ttls(&mut client).await, (int(1), int(1499)));
    bench.clock.advance(1499 * MS - MS / 2);
    assert_eq!(ttls(&mut client).await, (int(0), int(0)));
    assert_eq!(client.talk("GET p").await, bulk("v"));
    bench.clock.advance(MS);
    assert_eq!(ttls(&mut client).await, (int(-2), int(-2)));
    assert_eq!(client.talk("GET p").await, Reply::Null);
}

#[tokio::test]
async fn an_mget_of_too_many_bytes_is_refused() {
    let bench = Bench::new();
    let mut client = bench.client();
    let value = "x".repeat(1_000_000);
    client.command(&["SET", "p", &value]).await;
    let mget = |count| [vec!["MGET"], vec!["p"; count]].concat();
    let refused = client.command(&mget(537)).await;
    assert_error(&refused, "REFUSED", "537000000 bytes and one MGET may return 536870912");
    let Reply::Array(values) = client.command(&mget(3)).await else { panic!("it is refused") };
    assert_eq!(values, vec![bulk(&value); 3]);
}
