//! Beats: what their arrival proves, and what it doesn't.

use larder_core::feed::FeedEvent;
use larder_core::{Error, ErrorKind, Feed as _};

use crate::Follower;
use crate::kit::{TestBeat, Wire, beat, change, feed_over, record};

const ADA: &str = r#"{"id":1,"name":"Ada"}"#;
const TOLD: [&str; 1] = ["public.users +id=1 name=Ada"];

#[tokio::test]
async fn the_end_is_passed_when_its_beat_has_arrived() {
    let wire = Wire::default();
    let feed = feed_over(&wire, Some(TestBeat::over(&wire)));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    for _ in 0..3 {
        wire.user("c", "null", ADA, 5);
        assert_eq!(follower.catch_up(&feed).await, TOLD);
        assert!(follower.catch_up(&feed).await.is_empty());
    }
}

#[tokio::test]
async fn the_end_is_not_passed_before() {
    let wire = Wire::default();
    let kept = TestBeat::default();
    let feed = feed_over(&wire, Some(kept.clone()));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let end = feed.end().await.unwrap();
    wire.user("c", "null", ADA, 5);
    follower.hear(1).await;
    // Somebody else's, one that was never committed, and what is no beat at all.
    let own = kept.beats.lock().unwrap()[0].clone();
    let others = own.replace(own.split(' ').nth(1).unwrap(), "00000000000000ff");
    wire.put([beat(&others), beat(&own.replace(" 1", " 2")), beat("larder"), beat("")]);
    wire.user("c", "null", ADA, 5);
    follower.hear(1).await;
    assert!(follower.position < end);
    wire.put([beat(&own)]);
    while follower.position < end {
        follower.next().await.unwrap();
    }
}

#[tokio::test]
async fn other_lanes_are_waited_for() {
    let wire = Wire::default();
    let feed = feed_over(&wire, Some(TestBeat::over(&wire)));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.next().await.unwrap();
    wire.change(|state| state.caught_up.extend([Ok(false), Ok(false)]));
    let end = feed.end().await.unwrap();
    follower.next().await.unwrap(); // the beat's own batch
    assert!(follower.position < end);
    wire.user("c", "null", ADA, 5);
    while follower.position < end {
        follower.next().await.unwrap();
    }
    assert_eq!(follower.told, TOLD);
}

#[tokio::test]
async fn an_older_beat_that_is_told_again_proves_nothing_new() {
    let wire = Wire::default();
    let kept = TestBeat::default();
    let feed = feed_over(&wire, Some(kept.clone()));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let first = feed.end().await.unwrap();
    wire.put([beat(&kept.beats.lock().unwrap()[0])]);
    while follower.position < first {
        follower.next().await.unwrap();
    }
    let second = feed.end().await.unwrap();
    wire.put([beat(&kept.beats.lock().unwrap()[0])]);
    wire.user("c", "null", ADA, 5);
    follower.hear(1).await;
    assert!(follower.position < second);
}

#[tokio::test]
async fn without_a_heartbeat_it_is_said_that_no_horizon_is_known() {
    let wire = Wire::default();
    let error = feed_over(&wire, None).end().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("heartbeat"), "{error}");
}

#[tokio::test]
async fn where_lanes_know_nothing_of_each_other_no_horizon_is_known() {
    let wire = Wire::default();
    let feed = feed_over(&wire, Some(TestBeat::over(&wire)));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.next().await.unwrap();
    let error = Error::new(ErrorKind::Config, "there are two partitions");
    wire.change(|state| state.caught_up.push_back(Err(error)));
    let end = feed.end().await.unwrap();
    wire.user("c", "null", ADA, 5);
    assert_eq!(follower.hear(1).await, TOLD);
    assert!(follower.position < end);
    let error = feed.end().await.unwrap_err();
    assert_eq!(error.to_string(), "there are two partitions");
    // What was applied is acknowledged all the same.
    assert!(follower.is_idle().await);
    assert_eq!(wire.change(|state| state.acknowledged), 2);
}

#[tokio::test]
async fn a_beat_of_one_connector_proves_nothing_of_another() {
    let wire = Wire::default();
    let feed = feed_over(&wire, Some(TestBeat::over(&wire)));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let other = change("c", "null", ADA, 5).replace(r#""name":"shop""#, r#""name":"store""#);
    wire.put([record("", "", &other)]);
    assert_eq!(follower.hear(1).await, TOLD);
    let error = feed.end().await.unwrap_err();
    assert!(error.to_string().contains("shop and store"), "{error}");
}

#[tokio::test]
async fn a_change_is_held_back_until_it_can_be_read_and_so_is_what_comes_after() {
    let wire = Wire::default();
    let test_beat = TestBeat::over(&wire);
    test_beat.shows(100);
    let feed = feed_over(&wire, Some(test_beat.clone()));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    test_beat.shows(50);
    wire.user("c", "null", ADA, 50);
    wire.user("d", r#"{"id":2}"#, "null", 10);
    let end = feed.end().await.unwrap();
    assert!(follower.is_idle().await);
    test_beat.shows(51);
    let event = follower.next().await.unwrap();
    let FeedEvent::Notices { age, .. } = event else { panic!("{event:?}") };
    assert_eq!(age.map(|age| age.as_millis()), Some(2_000));
    while follower.position < end {
        follower.next().await.unwrap();
    }
    assert_eq!(follower.told, ["public.users +id=1 name=Ada", "public.users -id=2"]);
}

#[tokio::test]
async fn a_gap_and_what_names_no_transaction_wait_for_everything_that_ran() {
    let wire = Wire::default();
    let test_beat = TestBeat::over(&wire);
    test_beat.shows(99);
    let feed = feed_over(&wire, Some(test_beat.clone()));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    assert!(follower.is_idle().await, "99 still runs");
    test_beat.shows(100);
    follower.next().await.unwrap();
    assert_eq!(follower.gaps.len(), 1);
    test_beat.shows(99);
    wire.put([record("shop.public.users", "", r#"{"id":1}"#)]);
    assert!(follower.is_idle().await);
    test_beat.shows(100);
    assert_eq!(follower.hear(1).await.len(), 1);
    test_beat.shows(99);
    wire.put([record("shop.public.users", "", "{")]);
    assert!(follower.is_idle().await);
    test_beat.shows(100);
    follower.next().await.unwrap();
    assert_eq!(follower.gaps.len(), 2);
}

/// While nothing can be read, no more is taken than there is room for; then all of it is told.
#[tokio::test]
async fn what_is_held_back_is_bounded() {
    let wire = Wire::default();
    let test_beat = TestBeat::over(&wire);
    test_beat.shows(100);
    let feed = feed_over(&wire, Some(test_beat.clone()));
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.next().await.unwrap();
    test_beat.shows(50);
    for _ in 0..100 {
        wire.user("c", "null", ADA, 50);
    }
    while wire.change(|state| state.batches.len()) > 100 - 64 {
        assert!(follower.is_idle().await);
    }
    assert!(follower.is_idle().await);
    assert_eq!(wire.change(|state| state.batches.len()), 100 - 64);
    test_beat.shows(51);
    assert_eq!(follower.hear(100).await.len(), 100);
}
