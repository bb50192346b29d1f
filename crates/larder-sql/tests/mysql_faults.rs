//! MariaDB stopped, restarted, paused, and loads that nobody waits for any more.

#![cfg(feature = "mysql")]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::checks::checks;
use common::faults::{self, Shop};
use common::{answer, failure, get, load, source};
use larder_core::ErrorKind;
use larder_sql::{Database, Options};
use larder_test::{Mariadb, Server};

impl Shop for Mariadb {
    fn server(&self) -> &Server {
        self
    }

    fn url(&self) -> String {
        self.url()
    }

    fn sql(&self, sql: &str) -> String {
        self.sql(sql)
    }

    fn sessions(&self) -> usize {
        let all = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'larder'";
        // Beside the one that asks.
        self.sql(all).parse::<usize>().unwrap() - 1
    }
}

checks!(
    faults on Mariadb::start();
    while_connections_are_refused_every_load_fails_at_once,
    a_restart_between_loads_is_noticed_by_nobody,
    a_restart_under_load_gives_sources_down_and_then_answers,
    a_hung_database_costs_the_load_timeout_and_then_the_connect_timeout,
    an_address_where_nobody_answers_is_not_waited_for_in_line,
    a_dropped_load_leaves_no_connection_in_the_middle_of_an_answer,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_statement_is_stopped_on_the_server_too() {
    let options = Options { load_timeout: Duration::from_millis(300), ..Options::new("shop") };
    let mariadb = Mariadb::start();
    let database = Database::open(&mariadb.url(), &options).unwrap();
    let slow = source(&database, load("s:{n:int}", "SELECT SLEEP({n}) AS n"));
    slow.prepare().await.unwrap();
    assert_eq!(failure(&slow, "s:60").await.kind(), ErrorKind::Timeout);
    let running = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(%'
                   AND ID <> CONNECTION_ID()";
    let start = Instant::now();
    while mariadb.sql(running) != "0" {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_server_stops_itself_took_too_long() {
    let mariadb = Mariadb::start();
    let database = Database::open(&mariadb.url(), &Options::new("shop")).unwrap();
    let sql = "SELECT count(*) AS n FROM seq_1_to_100000000000 WHERE {n} > 0 AND seq % 7 = 3";
    let slow = source(&database, load("s:{n:int}", sql));
    let kill = async {
        let running = "SELECT ID FROM information_schema.PROCESSLIST
                       WHERE INFO LIKE '%seq_1_to_1%' AND ID <> CONNECTION_ID()";
        let start = Instant::now();
        loop {
            let id = tokio::task::block_in_place(|| mariadb.sql(running));
            if !id.is_empty() {
                tokio::task::block_in_place(|| mariadb.sql(&format!("KILL QUERY {id}")));
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "it never runs");
            tokio::task::yield_now().await;
        }
    };
    let (stopped, ()) = tokio::join!(get(&slow, "s:1"), kill);
    let error = stopped.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.downcast_ref::<sqlx::Error>().is_some(), "the server said so");
    // The connection is as good as before.
    assert_eq!(answer(&slow, "s:0").await.as_deref(), Some(r#"{"n":0}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_that_was_ended_by_an_administrator_is_replaced() {
    let mariadb = Mariadb::start();
    let t = faults::start(&mariadb, &Options::new("shop"));
    for _ in 0..3 {
        assert!(answer(&t, "t:1").await.is_some());
        let ids = mariadb.sql(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'larder'
             AND ID <> CONNECTION_ID()",
        );
        for id in ids.lines() {
            mariadb.sql(&format!("KILL {id}"));
        }
        assert!(answer(&t, "t:2").await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_no_connection_left_is_down_for_now() {
    let mariadb = Mariadb::start();
    let options = Options { connections: 1, ..Options::new("shop") };
    mariadb.sql(
        "CREATE TABLE t (id int); INSERT INTO t VALUES (1);
         CREATE USER bob@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1;
         GRANT SELECT ON shop.* TO bob@'127.0.0.1'",
    );
    let url = mariadb.url().replace("larder@", "bob@");
    let open = || {
        let database = Database::open(&url, &options).unwrap();
        source(&database, load("t:{id:int}", "SELECT id FROM t WHERE id = {id}"))
    };
    let (one, other) = (open(), open());
    assert!(answer(&one, "t:1").await.is_some());
    let error = failure(&other, "t:1").await;
    assert_eq!((error.kind(), error.retry_delay().is_some()), (ErrorKind::SourceDown, true));
    // That passes, so it is no fault of the configuration.
    assert_eq!(other.prepare().await.unwrap_err().kind(), ErrorKind::SourceDown);
}
