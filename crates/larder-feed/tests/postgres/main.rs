//! A real Postgres, followed: what is told, what is held back, and when there is a gap.
#![allow(clippy::unwrap_used)]

mod altered;
mod budget;
mod cached;
mod ends;
#[path = "../common/follower.rs"]
mod follower;
mod gaps;
mod login;
mod tables;
#[path = "../common/text.rs"]
mod text;
mod tls;
mod told;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::Postgres;

pub(crate) use follower::{Follower, LONG};
use text::of as said;

/// How the tables were is part of a position.
const ONLY_GROWS: bool = false;

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
