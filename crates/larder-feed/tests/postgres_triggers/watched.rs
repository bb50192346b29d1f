//! Who watches beside who follows hears of everything, also of what was applied long before he
//! looks; and nobody hears of him.

use larder_core::ErrorKind;
use larder_feed::postgres_triggers::PostgresTriggersOptions;

use crate::{Follower, database, feed_with, installed, options};

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_hears_of_what_who_follows_has_applied() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    follower.gaps.clear();
    let observer = feed.observer();
    let mut round = 0;
    loop {
        let mut watcher = Follower::follow_soon(&observer, None).await;
        watcher.catch_up(&observer).await;
        assert_eq!(watcher.gaps, ["who watches begins"]);
        let first = round * 3 + 1;
        postgres.psql(&format!(
            "INSERT INTO users SELECT n, 'Ada' FROM generate_series({first}, {}) n",
            first + 2
        ));
        let followed = follower.catch_up(&feed).await;
        assert_eq!(followed.len(), 3);
        let is_written = "SELECT p.last_value = a.last_value
                            FROM larder.place p, larder.acknowledged a";
        follower.until(&postgres, is_written, "t").await;
        let watched = watcher.catch_up(&observer).await;
        // On a machine that was asleep he knows that he may have missed something.
        if watcher.gaps.len() == 1 {
            assert_eq!(watched, followed);
            break;
        }
        round += 1;
    }
    assert!(follower.gaps.is_empty(), "{:?}", follower.gaps);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_can_watch_and_nobody_needs_to_follow() {
    let (postgres, feed) = installed().await;
    let observer = feed.observer();
    let mut watcher = Follower::follow(&observer, None).await.unwrap();
    let error = Follower::follow(&feed.observer(), None).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("watches"), "{error}");
    watcher.catch_up(&observer).await;
    postgres.psql("INSERT INTO users VALUES (1, 'Ada')");
    assert_eq!(watcher.catch_up(&observer).await.len(), 1);
    // What he has seen isn't acknowledged by anybody.
    assert_eq!(postgres.psql("SELECT count(*) FROM larder.change"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_says_so_while_not_everything_is_written_down() {
    let postgres = database();
    let feed = feed_with(&postgres, PostgresTriggersOptions { rows_max: 2, ..options() });
    feed.install().await.unwrap();
    let mut watcher = Follower::follow(&feed.observer(), None).await.unwrap();
    postgres.psql("INSERT INTO users SELECT n, 'Ada' FROM generate_series(1, 9) n");
    let error = loop {
        if let Err(error) = watcher.next().await {
            break error;
        }
    };
    assert!(error.to_string().contains("more was changed than is kept"), "{error}");
}
