//! What happens alike to every server that is stopped, restarted or paused, and to loads that
//! nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder_core::{Error, ErrorKind};
use larder_sql::{Database, Options, SqlSource};
use larder_test::Server;

use super::{answer, get, load, source};

/// A server that a test may do anything to.
pub trait Shop {
    fn server(&self) -> &Server;
    fn url(&self) -> String;
    fn sql(&self, sql: &str) -> String;
    /// How many connections the loads have.
    fn sessions(&self) -> usize;
}

/// A hundred rows, and a load of one of them.
pub fn start(shop: &impl Shop, options: &Options) -> Arc<SqlSource> {
    shop.sql(
        "CREATE TABLE t (id int, n int);
         INSERT INTO t WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 100)
         SELECT i, i FROM g",
    );
    let database = Database::open(&shop.url(), options).unwrap();
    Arc::new(source(&database, load("t:{id:int}", "SELECT n FROM t WHERE id = {id}")))
}

fn stop(server: &Server) {
    server.stop();
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

pub async fn while_connections_are_refused_every_load_fails_at_once(shop: &impl Shop) {
    let t = start(shop, &Options::new("shop"));
    shop.server().stop();
    let error = t.prepare().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_delay().is_some()), (ErrorKind::SourceDown, true));
    assert!(error.downcast_ref::<sqlx::Error>().is_some());
    let (outcomes, took) = herd(&t, 200).await;
    assert!(all_down(&outcomes));
    assert!(took < Duration::from_secs(1), "{took:?}");
    shop.server().restart();
    let took = recovery(&t).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (outcomes, _) = herd(&t, 200).await;
    assert!(outcomes.iter().all(Result::is_ok));
}

pub async fn a_restart_between_loads_is_noticed_by_nobody(shop: &impl Shop) {
    let t = start(shop, &Options::new("shop"));
    for end in [stop, Server::kill] {
        let (outcomes, _) = herd(&t, 64).await;
        assert!(outcomes.iter().all(Result::is_ok));
        end(shop.server());
        shop.server().restart();
        let (outcomes, _) = herd(&t, 64).await;
        let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

pub async fn a_restart_under_load_gives_sources_down_and_then_answers(shop: &impl Shop) {
    let t = start(shop, &Options { connections: 8, ..Options::new("shop") });
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
        shop.server().stop();
        until(&down, 50).await;
        shop.server().restart();
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

pub async fn a_hung_database_costs_the_load_timeout_and_then_the_connect_timeout(shop: &impl Shop) {
    let options = Options {
        connections: 4,
        load_timeout: Duration::from_millis(600),
        connect_timeout: Duration::from_millis(300),
        ..Options::new("shop")
    };
    let t = start(shop, &options);
    let (outcomes, _) = herd(&t, 16).await;
    assert!(outcomes.iter().all(Result::is_ok));
    shop.server().pause();
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
    shop.server().resume();
    let took = recovery(&t).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

pub async fn an_address_where_nobody_answers_is_not_waited_for_in_line(shop: &impl Shop) {
    // A socket that listens and never accepts: the system completes the connection, and then
    // there is silence.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = shop.server().port().to_string();
    let url = shop.url().replace(&port, &silent.local_addr().unwrap().port().to_string());
    let options = Options { connect_timeout: Duration::from_millis(300), ..Options::new("shop") };
    let database = Database::open(&url, &options).unwrap();
    let t = Arc::new(source(&database, load("t:{id:int}", "SELECT n FROM t WHERE id = {id}")));
    let (outcomes, took) = herd(&t, 200).await;
    assert!(all_down(&outcomes));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

pub async fn a_dropped_load_leaves_no_connection_in_the_middle_of_an_answer(shop: &impl Shop) {
    let t = start(shop, &Options { connections: 1, ..Options::new("shop") });
    assert!(answer(&t, "t:1").await.is_some());
    for round in 0..60 {
        let limit = Duration::from_micros(37 * round);
        let _ = tokio::time::timeout(limit, get(&t, &format!("t:{}", 1 + round % 50))).await;
        let key = 51 + round % 50;
        assert_eq!(answer(&t, &format!("t:{key}")).await, Some(format!("{{\"n\":{key}}}")));
    }
    // Closed connections are gone from the server, too.
    let start = Instant::now();
    while shop.sessions() != 1 {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
