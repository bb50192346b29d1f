//! A real SQLite file, followed by triggers: what is told, by whomever it was changed, and when
//! there is a gap.
#![allow(clippy::unwrap_used)]

#[path = "../common/follower.rs"]
mod follower;
mod gaps;
mod replaced;
mod tables;
#[path = "../common/text.rs"]
mod text;
mod told;
mod watched;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_feed::sqlite::{SqliteTriggers, SqliteTriggersOptions};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) use follower::{Follower, LONG};
use text::of as said;

const ONLY_GROWS: bool = true;

/// A file in a folder of its own, written to by the program `sqlite3`.
pub(crate) struct Database(TempDir);

impl Database {
    /// With a table `users (id, name)`.
    pub(crate) fn new() -> Self {
        let database = Self(TempDir::new().unwrap());
        database.sqlite3("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)");
        database
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("shop.db")
    }

    /// What `sqlite3` answers: a line per row, `|` between columns.
    pub(crate) fn sqlite3(&self, sql: &str) -> String {
        let (is_fine, said) = self.try_sqlite3(sql);
        assert!(is_fine, "{said}\n{sql}");
        said
    }

    pub(crate) fn try_sqlite3(&self, sql: &str) -> (bool, String) {
        let mut command = Command::new("sqlite3");
        command.args(["-batch", "-bail", "-cmd", ".timeout 10000"]).arg(self.file()).arg(sql);
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|_| larder_test::missing("sqlite3"));
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8_lossy(&said).trim_end().to_owned())
    }

    pub(crate) fn feed(&self) -> SqliteTriggers {
        self.feed_with(options())
    }

    pub(crate) fn feed_with(&self, options: SqliteTriggersOptions) -> SqliteTriggers {
        SqliteTriggers::new(self.file().to_str().unwrap(), options).unwrap()
    }
}

pub(crate) fn options() -> SqliteTriggersOptions {
    SqliteTriggersOptions {
        poll_every: Duration::from_millis(5),
        ..SqliteTriggersOptions::new(["users"])
    }
}

/// A database, its feed installed, and who follows it.
pub(crate) async fn followed() -> (Database, SqliteTriggers, Follower) {
    let database = Database::new();
    let feed = database.feed();
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    (database, feed, follower)
}

impl Follower {
    /// Acknowledges and goes on until what is kept is as it should be.
    pub(crate) async fn until(&mut self, database: &Database, sql: &str, answer: &str) {
        let wait = async {
            while database.sqlite3(sql) != answer {
                self.acknowledge();
                // There is nothing to tell meanwhile.
                let _ = timeout(Duration::from_millis(50), self.following.next()).await;
            }
        };
        timeout(LONG, wait).await.expect("it comes to that at some time");
    }
}
