//! Postgres without the right to replicate: triggers write every change into a table, which is
//! looked into several times a second.
//!
//! [`install`](PostgresTriggers::install) makes a schema with that table, and triggers on the
//! tables that are followed; [`remove`](PostgresTriggers::remove) takes all of it away.
//!
//! 1. A look takes the next number of a *clock*, which is a sequence, *then* a snapshot, and tells
//!    all that this snapshot sees and that of the look before didn't.
//! 2. The [end](larder_core::Feed::end) of the log is the next number of the same clock. Who looks
//!    with a later number takes the snapshot after the end was asked for, so it sees everything
//!    that was committed before.
//!
//! What is told is seen by a snapshot of the primary, so every reader who begins later sees it
//! too: nothing needs to be held back, as it must be where a log is read.
//!
//! | trap | what is done |
//! |---|---|
//! | commits become visible in another order than their numbers | what is new is what one snapshot sees and the one before didn't, never what has a larger number (`session`) |
//! | a transaction that runs for hours keeps a snapshot's lower bound where it is | what is new is sought among what the last snapshot names as running, and behind its upper bound |
//! | writers go on while nobody follows, until the disk is full | beyond a bound nothing is written down, but numbers go on: who follows next notices, and tells a gap |
//! | who left something unwritten may not have committed when that is noticed | the gap is told when everything that ran then has ended |
//! | a writer's own settings change how a value looks as text | the trigger's function has settings of its own (`install`) |
//! | a transaction may change more rows than anybody wants to hear of | beyond 65,536 its tables are written down as a whole |
//! | a SELECT may answer otherwise although no row was changed, and rows may change while a trigger is missing | each look at which something was committed reads the catalogue too (`catalogue`) |

mod catalogue;
mod definition;
mod session;
mod tables;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_core::feed::{FeedPosition, Following};
use larder_core::{BoxFuture, Error, ErrorKind, Feed, Result};
use sqlx::Row as _;

use self::session::Session;
pub use self::tables::{Problem, TableStanding};
use super::address::Address;
use super::control::{Control, internal};
use super::{check_name, config};
use crate::outbox::{OutboxStanding, Polling};
use crate::shown;

/// What who may not do what is asked needs.
const OWNS: &str = "follow as the user who installed the feed, and install it as the owner of \
                    the tables, who may create a schema in the database";
/// Making triggers waits for those who write, and nobody can write while it waits.
const INSTALLED_WITHIN: Duration = Duration::from_secs(30);

/// How a Postgres is followed by triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresTriggersOptions {
    /// What the schema is called that has the table of changes; `larder` by default. One for each
    /// group of processes that share a bus.
    pub name: String,
    /// The tables that are followed, as SQL names them (`shop.users`).
    pub tables: Vec<String>,
    /// So many changes are kept for who follows; with more there is a gap. 1,000,000 by default.
    /// It counts from when the feed is installed again.
    pub rows_max: u64,
    /// How often it is looked; 100 ms by default.
    pub poll_every: Duration,
}

impl PostgresTriggersOptions {
    /// Follows these tables.
    pub fn new(tables: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: "larder".to_owned(),
            tables: tables.into_iter().map(Into::into).collect(),
            rows_max: 1_000_000,
            poll_every: Duration::from_millis(100),
        }
    }
}

/// One Postgres database, whose changes triggers write down. Clones are the same feed.
#[derive(Clone)]
pub struct PostgresTriggers(Arc<Inner>);

struct Inner {
    address: Arc<Address>,
    control: Control,
    options: PostgresTriggersOptions,
    /// It is watched beside who follows it.
    watches: bool,
    /// Which log is followed by this process; zero before.
    follows: AtomicU64,
}

