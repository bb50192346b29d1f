//! Keys of any bytes on a real Memcached, which takes few.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod common;

use std::io::{Read, Write};

use common::*;
use larder_core::shared::{Invalidation, SharedFill, SharedRead};
use larder_core::{ErrorKind, SharedTier};
use larder_test::Memcached;

fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = ["", " ", "a b", "a\r\nflush_all\r\n", "Zoë", "user:42", "\0"]
        .map(|key| key.as_bytes().to_vec())
        .into();
    keys.push((0..=255).collect());
    // Around where a name gets too long, plain and in Base64; the namespace has 7 bytes.
    for length in [178, 179, 180, 181, 182, 242, 243, 244, 245, 1_000, 64 << 10] {
        keys.push(vec![b'k'; length]);
        keys.push(vec![b' '; length]);
    }
    keys
}

#[tokio::test]
async fn keys_of_any_bytes_are_filled_read_marked_and_dropped_apart() {
    let server = Memcached::start();
    let tier = tier(&server);
    let keys = keys();
    for (stamp, key) in keys.iter().enumerate() {
        put(&tier, key, stamp as u64).await;
    }
    let all: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let read = tier.get_many(&all).await;
    for (stamp, entry) in read.into_iter().enumerate() {
        assert_eq!(text(&entry.unwrap().unwrap()), format!("value {stamp}"));
    }
    for (at, key) in keys.iter().enumerate() {
        invalidate(&tier, key, Invalidation::MarkStale).await;
        let (_, lease) = stale(ask(&tier, key).await);
        assert_eq!(fill(&tier, key, &lease, 1_000).await, SharedFill::Stored);
        invalidate(&tier, key, Invalidation::Drop).await;
        let held = tier.get_many(&all).await;
        let held = held.iter().filter(|entry| matches!(entry, Ok(Some(_)))).count();
        assert_eq!(held, keys.len() - at - 1, "only the one was dropped");
    }
}

#[tokio::test]
async fn a_key_that_is_too_long_is_an_error_of_its_own() {
    let server = Memcached::start();
    let tier = tier(&server);
    let long = vec![b'k'; (64 << 10) + 1];
    put(&tier, b"short", 1).await;
    let read = tier.get_many(&[b"short", &long, b"other"]).await;
    assert!(matches!(&read[0], Ok(Some(_))) && matches!(&read[2], Ok(None)));
    assert_eq!(read[1].as_ref().unwrap_err().kind(), ErrorKind::BadKey);
    let error = tier.invalidate(&[b"short", &long], Invalidation::Drop, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadKey);
    assert_eq!(get(&tier, b"short").await, None);
}

/// Whoever finds two long keys with one hash gets loads for them, and never a wrong value.
#[tokio::test]
async fn an_entry_of_a_key_with_the_same_hash_is_not_taken_for_this_ones() {
    let server = Memcached::start();
    let tier = tier(&server);
    let key = [b'k'; 300];
    put(&tier, &key, 1).await;
    // As a test of names pins it.
    let name = "larder#36bcc013fe887f0e72a58fe7b9469856";
    assert_ne!(server.ask(&format!("mg {name}")), "EN");
    // The data of another long key, as its fill would leave it.
    let other = [&[0, 0, 1, 44][..], &[b'o'; 300], &envelope(2, "wrong")].concat();
    for is_stale in [false, true] {
        let mut request = format!("ms {name} {} F1 T600\r\n", other.len()).into_bytes();
        request.extend_from_slice(&other);
        raw(&server, &request);
        if is_stale {
            assert_eq!(server.ask(&format!("md {name} I")), "HD");
        }
        assert_eq!(get(&tier, &key).await, None);
        let SharedRead::Miss(lease) = ask(&tier, &key).await else { panic!("no miss") };
        assert_eq!(fill(&tier, &key, &lease, 3).await, SharedFill::Stored);
        assert_eq!(text(&get(&tier, &key).await.unwrap()), "value 3");
    }
}

/// Sends one request of any bytes.
fn raw(server: &Memcached, request: &[u8]) {
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.write_all(request).unwrap();
    stream.write_all(b"\r\n").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HD\r\n");
}

#[tokio::test]
async fn what_others_store_under_our_names_gives_way() {
    let server = Memcached::start();
    let tier = tier(&server);
    assert_eq!(server.ask("ms larder:key 7\r\nforeign"), "HD");
    assert_eq!(get(&tier, b"key").await, None);
    put(&tier, b"key", 1).await;
    assert_eq!(text(&get(&tier, b"key").await.unwrap()), "value 1");
}

#[tokio::test]
async fn namespaces_are_apart() {
    let server = Memcached::start();
    let one = tier_with(&server, |options| options.namespace = "one".into());
    let other = tier_with(&server, |options| options.namespace = "other".into());
    for key in [&b"key"[..], b"a key", &[b'k'; 300]] {
        put(&one, key, 1).await;
        assert_eq!(get(&other, key).await, None);
        put(&other, key, 2).await;
        invalidate(&one, key, Invalidation::Drop).await;
        assert_eq!(text(&get(&other, key).await.unwrap()), "value 2");
    }
}
