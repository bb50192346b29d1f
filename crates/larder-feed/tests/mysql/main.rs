//! A real MariaDB, followed: what is told, what is held back, and when there is a gap.
#![allow(clippy::unwrap_used)]

mod ends;
#[path = "../common/follower.rs"]
mod follower;
mod gaps;
mod rows;
mod statements;
mod tables;
mod told;

use larder_core::change::{Changed, Field};
use larder_core::feed::Notice;
use larder_feed::mysql::{MysqlFeed, MysqlFeedOptions};
use larder_test::Mariadb;

pub(crate) use follower::Follower;

const ONLY_GROWS: bool = true;

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

/// A field as text: `?` where it isn't told.
pub(crate) fn field(field: &Field) -> String {
    match field {
        Field::Null => "null".to_owned(),
        Field::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Field::Unknown => "?".to_owned(),
    }
}

/// `+1 Ada`, `-1 Ada`, `1 Ada>2 Ada`, `~users`, `altered users`.
fn said(notice: &Notice) -> String {
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