impl PostgresTriggers {
    /// The database at `url`, a `postgres://` URL as sources have. Nothing is connected yet. It
    /// has to lead to the server itself, or through a pooler that keeps sessions: a lock of the
    /// session says who follows.
    ///
    /// # Errors
    ///
    /// `Config` when the URL or an option can't be.
    ///
    /// ```
    /// use larder_feed::postgres_triggers::{PostgresTriggers, PostgresTriggersOptions};
    ///
    /// let options = PostgresTriggersOptions::new(["users", "shop.products"]);
    /// let feed = PostgresTriggers::new("postgres://app:secret@db.example.com/shop", options)?;
    /// assert!(!format!("{feed:?}").contains("secret"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn new(url: &str, options: PostgresTriggersOptions) -> Result<Self> {
        check_name(&options.name)?;
        if options.name.starts_with("pg_") {
            return Err(config("names with pg_ at their start are the server's own"));
        }
        if options.tables.is_empty() {
            return Err(config("a feed follows some tables: name them"));
        }
        if options.rows_max == 0 || i64::try_from(options.rows_max).is_err() {
            return Err(config(
                "a feed keeps some changes for who follows: rows_max can't be that",
            ));
        }
        let address = Arc::new(Address::parse(url)?);
        Ok(Self::with(address, options, false))
    }

    fn with(address: Arc<Address>, options: PostgresTriggersOptions, watches: bool) -> Self {
        let control = Control::new(&address, OWNS);
        let follows = AtomicU64::new(0);
        Self(Arc::new(Inner { address, control, options, watches, follows }))
    }

    /// The same changes for somebody who watches them beside who follows: while he does, who
    /// follows keeps what was applied for ten seconds longer. One at a time can. He begins with a
    /// gap, always, and again when he hasn't looked for five seconds.
    #[must_use]
    pub fn observer(&self) -> Self {
        Self::with(Arc::clone(&self.0.address), self.0.options.clone(), true)
    }

    /// What is to be said of each table before it can be followed: nothing, where all is well.
    ///
    /// # Errors
    ///
    /// `Config` when the server is too old, or a standby. `SourceDown` when it can't be asked.
    pub async fn check(&self) -> Result<Vec<TableStanding>> {
        tables::check_server(&self.0.control).await?;
        tables::standing(&self.0.control, &self.0.options).await
    }

    /// Makes the table of changes, and triggers on exactly these tables. Where all of that is
    /// there, nothing is done; otherwise who follows next begins with a gap.
    ///
    /// Nobody can write to a table while a trigger is made, which waits for those who do.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), `Config` with what to do when a table can't be followed, and
    /// `Refused` when somebody has been writing to one for 3 s: try again later.
    pub async fn install(&self) -> Result<()> {
        let standing = self.check().await?;
        if let Some(problem) = standing.iter().find_map(|table| table.problems.first()) {
            return Err(config(problem.to_string()));
        }
        let (control, options) = (&self.0.control, &self.0.options);
        let function = definition::function(options);
        let is_there = standing.iter().all(|table| table.is_installed);
        if is_there && tables::is_current(control, options, &standing, &function).await? {
            return Ok(());
        }
        let script = definition::install(options, &standing, &function);
        control.rows_within(INSTALLED_WITHIN, &script, &[]).await.map(drop)
    }

    /// How much was written down that isn't acknowledged; `None` where nothing is installed.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the server can't be asked.
    pub async fn status(&self) -> Result<Option<OutboxStanding>> {
        if !tables::is_made(&self.0.control, &self.0.options.name).await? {
            return Ok(None);
        }
        let asked = in_schema(
            &self.0.options.name,
            "SELECT EXISTS (SELECT FROM pg_locks l, {feed}.state s
                             WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                               AND l.database = (SELECT oid FROM pg_database
                                                  WHERE datname = current_database())
                               AND (l.classid::int8 << 32 | l.objid::int8) = s.lock),
                    (SELECT last_value FROM {feed}.place)
                        - (SELECT last_value FROM {feed}.acknowledged),
                    (SELECT last_value FROM {feed}.missed) <> (SELECT missed FROM {feed}.state)",
        );
        let rows = self.0.control.rows(&asked, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let behind: i64 = row.try_get(1).map_err(|error| internal(&error))?;
        let behind = u64::try_from(behind).unwrap_or(0);
        Ok(Some(OutboxStanding {
            is_followed: row.try_get(0).map_err(|error| internal(&error))?,
            behind: behind.min(self.0.options.rows_max),
            is_full: row.try_get(2).map_err(|error| internal(&error))?,
        }))
    }

    /// Takes the triggers and the table of changes away, whoever follows it.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the server can't be asked, and `Refused` when somebody has been writing to
    /// a table for 3 s.
    pub async fn remove(&self) -> Result<()> {
        let script = definition::remove(&self.0.options.name);
        self.0.control.rows_within(INSTALLED_WITHIN, &script, &[]).await.map(drop)
    }
}

