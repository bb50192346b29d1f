//! The shared tier fails, pauses, restarts, forgets: what is served meanwhile, and how it is
//! trusted again.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::network::{Network, Process, name};
use common::{Numbers, S, asking, settle};
use larder_core::{Changes, ErrorKind, Tier};
use larder_engine::guard::BreakerState;
use larder_engine::{Guard, GuardBounds, SharingBounds};
use larder_test::TestSource;

const MS: Duration = Duration::from_millis(1);

async fn two() -> (Network, [Process; 2], [Numbers; 2]) {
    let network = Network::with(TestSource::of([(7, 1)]));
    let processes = [network.process().await, network.process().await];
    let caches = [processes[0].two_seconds(), processes[1].two_seconds()];
    for cache in &caches {
        cache.get(&7).await.unwrap();
        settle().await;
    }
    network.pass(500 * MS).await;
    (network, processes, caches)
}

fn state(process: &Process) -> BreakerState {
    process.engine.shared_breaker().unwrap().state(process.engine.clock().now())
}

/// Reads until the breaker has had enough.
async fn break_it(network: &Network, cache: &Numbers) {
    for key in 100..106 {
        let read = asking(cache, key);
        settle().await;
        network.pass(60 * MS).await;
        read.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn without_the_tier_reads_go_to_the_source_and_no_read_waits_long() {
    let (network, [a, _], [in_a, _]) = two().await;
    a.client.pause();
    let read = asking(&in_a, 8);
    settle().await;
    network.pass(40 * MS).await;
    assert!(!read.is_finished());
    network.pass(20 * MS).await;
    assert_eq!(read.await.unwrap().unwrap().tier, Tier::Source);
    break_it(&network, &in_a).await;
    assert_eq!(state(&a), BreakerState::Open);
    // Now nothing is asked of it at all.
    let read = asking(&in_a, 9);
    settle().await;
    assert_eq!(read.await.unwrap().unwrap().tier, Tier::Source);
}

#[tokio::test]
async fn it_is_trusted_again_within_a_second_by_itself() {
    let (network, [a, _], [in_a, _]) = two().await;
    network.server.down();
    break_it(&network, &in_a).await;
    assert_eq!(state(&a), BreakerState::Open);
    network.pass(5 * S).await;
    assert_ne!(state(&a), BreakerState::Closed);
    network.server.up();
    network.pass(Duration::from_secs(1)).await;
    assert_eq!(state(&a), BreakerState::Closed);
}

#[tokio::test]
async fn an_invalidation_that_the_tier_did_not_hear_is_kept_and_carried_out_before_it_is_trusted() {
    let (network, [a, _], [in_a, in_b]) = two().await;
    a.client.down();
    break_it(&network, &in_a).await;
    network.source.set(7, 2);
    let error = in_a.invalidate(&7).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert!(error.retry_delay().is_some());
    assert_eq!(a.engine.shared_stats().unwrap().pending, 1);
    assert_eq!(in_a.get(&7).await.unwrap(), Some(2), "here it is done");
    a.client.up();
    network.pass(S).await;
    assert_eq!(a.engine.shared_stats().unwrap().pending, 0);
    for cache in [&in_a, &in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(2));
    }
}

#[tokio::test]
async fn a_key_that_waits_to_be_invalidated_is_neither_read_in_the_tier_nor_kept() {
    let (network, [a, _], [in_a, _]) = two().await;
    network.source.set(7, 2);
    // Only this one is lost: the tier is trusted all the while.
    a.client.pause();
    let waiting = in_a.clone();
    let invalidation = tokio::spawn(async move { waiting.invalidate(&7).await });
    settle().await;
    assert_eq!(a.engine.shared_stats().unwrap().pending, 1);
    assert_eq!(in_a.ask(&7).await.unwrap().tier, Tier::Source);
    assert_eq!(in_a.ask(&7).await.unwrap().tier, Tier::Source, "it was not kept");
    a.client.resume();
    network.pass(600 * MS).await;
    assert!(invalidation.await.unwrap().unwrap().position.is_some());
    assert_eq!(in_a.get(&7).await.unwrap(), Some(2));
    settle().await;
    assert_eq!(in_a.ask(&7).await.unwrap().tier, Tier::Memory);
}

#[tokio::test]
async fn an_invalidation_whose_reply_was_lost_is_repeated() {
    let (network, [a, _], [in_a, in_b]) = two().await;
    network.source.set(7, 2);
    a.client.lose_reply_of_next(1);
    let invalidate = in_a.clone();
    let invalidation = tokio::spawn(async move { invalidate.invalidate(&7).await });
    network.pass(700 * MS).await;
    assert!(invalidation.await.unwrap().unwrap().position.is_some());
    for cache in [&in_a, &in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(2));
    }
}

