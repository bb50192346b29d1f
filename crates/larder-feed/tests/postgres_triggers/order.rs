//! The order in which commits become visible, which is not that of their numbers.

use crate::{Follower, Session, installed};

/// Who remembered only the largest number would never hear of the first change.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_earlier_and_committed_later_is_told() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let early = Session::begin(&postgres, "INSERT INTO users VALUES (1, 'early')");
    postgres.psql("INSERT INTO users VALUES (2, 'late')");
    assert_eq!(follower.catch_up(&feed).await, ["+2 late"]);
    follower.acknowledge();
    let larger = postgres.psql("SELECT max(place) FROM larder.change");
    early.end("COMMIT;");
    assert_eq!(follower.catch_up(&feed).await, ["+1 early"]);
    let smaller = postgres.psql("SELECT min(place) FROM larder.change");
    assert!(smaller.parse::<u64>().unwrap() < larger.parse::<u64>().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_is_not_told_and_holds_nobody_up() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let open = Session::begin(&postgres, "INSERT INTO users VALUES (0, 'open')");
    for round in 1..=5 {
        postgres.psql(&format!("INSERT INTO users VALUES ({round}, 'x')"));
        assert_eq!(follower.catch_up(&feed).await, [format!("+{round} x")]);
        follower.acknowledge();
    }
    // Also what was applied is forgotten meanwhile; the one that isn't told can't be seen yet.
    follower.until(&postgres, "SELECT count(*) FROM larder.change", "0").await;
    open.end("COMMIT;");
    assert_eq!(follower.catch_up(&feed).await, ["+0 open"]);
    follower.acknowledge();
}

/// As a backup, or somebody who went to lunch.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_elsewhere_that_runs_for_long_holds_nothing_up() {
    let (postgres, feed) = installed().await;
    postgres.psql("CREATE TABLE other (id int)");
    let long = Session::begin(&postgres, "INSERT INTO other VALUES (1)");
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    for round in 0..5 {
        postgres.psql(&format!("INSERT INTO users VALUES ({round}, 'x')"));
        assert_eq!(follower.catch_up(&feed).await, [format!("+{round} x")]);
        follower.acknowledge();
    }
    follower.until(&postgres, "SELECT count(*) FROM larder.change", "0").await;
    long.end("COMMIT;");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_prepared_is_told_when_it_is_committed() {
    let postgres = larder_test::Postgres::start_with(&[("max_prepared_transactions", "2")]);
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    let feed = crate::feed_with(&postgres, crate::options());
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("BEGIN; INSERT INTO users VALUES (1, 'x'); PREPARE TRANSACTION 'p'");
    assert!(follower.catch_up(&feed).await.is_empty());
    postgres.psql("COMMIT PREPARED 'p'");
    assert_eq!(follower.catch_up(&feed).await, ["+1 x"]);
}

/// What waits for a standby is seen by nobody, and so it isn't told either. What asks for the end
/// doesn't wait for a standby itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_reader_sees_yet_is_not_told() {
    let postgres = larder_test::Postgres::start();
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    postgres.psql("INSERT INTO users VALUES (1, 'old')");
    let feed = crate::feed_with(&postgres, crate::options());
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    postgres.psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    postgres.psql("SELECT pg_reload_conf()");
    while postgres.psql("SHOW synchronous_standby_names") != "nobody" {}
    let mut writer = Session::open(&postgres);
    writer.run("UPDATE users SET name = 'new' WHERE id = 1;");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while postgres.psql(waits) != "1" {}
    assert_eq!(postgres.psql("SELECT name FROM users"), "old");
    // So many that the clock's own writing is among them.
    for _ in 0..20 {
        assert!(follower.catch_up(&feed).await.is_empty());
    }
    postgres.psql("ALTER SYSTEM SET synchronous_standby_names = ''");
    postgres.psql("SELECT pg_reload_conf()");
    writer.end("");
    assert_eq!(follower.catch_up(&feed).await, ["1>1 new"]);
}

/// Many writers, whose transactions overlap in every way; nothing is told before it is committed,
/// and when everything is committed, everything was told.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_while_many_write_at_once() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let script = "BEGIN; INSERT INTO users VALUES (nextval('ids'), 'x'); SELECT pg_sleep(random() \
                  * 0.02); INSERT INTO users VALUES (nextval('ids'), 'y'); COMMIT;";
    postgres.psql("CREATE SEQUENCE ids");
    let file = std::env::temp_dir().join(format!("larder-trig-{}.sql", std::process::id()));
    std::fs::write(&file, script).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let bench = tokio::task::spawn_blocking(move || {
        postgres.pgbench(&["-n", "-c", "8", "-j", "2", "-t", "50", "-f", &path]);
        postgres
    });
    let mut told = Vec::new();
    while !bench.is_finished() {
        told.extend(follower.catch_up(&feed).await);
        follower.acknowledge();
    }
    let postgres = bench.await.unwrap();
    std::fs::remove_file(file).unwrap();
    told.extend(follower.catch_up(&feed).await);
    let mut ids: Vec<u32> =
        told.iter().map(|told| told[1..told.len() - 2].parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=800).collect::<Vec<_>>(), "each once");
    assert_eq!(postgres.psql("SELECT count(*) FROM users"), "800");
    assert!(feed.status().await.unwrap().unwrap().is_followed);
}
