//! Postgres stopped, restarted, paused, and loads that nobody waits for any more.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{answer, failure, get, load, source};
use larder_core::{Error, ErrorKind};
use larder_sql::{Database, Options, SqlSource};
use larder_test::Postgres;

fn start(options: &Options) -> (Postgres, Arc<SqlSource>) {
    let postgres = Postgres::start();
    postgres.psql("CREATE TABLE t (id int, n int); INSERT INTO t SELECT i, i FROM generate_series(1, 100) AS g(i)");
    let database = Database::open(&postgres.url(), options).unwrap();
    let t = source(&database, load("t:{id:int}", "SELECT n FROM t WHERE id = {id}"));
    (postgres, Arc::new(t))
}

/// Many loads at once, and how long the slowest took.
async fn herd(source: &Arc<SqlSource>, loads: usize) -> (Vec<Result<(), Error>>, Duration) {
    let start = Instant::now();
    let tasks: Vec<_> = (0..loads)
        .map(|at| {
            let source = Arc::clone(source);
            tokio::spawn(
                async move { get(&source, &format!("t:{}", 1 + at % 100)).await.map(drop) },
            )
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    (outcomes, start.elapsed())
}

fn all_down(outcomes: &[Result<(), Error>]) -> bool {
    outcomes.iter().all(|outcome| {
        outcome.as_ref().is_err_and(|error| {
            error.kind() == ErrorKind::SourceDown && error.retry_delay().is_some()
        })
    })
}

/// How long it takes until a load succeeds again.
async fn recovery(source: &SqlSource) -> Duration {
    let start = Instant::now();
    while get(source, "t:1").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "no recovery");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_connections_are_refused_every_load_fails_at_once() {
    let (postgres, t) = start(&Options::new("shop"));
    postgres.stop();
    let error = t.prepare().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_delay().is_some()), (ErrorKind::SourceDown, true));
    assert!(error.downcast_ref::<sqlx::Error>().is_some());
    let (outcomes, took) = herd(&t, 200).await;
    assert!(all_down(&outcomes));
    assert!(took < Duration::from_secs(1), "{took:?}");
    postgres.restart();
    let took = recovery(&t).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (outcomes, _) = herd(&t, 200).await;
    assert!(outcomes.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_loads_is_noticed_by_nobody() {
    let (postgres, t) = start(&Options::new("shop"));
    for end in [Postgres::restart_by_stopping, Postgres::restart_by_killing] {
        let (outcomes, _) = herd(&t, 64).await;
        assert!(outcomes.iter().all(Result::is_ok));
        end(&postgres);
        let (outcomes, _) = herd(&t, 64).await;
        let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

/// The two ways to restart.
trait Restart {
    fn restart_by_stopping(&self);
    fn restart_by_killing(&self);
}

impl Restart for Postgres {
    fn restart_by_stopping(&self) {
        self.restart();
    }

    fn restart_by_killing(&self) {
        self.kill();
        self.restart();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_under_load_gives_sources_down_and_then_answers() {
    let (postgres, t) = start(&Options { connections: 8, ..Options::new("shop") });
    let stop = Arc::new(AtomicBool::new(false));
    let (good, down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..16)
        .map(|at| {
            let (t, stop, good, down) = (t.clone(), stop.clone(), good.clone(), down.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    match get(&t, &format!("t:{}", 1 + at)).await {
                        Ok(value) => {
                            assert!(value.is_some());
                            good.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::SourceDown, "{}", error.chain());
                            assert!(start.elapsed() < Duration::from_secs(3));
                            down.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
            })
        })
        .collect();
    for _ in 0..2 {
        until(&good, 200).await;
        postgres.stop();
        until(&down, 50).await;
        postgres.restart();
        let took = recovery(&t).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    until(&good, 200).await;
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Waits until a count has grown by `more`.
async fn until(count: &AtomicUsize, more: usize) {
    let (from, start) = (count.load(Ordering::Relaxed), Instant::now());
    while count.load(Ordering::Relaxed) < from + more {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_database_costs_the_load_timeout_and_then_the_connect_timeout() {
    let options = Options {
        connections: 4,
        load_timeout: Duration::from_millis(600),
        connect_timeout: Duration::from_millis(300),
        ..Options::new("shop")
    };
    let (postgres, t) = start(&options);
    let (outcomes, _) = herd(&t, 16).await;
    assert!(outcomes.iter().all(Result::is_ok));
    postgres.pause();
    let (outcomes, took) = herd(&t, 4).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(|error| {
        [ErrorKind::Timeout, ErrorKind::SourceDown].contains(&error.kind())
    })));
    assert!(outcomes.iter().flat_map(|o| o.as_ref().err()).any(|e| e.kind() == ErrorKind::Timeout));
    assert!(took < Duration::from_secs(1), "{took:?}");
    // Nothing idle is left: the next ones can't connect, and don't wait in line to find out.
    let (outcomes, took) = herd(&t, 200).await;
    assert!(all_down(&outcomes));
    assert!(took < Duration::from_secs(1), "{took:?}");
    postgres.resume();
    let took = recovery(&t).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_answers_is_not_waited_for_in_line() {
    // A socket that listens and never accepts: the system completes the connection, and then
    // there is silence.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://postgres@{}/postgres", silent.local_addr().unwrap());
    let options = Options { connect_timeout: Duration::from_millis(300), ..Options::new("shop") };
    let database = Database::open(&url, &options).unwrap();
    let t = Arc::new(source(&database, load("t:{id:int}", "SELECT {id}::int AS id")));
    let (outcomes, took) = herd(&t, 200).await;
    assert!(all_down(&outcomes));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_load_leaves_no_connection_in_the_middle_of_an_answer() {
    let (postgres, t) = start(&Options { connections: 1, ..Options::new("shop") });
    assert!(answer(&t, "t:1").await.is_some());
    for round in 0..60 {
        let limit = Duration::from_micros(37 * round);
        let _ = tokio::time::timeout(limit, get(&t, &format!("t:{}", 1 + round % 50))).await;
        let key = 51 + round % 50;
        assert_eq!(answer(&t, &format!("t:{key}")).await, Some(format!("{{\"n\":{key}}}")));
    }
    // Closed connections are gone from the server, too.
    let start = Instant::now();
    while postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'larder'")
        != "1"
    {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_statement_is_stopped_on_the_server_too() {
    let options = Options { load_timeout: Duration::from_millis(300), ..Options::new("shop") };
    let (postgres, _) = start(&options);
    let database = Database::open(&postgres.url(), &options).unwrap();
    let slow = source(&database, load("s:{n:int}", "SELECT pg_sleep({n}::int)::text AS n"));
    slow.prepare().await.unwrap();
    assert_eq!(failure(&slow, "s:60").await.kind(), ErrorKind::Timeout);
    let start = Instant::now();
    while postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(%' AND state = 'active' AND pid <> pg_backend_pid()") != "0" {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_that_was_ended_by_an_administrator_is_replaced() {
    let (postgres, t) = start(&Options::new("shop"));
    for _ in 0..3 {
        assert!(answer(&t, "t:1").await.is_some());
        postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'larder'");
        assert!(answer(&t, "t:2").await.is_some());
    }
}
