//! Leases on a real Memcached: who gets them, what voids them, and what is held meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod common;

use std::time::Duration;

use common::*;
use futures_util::future::join_all;
use larder_core::shared::{Incarnation, Invalidation, Lease, LeaseAsk, SharedFill, SharedRead};
use larder_core::{ErrorKind, SharedTier};
use larder_test::Memcached;

const KEY: &[u8] = b"user:42";

#[tokio::test]
async fn who_misses_first_gets_the_lease_and_the_next_is_turned_away_until_it_is_filled() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    assert_eq!(get(&one, KEY).await, None);
    let lease = miss(&one, KEY).await;
    let SharedRead::Busy { retry_after, stale: None } = ask(&other, KEY).await else {
        panic!("the other was not turned away")
    };
    assert!(retry_after <= LEASE + Duration::from_secs(2) && retry_after > LEASE / 2);
    assert_eq!(get(&other, KEY).await, None);
    assert_eq!(fill(&one, KEY, &lease, 7).await, SharedFill::Stored);
    let SharedRead::Hit(entry) = ask(&other, KEY).await else { panic!("no hit") };
    assert_eq!((entry.envelope.clone(), is_stale(&entry)), (envelope(7, "value 7"), false));
    assert_eq!(entry.incarnation, Incarnation(0));
    let read = get(&other, KEY).await.unwrap();
    assert_eq!(read.envelope, entry.envelope);
    assert_eq!(fill(&one, KEY, &lease, 8).await, SharedFill::Refused, "a lease fills once");
}

#[tokio::test]
async fn of_many_who_race_one_gets_the_lease() {
    let server = Memcached::start();
    let tiers: Vec<_> = (0..4).map(|_| tier(&server)).collect();
    for round in 0..20_u32 {
        let key = round.to_be_bytes();
        let asks = (0..40).map(|at: usize| ask(&tiers[at % tiers.len()], &key));
        let reads = join_all(asks).await;
        let missed = reads.iter().filter(|read| matches!(read, SharedRead::Miss(_))).count();
        let busy = reads.iter().filter(|read| matches!(read, SharedRead::Busy { .. })).count();
        assert_eq!((missed, busy), (1, 39));
    }
}

#[tokio::test]
async fn an_invalidation_voids_the_lease_of_a_key_that_is_not_held() {
    let server = Memcached::start();
    let (reader, writer) = (tier(&server), tier(&server));
    for strike in [Invalidation::Drop, Invalidation::MarkStale] {
        let short = try_ask(&reader, KEY, None, Duration::from_secs(5)).await.unwrap();
        let SharedRead::Miss(lease) = short else { panic!("no miss") };
        invalidate(&writer, KEY, strike).await;
        assert_eq!(fill(&reader, KEY, &lease, 1).await, SharedFill::Refused, "{strike:?}");
        assert_eq!(get(&reader, KEY).await, None);
        // The next lease is a whole one, whatever was left of the void one.
        let lease = miss(&reader, KEY).await;
        let SharedRead::Busy { retry_after, .. } = ask(&writer, KEY).await else {
            panic!("the other was not turned away")
        };
        assert!(retry_after > LEASE / 2, "{retry_after:?}");
        assert_eq!(fill(&reader, KEY, &lease, 2).await, SharedFill::Stored);
        invalidate(&writer, KEY, Invalidation::Drop).await;
        assert_eq!(get(&reader, KEY).await, None);
    }
}

