//! How much is kept, and what is told where that wasn't enough.

use larder_core::Feed as _;

use crate::{Follower, PostgresTriggersOptions, Session, database, feed_with, installed, options};

const FULL: &str = "more was changed than is kept for who follows";

async fn bounded(
    rows_max: u64,
) -> (larder_test::Postgres, larder_feed::postgres_triggers::PostgresTriggers) {
    let postgres = database();
    let feed = feed_with(&postgres, PostgresTriggersOptions { rows_max, ..options() });
    feed.install().await.unwrap();
    (postgres, feed)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_follows_so_much_is_kept_and_then_there_is_a_gap() {
    let (postgres, feed) = bounded(100).await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    drop(follower);
    let each: Vec<String> =
        (0..300).map(|id| format!("INSERT INTO users VALUES ({id}, 'x')")).collect();
    postgres.psql(&each.join(";"));
    let kept = postgres.psql("SELECT count(*) FROM larder.change");
    assert!((95..=100).contains(&kept.parse::<u32>().unwrap()), "{kept}");
    let standing = feed.status().await.unwrap().unwrap();
    assert!(standing.is_full && !standing.is_followed, "{standing:?}");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert!(next.catch_up(&feed).await.is_empty());
    assert_eq!(next.gaps, [FULL]);
    postgres.psql("INSERT INTO users VALUES (1000, 'again')");
    assert_eq!(next.catch_up(&feed).await, ["+1000 again"]);
    next.acknowledge();
    assert!(!feed.status().await.unwrap().unwrap().is_full);
    next.until(&postgres, "SELECT count(*) FROM larder.change", "0").await;
    assert_eq!(next.gaps, [FULL], "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn just_as_much_as_may_be_is_no_gap() {
    let (postgres, feed) = bounded(200).await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    drop(follower);
    postgres.psql("INSERT INTO users SELECT n, 'x' FROM generate_series(1, 150) n");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    assert_eq!(next.catch_up(&feed).await.len(), 150);
    assert!(next.gaps.is_empty(), "{:?}", next.gaps);
}

/// What left something out commits after the gap would have been told: who loaded in between would
/// have the old value for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_told_when_everything_that_left_something_out_has_ended() {
    let (postgres, feed) = bounded(10).await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    drop(follower);
    postgres.psql("INSERT INTO users SELECT n, 'x' FROM generate_series(1, 20) n");
    let late = Session::begin(&postgres, "UPDATE users SET name = 'late' WHERE id = 1");
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), next.next()).await;
    assert!(early.is_err(), "{early:?}");
    late.end("COMMIT;");
    next.next().await.unwrap();
    assert_eq!(next.gaps, [FULL]);
    // Nothing of it was written down, so the gap is all that says it.
    assert!(next.catch_up(&feed).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_too_large_is_told_by_its_tables() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "BEGIN; INSERT INTO users SELECT n, 'x' FROM generate_series(1, 70000) n;
         SELECT larder.notice('done'); COMMIT;",
    );
    assert_eq!(postgres.psql("SELECT count(*) FROM larder.change"), "65538", "no more is written");
    assert_eq!(follower.catch_up(&feed).await, ["~users", "\"done\""]);
    postgres.psql("INSERT INTO users VALUES (0, 'after')");
    assert_eq!(follower.catch_up(&feed).await, ["+0 after"]);
    follower.acknowledge();
    follower.until(&postgres, "SELECT count(*) FROM larder.change", "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_many_pages_is_told_one_by_one() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let before = follower.position;
    postgres.psql("INSERT INTO users SELECT n, 'x' FROM generate_series(1, 3500) n");
    let end = feed.end().await.unwrap();
    let mut events = 0;
    while follower.position < end {
        follower.next().await.unwrap();
        events += 1;
        let is_half = follower.told.len() % 3500 != 0;
        assert!(!is_half || follower.position < end, "half of it isn't all of it");
        assert!(follower.position >= before);
    }
    let expected: Vec<String> = (1..=3500).map(|id| format!("+{id} x")).collect();
    assert_eq!(follower.told, expected);
    assert!(events >= 4, "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_refused_to_its_writer() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "DO $$ BEGIN PERFORM larder.notice(repeat('x', 8193)); RAISE 'allowed';
         EXCEPTION WHEN program_limit_exceeded THEN NULL; END $$;
         SELECT larder.notice(repeat('x', 8192)); SELECT larder.notice('')",
    );
    let told = follower.catch_up(&feed).await;
    assert_eq!(told.iter().map(String::len).collect::<Vec<_>>(), [8194, 2]);
}