#[tokio::test]
async fn more_invalidations_than_are_kept_become_one_of_everything() {
    let network = Network::with(TestSource::answering(|key: &u64| Some(*key)));
    let bounds = SharingBounds { pending_max: 10, ..SharingBounds::default() };
    let a = network.process_with(bounds).await;
    let b = network.process().await;
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    in_b.get(&50).await.unwrap();
    network.pass(300 * MS).await;
    a.client.down();
    for key in 0..12 {
        in_a.invalidate_here(&[key], larder_engine::Invalidation::Drop).unwrap();
    }
    assert!(a.engine.shared_stats().unwrap().pending <= 10);
    a.client.up();
    network.pass(2 * S).await;
    assert_eq!(a.engine.shared_stats().unwrap().pending, 0);
    let loads = network.source.loads();
    in_b.get(&50).await.unwrap();
    assert_eq!(network.source.loads(), loads + 1, "key 50 went with everything");
}

#[tokio::test]
async fn what_was_held_before_a_restart_is_no_hit_after_it() {
    let (network, _processes, [in_a, in_b]) = two().await;
    let before = network.server.snapshot();
    network.source.set(7, 2);
    in_a.invalidate(&7).await.unwrap();
    // It comes back with what it held before the invalidation.
    network.server.restart_with(&before);
    network.pass(600 * MS).await;
    assert!(network.held(7).is_some());
    for cache in [&in_a, &in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(2));
    }
}

#[tokio::test]
async fn a_lease_of_before_a_restart_fills_nothing_after_it() {
    let network = Network::with(TestSource::of([(7, 1)]));
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    network.source.close();
    let slow = asking(&in_a, 7);
    network.pass(20 * MS).await;
    let before = network.server.snapshot();
    network.source.set(7, 2);
    in_b.invalidate(&7).await.unwrap();
    network.server.restart_with(&before);
    network.pass(300 * MS).await;
    network.source.open();
    network.pass(300 * MS).await;
    slow.await.unwrap().unwrap();
    network.pass(3 * S).await;
    for cache in [&in_a, &in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(2));
    }
}

#[tokio::test]
async fn an_empty_restart_costs_loads_and_nothing_else() {
    let (network, _processes, [in_a, in_b]) = two().await;
    network.server.restart_empty();
    network.pass(600 * MS).await;
    for cache in [&in_a, &in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(1));
    }
    network.pass(S).await;
    assert!(network.held(7).is_some());
    assert_eq!(in_b.ask(&7).await.unwrap().tier, Tier::Memory);
}

#[tokio::test]
async fn an_evicted_entry_or_lease_costs_a_load() {
    let (network, _processes, [in_a, in_b]) = two().await;
    in_a.invalidate(&7).await.unwrap();
    settle().await;
    network.source.close();
    let first = asking(&in_a, 7);
    network.pass(20 * MS).await;
    assert!(network.server.evict_lease(&name(7)));
    let second = asking(&in_b, 7);
    network.pass(20 * MS).await;
    assert_eq!(network.source.waiting(), 2);
    network.source.open();
    network.pass(100 * MS).await;
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(in_a.stats().shared_fills_refused + in_b.stats().shared_fills_refused, 1);
}

#[tokio::test]
async fn a_paused_process_serves_nothing_old_when_it_goes_on() {
    let (network, [_, b], [in_a, in_b]) = two().await;
    // It hears nothing, and time passes.
    b.client.hold_bus();
    network.source.set(7, 2);
    in_a.invalidate(&7).await.unwrap();
    network.pass(10 * S).await;
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!(answer.value, Some(2));
    b.client.release_bus();
    network.pass(300 * MS).await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
}

