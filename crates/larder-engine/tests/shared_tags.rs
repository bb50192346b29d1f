//! Tags, whole caches and prefixes across processes: marks that are heard, missed and lost.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::network::{Network, Process};
use common::saying::Saying;
use common::{Numbers, S, settle};
use larder_core::{Changes, Tier};
use larder_engine::{Cache, MessagePack};
use larder_test::{SimShared, TestSource};

const MS: Duration = Duration::from_millis(1);

/// A shared cache whose entries have their own tag and one that all have.
fn tagged(network: &Network, process: &Process) -> Numbers {
    let say = |key, context: &larder_core::LoadContext| {
        context.tag(format!("number:{key}")).tag("numbers");
    };
    Cache::builder("numbers")
        .engine(&process.engine)
        .source(Saying::new(network.source.clone(), say))
        .shared(MessagePack)
        .changes(Changes::Announced)
        .jitter(Duration::ZERO)
        .refresh_at(1.0)
        .xfetch(0.0)
        .max_staleness(2 * S)
        .build()
        .unwrap()
}

/// Key 7 is 1, held by two processes and the shared tier; then it is 2.
async fn changed() -> (Network, [Process; 2], [Numbers; 2]) {
    changed_over(|server| server).await
}

async fn changed_over(
    server: impl FnOnce(SimShared) -> SimShared,
) -> (Network, [Process; 2], [Numbers; 2]) {
    let network = Network::over(TestSource::of([(7, 1)]), server);
    let processes = [network.process().await, network.process().await];
    let caches = [&processes[0], &processes[1]].map(|process| tagged(&network, process));
    for cache in &caches {
        assert_eq!(cache.get(&7).await.unwrap(), Some(1));
        settle().await;
    }
    network.pass(500 * MS).await;
    network.source.set(7, 2);
    (network, processes, caches)
}

#[tokio::test]
async fn a_tag_that_one_process_invalidates_strikes_memory_and_shared_tier_of_all() {
    let (network, _processes, [in_a, in_b]) = changed().await;
    assert!(in_a.invalidate_tags(&["number:7"]).await.unwrap().position.is_some());
    assert_eq!(in_a.get(&7).await.unwrap(), Some(2));
    settle().await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
    assert_eq!(network.source.loads(), 2);
    // A process that knows only what the tier keeps.
    let late = tagged(&network, &network.process().await);
    let answer = late.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.tier), (Some(2), Tier::Shared));
}

#[tokio::test]
async fn a_process_that_starts_later_serves_nothing_that_was_struck_before() {
    for way in 0..3 {
        let (network, _processes, [in_a, _]) = changed().await;
        match way {
            0 => in_a.invalidate_tags(&["numbers"]).await,
            1 => in_a.invalidate_all().await,
            _ => in_a.invalidate_prefix("7").await,
        }
        .unwrap();
        assert!(network.held(7).is_some(), "nobody looked for it in the tier");
        let late = tagged(&network, &network.process().await);
        assert_eq!(late.get(&7).await.unwrap(), Some(2), "{way}");
    }
}

#[tokio::test]
async fn another_tag_strikes_nothing() {
    let (network, _processes, [in_a, in_b]) = changed().await;
    in_a.invalidate_tags(&["number:8"]).await.unwrap();
    settle().await;
    for cache in [&in_a, &in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(1));
    }
    assert_eq!(network.source.loads(), 1);
}

#[tokio::test]
async fn a_value_that_was_being_loaded_when_its_tag_was_struck_elsewhere_is_not_served_later() {
    let network = Network::with(TestSource::of([(7, 1)]));
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (tagged(&network, &a), tagged(&network, &b));
    network.source.close();
    let slow = common::asking(&in_b, 7);
    network.pass(20 * MS).await;
    network.source.set(7, 2);
    in_a.invalidate_tags(&["numbers"]).await.unwrap();
    network.source.open();
    network.pass(100 * MS).await;
    slow.await.unwrap().unwrap();
    network.pass(100 * MS).await;
    for cache in [&in_a, &in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(2));
    }
}

#[tokio::test]
async fn a_mark_that_was_missed_is_read_after_the_gap_before_the_tier_is_trusted() {
    let (network, [_, b], [in_a, in_b]) = changed().await;
    b.client.cut_bus();
    in_a.invalidate_tags(&["number:7"]).await.unwrap();
    network.pass(100 * MS).await;
    b.client.heal_bus();
    network.pass(100 * MS).await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
    // What is untouched by it is of use again.
    in_a.get(&9).await.unwrap();
    network.pass(500 * MS).await;
    assert_eq!(in_b.ask(&9).await.unwrap().tier, Tier::Shared);
}

#[tokio::test]
async fn lost_marks_strike_everything_that_was_filled_under_them() {
    let (network, _processes, [in_a, in_b]) = changed().await;
    in_a.invalidate_tags(&["number:7"]).await.unwrap();
    network.server.lose_marks();
    let late = tagged(&network, &network.process().await);
    assert_eq!(late.get(&7).await.unwrap(), Some(2));
    // Those that knew the old ones hear of it with the next mark.
    in_a.invalidate_tags(&["number:8"]).await.unwrap();
    network.pass(100 * MS).await;
    for cache in [&in_a, &in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(2));
    }
}

#[tokio::test]
async fn a_tier_without_marks_keeps_nothing_that_has_tags() {
    let (network, _processes, [in_a, _]) =
        changed_over(|server| server.with_abilities(|abilities| abilities.marks = false)).await;
    assert!(network.server.keys().is_empty());
    in_a.invalidate_tags(&["number:7"]).await.unwrap();
    assert_eq!(in_a.get(&7).await.unwrap(), Some(2));
}
