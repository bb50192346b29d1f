//! Processes that are killed in the middle of writing: what they acknowledged is in the database, or
//! among the dead letters, once.

use std::time::Duration;

use larder::ErrorKind;
use larder::engine::behind::BehindBounds;
use larder::journal::JournalOptions;
use larder::redis::{RedisJournalOptions, RedisOptions};
use larder_crash::{Driver, End, Rounds, Shop, TestDatabase, open_journal};
use larder_test::Redis;
use tempfile::TempDir;

use crate::child;

/// So often each database's writer is killed: at every step, and once at any moment.
const KILLS: u64 = 10;
/// Nothing waits longer because something else is refused, in milliseconds. A write waits 50 by
/// itself; the rest is for a machine that does other things.
const WAITS_MAX: u64 = 10_000;

/// With a journal in a folder, or in a Redis that keeps nothing on disk.
async fn check(database: TestDatabase, redis: Option<Redis>) {
    let mut rounds = Rounds::new(database, child::program);
    if let Some(redis) = &redis {
        rounds = rounds.with_journal_in(&redis.url());
    }
    for round in 0..KILLS {
        let (end, random) = (End::of_round(round, rounds.random()), rounds.random());
        let end = match end {
            // The steps of a journal of files.
            End::At(reaches) if redis.is_some() && reaches.is_of_files() => {
                End::After(20 + random % 500)
            }
            end => end,
        };
        let is_last = round + 1 == KILLS;
        let as_meant = match end {
            End::After(_) if is_last => {
                let redis = redis.as_ref();
                let look = async |rounds: &Rounds, driver: &Driver| {
                    a_second_process_is_refused(rounds, driver).await;
                    if let Some(redis) = redis {
                        it_comes_back_empty(redis);
                    }
                };
                rounds.kill_with(end, look).await
            }
            end => rounds.kill(end).await,
        };
        assert!(as_meant, "the end {end:?} wasn't reached");
    }
    rounds.settle(300);
    rounds.compare().await;
    let said = rounds.said();
    let waited = said.stopped.map_or(u64::MAX, |(_, waited)| waited);
    println!(
        "{} acknowledged, {} of them bad; {} records replayed, {} of them applied before; \
         {waited} ms at most",
        said.acknowledged,
        said.bad(),
        said.replayed,
        said.before
    );
    assert!(rounds.wrong().is_empty(), "{:#?}", rounds.wrong());
    assert!(waited < WAITS_MAX, "something waited {waited} ms");
    // The kills came where they matter.
    assert!(said.replayed > said.before && said.before > 0 && said.bad() > 20);
    let standing = open_journal(&rounds.journal()).await.unwrap().standing();
    assert_eq!(standing.first, standing.next);
    let owned = "SELECT count(*) FROM larder_owner WHERE owner IS NOT NULL";
    assert_eq!(rounds.database().number(owned).await, 0);
}

/// With a journal of its own, and with the same one.
async fn a_second_process_is_refused(rounds: &Rounds, driver: &Driver) {
    let error = match rounds.journal().to_str().filter(|place| place.starts_with("redis://")) {
        None => JournalOptions::new(rounds.journal()).open().unwrap_err(),
        Some(url) => {
            let options = RedisJournalOptions::new(RedisOptions::new(url), "shop");
            options.silence(Duration::from_secs(1)).open().await.unwrap_err()
        }
    };
    assert!(error.to_string().contains(&driver.id().to_string()), "{error}");
    let (other, owner) = (TempDir::new().unwrap(), &*rounds.said().owner);
    let bounds = BehindBounds { lanes: 1, ..BehindBounds::default() };
    let url = rounds.database().url();
    let mut tries = 0;
    let error = loop {
        let journal = open_journal(other.path()).await.unwrap();
        let error = Shop::open(&url, journal, bounds).await.err().unwrap();
        tries += 1;
        // SQLite doesn't queue who writes: where the first never pauses, the second may get no turn.
        if error.kind() != ErrorKind::SourceDown || tries == 30 {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain());
    assert!(error.to_string().contains(owner), "{error}");
}

/// What it held is sent again from the process that still has it.
fn it_comes_back_empty(redis: &Redis) {
    let next = || redis.cli(&["HGET", "larder.j:{shop}:head", "next"]).parse::<u64>();
    let before = next().unwrap();
    redis.kill();
    redis.restart();
    while next().unwrap_or(0) <= before {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_over_sqlite() {
    check(TestDatabase::sqlite().await, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_over_postgres() {
    check(TestDatabase::postgres(), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_of_writers_and_of_the_redis_with_their_journal() {
    check(TestDatabase::postgres(), Some(Redis::start())).await;
}
