//! A real Postgres, followed: what is told, what is held back, and when there is a gap.
#![allow(clippy::unwrap_used)]

mod altered;
mod budget;
mod cached;
mod ends;
mod gaps;
mod tables;
mod tls;
mod told;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_core::change::{Changed, Field};
use larder_core::feed::{FeedEvent, FeedPosition, Following, Notice};
use larder_core::{ErrorKind, Feed as _, Result};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::Postgres;
use tokio::time::timeout;

/// Whatever is waited for comes much earlier; nothing waits for all of it.
const LONG: Duration = Duration::from_secs(30);

/// A database whose log may be followed, with a table `users (id, name)`.
pub(crate) fn database() -> Postgres {
    let postgres = Postgres::start_with(&[("wal_level", "logical")]);
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    postgres
}

pub(crate) fn feed_of(postgres: &Postgres) -> PostgresFeed {
    let options = PostgresFeedOptions::new(["users"]);
    PostgresFeed::new(&postgres.url(), options).unwrap()
}

/// A database, and its feed installed.
pub(crate) async fn installed() -> (Postgres, PostgresFeed) {
    let postgres = database();
    let feed = feed_of(&postgres);
    feed.install().await.unwrap();
    (postgres, feed)
}

/// Who follows, and notes what he is told.
pub(crate) struct Follower {
    following: Box<dyn Following>,
    /// What was told: `+1 Ada`, `-1`, `1>2 Ada`, `~users`, `"message"`.
    pub(crate) told: Vec<String>,
    pub(crate) gaps: Vec<String>,
    pub(crate) position: FeedPosition,
}

impl Follower {
    pub(crate) async fn follow(feed: &PostgresFeed, since: Option<FeedPosition>) -> Result<Self> {
        let following = feed.follow(since).await?;
        let position = FeedPosition::default();
        Ok(Self { following, told: Vec::new(), gaps: Vec::new(), position })
    }

    pub(crate) async fn next(&mut self) -> Result<FeedEvent> {
        let event = timeout(LONG, self.following.next()).await.expect("it comes at some time")?;
        match &event {
            FeedEvent::Notices { notices, position, .. } => {
                self.told.extend(notices.iter().map(text));
                self.position = *position;
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
    pub(crate) async fn catch_up(&mut self, feed: &PostgresFeed) -> Vec<String> {
        let end = feed.end().await.unwrap();
        while self.position < end {
            self.next().await.unwrap();
        }
        std::mem::take(&mut self.told)
    }

    pub(crate) fn acknowledge(&mut self) {
        self.following.acknowledge(self.position);
    }
}

/// The server takes a moment to notice that a connection ended.
pub(crate) async fn follow_soon(feed: &PostgresFeed, since: Option<FeedPosition>) -> Follower {
    loop {
        match Follower::follow(feed, since).await {
            Ok(follower) => return follower,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{error}"),
        }
    }
}

/// A connection that is kept, by which a transaction may stay open.
pub(crate) struct Session(Child);

impl Session {
    pub(crate) fn open(postgres: &Postgres) -> Self {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-d", &postgres.url()]);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Sends it; doesn't wait until it is executed.
    pub(crate) fn line(&mut self, line: &str) {
        let input = self.0.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// Waits until everything is executed.
    pub(crate) fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(notice: &Notice) -> String {
    let field = |field: &Field| match field {
        Field::Null => "null".to_owned(),
        Field::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        Field::Unknown => "?".to_owned(),
    };
    match notice {
        Notice::Changed(change) => match &change.changed {
            Changed::Inserted(new) => {
                format!("+{} {}", field(new.get("id")), field(new.get("name")))
            }
            Changed::Updated { old, new } => {
                let old = old.as_ref().map_or(String::new(), |old| field(old.get("id")) + ">");
                format!("{old}{} {}", field(new.get("id")), field(new.get("name")))
            }
            Changed::Deleted(old) => format!("-{}", field(old.get("id"))),
            Changed::Truncated => format!("~{}", change.table.name),
        },
        Notice::Altered(table) => format!("altered {}", table.name),
        Notice::Message(content) => format!("{:?}", str::from_utf8(content).unwrap()),
    }
}