#[tokio::test]
async fn invalidating_what_was_never_there_succeeds() {
    let server = Memcached::start();
    let tier = tier(&server);
    for strike in [Invalidation::Drop, Invalidation::MarkStale] {
        let keys: [&[u8]; 3] = [b"a", b"b b", b"c"];
        assert_eq!(tier.invalidate(&keys, strike, Some("news".into())).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_marked_stale_is_held_and_one_may_refresh_it() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    put(&one, KEY, 1).await;
    let before = get(&one, KEY).await.unwrap().remaining;
    invalidate(&other, KEY, Invalidation::MarkStale).await;
    let entry = get(&one, KEY).await.unwrap();
    assert!(is_stale(&entry) && text(&entry) == "value 1");
    assert!(entry.remaining <= before, "marking makes nothing younger");

    let (entry, lease) = stale(ask(&one, KEY).await);
    assert!(is_stale(&entry) && text(&entry) == "value 1");
    let SharedRead::Busy { retry_after, stale: Some(kept) } = ask(&other, KEY).await else {
        panic!("the other was not turned away with what is held")
    };
    assert!(is_stale(&kept) && retry_after <= LEASE);
    assert_eq!(fill(&one, KEY, &lease, 2).await, SharedFill::Stored);
    let SharedRead::Hit(entry) = ask(&other, KEY).await else { panic!("no hit") };
    assert!(!is_stale(&entry) && text(&entry) == "value 2");
}

#[tokio::test]
async fn marking_stale_again_voids_the_lease_over_what_is_stale() {
    let server = Memcached::start();
    let tier = tier(&server);
    put(&tier, KEY, 1).await;
    invalidate(&tier, KEY, Invalidation::MarkStale).await;
    let (_, lease) = stale(ask(&tier, KEY).await);
    invalidate(&tier, KEY, Invalidation::MarkStale).await;
    assert_eq!(fill(&tier, KEY, &lease, 2).await, SharedFill::Refused);
    let (entry, lease) = stale(ask(&tier, KEY).await);
    assert_eq!(text(&entry), "value 1");
    assert_eq!(fill(&tier, KEY, &lease, 3).await, SharedFill::Stored);
}

/// The server counts any read of what is stale as a win.
#[tokio::test]
async fn plain_reads_of_what_is_stale_leave_the_lease_to_who_asks_for_it() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    put(&one, KEY, 1).await;
    invalidate(&one, KEY, Invalidation::MarkStale).await;
    for tier in [&one, &one, &other, &one] {
        assert!(is_stale(&get(tier, KEY).await.unwrap()));
    }
    // What a read gives back follows it on its own connection: a further one comes behind.
    get(&one, b"something else").await;
    get(&other, b"something else").await;
    let (_, lease) = stale(ask(&other, KEY).await);
    assert_eq!(fill(&other, KEY, &lease, 2).await, SharedFill::Stored);
}

#[tokio::test]
async fn an_entry_that_was_seen_may_be_refreshed_while_others_still_hit() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    put(&one, KEY, 7).await;
    assert!(matches!(ask_seen(&one, KEY, 6).await, SharedRead::Hit(_)));
    let (entry, lease) = stale(ask_seen(&one, KEY, 7).await);
    assert!(!is_stale(&entry), "only one found it too old");
    assert!(matches!(ask_seen(&other, KEY, 7).await, SharedRead::Busy { stale: Some(_), .. }));
    assert!(matches!(ask(&other, KEY).await, SharedRead::Hit(_)));
    assert!(!is_stale(&get(&other, KEY).await.unwrap()));
    assert_eq!(fill(&one, KEY, &lease, 8).await, SharedFill::Stored);
    let SharedRead::Hit(entry) = ask_seen(&other, KEY, 7).await else { panic!("no hit") };
    assert_eq!(text(&entry), "value 8");
}

#[tokio::test]
async fn an_invalidation_voids_the_lease_over_what_was_seen() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    for strike in [Invalidation::Drop, Invalidation::MarkStale] {
        put(&one, KEY, 7).await;
        let (_, lease) = stale(ask_seen(&one, KEY, 7).await);
        invalidate(&other, KEY, strike).await;
        assert_eq!(fill(&one, KEY, &lease, 8).await, SharedFill::Refused);
        invalidate(&other, KEY, Invalidation::Drop).await;
    }
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_the_next_ones_at_once() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    let lease = miss(&one, KEY).await;
    one.release(KEY, &lease).await.unwrap();
    assert_eq!(fill(&one, KEY, &lease, 1).await, SharedFill::Refused);
    put(&other, KEY, 2).await;

    invalidate(&one, KEY, Invalidation::MarkStale).await;
    let (_, lease) = stale(ask(&one, KEY).await);
    one.release(KEY, &lease).await.unwrap();
    let (_, next) = stale(ask(&other, KEY).await);
    // One that is void disturbs nobody.
    one.release(KEY, &lease).await.unwrap();
    assert_eq!(fill(&other, KEY, &next, 3).await, SharedFill::Stored);
    one.release(KEY, &lease).await.unwrap();
    assert!(!is_stale(&get(&one, KEY).await.unwrap()));
}

