//! The promise with a feed: Postgres changed by a program that never heard of larder, and read
//! through two processes, while what lies between them is cut, stopped and taken away.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod place;

use std::time::Duration;

use larder_test::checker::Report;
use place::Place;

const PROMISE: Duration = Duration::from_secs(1);

/// The reads of a run, and what they cost.
fn judge(place: &Place, what: &str) -> Report {
    let report = place.checker.check(PROMISE);
    println!("{what}: {} loads\n{report}", place.loads());
    report.assert_kept();
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_anybody_changes_is_known_within_the_promise_and_the_rest_is_held() {
    let place = Place::new().await;
    place.run(Duration::from_secs(3)).await;
    let report = judge(&place, "undisturbed");
    // Entries live for an hour: what is loaded is what was changed, or is read for the first time.
    let (changes, first) = (place.changes(), 2 * place::ACCOUNTS);
    let loads = place.loads();
    assert!(loads <= 2 * changes + first + 100, "{loads} loads, {changes} changes");
    assert!(report.reads > 20 * usize::try_from(loads).unwrap(), "{} reads", report.reads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_holds_while_everything_between_them_fails() {
    let place = Place::new().await;
    place
        .disturbed(Duration::from_secs(2), || {
            place.postgres.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE backend_type = 'walsender'",
            );
        })
        .await;
    place
        .disturbed(Duration::from_secs(4), || {
            place.redis.pause();
            std::thread::sleep(Duration::from_millis(1500));
            place.redis.resume();
        })
        .await;
    place
        .disturbed(Duration::from_secs(3), || {
            place.postgres.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE backend_type = 'walsender';
                 SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                  WHERE NOT active;",
            );
        })
        .await;
    let follower = place.follower().await;
    place.stop(follower);
    place.run(Duration::from_secs(3)).await;
    assert_ne!(place.follower().await, follower, "the other one follows");
    judge(&place, "disturbed");
}
