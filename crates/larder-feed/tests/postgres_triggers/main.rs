//! A real Postgres, followed by triggers: what is told, in spite of the order of its numbers, and
//! when there is a gap.
#![allow(clippy::unwrap_used)]

mod bounds;
mod gaps;
mod order;
mod tables;
mod told;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_core::feed::{FeedEvent, FeedPosition, Following, Notice};
use larder_core::{ErrorKind, Feed as _, Result};
use larder_feed::postgres_triggers::{PostgresTriggers, PostgresTriggersOptions};
use larder_test::Postgres;
use tokio::time::timeout;

#[path = "../common/text.rs"]
mod text;

/// Whatever is waited for comes much earlier; nothing waits for all of it.
const LONG: Duration = Duration::from_secs(60);

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

/// Who follows, and notes what he is told.
pub(crate) struct Follower {
    following: Box<dyn Following>,
    pub(crate) told: Vec<String>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) gaps: Vec<String>,
    pub(crate) age: Option<Duration>,
    pub(crate) position: FeedPosition,
}

impl Follower {
    pub(crate) async fn follow(
        feed: &PostgresTriggers,
        since: Option<FeedPosition>,
    ) -> Result<Self> {
        let following = feed.follow(since).await?;
        Ok(Self {
            following,
            told: Vec::new(),
            notices: Vec::new(),
            gaps: Vec::new(),
            age: None,
            position: FeedPosition::default(),
        })
    }

    /// As who follows as soon as the server has noticed that nobody else does.
    pub(crate) async fn follow_soon(feed: &PostgresTriggers, since: Option<FeedPosition>) -> Self {
        loop {
            match Self::follow(feed, since).await {
                Ok(follower) => return follower,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{error}"),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Result<FeedEvent> {
        let event = timeout(LONG, self.following.next()).await.expect("it comes at some time")?;
        match &event {
            FeedEvent::Notices { notices, position, age } => {
                self.told.extend(notices.iter().map(text::of));
                self.notices.extend(notices.iter().cloned());
                (self.position, self.age) = (*position, *age);
            }
            FeedEvent::Passed(position) => self.position = *position,
            FeedEvent::Gap { reason, position } => {
                self.gaps.push(reason.clone());
                self.position = *position;
            }
        }
        Ok(event)
    }

    /// Listens until everything that is committed by now was told, and returns what was.
    pub(crate) async fn catch_up(&mut self, feed: &PostgresTriggers) -> Vec<String> {
        let end = feed.end().await.unwrap();
        while self.position < end {
            self.next().await.unwrap();
        }
        std::mem::take(&mut self.told)
    }

    pub(crate) fn acknowledge(&mut self) {
        self.following.acknowledge(self.position);
    }

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
