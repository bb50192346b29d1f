//! Who follows when, and what is known of the time between.

use larder_core::feed::FeedPosition;
use larder_core::{ErrorKind, Feed as _};

use crate::{Follower, installed};

const UNKNOWN: &str = "nobody knows what was applied before";

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_for_the_first_time_begins_with_a_gap() {
    let (postgres, feed) = installed().await;
    postgres.psql("INSERT INTO users VALUES (1, 'before')");
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    assert!(follower.catch_up(&feed).await.is_empty());
    assert_eq!(follower.gaps, [UNKNOWN]);
    // What came before the gap is forgotten.
    follower.until(&postgres, "SELECT count(*) FROM larder.change", "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_what_was_applied_goes_on_behind_it() {
    let (postgres, feed) = installed().await;
    let mut first = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("INSERT INTO users VALUES (1, 'applied')");
    first.catch_up(&feed).await;
    let applied = first.position;
    first.acknowledge();
    postgres.psql("INSERT INTO users VALUES (2, 'told')");
    assert_eq!(first.catch_up(&feed).await, ["+2 told"]);
    drop(first);
    postgres.psql("INSERT INTO users VALUES (3, 'missed')");
    let mut second = Follower::follow_soon(&feed, Some(applied)).await;
    let told = second.catch_up(&feed).await;
    // What was applied may come again; what wasn't must come.
    assert!(told.ends_with(&["+2 told".to_owned(), "+3 missed".to_owned()]), "{told:?}");
    assert!(second.gaps.is_empty());
    drop(second);
    let mut third = Follower::follow_soon(&feed, None).await;
    third.catch_up(&feed).await;
    assert_eq!(third.gaps, [UNKNOWN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_less_than_was_forgotten_begins_with_a_gap() {
    let (postgres, feed) = installed().await;
    let mut first = Follower::follow(&feed, None).await.unwrap();
    first.catch_up(&feed).await;
    let before = first.position;
    postgres.psql("INSERT INTO users VALUES (1, 'x')");
    first.catch_up(&feed).await;
    first.acknowledge();
    first.until(&postgres, "SELECT count(*) FROM larder.change", "0").await;
    drop(first);
    let mut second = Follower::follow_soon(&feed, Some(before)).await;
    second.catch_up(&feed).await;
    assert_eq!(second.gaps, ["what was acknowledged since isn't kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_follows() {
    let (postgres, feed) = installed().await;
    let mut first = Follower::follow(&feed, None).await.unwrap();
    let refused = Follower::follow(&feed, None).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(feed.status().await.unwrap().unwrap().is_followed);
    // Nobody follows whose lock may be gone.
    postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    while first.next().await.is_ok() {}
    let mut second = Follower::follow_soon(&feed, None).await;
    second.catch_up(&feed).await;
    assert!(first.next().await.is_err());
    drop(second);
    Follower::follow_soon(&feed, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_misses_nothing() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    for id in 0..50 {
        postgres.psql(&format!("INSERT INTO users VALUES ({id}, 'x')"));
        // At another place each time.
        let soon = std::time::Duration::from_micros(200 * id);
        let _ = tokio::time::timeout(soon, follower.next()).await;
    }
    let told = follower.catch_up(&feed).await;
    assert_eq!(told, (0..50).map(|id| format!("+{id} x")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_is_followed_on_without_a_gap() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("INSERT INTO users VALUES (1, 'before')");
    follower.catch_up(&feed).await;
    let applied = follower.position;
    follower.acknowledge();
    postgres.restart();
    while follower.next().await.is_ok() {}
    postgres.psql("INSERT INTO users VALUES (2, 'after')");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert!(next.catch_up(&feed).await.ends_with(&["+2 after".to_owned()]));
    assert!(next.gaps.is_empty(), "{:?}", next.gaps);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_under_the_same_address_is_a_gap() {
    let (_postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let of_another = FeedPosition(follower.position.0 ^ 1 << 100);
    drop(follower);
    let mut next = Follower::follow_soon(&feed, Some(of_another)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the log is another one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_is_a_gap() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let at = follower.position;
    let of_later = FeedPosition(at.0 + (1_000 << 32));
    drop(follower);
    let mut next = Follower::follow_soon(&feed, Some(of_later)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the database is one of an earlier time"]);
    // While it is followed, the clock of another log proves nothing.
    postgres.psql("UPDATE larder.state SET log = log + 1");
    let error = feed.end().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceDown, "{error}");
    while next.next().await.is_ok() {}
}
