//! What becomes of a write, and of who reads, in each mode and under each failure: the table of
//! `docs/guides/choosing-a-write-strategy.md` is held to what is observed here, on a real Postgres
//! (and a SQLite where a process is killed), a real Redis, and a journal of files.
//!
//! The clocks of all processes stand still unless they are turned: nothing is late by accident, and
//! what is old for so long is old for so long by a clock. What has a process of its own here is an
//! engine; those that are killed are real ones.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod bus;
mod child;
mod costs;
mod killed;
mod mode;
mod outage;
mod process;
mod redis;
mod scene;
mod sink;
mod table;
mod turning;
mod writers;

use larder_crash::TestDatabase;
use scene::Scene;
use table::{Cost, Failure};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_reference_of_write_strategies_is_what_is_observed() {
    let (others, killed, on_sqlite, down) = tokio::join!(
        tokio::spawn(one_after_the_other(Scene::over(TestDatabase::postgres()))),
        // With a database of their own: there are so many processes.
        tokio::spawn(killed_over(TestDatabase::postgres())),
        tokio::spawn(killed_over(TestDatabase::sqlite().await)),
        tokio::spawn(outage::is_down()),
    );
    let ((quiet, rest, costs), killed, on_sqlite, down) =
        (others.unwrap(), killed.unwrap(), on_sqlite.unwrap(), down.unwrap());
    assert_eq!(killed, on_sqlite, "SQLite behaves as Postgres does");
    let mut failures = vec![quiet];
    failures.extend(killed);
    failures.push(down);
    failures.extend(rest);
    for failure in &failures {
        failure.check();
    }
    table::check(&failures, &costs);
}

async fn killed_over(database: TestDatabase) -> Vec<Failure> {
    killed::both(&Scene::over(database), 0).await
}

async fn one_after_the_other(scene: Scene) -> (Failure, Vec<Failure>, Vec<Cost>) {
    let scene = &scene;
    let quiet = bus::nothing_fails(scene, 100).await;
    let mut rest = vec![outage::answer_is_lost(scene, 200).await, redis::is_down(scene, 300).await];
    rest.extend(redis::forgot(scene, 400).await);
    rest.push(bus::is_cut(scene, 500).await);
    rest.extend(writers::all(scene, 600).await);
    (quiet, rest, costs::measured(scene, 700).await)
}
