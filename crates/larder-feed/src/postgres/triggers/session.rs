//! The table of changes while it is followed: looking, telling, and forgetting what was applied.
//!
//! All of it is done on one connection, whose lock says who follows; when that ends, so does the
//! following. No transaction is open between two statements: what one snapshot saw can be asked
//! for again later, by the numbers of the transactions.

mod forgetting;
mod telling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_core::feed::{FeedEvent, FeedPosition, Notice};
use larder_core::{Error, ErrorKind, Result};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Postgres, Row as _};
use tokio::time::{Instant, Interval, timeout};

use self::telling::{Page, WRITTEN};
use super::super::control::{internal, refused, text};
use super::super::shape;
use super::super::snapshot::Snapshot;
use super::catalogue::{self, Catalogue};
use super::{Inner, OWNS, TICK, Tick, in_schema, tables};
use crate::outbox::{Assembly, Kept, LOOKS_WITHIN, Looked, Outbox, PAGE, now};

/// So long a statement may take.
const STATEMENT_WITHIN: Duration = Duration::from_secs(30);
/// Before all transactions.
const NOTHING_SEEN: &str = "1:1:";

/// What is new: what didn't end before this snapshot ($1), and is seen by another one ($2).
const UNSEEN: &str = "
    (c.transaction >= pg_snapshot_xmax($1::text::pg_snapshot)
     OR c.transaction = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
    AND c.transaction < pg_snapshot_xmax($2::text::pg_snapshot)
    AND pg_visible_in_snapshot(c.transaction, $2::text::pg_snapshot)";

/// What a look saw.
#[derive(Clone, Debug)]
struct Seen {
    clock: i64,
    snapshot: String,
    /// How many places had been given by then.
    place: i64,
    /// How often somebody had found no room by then.
    missed: i64,
    /// When, in microseconds, by the server's clock.
    micros: i64,
    /// The number of the catalogue that was known then.
    catalogue: u32,
}

/// What is new between two snapshots.
type Range = (String, String);

#[derive(Debug)]
enum Phase {
    /// What is new is told.
    Telling,
    /// The next look begins with a gap.
    Begins(&'static str),
    /// Not everything was written down, and there is room again.
    Lapsed,
    /// A gap is told when everything that may have found no room has ended, which is what has a
    /// number below this; unless by then more than this was missed.
    Ending { until: u64, missed: i64 },
}

/// See the module's documentation.
pub(super) struct Session {
    feed: Arc<Inner>,
    connection: PgConnection,
    log: u64,
    phase: Phase,
    /// What the first look came to.
    first: Option<Looked>,
    /// The look that was told, last.
    told: Seen,
    page: Option<Page>,
    assembly: Assembly,
    /// How the tables are, as it was told.
    known: Catalogue,
    /// What was seen when that was read: it is the same as long as nobody commits anything.
    read_at: String,
    /// Looks that were told and aren't acknowledged.
    marks: VecDeque<Seen>,
    /// What was acknowledged and isn't written down.
    due: Option<Seen>,
    /// What was acknowledged, as it is written down.
    acknowledged: Seen,
    /// What is being deleted: what is new between two snapshots.
    deleting: Option<Range>,
    /// What is to be deleted.
    kept: Kept<Range>,
    /// When the last look began that is told as a whole.
    looked: Instant,
    /// When the one began that is being told.
    looking: Instant,
    forgets: Interval,
}

impl Session {
    /// Opens one, with a gap where what came after `since` can't be told.
    pub(super) async fn open(feed: Arc<Inner>, since: Option<FeedPosition>) -> Result<Self> {
        tables::check_server(&feed.control).await?;
        tables::check_installed(&feed.control, &feed.options).await?;
        let options = feed.address.control();
        let connection = match timeout(STATEMENT_WITHIN, options.connect()).await {
            Ok(connected) => connected.map_err(|error| refused(&error, OWNS))?,
            Err(_) => return Err(late()),
        };
        let snapshot = NOTHING_SEEN.to_owned();
        let nothing =
            Seen { clock: 0, snapshot, place: 0, missed: 0, micros: i64::MAX, catalogue: 0 };
        let mut session = Self {
            connection,
            log: 0,
            phase: Phase::Telling,
            first: None,
            told: nothing.clone(),
            page: None,
            assembly: Assembly::default(),
            known: Catalogue::default(),
            read_at: String::new(),
            marks: VecDeque::new(),
            due: None,
            acknowledged: nothing,
            deleting: None,
            kept: Kept::new(),
            looked: now(),
            looking: now(),
            forgets: forgetting::ticks(),
            feed,
        };
        session.lock().await?;
        session.resume(since).await?;
        // What is written from now on is told.
        session.first = Some(session.look_anew().await?);
        Ok(session)
    }

    /// Takes the lock that says who follows.
    async fn lock(&mut self) -> Result<()> {
        // What is sought is at the end of an index, whatever the statistics say. And a process that
        // was stopped, or whose network is gone, makes room for another one.
        let settings = "SELECT set_config(name, value, false) FROM (VALUES
              ('enable_seqscan', 'off'), ('jit', 'off'), ('synchronous_commit', 'local'),
              ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'),
              ('tcp_keepalives_count', '4'), ('idle_session_timeout', '60s'))
                AS wanted (name, value)
             WHERE name IN (SELECT s.name FROM pg_settings s)";
        self.rows(settings, |query| query).await?;
        let (lock, taken) = match self.feed.watches {
            true => (
                "SELECT pg_try_advisory_lock(lock # 1) FROM {feed}.state",
                "somebody else watches the feed",
            ),
            false => (
                "SELECT pg_try_advisory_lock(lock) FROM {feed}.state",
                "another process follows the feed",
            ),
        };
        let row = self.row(lock, |query| query).await?;
        if row.try_get(0).map_err(|error| internal(&error))? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Refused, taken))
    }

    /// Goes on where what was acknowledged ends, if that is known.
    async fn resume(&mut self, since: Option<FeedPosition>) -> Result<()> {
        let tick = Tick::of(&self.row(TICK, |query| query).await?)?;
        let asked = "SELECT s.clock, a.last_value, s.missed, s.snapshot
                       FROM {feed}.state s, {feed}.acknowledged a";
        let row = self.row(asked, |query| query).await?;
        let number = |at: usize| row.try_get::<i64, _>(at).map_err(|error| internal(&error));
        let (clock, place, missed) = (number(0)?, number(1)?, number(2)?);
        self.log = tick.log;
        self.feed.follows.store(tick.log, Ordering::Release);
        self.known = self.catalogue().await?;
        let catalogue = self.known.number();
        self.acknowledged =
            Seen { clock, snapshot: text(&row, 3)?, place, missed, micros: i64::MAX, catalogue };
        self.told = self.acknowledged.clone();
        if self.feed.watches {
            self.phase = Phase::Begins("who watches begins");
            return Ok(());
        }
        // What was acknowledged when the last one that followed ended may still be there.
        self.delete((NOTHING_SEEN.to_owned(), self.acknowledged.snapshot.clone())).await?;
        self.phase = match since.map(Tick::at) {
            None => Phase::Begins("nobody knows what was applied before"),
            Some(since) if since.log != tick.log => Phase::Begins("the log is another one"),
            Some(since) if since.clock < clock => {
                Phase::Begins("what was acknowledged since isn't kept")
            }
            Some(since) if since.clock >= tick.clock => {
                Phase::Begins("the database is one of an earlier time")
            }
            Some(since) if since.catalogue != catalogue => {
                Phase::Begins("the tables were altered meanwhile")
            }
            Some(since) => {
                self.told.clock = since.clock;
                // It may have been a crash that ended who followed before.
                self.known.doubt_unlogged();
                Phase::Telling
            }
        };
        Ok(())
    }

    /// Takes a number of the clock, then a snapshot; and reads the first page of what it sees.
    async fn see(&mut self) -> Result<(Seen, Vec<PgRow>)> {
        let tick = Tick::of(&self.row(TICK, |query| query).await?)?;
        if tick.log != self.log {
            // Somebody has installed it again.
            return Err(Error::new(ErrorKind::SourceDown, "the log is another one by now"));
        }
        // One statement has one snapshot. What it reads and doesn't see are numbers of another
        // server, out of a dump.
        let page = format!(
            "SELECT s.snapshot::text, s.place, s.missed, s.micros, c.*
               FROM (SELECT pg_current_snapshot() AS snapshot,
                            (SELECT last_value FROM {{feed}}.place) AS place,
                            (SELECT last_value FROM {{feed}}.missed) AS missed,
                            (extract(epoch FROM statement_timestamp()) * 1e6)::int8 AS micros) s
               LEFT JOIN LATERAL (
                 SELECT {WRITTEN} FROM {{feed}}.change c
                  WHERE (c.transaction >= pg_snapshot_xmax($1::text::pg_snapshot)
                     OR c.transaction = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
                    AND pg_visible_in_snapshot(c.transaction, s.snapshot)
                  ORDER BY c.place LIMIT $2) c ON true"
        );
        let before = self.told.snapshot.clone();
        let mut rows = self.rows(&page, |query| query.bind(before).bind(page_length())).await?;
        let row = rows.first().ok_or_else(|| internal(&sqlx::Error::RowNotFound))?;
        let number = |at: usize| row.try_get::<i64, _>(at).map_err(|error| internal(&error));
        let seen = Seen {
            clock: tick.clock,
            snapshot: text(row, 0)?,
            place: number(1)?,
            missed: number(2)?,
            micros: number(3)?,
            catalogue: self.known.number(),
        };
        rows.retain(|row| matches!(row.try_get::<Option<i64>, _>(4), Ok(Some(_))));
        Ok((seen, rows))
    }

    async fn catalogue(&mut self) -> Result<Catalogue> {
        let feed = Arc::clone(&self.feed);
        let (asked, tables) = (catalogue::asked(&feed.options.name), &feed.options.tables);
        Catalogue::of(&self.rows(&asked, |query| query.bind(shape::array(tables))).await?)
    }

    /// What was altered besides rows, if anybody has committed anything since that was looked at.
    ///
    /// # Errors
    ///
    /// `Config` when not all that is changed is written down any more.
    async fn altered(&mut self, seen: &mut Seen) -> Result<Vec<Notice>> {
        if self.read_at == seen.snapshot {
            return Ok(Vec::new());
        }
        let now = self.catalogue().await?;
        let notices = now.altered_since(&self.known);
        if !notices.is_empty() {
            tables::check_installed(&self.feed.control, &self.feed.options).await?;
        }
        seen.catalogue = now.number();
        self.known = now;
        self.read_at.clone_from(&seen.snapshot);
        Ok(notices)
    }

    /// A look from its beginning.
    async fn look_anew(&mut self) -> Result<Looked> {
        let began = now();
        let (mut seen, rows) = self.see().await?;
        // Where it isn't told, a gap is.
        let altered = self.altered(&mut seen).await?;
        let has_missed = seen.missed != self.acknowledged.missed;
        if self.feed.watches {
            if has_missed {
                // Who follows waits for who left something out, and makes room again.
                let message = "more was changed than is kept: nobody knows what, for now";
                return Err(Error::new(ErrorKind::SourceDown, message));
            }
            // What was applied meanwhile may have been deleted before it was seen here.
            if began.duration_since(self.looked) > LOOKS_WITHIN {
                self.phase = Phase::Begins("who watches hasn't looked for a while");
            }
        }
        self.looking = began;
        match self.phase {
            Phase::Telling if !has_missed => self.tell(seen, rows, altered).await,
            Phase::Begins(reason) if !has_missed => self.begin(seen, reason).await,
            Phase::Lapsed => {
                // A number above those of all that run: a snapshot's `xmax` isn't, as the last ones
                // to begin may be running.
                let next = "SELECT pg_current_xact_id()::text";
                let next = text(&self.row(next, |query| query).await?, 0)?;
                let until = next.parse().map_err(|_| internal(&sqlx::Error::RowNotFound))?;
                self.phase = Phase::Ending { until, missed: seen.missed };
                Ok(Looked::default())
            }
            Phase::Ending { until, missed } if seen.missed == missed => {
                if seen.snapshot.parse::<Snapshot>()?.xmin < until {
                    return Ok(Looked::default());
                }
                self.begin(seen, "more was changed than is kept for who follows").await
            }
            Phase::Telling | Phase::Begins(_) | Phase::Ending { .. } => {
                self.make_room(seen.place).await?;
                self.phase = Phase::Lapsed;
                Ok(Looked::default())
            }
        }
    }

    /// Everything that this look sees is behind us, whatever it was.
    async fn begin(&mut self, seen: Seen, reason: &str) -> Result<Looked> {
        self.phase = Phase::Telling;
        self.marks.clear();
        self.due = None;
        let position = self.position(&seen);
        self.told = seen.clone();
        self.looked = self.looking;
        if !self.feed.watches {
            self.write_down(seen).await?;
            self.deleting = None;
            self.delete((NOTHING_SEEN.to_owned(), self.told.snapshot.clone())).await?;
        }
        let event = FeedEvent::Gap { reason: reason.to_owned(), position };
        Ok(Looked { event: Some(event), has_more: false })
    }

    fn position(&self, seen: &Seen) -> FeedPosition {
        Tick { log: self.log, clock: seen.clock, catalogue: seen.catalogue }.position()
    }

    async fn row<'a>(
        &mut self,
        sql: &str,
        bind: impl FnOnce(Asked) -> Asked + Send + 'a,
    ) -> Result<PgRow> {
        let rows = self.rows(sql, bind).await?;
        let row = rows.into_iter().next();
        row.ok_or_else(|| internal(&sqlx::Error::RowNotFound))
    }

    async fn rows<'a>(
        &mut self,
        sql: &str,
        bind: impl FnOnce(Asked) -> Asked + Send + 'a,
    ) -> Result<Vec<PgRow>> {
        // The SQL is larder's own.
        let sql = in_schema(&self.feed.options.name, sql);
        let query = bind(sqlx::query(AssertSqlSafe(sql)));
        match timeout(STATEMENT_WITHIN, query.fetch_all(&mut self.connection)).await {
            Ok(rows) => rows.map_err(|error| refused(&error, OWNS)),
            Err(_) => Err(late()),
        }
    }
}

impl Outbox for Session {
    async fn look(&mut self, acknowledged: Option<FeedPosition>) -> Result<Looked> {
        if let Some(position) = acknowledged
            && !self.feed.watches
        {
            self.note(position);
        }
        if let Some(looked) = self.first.take() {
            return Ok(looked);
        }
        if let Some(page) = self.page.take() {
            if self.feed.watches && self.looked.elapsed() > LOOKS_WITHIN {
                // The rest of it may be deleted by now.
                return self.look_anew().await;
            }
            let rows = self.read(&page).await?;
            return self.told_page(page, rows, Vec::new());
        }
        if !self.feed.watches {
            self.forget().await?;
        }
        self.look_anew().await
    }
}

type Asked = Query<'static, Postgres, PgArguments>;

fn page_length() -> i64 {
    i64::try_from(PAGE).unwrap_or(i64::MAX)
}

fn late() -> Error {
    let message = format!("the table of changes can't be read: no answer in {STATEMENT_WITHIN:?}");
    Error::new(ErrorKind::Timeout, message)
}
