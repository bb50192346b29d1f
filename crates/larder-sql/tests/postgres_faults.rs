//! Postgres stopped, restarted, paused, and loads that nobody waits for any more.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::checks::checks;
use common::faults::{self, Shop};
use common::{answer, failure, load, source};
use larder_core::ErrorKind;
use larder_sql::{Database, Options};
use larder_test::{Postgres, Server};

impl Shop for Postgres {
    fn server(&self) -> &Server {
        self
    }

    fn url(&self) -> String {
        self.url()
    }

    fn sql(&self, sql: &str) -> String {
        self.psql(sql)
    }

    fn sessions(&self) -> usize {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'larder'";
        self.psql(sql).parse().unwrap()
    }
}

checks!(
    faults on Postgres::start();
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
    let postgres = Postgres::start();
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
    let postgres = Postgres::start();
    let t = faults::start(&postgres, &Options::new("shop"));
    for _ in 0..3 {
        assert!(answer(&t, "t:1").await.is_some());
        postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'larder'");
        assert!(answer(&t, "t:2").await.is_some());
    }
}