#[tokio::test]
async fn a_lease_over_nothing_lasts_as_long_as_it_is_made_longer() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    let short = Duration::from_secs(1);
    let SharedRead::Miss(lease) = try_ask(&one, KEY, None, short).await.unwrap() else {
        panic!("no miss")
    };
    assert!(one.extend(KEY, &lease, short).await.unwrap());
    assert!(one.extend(KEY, &lease, LEASE).await.unwrap());
    pass(&server, 4).await;
    let SharedRead::Busy { retry_after, stale: None } = ask(&other, KEY).await else {
        panic!("the lease ended")
    };
    assert!(retry_after > LEASE / 2);
    assert_eq!(get(&other, KEY).await, None);
    assert_eq!(fill(&one, KEY, &lease, 1).await, SharedFill::Stored);
    assert!(!one.extend(KEY, &lease, LEASE).await.unwrap(), "what is filled is no lease");
    assert_eq!(text(&get(&one, KEY).await.unwrap()), "value 1");

    invalidate(&one, KEY, Invalidation::Drop).await;
    let lease = miss(&one, KEY).await;
    assert!(one.extend(KEY, &lease, LEASE).await.unwrap());
    one.release(KEY, &lease).await.unwrap();
    let lease = miss(&other, KEY).await;
    assert!(other.extend(KEY, &lease, LEASE).await.unwrap());
    invalidate(&one, KEY, Invalidation::MarkStale).await;
    assert!(!other.extend(KEY, &lease, LEASE).await.unwrap());
    assert_eq!(fill(&other, KEY, &lease, 2).await, SharedFill::Refused);
}

#[tokio::test]
async fn a_lease_over_an_entry_tells_whether_it_still_holds() {
    let server = Memcached::start();
    let tier = tier(&server);
    put(&tier, KEY, 1).await;
    invalidate(&tier, KEY, Invalidation::MarkStale).await;
    let (_, lease) = stale(ask(&tier, KEY).await);
    let before = get(&tier, KEY).await.unwrap().remaining;
    assert!(tier.extend(KEY, &lease, 10 * LIFETIME).await.unwrap());
    assert!(get(&tier, KEY).await.unwrap().remaining <= before, "the entry got no younger");
    invalidate(&tier, KEY, Invalidation::MarkStale).await;
    assert!(!tier.extend(KEY, &lease, LEASE).await.unwrap());
}

#[tokio::test]
async fn the_lease_of_a_dead_process_ends_with_its_time() {
    let server = Memcached::start();
    let (dead, other) = (tier(&server), tier(&server));
    let short = Duration::from_secs(1);
    let SharedRead::Miss(lease) = try_ask(&dead, KEY, None, short).await.unwrap() else {
        panic!("no miss")
    };
    let next = eventually("the lease ends", async || match ask(&other, KEY).await {
        SharedRead::Miss(lease) => Some(lease),
        _ => None,
    })
    .await;
    assert_eq!(fill(&dead, KEY, &lease, 1).await, SharedFill::Refused);
    assert_eq!(fill(&other, KEY, &next, 2).await, SharedFill::Stored);
}

#[tokio::test]
async fn the_lease_of_a_dead_process_over_an_entry_is_taken_over() {
    let server = Memcached::start();
    let (dead, other) = (tier(&server), tier(&server));
    let short = Duration::from_secs(1);
    for by_mark in [true, false] {
        put(&dead, KEY, 7).await;
        let seen = if by_mark {
            invalidate(&dead, KEY, Invalidation::MarkStale).await;
            None
        } else {
            Some(7)
        };
        let (_, lease) = stale(try_ask(&dead, KEY, seen, short).await.unwrap());
        let first = try_ask(&other, KEY, seen, short).await.unwrap();
        let SharedRead::Busy { retry_after, .. } = first else { panic!("not turned away") };
        assert_eq!(retry_after, short);
        let (entry, next) = eventually("it is taken over", async || {
            match try_ask(&other, KEY, seen, short).await.unwrap() {
                SharedRead::Stale { entry, lease } => Some((entry, lease)),
                _ => None,
            }
        })
        .await;
        assert_eq!(is_stale(&entry), by_mark, "what was seen stays as it is");
        assert_eq!(fill(&dead, KEY, &lease, 1).await, SharedFill::Refused);
        assert_eq!(fill(&other, KEY, &next, 2).await, SharedFill::Stored);
        invalidate(&other, KEY, Invalidation::Drop).await;
    }
}

