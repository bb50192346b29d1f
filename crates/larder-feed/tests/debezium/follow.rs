//! Following: gaps, positions, and what is applied and acknowledged.

use larder_core::{ErrorKind, Feed as _};
use larder_feed::debezium::{Batch, DebeziumFeed, DebeziumOptions, Place, Snapshots};

use crate::Follower;
use crate::kit::{TestBeat, Wire, change, feed_over, record};

const ADA: &str = r#"{"id":1,"name":"Ada"}"#;

/// A wire whose numbers mean the same to everybody.
fn shared_wire() -> Wire {
    let wire = Wire::default();
    wire.change(|state| state.begins = Some(Place { log: 7, number: 0 }));
    wire
}

#[tokio::test]
async fn who_knows_nothing_begins_with_a_gap() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    wire.user("c", "null", ADA, 5);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    assert_eq!(follower.hear(1).await, ["public.users +id=1 name=Ada"]);
    assert_eq!(follower.gaps, ["nobody knows what was applied before"]);
}

#[tokio::test]
async fn one_process_follows_at_a_time() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let first = Follower::follow(&feed, None).await.unwrap();
    let refused = feed.follow(None).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    drop(first);
    feed.follow(None).await.unwrap();
}

#[tokio::test]
async fn who_was_told_goes_on_without_a_gap() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    wire.user("c", "null", ADA, 5);
    follower.hear(1).await;
    let since = Some(follower.position);
    drop(follower);
    // Acknowledged was less; what is told again changes nothing.
    for (number, gaps) in [(0, 0), (1, 0), (2, 1)] {
        wire.change(|state| state.begins = Some(Place { log: 7, number }));
        let another = feed_over(&wire, None);
        let mut follower = Follower::follow(&another, since).await.unwrap();
        wire.user("d", r#"{"id":2}"#, "null", 5);
        assert_eq!(follower.hear(1).await, ["public.users -id=2"]);
        assert_eq!(follower.gaps.len(), gaps, "{number}: {:?}", follower.gaps);
    }
}

#[tokio::test]
async fn places_of_another_log_or_of_none_are_a_gap() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    wire.user("c", "null", ADA, 5);
    follower.hear(1).await;
    let since = Some(follower.position);
    drop(follower);
    for begins in [None, Some(Place { log: 8, number: 0 })] {
        wire.change(|state| state.begins = begins);
        let mut follower = Follower::follow(&feed, since).await.unwrap();
        follower.next().await.unwrap();
        assert_eq!(follower.gaps.len(), 1);
    }
}

#[tokio::test]
async fn what_the_transport_has_lost_is_a_gap() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.next().await.unwrap();
    wire.change(|state| state.batches.push_back(Batch::Lost { reason: "trimmed".into() }));
    wire.user("c", "null", ADA, 5);
    follower.hear(1).await;
    assert_eq!(follower.gaps[1..], ["trimmed"]);
}

#[tokio::test]
async fn a_record_that_can_not_be_read_is_a_gap_and_what_comes_with_it_is_told() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let broken = record("shop.public.users", "", "{");
    wire.put([record("", "", &change("c", "null", ADA, 5)), broken]);
    assert_eq!(follower.hear(1).await.len(), 1);
    let before = follower.position;
    follower.next().await.unwrap();
    assert!(follower.gaps[1].contains("shop.public.users"), "{:?}", follower.gaps);
    // What was told before it wasn't the whole batch.
    assert!(before < follower.position);
}

#[tokio::test]
async fn a_snapshot_that_nobody_asked_for_is_one_gap() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    for _ in 0..3 {
        wire.user("r", "null", ADA, 5);
    }
    wire.user("c", "null", ADA, 5);
    assert_eq!(follower.hear(1).await, ["public.users +id=1 name=Ada"]);
    assert_eq!(follower.gaps.len(), 2, "{:?}", follower.gaps);
    let asked = change("r", "null", ADA, 5).replace(r#""false""#, r#""incremental""#);
    wire.put([record("", "", &asked)]);
    wire.user("d", r#"{"id":2}"#, "null", 5);
    assert_eq!(follower.hear(1).await, ["public.users -id=2"]);
    assert_eq!(follower.gaps.len(), 2, "{:?}", follower.gaps);
    wire.user("r", "null", ADA, 5);
    wire.user("d", r#"{"id":2}"#, "null", 5);
    follower.hear(1).await;
    assert_eq!(follower.gaps.len(), 3, "{:?}", follower.gaps);
}

#[tokio::test]
async fn rows_of_a_snapshot_are_told_where_that_is_wished() {
    let wire = shared_wire();
    let mut options = DebeziumOptions::new(["users"]);
    options.snapshots = Snapshots::Inserted;
    let feed = DebeziumFeed::new("shop", wire.clone(), options);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    wire.user("r", "null", ADA, 5);
    assert_eq!(follower.hear(1).await, ["public.users +id=1 name=Ada"]);
}

#[tokio::test]
async fn other_tables_are_passed_over() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let of = |schema: &str, table: &str| {
        let change = change("c", "null", ADA, 5).replace(r#""public""#, &format!("{schema:?}"));
        record("", "", &change.replace(r#""users""#, &format!("{table:?}")))
    };
    wire.put([of("public", "orders"), of("shop", "users"), of("public", "users")]);
    assert_eq!(follower.hear(1).await, ["public.users +id=1 name=Ada"]);
}

#[tokio::test]
async fn what_was_told_is_applied_when_more_is_asked_for() {
    let wire = shared_wire();
    let feed = feed_over(&wire, Some(TestBeat::default()));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    wire.user("c", "null", ADA, 5);
    follower.hear(1).await;
    assert_eq!(wire.change(|state| state.applied), 0);
    assert!(follower.is_idle().await);
    assert_eq!(wire.change(|state| (state.applied, state.acknowledged)), (1, 0));
    follower.following.acknowledge(follower.position);
    assert_eq!(wire.change(|state| state.acknowledged), 1);
}

/// Nobody is told how far it is, and who follows next has a gap.
#[tokio::test]
async fn without_a_horizon_what_was_applied_is_acknowledged() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    wire.user("c", "null", ADA, 5);
    follower.hear(1).await;
    assert_eq!(wire.change(|state| state.acknowledged), 0);
    assert!(follower.is_idle().await);
    assert_eq!(wire.change(|state| state.acknowledged), 1);
}

/// Dropped while it waits, it loses nothing.
#[tokio::test]
async fn nothing_is_lost_when_the_future_is_dropped() {
    let wire = shared_wire();
    let feed = feed_over(&wire, None);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.next().await.unwrap();
    for round in 0..20 {
        assert!(follower.is_idle().await || round > 0);
        wire.user("c", "null", ADA, 5);
        assert_eq!(follower.hear(1).await.len(), 1);
        if round == 3 {
            break;
        }
    }
}
