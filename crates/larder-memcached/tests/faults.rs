//! What a real Memcached does to a tier: it is killed, restarted, paused and filled up; and what
//! it can't be used for.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use futures_util::future::join_all;
use larder_core::shared::{Invalidation, LeaseAsk, SharedFill, SharedRead};
use larder_core::{ErrorKind, SharedTier};
use larder_memcached::{MemcachedOptions, MemcachedTier};
use larder_test::Memcached;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const KEY: &[u8] = b"user:42";

fn is_down(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::SharedDown | ErrorKind::Timeout)
}

/// CAS numbers begin again at 1, so the number of the old lease is that of the new one.
#[tokio::test]
async fn a_lease_from_before_a_restart_fills_nothing_after_it() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    let old = miss(&one, KEY).await;
    let number =
        |answer: String| answer.split(' ').find(|word| word.starts_with('c')).map(str::to_owned);
    let before = number(server.ask("mg larder:user:42 c"));
    server.kill();
    server.restart();
    let new = eventually("it is back", async || match try_ask(&other, KEY, None, LEASE).await {
        Ok(SharedRead::Miss(lease)) => Some(lease),
        _ => None,
    })
    .await;
    assert_eq!(number(server.ask("mg larder:user:42 c")), before, "else this shows nothing");
    // With no connection, and with a new one.
    assert_eq!(fill(&one, KEY, &old, 1).await, SharedFill::Refused);
    eventually("it is back", async || try_get(&one, b"other").await.ok()).await;
    assert_eq!(fill(&one, KEY, &old, 1).await, SharedFill::Refused);
    assert!(!one.extend(KEY, &old, LEASE).await.unwrap());
    one.release(KEY, &old).await.unwrap();
    assert_eq!(get(&one, KEY).await, None);
    assert_eq!(fill(&other, KEY, &new, 2).await, SharedFill::Stored);
}

#[tokio::test]
async fn a_server_that_is_down_fails_fast_and_is_used_again_when_it_is_back() {
    let server = Memcached::start();
    let tier = tier(&server);
    put(&tier, KEY, 1).await;
    tier.probe().await.unwrap();
    server.kill();
    let start = Instant::now();
    for _ in 0..100 {
        assert!(is_down(try_get(&tier, KEY).await.unwrap_err().kind()));
        assert!(is_down(try_ask(&tier, KEY, None, LEASE).await.unwrap_err().kind()));
        let invalidated = tier.invalidate(&[KEY], Invalidation::Drop, None).await;
        assert!(is_down(invalidated.unwrap_err().kind()));
    }
    assert_eq!(tier.probe().await.unwrap_err().kind(), ErrorKind::SharedDown);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    server.restart();
    tier.probe().await.unwrap();
    eventually("it is used again", async || try_get(&tier, KEY).await.ok()).await;
    put(&tier, KEY, 2).await;
}

#[tokio::test]
async fn a_paused_server_fails_within_the_answer_timeout_and_answers_after_it_is_resumed() {
    let server = Memcached::start();
    let tier = tier_with(&server, |options| options.answer_timeout = Duration::from_millis(300));
    put(&tier, KEY, 1).await;
    server.pause();
    let start = Instant::now();
    assert!(is_down(try_get(&tier, KEY).await.unwrap_err().kind()));
    assert!(is_down(tier.probe().await.unwrap_err().kind()));
    assert!(start.elapsed() < Duration::from_secs(3));
    server.resume();
    let entry = eventually("it answers", async || try_get(&tier, KEY).await.ok()).await;
    assert_eq!(text(&entry.unwrap()), "value 1");
}

/// What the server had received before the pause, it does after it: the fill finds its lease
/// voided by whoever came first.
#[tokio::test]
async fn a_fill_that_arrives_after_an_invalidation_stores_nothing() {
    let server = Memcached::start();
    let writer = tier_with(&server, |options| options.answer_timeout = Duration::from_secs(30));
    let reader = Arc::new(tier(&server));
    get(&writer, KEY).await;
    let lease = miss(&reader, KEY).await;
    server.pause();
    let invalidating = tokio::spawn(async move {
        invalidate(&writer, KEY, Invalidation::Drop).await;
    });
    // The reader gives up, and its fill is on its way all the same.
    let filled = reader.fill(KEY, &lease, envelope(1, "old"), LIFETIME).await;
    assert!(is_down(filled.unwrap_err().kind()));
    server.resume();
    invalidating.await.unwrap();
    let entry = eventually("it answers", async || try_get(&reader, KEY).await.ok()).await;
    // Either order is right; what is never right is the old value after the invalidation.
    assert_eq!(entry, None);
}

