//! LARDER.SET: plain keys with tags.

use larder_core::terms::TAGS_MAX;
use larder_resp::codec::Reply;

use crate::common::{Bench, MS, S, assert_error, bulk, error, int, ok};

#[tokio::test]
async fn a_plain_key_is_forgotten_with_any_of_its_tags() {
    for line in ["LARDER.INVALIDATE TAGS a", "LARDER.INVALIDATE SOFT TAGS x b"] {
        let bench = Bench::new();
        let mut client = bench.client();
        assert_eq!(client.talk("LARDER.SET p v TAGS a b").await, ok());
        client.talk_all(&["LARDER.SET q v TAGS c", "SET r v"]).await;
        assert_eq!(client.talk("LARDER.INVALIDATE TAGS nobody").await, int(1));
        assert_eq!(client.talk("GET p").await, bulk("v"), "{line}");
        client.talk(line).await;
        let replies = client.talk_all(&["GET p", "EXISTS p q r", "TTL p", "STRLEN p"]).await;
        assert_eq!(replies, [Reply::Null, int(2), int(-2), int(0)], "{line}");
        assert_eq!(
            client.talk_all(&["KEYS p", "EXPIRE p 10"]).await,
            [Reply::Array(vec![]), int(0)]
        );
        // What is written anew stands.
        client.talk("LARDER.SET p w TAGS a b").await;
        assert_eq!(client.talk("GET p").await, bulk("w"), "{line}");
    }
}

#[tokio::test]
async fn what_is_made_of_a_tagged_key_has_its_tags_and_what_is_set_has_none() {
    for (line, key, forgotten) in [
        ("EXPIRE p 1000", "p", true),
        ("PERSIST p", "p", true),
        ("INCR p", "p", true),
        ("INCRBYFLOAT p 0.5", "p", true),
        ("APPEND p 1", "p", true),
        ("SETRANGE p 0 1", "p", true),
        ("GETEX p EX 1000", "p", true),
        ("RENAME p q", "q", true),
        ("RENAMENX p q", "q", true),
        ("COPY p q", "q", true),
        ("SET p 1", "p", false),
        ("SET p 1 KEEPTTL", "p", false),
        ("GETSET p 1", "p", false),
        ("MSET p 1", "p", false),
        ("LARDER.SET p 1", "p", false),
    ] {
        let bench = Bench::new();
        let mut client = bench.client();
        client.talk("LARDER.SET p 41 EX 100 TAGS t").await;
        client.talk(line).await;
        let exists = format!("EXISTS {key}");
        assert_eq!(client.talk(&exists).await, int(1), "{line}");
        client.talk("LARDER.INVALIDATE TAGS t").await;
        assert_eq!(client.talk(&exists).await, int(i64::from(!forgotten)), "{line}");
    }
}

#[tokio::test]
async fn a_write_to_a_key_that_a_tag_has_struck_begins_anew() {
    for (line, reply) in [
        ("INCR p", int(1)),
        ("APPEND p xy", int(2)),
        ("SETNX p v", int(1)),
        ("GETDEL p", Reply::Null),
    ] {
        let mut client = Bench::new().client();
        client.talk("LARDER.SET p 41 EX 100 TAGS t").await;
        client.talk("LARDER.INVALIDATE TAGS t").await;
        assert_eq!(client.talk(line).await, reply, "{line}");
        // And has neither the expiry of before nor the tag.
        client.talk("LARDER.INVALIDATE TAGS t").await;
        let expected = if line.starts_with("GETDEL") { -2 } else { -1 };
        assert_eq!(client.talk("TTL p").await, int(expected), "{line}");
    }
}

#[tokio::test]
async fn a_tagged_key_expires_in_its_time() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.talk_all(&["LARDER.SET p v EX 2 TAGS t", "LARDER.SET q v PX 2000"]).await;
    bench.clock.advance(2 * S);
    assert_eq!(client.talk("EXISTS p q").await, int(2));
    bench.clock.advance(MS);
    assert_eq!(client.talk("EXISTS p q").await, int(0));
}

#[tokio::test]
async fn a_token_given_out_after_a_tag_was_struck_fills() {
    let mut client = Bench::new().client();
    client.talk("LARDER.SET p old TAGS t").await;
    client.talk("LARDER.INVALIDATE TAGS t").await;
    let reply = client.talk("LARDER.GET p LEASE").await;
    let token = crate::common::text(crate::common::field(&reply, "token")).to_owned();
    assert_eq!(client.talk(&format!("LARDER.FILL p {token} new")).await, int(1));
    assert_eq!(client.talk("GET p").await, bulk("new"));
}

#[tokio::test]
async fn a_prefix_of_a_cache_spares_tagged_plain_keys() {
    let mut client = Bench::new().client();
    client.talk_all(&["LARDER.SET usage v TAGS t", "GET user:1"]).await;
    assert_eq!(client.talk("LARDER.INVALIDATE PREFIX us").await, int(1));
    assert_eq!(client.talk("GET usage").await, bulk("v"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_is_set() {
    let mut client = Bench::new().client();
    for line in [
        "LARDER.SET p v TAGS",
        "LARDER.SET p v EX 10 TAGS",
        "LARDER.SET p v NX",
        "LARDER.SET p v EX",
        "LARDER.SET p v EX 10 t",
        "LARDER.SET p v KEEPTTL",
    ] {
        assert_eq!(client.talk(line).await, error("ERR syntax error"), "{line}");
    }
    let reply = client.talk("LARDER.SET p v EX 0 TAGS t").await;
    assert_error(&reply, "ERR", "invalid expire time in 'larder.set' command");
    let tags = |count: usize| (0..count).map(|tag| format!(" t{tag}")).collect::<String>();
    let reply = client.talk(&format!("LARDER.SET p v TAGS{}", tags(TAGS_MAX + 1))).await;
    assert_error(&reply, "REFUSED", "at most 128 tags");
    assert_eq!(client.talk("EXISTS p").await, int(0));
    assert_eq!(client.talk(&format!("LARDER.SET p v TAGS{}", tags(TAGS_MAX))).await, ok());
}
