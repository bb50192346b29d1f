//! Who decides himself what he takes: he sees what is held, fresh or stale, and replaces it with a
//! ticket although it is fresh.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::network::Network;
use common::{Bench, Numbers, S, settle};
use larder_core::{Clock, Moment, State, Terms};
use larder_engine::{Cache, Fill, Lookup, Servable, Ticket};
use larder_test::TestSource;

fn miss(lookup: Lookup<u64, u64>) -> Ticket<u64, u64> {
    match lookup {
        Lookup::Miss(ticket) => ticket,
        Lookup::Hit(answer) => panic!("held: {answer:?}"),
    }
}

async fn held(bench: &Bench) -> Numbers {
    let builder = bench.saying(|key, context| {
        context.tag(format!("number:{key}"));
    });
    let cache = builder.fresh_for(10 * S).stale_for(5 * S).refresh_at(1.0).xfetch(0.0).build();
    let cache = cache.unwrap();
    cache.get(&1).await.unwrap();
    cache
}

fn ten() -> Bench {
    Bench::with(TestSource::of([(1, 10)]))
}

#[tokio::test]
async fn what_is_servable_is_read_with_its_state_and_counted_if_it_is_used() {
    let bench = ten();
    let cache = held(&bench).await;
    let start = bench.clock.now();
    let read = |use_it: bool| {
        let now = bench.clock.now();
        let mut seen = None;
        let used = cache.servable(&1, now, |held: Servable<'_, u64>| {
            seen = Some((held.value.copied(), held.state, held.loaded_at));
            use_it.then_some(())
        });
        assert_eq!(used.is_some(), use_it && seen.is_some());
        seen
    };
    assert_eq!(read(false), Some((Some(10), State::Fresh, start)));
    assert_eq!(cache.stats().hits(), 0);
    read(true);
    bench.clock.advance(12 * S);
    assert_eq!(read(true), Some((Some(10), State::Stale, start)));
    let stats = cache.stats();
    assert_eq!((stats.fresh_hit_age.count(), stats.stale_hit_age.count()), (1, 1));
    bench.clock.advance(4 * S);
    assert_eq!(read(true), None);
    assert_eq!(bench.source.loads(), 1);
}

#[tokio::test]
async fn what_is_marked_stale_is_servable_as_such() {
    let bench = ten();
    for way in 0..3 {
        let cache = held(&bench).await;
        match way {
            0 => cache.mark_stale(&1).await,
            1 => cache.mark_tags_stale(&["number:1"]).await,
            _ => cache.mark_all_stale().await,
        }
        .unwrap();
        let state = cache.servable(&1, bench.clock.now(), |held| Some(held.state));
        assert_eq!(state, Some(State::Stale));
        cache.invalidate(&1).await.unwrap();
        assert_eq!(cache.servable(&1, bench.clock.now(), |held| Some(held.state)), None);
    }
}

#[tokio::test]
async fn what_is_fresh_is_replaced_by_who_cannot_use_it() {
    let bench = ten();
    let cache = held(&bench).await;
    let loaded_at = bench.clock.now();
    bench.clock.advance(S);
    let ticket = miss(cache.lookup_newer(&1, loaded_at).await);
    assert_eq!(ticket.taken_at(), bench.clock.now());
    assert_eq!(ticket.fill(Some(11)), Fill::Stored);
    assert!(matches!(cache.lookup_newer(&1, loaded_at).await, Lookup::Hit(_)));
    miss(cache.lookup_newer_here(&1, bench.clock.now()));
    miss(cache.lookup_newer_here(&1, Moment::MAX));
    assert_eq!(cache.get(&1).await.unwrap(), Some(11));
}

#[tokio::test]
async fn what_is_of_no_use_any_more_is_evicted_and_nothing_else() {
    let bench = ten();
    let cache = held(&bench).await;
    let ticket = miss(cache.lookup_newer_here(&1, Moment::MAX));
    assert!(!cache.evict_if(&1, |value| *value != 10));
    assert!(!cache.evict_if(&2, |_| panic!("nothing is held")));
    assert_eq!(cache.peek(&1).and_then(|answer| answer.value), Some(10));
    assert!(cache.evict_if(&1, |value| *value == 10));
    assert_eq!((cache.peek(&1), cache.worth().bytes, cache.worth().evicted), (None, 0, 1));
    // It is no invalidation.
    assert!(ticket.holds());
    assert_eq!(ticket.fill(Some(11)), Fill::Stored);
    assert_eq!(cache.get(&1).await.unwrap(), Some(11));
}

#[tokio::test]
async fn a_ticket_says_whether_it_holds() {
    let bench = ten();
    for way in 0..4 {
        let cache = held(&bench).await;
        let ticket = miss(cache.lookup_newer_here(&1, Moment::MAX));
        assert!(ticket.holds());
        match way {
            0 => cache.invalidate(&1).await,
            1 => cache.mark_stale(&1).await,
            2 => cache.invalidate_prefix("1").await,
            _ => cache.mark_all_stale().await,
        }
        .unwrap();
        assert!(!ticket.holds(), "{way}");
        assert_eq!(ticket.fill(Some(11)), Fill::Refused);
    }
}

#[tokio::test]
async fn a_ticket_beside_another_is_as_old_as_that() {
    let bench = ten();
    let cache = held(&bench).await;
    let mut tagged = Terms::default();
    tagged.tag("number:1");
    let first = miss(cache.lookup_newer_here(&1, Moment::MAX));
    bench.clock.advance(S);
    let beside = first.beside(&2);
    assert_eq!((beside.key(), beside.taken_at()), (&2, first.taken_at()));
    assert_eq!(beside.fill_on(Some(20), &tagged), Fill::Stored);
    // A tag that was struck since the first was given voids what is filled beside it.
    cache.invalidate_tags(&["number:1"]).await.unwrap();
    assert_eq!(first.beside(&3).fill_on(Some(30), &tagged), Fill::Refused);
    assert_eq!(cache.peek(&2), None);
    assert_eq!(first.beside(&4).fill(Some(40)), Fill::Stored);
    cache.invalidate_all().await.unwrap();
    assert_eq!(first.beside(&5).fill(Some(50)), Fill::Refused);
    // With its own key it is the same permission.
    let first = miss(cache.lookup_newer_here(&1, Moment::MAX));
    cache.invalidate(&1).await.unwrap();
    assert!(!first.beside(&1).holds());
}

#[tokio::test]
async fn what_is_fresh_in_the_tier_is_replaced_under_its_lease() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let shared = |process: &common::network::Process| -> Cache<u64, u64> { process.two_seconds() };
    let (in_a, in_b) = (shared(&a), shared(&b));
    in_a.get(&7).await.unwrap();
    settle().await;
    let loaded_at = network.clock.now();
    network.clock.advance(Duration::from_millis(100));
    let ticket = miss(in_b.lookup_newer(&7, loaded_at).await);
    assert_eq!(ticket.busy_for(), None);
    assert!(miss(in_a.lookup_newer(&7, loaded_at).await).busy_for().is_some());
    assert_eq!(ticket.fill_under_lease(Some(50), &Terms::default()).await, Fill::Stored);
    // It is newer than what the other one has seen, so it is a hit there.
    let Lookup::Hit(answer) = in_a.lookup_newer(&7, loaded_at).await else { panic!() };
    assert_eq!(answer.value, Some(50));
}
