//! Who watches beside who follows hears of everything, also of what was applied long before he
//! looks; and nobody hears of him.

use larder_core::ErrorKind;

use crate::{Follower, followed};

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_hears_of_what_who_follows_has_applied() {
    let (database, feed, mut follower) = followed().await;
    follower.gaps.clear();
    let observer = feed.observer();
    let mut round = 0;
    loop {
        let mut watcher = Follower::follow(&observer, None).await.unwrap();
        watcher.catch_up(&observer).await;
        assert_eq!(watcher.gaps, ["who watches begins"]);
        let ids = round * 3 + 1..round * 3 + 4;
        let rows: Vec<String> = ids.map(|id| format!("({id}, 'Ada')")).collect();
        database.sqlite3(&format!("INSERT INTO users VALUES {}", rows.join(", ")));
        let followed = follower.catch_up(&feed).await;
        assert_eq!(followed.len(), 3);
        let is_written = "SELECT place = acknowledged FROM larder_state";
        follower.until(&database, is_written, "1").await;
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
    let (database, feed, follower) = followed().await;
    drop(follower);
    let observer = feed.observer();
    let mut watcher = Follower::follow(&observer, None).await.unwrap();
    let error = Follower::follow(&feed.observer(), None).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("watches"), "{error}");
    watcher.catch_up(&observer).await;
    database.sqlite3("INSERT INTO users VALUES (1, 'Ada')");
    assert_eq!(watcher.catch_up(&observer).await.len(), 1);
    // What he has seen isn't acknowledged by anybody.
    assert_eq!(database.sqlite3("SELECT count(*) FROM larder_change"), "1");
    drop(watcher);
    Follower::follow(&observer, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_says_so_while_not_everything_is_written_down() {
    let database = crate::Database::new();
    let options = larder_feed::sqlite::SqliteTriggersOptions { rows_max: 2, ..crate::options() };
    let feed = database.feed_with(options);
    feed.install().await.unwrap();
    let mut watcher = Follower::follow(&feed.observer(), None).await.unwrap();
    database.sqlite3("INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')");
    assert!(watcher.ended().await.to_string().contains("more was changed than is kept"));
}
