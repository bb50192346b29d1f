//! Who loads for himself, where other processes share a tier: one ticket has the lease. And what
//! every process must have heard before a plain key in the tier has a companion.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::network::{Network, name, own};
use common::{Numbers, settle};
use larder_core::{Clock, Moment, Terms};
use larder_engine::shared::UNHEARD_MAX;
use larder_engine::{Fill, Lookup, SharingBounds, Ticket};

const MS: Duration = Duration::from_millis(1);

async fn miss(cache: &Numbers, key: u64) -> Ticket<u64, u64> {
    match cache.lookup(&key).await {
        Lookup::Miss(ticket) => ticket,
        Lookup::Hit(answer) => panic!("held: {answer:?}"),
    }
}

#[tokio::test]
async fn one_ticket_has_the_lease_and_the_others_are_told_for_how_long() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    let first = miss(&in_a, 7).await;
    assert_eq!((first.key(), first.busy_for()), (&7, None));
    let lasts = first.ends_at() - network.clock.now();
    for cache in [&in_a, &in_b] {
        assert_eq!(miss(cache, 7).await.busy_for(), Some(lasts));
    }
    assert_eq!(in_b.stats().shared_busy, 1);
    assert_eq!(first.fill_under_lease(Some(49), &Terms::default()).await, Fill::Stored);
    assert!(matches!(in_b.lookup(&7).await, Lookup::Hit(answer) if answer.value == Some(49)));
    // Given back, it is the next one's.
    let given = miss(&in_a, 8).await;
    given.give_back();
    settle().await;
    assert_eq!(miss(&in_b, 8).await.busy_for(), None);
}

#[tokio::test]
async fn a_busy_ticket_looks_again_until_the_value_or_the_lease_is_there() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    let mut seen = None;
    for filled in [true, false] {
        let first = match seen {
            None => miss(&in_a, 7).await,
            Some(than) => match in_a.lookup_newer(&7, than).await {
                Lookup::Miss(ticket) => ticket,
                Lookup::Hit(answer) => panic!("newer: {answer:?}"),
            },
        };
        let Lookup::Miss(waits) = in_b.lookup_newer(&7, seen.unwrap_or_default()).await else {
            panic!("nothing newer was filled");
        };
        let misses = in_b.stats().misses;
        let Lookup::Miss(waits) = waits.again(seen).await else { panic!("nor was it now") };
        assert!(first.is_leased() && !waits.is_leased() && waits.busy_for().is_some());
        if filled {
            let at = first.taken_at();
            assert_eq!(first.fill_under_lease(Some(49), &Terms::default()).await, Fill::Stored);
            assert!(matches!(waits.again(seen).await, Lookup::Hit(held) if held.value == Some(49)));
            network.pass(MS).await;
            seen = Some(at);
        } else {
            first.give_back();
            settle().await;
            let Lookup::Miss(next) = waits.again(seen).await else { panic!("it is what was seen") };
            assert!(next.is_leased() && next.busy_for().is_none());
        }
        assert_eq!(in_b.stats().misses, misses);
    }
}

/// Who makes a value out of one that is held here must know that nobody has struck that one.
#[tokio::test]
async fn a_lease_says_what_it_replaces() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    let first = miss(&in_a, 7).await;
    assert_eq!((first.is_leased(), first.replaces()), (true, None));
    assert_eq!(first.fill_under_lease(Some(49), &Terms::default()).await, Fill::Stored);
    let newer = async |cache: &Numbers| match cache.lookup_newer(&7, Moment::MAX).await {
        Lookup::Miss(ticket) => ticket,
        Lookup::Hit(answer) => panic!("newer: {answer:?}"),
    };
    let hits = in_a.stats().shared_hit_age.count();
    let second = newer(&in_a).await;
    assert_eq!((second.replaces(), second.beside(&7).replaces()), (Some(&49), None));
    // Another one has the lease.
    assert_eq!(newer(&in_b).await.replaces(), None);
    assert_eq!(in_a.stats().shared_hit_age.count(), hits);
    second.give_back();
    settle().await;
    // It is held here still, and not there.
    a.client.hold_bus();
    in_b.invalidate(&7).await.unwrap();
    let third = newer(&in_a).await;
    assert_eq!((third.is_leased(), third.replaces()), (true, None));
    assert!(matches!(in_a.lookup_here(&7), Lookup::Hit(_)));
}

#[tokio::test]
async fn what_the_tier_refuses_is_not_kept_here_either() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    let ticket = miss(&in_a, 7).await;
    // The announcement doesn't reach the first one before it fills.
    a.client.hold_bus();
    in_b.invalidate(&7).await.unwrap();
    assert_eq!(ticket.fill_under_lease(Some(1), &Terms::default()).await, Fill::Refused);
    assert!(matches!(in_a.lookup(&7).await, Lookup::Miss(_)));
    assert!(network.held(7).is_none());
}

#[tokio::test]
async fn a_tier_that_does_not_answer_decides_nothing() {
    let network = Network::new();
    let a = network.process().await;
    let in_a = a.two_seconds();
    let ticket = miss(&in_a, 7).await;
    a.client.down();
    assert_eq!(ticket.fill_under_lease(Some(49), &Terms::default()).await, Fill::Stored);
    assert!(network.held(7).is_none());
}

#[tokio::test]
async fn what_was_invalidated_here_is_neither_kept_nor_shared_and_the_lease_is_given_back() {
    let network = Network::new();
    let a = network.process().await;
    let in_a = a.two_seconds();
    let ticket = miss(&in_a, 7).await;
    in_a.invalidate(&7).await.unwrap();
    let second = miss(&in_a, 7).await;
    assert_eq!(ticket.fill_under_lease(Some(1), &Terms::default()).await, Fill::Refused);
    assert!(network.server.lease_held(&name(7)), "the second one's");
    assert_eq!(second.fill_under_lease(Some(49), &Terms::default()).await, Fill::Stored);
}

#[tokio::test]
async fn that_plain_keys_have_companions_is_heard_by_everybody_or_feared() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    network.pass(500 * MS).await;
    assert!(!a.engine.may_have_companions() && !b.engine.may_have_companions());
    assert!(!b.engine.knows_of_companions());
    // Who hears nothing any more looks out for them before they are written.
    b.client.hold_bus();
    a.engine.announce_companions().await.unwrap();
    assert!(a.engine.may_have_companions());
    network.pass(UNHEARD_MAX).await;
    assert!(b.engine.may_have_companions() && !b.engine.knows_of_companions());
    b.client.release_bus();
    settle().await;
    assert!(b.engine.knows_of_companions());
    // Who starts later has it from the marks.
    let late = network.process().await;
    network.pass(500 * MS).await;
    assert!(late.engine.may_have_companions());
}

#[tokio::test]
async fn who_shares_nothing_has_no_companions_and_without_a_bus_they_are_always_feared() {
    let network = Network::new();
    let alone = network.alone();
    assert!(!alone.engine.may_have_companions());
    let refused = alone.engine.announce_companions().await.unwrap_err();
    assert_eq!(refused.kind(), larder_core::ErrorKind::Refused);
    assert!(network.process_without_bus().await.engine.may_have_companions());
    let down = network.alone();
    down.client.down();
    let sharing = own(&down.client).bounds(SharingBounds { join_within: MS, ..Default::default() });
    let (joined, ()) = tokio::join!(down.engine.share(sharing), network.pass(20 * MS));
    joined.unwrap();
    assert!(down.engine.may_have_companions(), "nothing is known of the marks");
}