#[tokio::test]
async fn a_lease_is_for_its_key_and_its_process() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    // Both have their first connection, and the second item has the number of neither.
    let lease = miss(&one, KEY).await;
    miss(&other, b"theirs").await;
    assert_eq!(fill(&other, KEY, &lease, 1).await, SharedFill::Refused);
    assert_eq!(fill(&one, b"theirs", &lease, 1).await, SharedFill::Refused);
    let invented = Lease { token: "invented".into(), ..lease.clone() };
    assert_eq!(fill(&one, KEY, &invented, 1).await, SharedFill::Refused);
    assert!(!one.extend(KEY, &invented, LEASE).await.unwrap());
    one.release(KEY, &invented).await.unwrap();
    assert_eq!(fill(&one, KEY, &lease, 1).await, SharedFill::Stored);
}

/// Who gives back what was only seen leaves it as it was, also where it fills several chunks.
#[tokio::test]
async fn a_lease_over_what_was_seen_is_given_back_and_the_entry_stays() {
    let server = Memcached::start();
    let (one, other) = (tier(&server), tier(&server));
    for bytes in [0, 100, 900_000] {
        let lease = miss(&one, KEY).await;
        let held = envelope(7, vec![9; bytes]);
        one.fill(KEY, &lease, held.clone(), LIFETIME).await.unwrap();
        let before = get(&one, KEY).await.unwrap().remaining;
        let (_, lease) = stale(ask_seen(&one, KEY, 7).await);
        one.release(KEY, &lease).await.unwrap();
        let entry = get(&other, KEY).await.unwrap();
        assert!(entry.envelope == held && entry.remaining <= before);
        assert_eq!(fill(&one, KEY, &lease, 8).await, SharedFill::Refused);
        let (_, lease) = stale(ask_seen(&other, KEY, 7).await);
        // Marked stale meanwhile, it stays so.
        invalidate(&one, KEY, Invalidation::MarkStale).await;
        other.release(KEY, &lease).await.unwrap();
        assert!(is_stale(&get(&one, KEY).await.unwrap()));
        invalidate(&one, KEY, Invalidation::Drop).await;
    }
}

/// A caller whose deadline passed doesn't keep the key from others.
#[tokio::test]
async fn the_lease_of_who_went_away_is_given_back() {
    let server = Memcached::start();
    let patient = tier_with(&server, |options| options.answer_timeout = Duration::from_secs(30));
    let other = tier(&server);
    put(&other, b"stale", 1).await;
    invalidate(&other, b"stale", Invalidation::MarkStale).await;
    get(&patient, KEY).await;
    server.pause();
    let asks = [LeaseAsk { key: KEY, seen: None }, LeaseAsk { key: b"stale", seen: None }];
    let asking = patient.lease_many(&asks, LEASE);
    tokio::time::timeout(Duration::from_millis(100), asking).await.unwrap_err();
    server.resume();
    // Its own next question follows what it gives back.
    get(&patient, b"something else").await;
    get(&patient, b"something else").await;
    miss(&other, KEY).await;
    stale(ask(&other, b"stale").await);
}

#[tokio::test]
async fn there_are_no_marks_and_it_says_what_to_do() {
    let server = Memcached::start();
    let tier = tier(&server);
    let abilities = tier.abilities();
    assert!(!abilities.marks && !abilities.announces && !abilities.intents);
    assert!(abilities.marks_stale);
    let error = tier.mark(&[], Invalidation::Drop, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("use Redis"));
    assert!(tier.marks().await.unwrap().marks.is_empty());
    assert_eq!(tier.name(), server.url());
}