impl Feed for PostgresTriggers {
    fn name(&self) -> &str {
        self.0.address.shown()
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
            let asked = in_schema(&self.0.options.name, TICK);
            let rows = self.0.control.rows(&asked, &[]).await?;
            let row = rows.first().ok_or_else(|| {
                let message = "the feed's table of changes has no state: install it again";
                Error::new(ErrorKind::Config, message)
            })?;
            let tick = Tick::of(row)?;
            let follows = self.0.follows.load(Ordering::Acquire);
            if follows != 0 && follows != tick.log {
                // Numbers of two clocks can't be compared.
                let message = "another server answers than the one that is followed";
                return Err(Error::new(ErrorKind::SourceDown, message));
            }
            Ok(tick.position())
        })
    }
}

impl fmt::Debug for PostgresTriggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::debug(f, "PostgresTriggers", self.0.address.shown(), &self.0.options)
    }
}

/// The clock's next number, and of which log: what was installed, the system's number, and its
/// timeline, as a promoted standby has another one. It isn't waited for standbys: what is lost
/// with the primary has another timeline.
const TICK: &str = "
    SELECT nextval('{feed}.clock'), s.log, c.system_identifier,
           left(pg_walfile_name(pg_current_wal_lsn()), 8),
           set_config('synchronous_commit', 'local', true)
      FROM {feed}.state s, pg_control_system() c";

/// A number of the clock of one log, and how the tables were.
///
/// ```text
///  127        80 79         32 31         0
/// +-------------+-------------+-----------+
/// |     log     |    clock    | catalogue |
/// +-------------+-------------+-----------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tick {
    log: u64,
    clock: i64,
    /// Zero, the lowest, in an end that is asked for, so that only the clock counts.
    catalogue: u32,
}

/// The bits of a log's number, and of a clock's: a thousand numbers a second for thousands of
/// years.
const BITS: u64 = (1 << 48) - 1;

impl Tick {
    fn of(row: &sqlx::postgres::PgRow) -> Result<Self> {
        let number = |at: usize| row.try_get::<i64, _>(at).map_err(|error| internal(&error));
        let (clock, installed, system) = (number(0)?, number(1)?, number(2)?);
        let timeline = super::control::text(row, 3)?;
        let timeline = u64::from_str_radix(&timeline, 16).map_err(|error| internal(&error))?;
        // Neighbours in any of the numbers are far apart.
        let log = installed.cast_unsigned()
            ^ system.cast_unsigned()
            ^ timeline.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Ok(Self { log: ((log ^ log >> 16) & BITS).max(1), clock, catalogue: 0 })
    }

    fn position(self) -> FeedPosition {
        let (log, clock) = (u128::from(self.log), u128::from(self.clock.cast_unsigned() & BITS));
        FeedPosition(log << 80 | clock << 32 | u128::from(self.catalogue))
    }

    fn at(position: FeedPosition) -> Self {
        let part = |shift: u32| (position.0 >> shift) as u64;
        let clock = (part(32) & BITS).cast_signed();
        #[allow(clippy::cast_possible_truncation)] // The parts are taken apart.
        let catalogue = part(0) as u32;
        Self { log: part(80), clock, catalogue }
    }
}

/// Puts the name of the feed's schema into a statement. It is of harmless characters.
fn in_schema(name: &str, sql: &str) -> String {
    sql.replace("{feed}", name)
}
