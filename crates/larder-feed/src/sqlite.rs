//! SQLite: triggers write every change into a table, which is looked into several times a second.
//!
//! [`install`](SqliteTriggers::install) makes that table, and triggers on the tables that are
//! followed, in the database itself; [`remove`](SqliteTriggers::remove) takes all of it away.
//! Whoever writes, with whatever program, executes the triggers, so they need nothing but what
//! every SQLite since 3.8 has.
//!
//! There is one writer at a time, so the numbers of the changes are in the order of the commits,
//! and the [end](larder_core::Feed::end) of the log is the last of them that a reader sees. What
//! is told can be read, because it was.
//!
//! | trap | what is done |
//! |---|---|
//! | REPLACE deletes rows without executing their triggers | what a row would replace is told before it is written (`definition`) |
//! | a file that was replaced keeps its old content for whoever has it open | the file is looked at each time; another one is another log (`file`) |
//! | writers go on while nobody follows, until the disk is full | beyond a bound nothing is written down, but numbers go on, and the last one that found no room is kept |
//! | a table that is made anew has no triggers | the schema's version is looked at: following ends, and begins with a gap when they are back |
//! | a reader keeps a writer waiting | nothing is read before `data_version` says that somebody wrote |

mod connection;
mod definition;
mod file;
mod session;
mod tables;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_core::feed::{FeedPosition, Following};
use larder_core::{BoxFuture, Error, ErrorKind, Feed, Result};
use sqlx::Row as _;

use self::connection::Control;
use self::file::File;
use self::session::Session;
pub use self::tables::{Problem, TableStanding};
use crate::name::is_plain;
use crate::outbox::{OutboxStanding, Polling};
use crate::shown;

/// How a SQLite database is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteTriggersOptions {
    /// What the names of the tables begin with that are made for it; `larder` by default. One for
    /// each group of processes that share a bus.
    pub name: String,
    /// The tables that are followed, by their names as they are, without quotes.
    pub tables: Vec<String>,
    /// So many changes are kept for who follows; with more there is a gap. 1,000,000 by default.
    /// It counts from when the feed is installed again.
    pub rows_max: u64,
    /// How often it is looked; 50 ms by default.
    pub poll_every: Duration,
}

impl SqliteTriggersOptions {
    /// Follows these tables.
    pub fn new(tables: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: "larder".to_owned(),
            tables: tables.into_iter().map(Into::into).collect(),
            rows_max: 1_000_000,
            poll_every: Duration::from_millis(50),
        }
    }
}

/// One SQLite database, whose changes triggers write down. Clones are the same feed.
#[derive(Clone)]
pub struct SqliteTriggers(Arc<Inner>);

struct Inner {
    file: File,
    control: Control,
    options: SqliteTriggersOptions,
    /// It is watched beside who follows it.
    watches: bool,
    /// Which log is followed by this process; zero before.
    follows: AtomicU64,
}

impl SqliteTriggers {
    /// The database at `place`, which is a path, or a URL like `sqlite:shop.db` as sources have.
    /// Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// `Config` when the place or an option can't be.
    ///
    /// ```
    /// use larder_feed::sqlite::{SqliteTriggers, SqliteTriggersOptions};
    ///
    /// let options = SqliteTriggersOptions::new(["users", "products"]);
    /// SqliteTriggers::new("sqlite:shop.db", options.clone())?;
    /// assert!(SqliteTriggers::new("sqlite::memory:", options).is_err());
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn new(place: &str, options: SqliteTriggersOptions) -> Result<Self> {
        check_name(&options.name)?;
        if options.tables.is_empty() {
            return Err(config("a feed follows some tables: name them"));
        }
        if options.rows_max == 0 || i64::try_from(options.rows_max).is_err() {
            return Err(config(
                "a feed keeps some changes for who follows: rows_max can't be that",
            ));
        }
        let (connect, path) = connection::parse(place)?;
        let file = File::new(path, &options.name);
        let control = Control::new(connect, file.clone());
        let (watches, follows) = (false, AtomicU64::new(0));
        Ok(Self(Arc::new(Inner { file, control, options, watches, follows })))
    }

    /// The same changes for somebody who watches them beside who follows: while he does, who
    /// follows keeps what was applied for ten seconds longer. One at a time can. He begins with a
    /// gap, always, and again when he hasn't looked for five seconds.
    #[must_use]
    pub fn observer(&self) -> Self {
        let (file, options) = (self.0.file.clone(), self.0.options.clone());
        let control = Control::new(self.0.control.options().clone(), file.clone());
        let (watches, follows) = (true, AtomicU64::new(0));
        Self(Arc::new(Inner { file, control, options, watches, follows }))
    }

    /// What is to be said of each table before it can be followed: nothing, where all is well.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the database can't be opened or read.
    pub async fn check(&self) -> Result<Vec<TableStanding>> {
        let inner = &self.0;
        inner.control.with(async |asked| tables::standing(asked, &inner.options).await).await
    }