#[tokio::test]
async fn the_source_never_sees_more_than_the_bulkhead_when_the_tier_is_lost() {
    let network = Network::new();
    let process = network.process().await;
    let bounds = GuardBounds { loads_max: 4, loads_waiting_max: 8, breaker: None };
    let cache = process
        .builder()
        .changes(Changes::Announced)
        .max_staleness(2 * S)
        .guard(Guard::new(bounds).unwrap())
        .build()
        .unwrap();
    network.server.down();
    network.source.close();
    let reads: Vec<_> = (0..100).map(|key| asking(&cache, key)).collect();
    network.pass(200 * MS).await;
    assert_eq!(network.source.waiting(), 4);
    network.source.open();
    network.pass(200 * MS).await;
    let mut shed = 0;
    for read in reads {
        match read.await.unwrap() {
            Ok(answer) => assert_eq!(answer.tier, Tier::Source),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Shed);
                assert!(error.retry_delay().is_some());
                shed += 1;
            }
        }
    }
    assert_eq!((shed, network.source.running_max()), (88, 4));
}

#[tokio::test]
async fn a_tier_that_is_down_at_the_start_is_used_when_it_comes() {
    let network = Network::new();
    network.server.down();
    let process = network.alone();
    let sharing = common::network::own(&process.client);
    let engine = process.engine.clone();
    let joining = tokio::spawn(async move { engine.share(sharing).await });
    network.pass(S + 100 * MS).await;
    joining.await.unwrap().unwrap();
    let cache = process.two_seconds();
    let read = asking(&cache, 7);
    network.pass(100 * MS).await;
    assert_eq!(read.await.unwrap().unwrap().tier, Tier::Source);
    network.server.up();
    network.pass(S).await;
    cache.invalidate(&7).await.unwrap();
    cache.get(&7).await.unwrap();
    settle().await;
    assert!(network.held(7).is_some());
}

#[tokio::test]
async fn a_key_that_is_invalidated_while_the_tier_is_asked_is_loaded_all_the_same() {
    let (network, [a, _b], [in_a, in_b]) = two().await;
    network.source.set(7, 2);
    in_b.get(&8).await.unwrap();
    settle().await;
    // Its question is on the way when the key begins to wait for its invalidation.
    a.client.pause();
    let read = asking(&in_a, 8);
    settle().await;
    a.client.lose_reply_of_next_call(larder_test::shared::Call::Invalidate, 1);
    in_a.invalidate_here(&[8], larder_engine::Invalidation::Drop).unwrap();
    settle().await;
    a.client.resume();
    network.pass(200 * MS).await;
    assert_eq!(read.await.unwrap().unwrap().value, None);
}

#[tokio::test]
async fn marks_that_were_read_before_another_gap_are_read_again() {
    let (network, [a, _b], [in_a, in_b]) = two().await;
    network.pass(10 * S).await;
    // After a gap it reads the marks. Before it has the answer, there is another one.
    a.client.hold_replies();
    a.client.cut_bus();
    a.client.heal_bus();
    settle().await;
    a.client.cut_bus();
    network.source.set(7, 2);
    in_b.invalidate_all().await.unwrap();
    a.client.heal_bus();
    settle().await;
    a.client.release_replies();
    network.pass(S).await;
    let stats = a.engine.shared_stats().unwrap();
    assert!(stats.gaps == 2 && stats.horizon_age < Some(S), "{stats:?}");
    assert_eq!(in_a.get(&7).await.unwrap(), Some(2));
}

#[tokio::test]
async fn what_was_held_before_the_bus_was_heard_is_not_vouched_for() {
    let network = Network::with(TestSource::of([(7, 1)]));
    let b = network.process().await;
    let in_b = b.two_seconds();
    let a = network.alone();
    a.client.down();
    let sharing = common::network::own(&a.client);
    let engine = a.engine.clone();
    let joining = tokio::spawn(async move { engine.share(sharing).await });
    network.pass(2 * S).await;
    joining.await.unwrap().unwrap();
    let in_a = a.two_seconds();
    assert_eq!(in_a.get(&7).await.unwrap(), Some(1));
    network.source.set(7, 2);
    in_b.invalidate(&7).await.unwrap();
    network.pass(10 * S).await;
    a.client.up();
    network.pass(S).await;
    assert!(a.engine.shared_stats().unwrap().horizon_age < Some(S));
    assert_eq!(in_a.get(&7).await.unwrap(), Some(2));
}
