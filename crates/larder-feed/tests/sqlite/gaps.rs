//! Who follows when, what is known of the time between, and how much is kept.

use larder_core::feed::FeedPosition;
use larder_core::{ErrorKind, Feed as _};

use crate::{Database, Follower, SqliteTriggersOptions, followed, options};

const FULL: &str = "more was changed than is kept for who follows";
const UNKNOWN: &str = "nobody knows what was applied before";

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_for_the_first_time_begins_with_a_gap() {
    let database = Database::new();
    let feed = database.feed();
    feed.install().await.unwrap();
    database.sqlite3("INSERT INTO users VALUES (1, 'before')");
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    assert!(follower.catch_up(&feed).await.is_empty());
    assert_eq!(follower.gaps, [UNKNOWN]);
    // What came before the gap is forgotten.
    follower.until(&database, "SELECT count(*) FROM larder_change", "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_what_was_applied_goes_on_behind_it() {
    let (database, feed, mut first) = followed().await;
    database.sqlite3("INSERT INTO users VALUES (1, 'applied')");
    first.catch_up(&feed).await;
    let applied = first.position;
    first.acknowledge();
    database.sqlite3("INSERT INTO users VALUES (2, 'told')");
    assert_eq!(first.catch_up(&feed).await, ["+2 told"]);
    drop(first);
    database.sqlite3("INSERT INTO users VALUES (3, 'missed')");
    let mut second = Follower::follow(&feed, Some(applied)).await.unwrap();
    assert_eq!(second.catch_up(&feed).await, ["+2 told", "+3 missed"]);
    assert!(second.gaps.is_empty());
    second.acknowledge();
    second.until(&database, "SELECT count(*) FROM larder_change", "0").await;
    let end = second.position;
    drop(second);
    // Nothing was written since, and it is passed all the same.
    let mut third = Follower::follow(&feed, Some(end)).await.unwrap();
    assert!(third.catch_up(&feed).await.is_empty());
    assert_eq!((third.gaps.len(), third.position), (0, end));
    drop(third);
    let mut fourth = Follower::follow(&feed, Some(applied)).await.unwrap();
    fourth.catch_up(&feed).await;
    assert_eq!(fourth.gaps, ["what was acknowledged since isn't kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_follows() {
    let (database, feed, follower) = followed().await;
    // Also under another name, and by another feed of this process.
    let link = database.file().with_file_name("link.db");
    std::os::unix::fs::symlink(database.file(), &link).unwrap();
    let url = format!("sqlite:{}", link.display());
    let other = larder_feed::sqlite::SqliteTriggers::new(&url, options()).unwrap();
    for feed in [&feed, &other] {
        assert_eq!(feed.follow(None).await.err().unwrap().kind(), ErrorKind::Refused);
    }
    assert!(feed.status().await.unwrap().unwrap().is_followed);
    drop(follower);
    assert!(!feed.status().await.unwrap().unwrap().is_followed);
    Follower::follow(&other, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_follows_so_much_is_kept_and_then_there_is_a_gap() {
    let database = Database::new();
    let feed = database.feed_with(SqliteTriggersOptions { rows_max: 100, ..options() });
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let applied = follower.position;
    drop(follower);
    let many = |from: u32, to: u32| {
        format!(
            "WITH RECURSIVE n (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM n WHERE n < {to})
             INSERT INTO users SELECT n, 'x' FROM n"
        )
    };
    database.sqlite3(&many(1, 100));
    assert!(!feed.status().await.unwrap().unwrap().is_full, "just as much as may be");
    let mut just = Follower::follow(&feed, Some(applied)).await.unwrap();
    assert_eq!(just.catch_up(&feed).await.len(), 100);
    assert!(just.gaps.is_empty());
    drop(just);
    database.sqlite3(&many(101, 300));
    assert_eq!(database.sqlite3("SELECT count(*) FROM larder_change"), "100");
    assert!(feed.status().await.unwrap().unwrap().is_full);
    let mut next = Follower::follow(&feed, Some(applied)).await.unwrap();
    assert!(next.catch_up(&feed).await.is_empty());
    assert_eq!(next.gaps, [FULL]);
    next.until(&database, "SELECT count(*) FROM larder_change", "0").await;
    database.sqlite3("INSERT INTO users VALUES (1000, 'again')");
    assert_eq!(next.catch_up(&feed).await, ["+1000 again"]);
    assert!(!feed.status().await.unwrap().unwrap().is_full);
    // It is noticed by who follows, too.
    database.sqlite3(&many(2000, 2200));
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, [FULL, FULL]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_many_pages_is_told_and_too_much_by_its_tables() {
    let (database, feed, mut follower) = followed().await;
    let many = |to: u32| {
        format!(
            "BEGIN; WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {to})
             INSERT INTO users SELECT n, 'x' FROM n; INSERT INTO larder_notice VALUES ('done');
             COMMIT; DELETE FROM users WHERE id = 1"
        )
    };
    database.sqlite3(&many(3500));
    let told = follower.catch_up(&feed).await;
    assert_eq!(
        (told.len(), &*told[3499], &*told[3500], &*told[3501]),
        (3502, "+3500 x", "\"done\"", "-1")
    );
    database.sqlite3("DELETE FROM users");
    follower.catch_up(&feed).await;
    database.sqlite3(&many(70_000));
    assert_eq!(follower.catch_up(&feed).await, ["~users", "\"done\""]);
    database.sqlite3("INSERT INTO users VALUES (0, 'after')");
    assert_eq!(follower.catch_up(&feed).await, ["+0 after"]);
    follower.until(&database, "SELECT count(*) FROM larder_change", "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_misses_nothing() {
    let (database, feed, mut follower) = followed().await;
    for id in 0..50 {
        database.sqlite3(&format!("INSERT INTO users VALUES ({id}, 'x')"));
        // At another place each time.
        let soon = std::time::Duration::from_micros(100 * id);
        let _ = tokio::time::timeout(soon, follower.next()).await;
    }
    let told = follower.catch_up(&feed).await;
    assert_eq!(told, (0..50).map(|id| format!("+{id} x")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_put_back_is_a_gap() {
    // Written over the file, and in its place.
    for in_place in [true, false] {
        let (database, feed, mut follower) = followed().await;
        let backup = database.file().with_file_name("backup.db");
        std::fs::copy(database.file(), &backup).unwrap();
        database.sqlite3("INSERT INTO users VALUES (1, 'lost')");
        assert_eq!(follower.catch_up(&feed).await, ["+1 lost"]);
        let applied = follower.position;
        if in_place {
            database.sqlite3(&format!(".restore {}", backup.display()));
            while follower.gaps.len() < 2 {
                follower.next().await.unwrap();
            }
            assert_eq!(follower.gaps[1], "the database is one of an earlier time");
            continue;
        }
        std::fs::rename(&backup, database.file()).unwrap();
        let error = follower.ended().await;
        assert_eq!(error.kind(), ErrorKind::SourceDown, "{error}");
        // The numbers are as if nothing had happened.
        database.sqlite3("INSERT INTO users VALUES (2, 'x'), (3, 'x'), (4, 'x')");
        drop(follower);
        let mut next = Follower::follow(&feed, Some(applied)).await.unwrap();
        next.catch_up(&feed).await;
        assert_eq!(next.gaps, ["the log is another one"]);
        database.sqlite3("INSERT INTO users VALUES (5, 'y')");
        assert_eq!(next.catch_up(&feed).await, ["+5 y"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_ends_it() {
    let (database, feed, mut follower) = followed().await;
    std::fs::remove_file(database.file()).unwrap();
    assert_eq!(follower.ended().await.kind(), ErrorKind::SourceDown);
    drop(follower);
    assert_eq!(feed.end().await.unwrap_err().kind(), ErrorKind::SourceDown);
    assert_eq!(feed.follow(None).await.err().unwrap().kind(), ErrorKind::SourceDown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_of_another_log_is_a_gap() {
    let (_database, feed, follower) = followed().await;
    let at = follower.position;
    drop(follower);
    for (since, reason) in [
        (FeedPosition(at.0 ^ 1 << 100), "the log is another one"),
        (FeedPosition(at.0 + (1_000 << 32)), "the database is one of an earlier time"),
    ] {
        let mut next = Follower::follow(&feed, Some(since)).await.unwrap();
        next.catch_up(&feed).await;
        assert_eq!(next.gaps, [reason]);
    }
}