    /// Makes the table of changes, and triggers on exactly these tables. Where all of that is
    /// there, nothing is done; otherwise who follows next begins with a gap.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), `Config` with what to do when a table can't be followed, and
    /// `Refused` when somebody else has been writing for 5 s: try again later.
    pub async fn install(&self) -> Result<()> {
        let options = &self.0.options;
        let standing = self.check().await?;
        if let Some(problem) = standing.iter().find_map(|table| table.problems.first()) {
            return Err(config(problem.to_string()));
        }
        let install = async |asked: &mut connection::Asked| {
            if tables::is_current(asked, options, &standing).await? {
                return Ok(());
            }
            let former = tables::triggers(asked, &options.name).await?;
            asked.execute(&definition::install(options, &standing, &former)).await
        };
        self.0.control.with(install).await
    }

    /// How much was written down that isn't acknowledged; `None` where nothing is installed.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the database can't be opened or read.
    pub async fn status(&self) -> Result<Option<OutboxStanding>> {
        let options = &self.0.options;
        let ask = async |asked: &mut connection::Asked| {
            if !tables::is_made(asked, &options.name).await? {
                return Ok(None);
            }
            let sql = "SELECT place - acknowledged, missed > acknowledged FROM {feed}_state";
            let sql = definition::named(&options.name, sql);
            let rows = asked.rows(&sql, |query| query).await?;
            rows.first().map_or(Ok(None), |row| Ok(Some((row.try_get(0)?, row.try_get(1)?))))
        };
        let standing: Option<(i64, bool)> = self.0.control.with(ask).await?;
        let Some((behind, is_full)) = standing else { return Ok(None) };
        let behind = u64::try_from(behind).unwrap_or(0).min(options.rows_max);
        Ok(Some(OutboxStanding { is_followed: self.0.file.is_locked()?, behind, is_full }))
    }

    /// Takes the triggers and the table of changes away, whoever follows it.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the database can't be opened or written to, and `Refused` when somebody
    /// else has been writing for 5 s.
    pub async fn remove(&self) -> Result<()> {
        let name = &self.0.options.name;
        let remove = async |asked: &mut connection::Asked| {
            let former = tables::triggers(asked, name).await?;
            asked.execute(&definition::remove(name, &former)).await
        };
        self.0.control.with(remove).await
    }
}

impl Feed for SqliteTriggers {
    fn name(&self) -> &str {
        self.0.file.shown()
    }

    fn follow(&self, since: Option<FeedPosition>) -> BoxFuture<'_, Result<Box<dyn Following>>> {
        Box::pin(async move {
            let session = Session::open(Arc::clone(&self.0), since).await?;
            let polling = Polling::new(session, self.0.options.poll_every);
            Ok(Box::new(polling) as Box<dyn Following>)
        })
    }

    fn end(&self) -> BoxFuture<'_, Result<FeedPosition>> {
        Box::pin(async move {
            let sql = "SELECT log, place, schema_version FROM {feed}_state, pragma_schema_version";
            let sql = definition::named(&self.0.options.name, sql);
            let ask = async |asked: &mut connection::Asked| {
                let rows = asked.rows(&sql, |query| query).await?;
                let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
                let (place, schema) = (row.try_get(1)?, row.try_get(2)?);
                Ok(Place { log: asked.log(row.try_get(0)?), place, schema })
            };
            let end: Place = self.0.control.with(ask).await?;
            let follows = self.0.follows.load(Ordering::Acquire);
            if follows != 0 && follows != end.log {
                // Numbers of two logs can't be compared.
                let message = "the database is another one than the one that is followed";
                return Err(Error::new(ErrorKind::SourceDown, message));
            }
            Ok(end.position())
        })
    }
}

impl fmt::Debug for SqliteTriggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::debug(f, "SqliteTriggers", self.0.file.shown(), &self.0.options)
    }
}

/// A place in the changes of one log, and the version of the schema there.
///
/// ```text
///  127        80 79         32 31        0
/// +-------------+-------------+----------+
/// |     log     |    place    |  schema  |
/// +-------------+-------------+----------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// What was installed, and in which file.
    log: u64,
    place: i64,
    /// It grows with every change of the schema.
    schema: i64,
}

/// The bits of a log's number, and of a place's: a million changes a second for eight years.
const BITS: u64 = (1 << 48) - 1;

impl Place {
    fn position(self) -> FeedPosition {
        let (log, place) = (self.log & BITS, self.place.cast_unsigned() & BITS);
        let schema = self.schema.cast_unsigned() & u64::from(u32::MAX);
        FeedPosition(u128::from(log) << 80 | u128::from(place) << 32 | u128::from(schema))
    }

    fn at(position: FeedPosition) -> Self {
        let part = |shift: u32, bits: u64| (position.0 >> shift) as u64 & bits;
        let (place, schema) = (part(32, BITS), part(0, u64::from(u32::MAX)));
        Self { log: part(80, BITS), place: place.cast_signed(), schema: schema.cast_signed() }
    }
}

/// So that no name that is made of it needs quotes.
fn check_name(name: &str) -> Result<()> {
    if is_plain(name, 60) && !name.starts_with('_') && !name.starts_with("sqlite") {
        return Ok(());
    }
    Err(config(format!(
        "`{name}` can't name a feed: use at most 60 of a-z, 0-9 and _, beginning with a letter"
    )))
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message.into())
}