#[tokio::test]
async fn more_calls_than_wait_in_line_end_in_time_and_the_rest_go_on() {
    let server = Memcached::start();
    let tier = tier_with(&server, |options| options.answer_timeout = Duration::from_secs(2));
    put(&tier, KEY, 1).await;
    server.pause();
    let start = Instant::now();
    let reads = join_all((0..6_000).map(|_| try_get(&tier, KEY))).await;
    assert!(reads.iter().all(|read| read.as_ref().is_err_and(|error| is_down(error.kind()))));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    server.resume();
    eventually("it answers", async || try_get(&tier, KEY).await.ok()).await;
    let reads = join_all((0..2_000).map(|_| try_get(&tier, KEY))).await;
    assert!(reads.iter().all(|read| matches!(read, Ok(Some(_)))));
}

#[tokio::test]
async fn what_a_full_server_evicts_costs_loads_and_voids_leases() {
    let server = Memcached::start_with(&["-m", "1", "-I", "512k"]);
    let tier = tier(&server);
    let lease = miss(&tier, KEY).await;
    let value = |stamp: u64| envelope(stamp, vec![stamp as u8; 100_000]);
    for stamp in 0..200_u64 {
        let key = stamp.to_be_bytes();
        let lease = miss(&tier, &key).await;
        match tier.fill(&key, &lease, value(stamp), LIFETIME).await {
            Ok(SharedFill::Stored | SharedFill::Refused) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::NoRoom, "{error:?}"),
        }
    }
    let mut held = 0;
    for stamp in 0..200_u64 {
        if let Some(entry) = get(&tier, &stamp.to_be_bytes()).await {
            assert_eq!(entry.envelope, value(stamp));
            held += 1;
        }
    }
    assert!((1..150).contains(&held), "{held} of 20 MB are held in 1 MB");
    // Small items are evicted by small ones. Looking in this way doesn't count as use.
    for stamp in 0..2_000_u64 {
        if server.ask("me larder:user:42") == "EN" {
            break;
        }
        let keys: Vec<_> = (0..200).map(|at| (1_000 + 200 * stamp + at).to_be_bytes()).collect();
        let asks: Vec<_> = keys.iter().map(|key| LeaseAsk { key, seen: None }).collect();
        tier.lease_many(&asks, LEASE).await;
    }
    assert_eq!(server.ask("me larder:user:42"), "EN", "its stub was evicted");
    assert_eq!(fill(&tier, KEY, &lease, 1).await, SharedFill::Refused);
}

#[tokio::test]
async fn a_full_server_that_may_not_evict_has_no_room_and_takes_invalidations() {
    let server = Memcached::start_with(&["-m", "1", "-I", "512k", "-M"]);
    let tier = tier(&server);
    let mut kinds = Vec::new();
    for stamp in 0..100_u64 {
        let key = stamp.to_be_bytes();
        let read = try_ask(&tier, &key, None, LEASE).await;
        let filled = match read {
            Ok(SharedRead::Miss(lease)) => {
                tier.fill(&key, &lease, envelope(stamp, [0; 100_000]), LIFETIME).await.err()
            }
            Ok(other) => panic!("expected a miss: {other:?}"),
            Err(error) => Some(error),
        };
        kinds.extend(filled.map(|error| error.kind()));
    }
    assert!(!kinds.is_empty() && kinds.iter().all(|&kind| kind == ErrorKind::NoRoom), "{kinds:?}");
    assert!(get(&tier, &0_u64.to_be_bytes()).await.is_some());
    for stamp in 0..100_u64 {
        invalidate(&tier, &stamp.to_be_bytes(), Invalidation::Drop).await;
    }
    put(&tier, KEY, 1).await;
}

