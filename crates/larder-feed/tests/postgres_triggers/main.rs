//! A real Postgres, followed by triggers: what is told, in spite of the order of its numbers, and
//! when there is a gap.
#![allow(clippy::unwrap_used)]

mod altered;
mod bounds;
#[path = "../common/follower.rs"]
mod follower;
mod gaps;
mod order;
mod tables;
#[path = "../common/text.rs"]
mod text;
mod told;
mod watched;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_feed::postgres_triggers::{PostgresTriggers, PostgresTriggersOptions};
use larder_test::Postgres;
use tokio::time::timeout;

pub(crate) use follower::{Follower, LONG};
use text::of as said;

const ONLY_GROWS: bool = true;

/// A database without any right to replicate, with a table `users (id, name)`.
pub(crate) fn database() -> Postgres {
    let postgres = Postgres::start_with(&[("wal_level", "minimal"), ("max_wal_senders", "0")]);
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    postgres
}

pub(crate) fn options() -> PostgresTriggersOptions {
    PostgresTriggersOptions {
        poll_every: Duration::from_millis(10),
        ..PostgresTriggersOptions::new(["users"])
    }
}

pub(crate) fn feed_with(postgres: &Postgres, options: PostgresTriggersOptions) -> PostgresTriggers {
    PostgresTriggers::new(&postgres.url(), options).unwrap()
}

/// A database, and its feed installed.
pub(crate) async fn installed() -> (Postgres, PostgresTriggers) {
    let postgres = database();
    let feed = feed_with(&postgres, options());
    feed.install().await.unwrap();
    (postgres, feed)
}

impl Follower {
    /// Acknowledges and goes on until the table of changes is as it should be.
    pub(crate) async fn until(&mut self, postgres: &Postgres, sql: &str, answer: &str) {
        let wait = async {
            while postgres.psql(sql) != answer {
                self.next().await.unwrap();
                self.acknowledge();
            }
        };
        timeout(LONG, wait).await.expect("it comes to that at some time");
    }
}

/// A session that stays open.
pub(crate) struct Session(Child);

impl Session {
    pub(crate) fn open(postgres: &Postgres) -> Self {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-d"]).arg(postgres.url()).stdin(Stdio::piped());
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn run(&mut self, sql: &str) {
        let input = self.0.stdin.as_mut().unwrap();
        writeln!(input, "{sql}").unwrap();
        input.flush().unwrap();
    }

    /// Runs it in a transaction, and returns when that waits for what comes next.
    pub(crate) fn begin(postgres: &Postgres, sql: &str) -> Self {
        let mut session = Self::open(postgres);
        session.run(&format!("BEGIN; {sql}; SELECT 'executed';"));
        let waits = "SELECT count(*) FROM pg_stat_activity
                      WHERE state = 'idle in transaction' AND query LIKE 'SELECT ''executed''%'";
        let before = postgres.psql(waits);
        while before == "0" && postgres.psql(waits) == "0" {}
        session
    }

    /// Runs it, and returns when the session is at its end.
    pub(crate) fn end(mut self, sql: &str) {
        self.run(sql);
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}
