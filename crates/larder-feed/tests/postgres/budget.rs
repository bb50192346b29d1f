//! How much of the database's disk a feed takes, and what is said of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use larder_core::ErrorKind;
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::Postgres;

use crate::{Follower, installed};

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 64 * MIB;
/// What the server keeps for itself (`max_wal_size`), and a file it writes, one it has just left
/// and one that it will write.
const BESIDES: u64 = 64 * MIB + 3 * 16 * MIB;
/// So much is written into the log, 20 MiB at a time.
const WRITTEN: u64 = 320 * MIB;

fn with_budget(url: &str) -> PostgresFeed {
    let options =
        PostgresFeedOptions { wal_budget: Some(BUDGET), ..PostgresFeedOptions::new(["users"]) };
    PostgresFeed::new(url, options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_follows_the_disk_stays_within_the_budget() {
    let postgres = Postgres::start_with(&[
        ("wal_level", "logical"),
        ("max_wal_size", "64MB"),
        ("min_wal_size", "32MB"),
    ]);
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    let feed = with_budget(&postgres.url());
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    follower.acknowledge();
    let applied = follower.position;
    drop(follower);
    let mut largest = 0;
    for written in 1..=WRITTEN / (20 * MIB) {
        postgres.psql(&format!(
            "SELECT count(pg_logical_emit_message(false, 'x', repeat('x', {MIB})))
               FROM generate_series(1, 20);
             INSERT INTO users VALUES ({written}, 'missed');
             CHECKPOINT;"
        ));
        let size: u64 = postgres.psql("SELECT sum(size) FROM pg_ls_waldir()").parse().unwrap();
        largest = largest.max(size);
    }
    assert!(largest <= BUDGET + BESIDES, "pg_wal took {largest} bytes");
    assert!(largest > BUDGET / 2, "nothing was kept: {largest} bytes");
    assert!(feed.status().await.unwrap().unwrap().is_lost);
    // It goes on by itself, in the same time however much was missed.
    let mut next = Follower::follow_soon(&feed, Some(applied)).await;
    next.catch_up(&feed).await;
    assert_eq!(next.gaps, ["the slot was too far behind, and was made again"]);
    postgres.psql("INSERT INTO users VALUES (0, 'after')");
    assert_eq!(next.catch_up(&feed).await, ["+0 after"]);
    next.acknowledge();
}

/// Who watches may be killed, and what he leaves behind keeps the log until the disk is full.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_somebody_left_who_watched_is_dropped_when_it_is_too_far_behind() {
    let (postgres, _) = installed().await;
    let options = PostgresFeedOptions {
        behind_max: 8 * MIB,
        look_every: Duration::from_millis(10),
        ..PostgresFeedOptions::new(["users"])
    };
    let feed = PostgresFeed::new(&postgres.url(), options).unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let observer = feed.observer();
    drop(Follower::follow(&observer, None).await.unwrap());
    let slots = "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots";
    let mut rows = 0;
    while postgres.psql(slots) != "larder" {
        assert!(rows < 1_000, "it is still there: {}", postgres.psql(slots));
        postgres.psql(
            "INSERT INTO users SELECT n, repeat('x', 100) FROM generate_series(1, 5000) n;
             DELETE FROM users; CHECKPOINT;",
        );
        rows += 1;
        follower.catch_up(&feed).await;
        follower.acknowledge();
        // What he acknowledges is reported once a second; until then he is behind himself.
        while kept_for(&postgres, "larder") > 4 * MIB {
            postgres.psql("INSERT INTO users VALUES (0, 'x'); DELETE FROM users; CHECKPOINT;");
            follower.catch_up(&feed).await;
            follower.acknowledge();
        }
    }
    assert!(rows > 2, "not before it is too far behind");
    assert_eq!(follower.gaps.len(), 1, "who follows goes on: {:?}", follower.gaps);
}

/// So much of the log is kept for a slot, in bytes.
fn kept_for(postgres: &Postgres, slot: &str) -> u64 {
    let bytes = format!(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::int8
           FROM pg_replication_slots WHERE slot_name = '{slot}'"
    );
    postgres.psql(&bytes).parse().unwrap()
}

/// There is always something to tell, and nothing is ever acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn who_follows_too_slowly_is_noticed_while_he_is_busy() {
    let (postgres, _) = installed().await;
    let options = PostgresFeedOptions {
        behind_max: 8 * MIB,
        look_every: Duration::from_millis(10),
        ..PostgresFeedOptions::new(["users"])
    };
    let feed = PostgresFeed::new(&postgres.url(), options).unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let ends = AtomicBool::new(false);
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                postgres.psql(
                    "INSERT INTO users SELECT n, repeat('x', 100) FROM generate_series(1, 9000) n;
                     CHECKPOINT; DELETE FROM users;",
                );
            }
        });
        let error = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                loop {
                    if let Err(error) = follower.next().await {
                        break error;
                    }
                    follower.told.clear();
                }
            })
        });
        ends.store(true, Ordering::Relaxed);
        error
    });
    assert!(error.to_string().contains("too far behind"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_set_the_budget_is_told_what_to_say() {
    let (postgres, feed) = installed().await;
    let standing = feed.standing().await.unwrap();
    assert_eq!(standing.budget, None);
    let sql = "ALTER SYSTEM SET max_slot_wal_keep_size = '1024MB'; SELECT pg_reload_conf()";
    assert!(standing.warnings()[0].contains(sql), "{standing}");
    postgres.psql(
        "CREATE ROLE larder LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO larder;
         ALTER TABLE users OWNER TO larder; ALTER PUBLICATION larder OWNER TO larder;",
    );
    let url = postgres.url().replace("postgres@", "larder@");
    let refused = with_budget(&url).install().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    let sql = "ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'; SELECT pg_reload_conf()";
    assert!(refused.to_string().contains(sql), "{refused}");
    with_budget(&postgres.url()).install().await.unwrap();
    assert_eq!(feed.standing().await.unwrap().budget, Some(BUDGET));
    assert!(feed.standing().await.unwrap().warnings().is_empty());
    // A budget that is stricter already stays so.
    postgres.psql("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'; SELECT pg_reload_conf()");
    while postgres.psql("SHOW max_slot_wal_keep_size") != "32MB" {}
    with_budget(&postgres.url()).install().await.unwrap();
    assert_eq!(postgres.psql("SHOW max_slot_wal_keep_size"), "32MB");
    with_budget(&url).install().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_it_sees_who_follows_and_how_far() {
    let (postgres, feed) = installed().await;
    let none = feed.standing().await.unwrap();
    assert_eq!((none.slot.clone(), none.untold.len()), (None, 0));
    assert!(none.to_string().contains("nobody has followed it yet"), "{none}");
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    let followed = feed.standing().await.unwrap();
    let pid = postgres.psql("SELECT active_pid FROM pg_replication_slots");
    let says = format!("followed by larder feed (process {pid})");
    assert!(followed.to_string().contains(&says), "{followed}");
    assert!(followed.to_string().contains("public.users: id is known"), "{followed}");
    assert_eq!(followed.slot.unwrap().wal_status, "reserved");
    postgres.psql("ALTER PUBLICATION larder DROP TABLE users");
    let untold = feed.standing().await.unwrap();
    let says = "warning: the publication larder doesn't name public.users: install";
    assert!(untold.to_string().contains(says), "{untold}");
    drop(follower);
    feed.remove().await.unwrap();
    let gone = "SELECT (SELECT count(*) FROM pg_replication_slots)
                     + (SELECT count(*) FROM pg_publication)";
    assert_eq!(postgres.psql(gone), "0");
    feed.remove().await.unwrap();
}