#[tokio::test]
async fn an_envelope_is_as_long_as_the_server_takes_it_and_a_longer_one_is_refused() {
    for (args, least) in [(&[][..], 1_000_000), (&["-I", "2m"], 2_000_000)] {
        let server = Memcached::start_with(args);
        let tier = tier(&server);
        put(&tier, KEY, 1).await;
        let bytes_max = tier.abilities().envelope_bytes_max;
        assert!(bytes_max > least && bytes_max < least * 21 / 20, "{bytes_max}");
        let overhead = envelope(1, "").len();
        // The name is as long as it can be; then the key stands in the data.
        for (key, bytes) in [(vec![b'k'; 243], bytes_max), (vec![b'k'; 1_000], bytes_max - 1_004)] {
            let lease = miss(&tier, &key).await;
            let long = envelope(1, vec![7; bytes - overhead]);
            let filled = tier.fill(&key, &lease, long.clone(), LIFETIME).await.unwrap();
            assert_eq!(filled, SharedFill::Stored);
            assert_eq!(get(&tier, &key).await.unwrap().envelope, long);
            invalidate(&tier, &key, Invalidation::Drop).await;

            let lease = miss(&tier, &key).await;
            let longer = envelope(1, vec![7; bytes - overhead + 1]);
            let error = tier.fill(&key, &lease, longer, LIFETIME).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
            assert!(error.to_string().contains("-I"));
            miss(&tier, &key).await;
        }
    }
}

#[tokio::test]
async fn what_a_server_takes_is_known_with_the_first_lease() {
    let server = Memcached::start_with(&["-I", "512k"]);
    let tier = tier(&server);
    assert!(tier.abilities().envelope_bytes_max > 1_000_000);
    let lease = miss(&tier, KEY).await;
    assert!(tier.abilities().envelope_bytes_max < 524_288);
    let error = tier.fill(KEY, &lease, envelope(1, [0; 524_288]), LIFETIME).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

/// To such a server the number of every lease is "any".
#[tokio::test]
async fn a_server_without_cas_gives_no_leases() {
    let server = Memcached::start_with(&["-C"]);
    let tier = tier(&server);
    let error = try_ask(&tier, KEY, None, LEASE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("-C"));
}

#[tokio::test]
async fn nobody_there_is_an_error_and_no_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let tier = on(&address.to_string());
    assert_eq!(try_get(&tier, KEY).await.unwrap_err().kind(), ErrorKind::SharedDown);
    assert_eq!(tier.probe().await.unwrap_err().kind(), ErrorKind::SharedDown);
}

fn on(address: &str) -> MemcachedTier {
    let options = MemcachedOptions::new(&format!("memcached://{address}")).unwrap();
    MemcachedTier::connect(options).unwrap()
}

/// A server that answers whatever it is sent with `answer`, on each connection anew.
async fn fake(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut received = [0; 1024];
            if stream.read(&mut received).await.is_ok() {
                // Who has gone needs no answer.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            let _ = stream.read(&mut received).await;
        }
    });
    address
}

#[tokio::test]
async fn what_is_no_fitting_memcached_says_so() {
    let settings = "STAT item_size_max 1048576\r\nEND\r\n";
    for (answer, kind, words) in [
        ("+PONG\r\n", ErrorKind::SharedDown, "understood"),
        ("ERROR Too many open connections\r\n", ErrorKind::SharedDown, "Too many"),
        ("ERROR\r\n", ErrorKind::Config, "META"),
        ("CLIENT_ERROR unauthenticated\r\n", ErrorKind::Refused, "unauthenticated"),
        ("STAT time 1800000000\r\nSTAT version 1.6.9\r\nEND\r\n", ErrorKind::Config, "too old"),
        ("STAT time 1000\r\nEND\r\n", ErrorKind::Config, "1970"),
        ("STAT memory_file /dev/shm/m\r\nEND\r\n", ErrorKind::Config, "-e"),
        ("STAT pid 1\r\nEND\r\n", ErrorKind::Config, "what time"),
        ("HD\r\n", ErrorKind::SharedDown, "something else"),
    ] {
        // The first answer is to what the connection asks for itself.
        let needs_settings = answer.starts_with("STAT") || answer.starts_with("HD");
        let answer: &str = match needs_settings {
            true => String::leak(format!("{settings}{answer}")),
            false => answer,
        };
        let tier = on(&fake(answer).await);
        let error = try_ask(&tier, KEY, None, LEASE).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{answer}");
        assert!(error.chain().contains(words), "{answer}: {}", error.chain());
    }
}
