//! Plain keys that get other names, and how they are found.

use std::collections::BTreeMap;

use larder_resp::codec::Reply;

use crate::common::{Bench, Client, MS, S, Setup, assert_error, bulk, error, int, ok, text};

/// The keys of an array, sorted.
fn sorted(reply: &Reply) -> Vec<String> {
    let Reply::Array(keys) = reply else { panic!("no array: {reply:?}") };
    let mut keys: Vec<_> = keys.iter().map(|key| text(key).to_owned()).collect();
    keys.sort_unstable();
    keys
}

/// One SCAN: the next cursor, and the keys.
async fn scan(client: &mut Client, cursor: &str, rest: &str) -> (String, Vec<String>) {
    let Reply::Array(parts) = client.talk(&format!("SCAN {cursor} {rest}")).await else {
        panic!("no array")
    };
    (text(&parts[0]).to_owned(), sorted(&parts[1]))
}

#[tokio::test]
async fn a_key_is_renamed_with_its_expiry() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk_all(&["SET a 1 EX 10", "SET b 2 EX 99"]).await;
    assert_eq!(client.talk("RENAMENX a b").await, int(0));
    let replies = client.talk_all(&["RENAME a b", "GET b", "TTL b", "EXISTS a"]).await;
    assert_eq!(replies, [ok(), bulk("1"), int(10), int(0)]);
    assert_eq!(client.talk("RENAME a b").await, error("ERR no such key"));
    assert_eq!(client.talk("RENAMENX b a").await, int(1));
    bench.clock.advance(10 * S + MS);
    assert_eq!(client.talk("RENAME a a").await, error("ERR no such key"));
}

#[tokio::test]
async fn a_copy_is_a_key_of_its_own() {
    let mut client = Bench::new().client();
    client.talk("SET a 1 EX 10").await;
    assert_eq!(client.talk_all(&["COPY a b", "COPY a b", "COPY none b"]).await, [1, 0, 0].map(int));
    client.talk_all(&["INCR b", "PERSIST b"]).await;
    assert_eq!(
        client.talk_all(&["GET a", "TTL a", "GET b"]).await,
        [bulk("1"), int(10), bulk("2")]
    );
    assert_eq!(client.talk_all(&["COPY a b REPLACE", "TTL b"]).await, [int(1), int(10)]);
}

#[tokio::test]
async fn a_token_of_before_a_rename_fills_neither_key() {
    let mut client = Bench::new().client();
    client.talk("SET a 1").await;
    let reply = client.talk("LARDER.GET b LEASE").await;
    let token = text(crate::common::field(&reply, "token")).to_owned();
    client.talk_all(&["RENAME a b", "DEL b"]).await;
    assert_eq!(client.talk(&format!("LARDER.FILL b {token} old")).await, int(0));
}

#[tokio::test]
async fn only_plain_keys_are_found() {
    let mut client = Bench::new().client();
    client.talk_all(&["GET user:1", "GET note:a", "SET p v", "SET q v EX 1"]).await;
    assert_eq!(sorted(&client.talk("KEYS *").await), ["p", "q"]);
    assert_eq!(
        scan(&mut client, "0", "COUNT 100").await,
        ("0".into(), vec!["p".into(), "q".into()])
    );
    for _ in 0..20 {
        let drawn = client.talk("RANDOMKEY").await;
        assert!([bulk("p"), bulk("q")].contains(&drawn), "{drawn:?}");
    }
    client.talk("DEL p q").await;
    assert_eq!(
        client.talk_all(&["KEYS *", "RANDOMKEY"]).await,
        [Reply::Array(vec![]), Reply::Null]
    );
}

/// How likely a key is drawn depends on where its hash lies among the others. So eight servers are
/// asked, which hash differently: one of them doesn't draw a certain key with a probability of less
/// than 1 % (0.7 %, averaged over its places), and all eight miss any of 50 with less than 1e-14.
#[tokio::test]
async fn any_key_is_drawn_now_and_then() {
    let mut drawn = BTreeMap::new();
    for _ in 0..8 {
        let mut client = Bench::new().client();
        for key in 0..50 {
            client.talk(&format!("SET k{key} v")).await;
        }
        for _ in 0..1000 {
            let key = client.talk("RANDOMKEY").await;
            *drawn.entry(text(&key).to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(drawn.len(), 50, "{drawn:?}");
}

#[tokio::test]
async fn without_plain_keys_nothing_is_found() {
    let bench = Bench::with(Setup { with_plain: false, ..Setup::default() });
    let mut client = bench.client();
    client.talk("GET user:1").await;
    assert_eq!(
        client.talk_all(&["KEYS *", "RANDOMKEY"]).await,
        [Reply::Array(vec![]), Reply::Null]
    );
    assert_eq!(scan(&mut client, "0", "").await, ("0".into(), vec![]));
    assert_error(&client.talk("RENAME a b").await, "BADKEY", "switched off");
}

/// Between two calls keys come and go, so many that the table grows and shrinks, and the keys that
/// stay are written anew.
#[tokio::test]
async fn a_key_that_is_held_all_the_time_is_scanned_exactly_once() {
    let bench = Bench::new();
    let mut client = bench.client();
    let put = |prefix: &str, count: usize| -> Vec<String> {
        let pairs = (0..count).map(|key| format!(" {prefix}{key} v")).collect::<String>();
        vec![format!("MSET{pairs}")]
    };
    client.talk(&put("kept", 300)[0]).await;
    client.talk_all(&["GET user:1", "GET user:2"]).await;
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), BTreeMap::new(), 0);
    loop {
        let (next, keys) = scan(&mut client, &cursor, "MATCH kept* COUNT 20").await;
        keys.into_iter().for_each(|key| *seen.entry(key).or_insert(0) += 1);
        calls += 1;
        if next == "0" {
            break;
        }
        cursor = next;
        match calls % 2 {
            1 => client.talk(&put("other", 400 * calls)[0]).await,
            _ => {
                let others = (0..400 * calls).map(|key| format!(" other{key}")).collect::<String>();
                client.talk(&format!("DEL{others}")).await
            }
        };
        client.talk(&put("kept", 300)[0]).await;
    }
    assert!(calls > 5, "{calls}");
    assert_eq!((seen.len(), seen.values().max()), (300, Some(&1)));
}

#[tokio::test]
async fn a_scan_looks_at_no_more_than_ten_thousand_entries() {
    let mut client = Bench::new().client();
    for part in 0..12 {
        let pairs = (0..1000).map(|key| format!(" {part}:{key} v")).collect::<String>();
        client.talk(&format!("MSET{pairs}")).await;
    }
    let (next, keys) = scan(&mut client, "0", "COUNT 1000000").await;
    assert!((10_000..10_100).contains(&keys.len()), "{}", keys.len());
    let (end, rest) = scan(&mut client, &next, "COUNT 1000000").await;
    assert_eq!((end.as_str(), keys.len() + rest.len()), ("0", 12_000));
    // A cursor from nowhere is the end, or some place.
    assert_eq!(scan(&mut client, "18446744073709551615", "").await, ("0".into(), vec![]));
}
