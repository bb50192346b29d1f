//! A real MariaDB, followed: what is told, what is held back, and when there is a gap.
#![allow(clippy::unwrap_used)]

mod ends;
mod gaps;
mod rows;
mod statements;
mod tables;
mod told;

use std::time::Duration;

use larder_core::change::{Changed, Field};
use larder_core::feed::{FeedEvent, FeedPosition, Following, Notice};
use larder_core::{ErrorKind, Feed as _, Result};
use larder_feed::mysql::{MysqlFeed, MysqlFeedOptions};
use larder_test::Mariadb;
use tokio::time::timeout;

/// Whatever is waited for comes much earlier; nothing waits for all of it.
const LONG: Duration = Duration::from_secs(30);

/// What a server that can be followed is told.
pub(crate) const SETTINGS: [(&str, &str); 4] = [
    ("log-bin", "bin"),
    ("binlog-format", "ROW"),
    ("binlog-row-metadata", "FULL"),
    ("server-id", "7"),
];

/// A database whose log may be followed, with a table `users (id, name)`.
pub(crate) fn database() -> Mariadb {
    database_with(&[])
}

pub(crate) fn database_with(settings: &[(&str, &str)]) -> Mariadb {
    let mariadb = Mariadb::start_with(&[&SETTINGS[..], settings].concat());
    mariadb.sql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    mariadb
}

pub(crate) fn feed_of(mariadb: &Mariadb, tables: &[&str]) -> MysqlFeed {
    let options = MysqlFeedOptions::new(tables.iter().copied());
    MysqlFeed::new(&mariadb.url(), options).unwrap()
}

/// A database, and its feed of the table `users`.
pub(crate) fn followed() -> (Mariadb, MysqlFeed) {
    let mariadb = database();
    let feed = feed_of(&mariadb, &["users"]);
    (mariadb, feed)
}

/// Follows it as soon as the server has noticed that nobody else does.
pub(crate) async fn follow_soon(feed: &MysqlFeed, since: Option<FeedPosition>) -> Follower {
    loop {
        match Follower::follow(feed, since).await {
            Ok(follower) => return follower,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{error}"),
        }
    }
}

/// Who follows, and notes what he is told.
pub(crate) struct Follower {
    following: Box<dyn Following>,
    /// What was told: `+1 Ada`, `-1 Ada`, `1 Ada>2 Ada`, `~users`, `altered users`.
    pub(crate) told: Vec<String>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) gaps: Vec<String>,
    pub(crate) position: FeedPosition,
}

impl Follower {
    pub(crate) async fn follow(feed: &MysqlFeed, since: Option<FeedPosition>) -> Result<Self> {
        let following = feed.follow(since).await?;
        let position = FeedPosition::default();
        let (told, notices, gaps) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { following, told, notices, gaps, position })
    }

    pub(crate) async fn next(&mut self) -> Result<FeedEvent> {
        let event = timeout(LONG, self.following.next()).await.expect("it comes at some time")?;
        let position = match &event {
            FeedEvent::Notices { notices, position, .. } => {
                self.told.extend(notices.iter().map(text));
                self.notices.extend(notices.iter().cloned());
                position
            }
            FeedEvent::Passed(position) => position,
            FeedEvent::Gap { reason, position } => {
                self.gaps.push(reason.clone());
                position
            }
        };
        assert!(*position >= self.position, "it goes backwards");
        self.position = *position;
        Ok(event)
    }

    /// Listens until everything that is committed by now was told, and returns what was.
    pub(crate) async fn catch_up(&mut self, feed: &MysqlFeed) -> Vec<String> {
        let end = feed.end().await.unwrap();
        while self.position < end {
            self.next().await.unwrap();
        }
        std::mem::take(&mut self.told)
    }
}

/// A field as text: `?` where it isn't told.
pub(crate) fn field(field: &Field) -> String {
    match field {
        Field::Null => "null".to_owned(),
        Field::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Field::Unknown => "?".to_owned(),
    }
}

fn text(notice: &Notice) -> String {
    let row = |row: &larder_core::change::Row| {
        row.iter().map(|(_, value)| field(value)).collect::<Vec<_>>().join(" ")
    };
    match notice {
        Notice::Changed(change) => match &change.changed {
            Changed::Inserted(new) => format!("+{}", row(new)),
            Changed::Updated { old, new } => {
                format!("{}>{}", old.as_ref().map(row).unwrap_or_default(), row(new))
            }
            Changed::Deleted(old) => format!("-{}", row(old)),
            Changed::Truncated => format!("~{}", change.table.name),
        },
        Notice::Altered(table) => format!("altered {}", table.name),
        Notice::Message(_) => "a message".to_owned(),
    }
}
