//! The table of changes while it is followed: looking, telling, and forgetting what was applied.
//!
//! The lock beside the file says who follows, for as long as this lives. No transaction is open
//! between two looks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use larder_core::change::Table;
use larder_core::feed::{FeedEvent, FeedPosition, Notice};
use larder_core::{Error, ErrorKind, Result};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use tokio::time::{Instant, Interval};

use super::connection::{Asked, is_busy, refused};
use super::definition::{named, triggers_of};
use super::file::Lock;
use super::tables::{TableStanding, View, standing, triggers, views};
use super::{Inner, Place, config};
use crate::outbox::{
    Assembly, CHANGES_MAX, Kept, Kind, LOOKS_WITHIN, Looked, Outbox, PAGE, Written, now,
    ticks_every,
};

/// So often what was applied is written down and forgotten, unless half of the room is taken.
const FORGET_EVERY: Duration = Duration::from_secs(1);
/// So many changes are deleted at once, so that nobody who writes waits for long.
const DELETED: i64 = 5_000;

/// What the state says.
#[derive(Clone, Copy, Debug)]
struct State {
    place: i64,
    acknowledged: i64,
    /// The last change that found no room.
    missed: i64,
    /// When, in microseconds, by the database's clock.
    micros: i64,
}

/// See the module's documentation.
pub(super) struct Session {
    feed: Arc<Inner>,
    asked: Asked,
    log: u64,
    /// What the first look came to.
    first: Option<Looked>,
    /// Everything up to this was told.
    told: i64,
    /// What was written by then is told as tables up to this, and only messages one by one.
    whole_until: i64,
    /// When it was looked last, by the database's clock.
    looked: Option<i64>,
    /// What says that somebody else wrote.
    version: Option<i64>,
    /// How the tables and the views are, and the version of the schema of which that is known.
    schema: i64,
    tables: Vec<TableStanding>,
    views: Vec<View>,
    /// The columns that the triggers tell.
    columns: Vec<(String, Vec<String>)>,
    assembly: Assembly,
    acknowledged: i64,
    /// What was acknowledged and isn't written down.
    due: Option<i64>,
    /// Up to this there may be something to delete.
    deleting: Option<i64>,
    /// Up to these there will be.
    kept: Kept<i64>,
    /// When the last look began after which everything was told.
    looked_whole: Instant,
    forgets: Interval,
    _lock: Lock,
}

impl Session {
    /// Opens one, with a gap where what came after `since` can't be told.
    pub(super) async fn open(feed: Arc<Inner>, since: Option<FeedPosition>) -> Result<Self> {
        let lock = match feed.watches {
            true => watch(&feed).await?,
            false => feed.file.lock()?,
        };
        let mut asked = Asked::open(feed.control.options(), &feed.file).await?;
        let sql = named(&feed.options.name, "SELECT log FROM {feed}_state");
        let rows = asked.rows(&sql, |query| query).await.map_err(|error| refused(&error))?;
        let row = rows.first().ok_or_else(|| refused(&sqlx::Error::RowNotFound))?;
        let log = asked.log(row.try_get(0).map_err(|error| refused(&error))?);
        let mut session = Self {
            asked,
            log,
            first: None,
            told: 0,
            whole_until: 0,
            looked: None,
            version: None,
            schema: 0,
            tables: Vec::new(),
            views: Vec::new(),
            columns: Vec::new(),
            assembly: Assembly::default(),
            acknowledged: 0,
            due: None,
            deleting: None,
            kept: Kept::new(),
            looked_whole: now(),
            forgets: ticks_every(FORGET_EVERY),
            feed,
            _lock: lock,
        };
        session.look_at_schema().await?;
        session.columns = session.told_columns().await.map_err(|error| refused(&error))?;
        let state = session.state().await?;
        session.acknowledged = state.acknowledged;
        session.feed.follows.store(log, Ordering::Release);
        if session.feed.watches {
            session.first = Some(session.begin(state, "who watches begins"));
            return Ok(session);
        }
        session.delete(state.acknowledged)?;
        let reason = match since.map(Place::at) {
            None => Some("nobody knows what was applied before"),
            Some(since) if since.log != log => Some("the log is another one"),
            Some(since) if since.place < state.acknowledged => {
                Some("what was acknowledged since isn't kept")
            }
            Some(since) if since.place > state.place => {
                Some("the database is one of an earlier time")
            }
            Some(since) if since.schema != session.schema => {
                Some("the tables were altered meanwhile")
            }
            Some(since) => {
                session.told = since.place;
                None
            }
        };
        if let Some(reason) = reason {
            session.first = Some(session.begin(state, reason));
        }
        Ok(session)
    }

    /// Everything that is there by now is behind us, whatever it was.
    fn begin(&mut self, state: State, reason: &str) -> Looked {
        self.told = state.place;
        self.looked = Some(state.micros);
        self.looked_whole = now();
        if !self.feed.watches {
            // Whoever writes has room again.
            self.due = Some(state.place);
        }
        let position = self.position();
        let event = FeedEvent::Gap { reason: reason.to_owned(), position };
        Looked { event: Some(event), has_more: false }
    }

    fn position(&self) -> FeedPosition {
        Place { log: self.log, place: self.told, schema: self.schema }.position()
    }

    async fn state(&mut self) -> Result<State> {
        let sql = "SELECT log, place, acknowledged, missed,
                          CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000
                     FROM {feed}_state";
        let rows = self.rows(sql).await?;
        let row = rows.first().ok_or_else(|| refused(&sqlx::Error::RowNotFound))?;
        let number = |at: usize| row.try_get::<i64, _>(at).map_err(|error| refused(&error));
        if self.asked.log(number(0)?) != self.log {
            return Err(other());
        }
        let (place, acknowledged) = (number(1)?, number(2)?);
        Ok(State { place, acknowledged, missed: number(3)?, micros: number(4)? })
    }

    /// The columns that the triggers tell, of each table.
    async fn told_columns(&mut self) -> Result<Vec<(String, Vec<String>)>, sqlx::Error> {
        let sql = "SELECT table_name, name FROM {feed}_column ORDER BY table_name, at";
        let sql = named(&self.feed.options.name, sql);
        let mut columns: Vec<(String, Vec<String>)> = Vec::new();
        for row in self.asked.rows(&sql, |query| query).await? {
            let (table, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            match columns.last_mut() {
                Some((last, names)) if *last == table => names.push(name),
                _ => columns.push((table, vec![name])),
            }
        }
        Ok(columns)
    }

    /// What answers otherwise than before, if the schema is another one: a table with other
    /// columns, or all of them where a view was changed. Who looks so seldom that several changes
    /// lie in between doesn't know of those that were changed back: then it is all of them, too.
    async fn altered(&mut self) -> Result<Vec<Notice>> {
        let version = self.number("PRAGMA schema_version").await?;
        if self.schema == version {
            return Ok(Vec::new());
        }
        let (known, tables) = (self.schema, std::mem::take(&mut self.tables));
        let views = std::mem::take(&mut self.views);
        self.look_at_schema().await?;
        let is_one = known + 1 == self.schema && views == self.views;
        // Somebody is changing it right now, and it is looked at again.
        let is_one = is_one && self.number("PRAGMA schema_version").await? == self.schema;
        let is_as_before = |now: &&TableStanding| {
            let before = tables.iter().find(|before| before.table == now.table);
            before.is_some_and(|before| before.columns == now.columns)
        };
        let altered = self.tables.iter().filter(|table| !is_one || !is_as_before(table));
        // Its rows are other ones too: who goes by rows only must hear of it as well.
        let both = |table: &TableStanding| {
            [Notice::Altered(table.table.clone()), Notice::truncated(table.table.clone())]
        };
        Ok(altered.flat_map(both).collect())
    }

    /// Looks how the tables and the views are, and whether the triggers are there. Where one is
    /// missing, the log is another one from then on: nobody knows for how long it was.
    async fn look_at_schema(&mut self) -> Result<()> {
        let version = self.number("PRAGMA schema_version").await?;
        let feed = Arc::clone(&self.feed);
        let found = standing(&mut self.asked, &feed.options).await;
        let found = found.map_err(|error| refused(&error))?;
        let made = triggers(&mut self.asked, &feed.options.name).await;
        let made = made.map_err(|error| refused(&error))?;
        for table in &found {
            // Those of other columns are there all the same.
            let wanted = triggers_of(&feed.options.name, table);
            let is_there = |name: &str| made.iter().any(|(made, _)| made == name);
            if table.columns.is_empty() || !wanted.iter().all(|(name, _)| is_there(name)) {
                let sql = named(&feed.options.name, "UPDATE {feed}_state SET log = random()");
                self.asked.execute(&sql).await.map_err(|error| refused(&error))?;
                let table = &table.table;
                let message = format!("triggers of {table} are missing: install the feed again");
                return Err(config(message));
            }
        }
        self.tables = found;
        let views = views(&mut self.asked).await;
        self.views = views.map_err(|error| refused(&error))?;
        // As it was before they were looked at.
        self.schema = version;
        Ok(())
    }

    /// Looks what was written since the last time.
    async fn look_anew(&mut self) -> Result<Looked> {
        if self.feed.file.identity()? != self.asked.identity {
            return Err(other());
        }
        let began = now();
        // Changes with every commit of somebody else.
        let version = self.number("PRAGMA data_version").await?;
        if self.version == Some(version) {
            self.looked_whole = began;
            return Ok(Looked::default());
        }
        let before = self.position();
        // First: whoever knows of a later change knows of what was altered before it.
        let state = self.state().await?;
        let mut notices = self.altered().await?;
        if state.place < self.told {
            return Ok(self.begin(state, "the database is one of an earlier time"));
        }
        if self.feed.watches {
            if state.missed > state.acknowledged {
                // Who follows makes room again, and begins with a gap.
                let message = "more was changed than is kept: nobody knows what, for now";
                return Err(Error::new(ErrorKind::SourceDown, message));
            }
            // What was applied meanwhile may have been deleted before it was seen here.
            if state.missed > self.told || began.duration_since(self.looked_whole) > LOOKS_WITHIN {
                return Ok(self.begin(state, "who watches hasn't looked for a while"));
            }
        }
        if state.missed > self.told {
            return Ok(self.begin(state, "more was changed than is kept for who follows"));
        }
        // It was committed after the look before, by the same clock. Before the first nobody knows.
        let micros = self.looked.and_then(|looked| u64::try_from(state.micros - looked).ok());
        let age = micros.map(Duration::from_micros);
        let is_many = state.place.abs_diff(self.told) > CHANGES_MAX as u64;
        if is_many && self.whole_until <= self.told {
            let named = "SELECT DISTINCT table_name FROM {feed}_change
                          WHERE place > ?1 AND place <= ?2 AND kind <> 'M'";
            for row in self.rows_between(named, self.told, state.place).await? {
                let name: String = row.try_get(0).map_err(|error| refused(&error))?;
                let table = Table { schema: "".into(), name: name.into() };
                notices.push(Notice::truncated(table));
            }
            self.whole_until = state.place;
        }
        let page = format!(
            "SELECT place, kind, table_name, CAST(was AS BLOB), CAST(becomes AS BLOB)
               FROM {{feed}}_change
              WHERE place > ?1 AND place <= ?2 AND (kind = 'M' OR place > {})
              ORDER BY place LIMIT {PAGE}",
            self.whole_until
        );
        let rows = self.rows_between(&page, self.told, state.place).await?;
        let has_more = rows.len() == PAGE;
        let mut last = self.told;
        for row in &rows {
            last = row.try_get(0).map_err(|error| refused(&error))?;
            let written = self.written(row).map_err(|error| refused(&error))?;
            self.assembly.tell(written, &mut notices)?;
        }
        let is_first = self.version.is_none();
        self.told = if has_more { last } else { state.place };
        if !has_more {
            self.looked = Some(state.micros);
            self.looked_whole = began;
            // As it was before the state was read.
            self.version = Some(version);
        }
        let position = self.position();
        let event = if !notices.is_empty() {
            Some(FeedEvent::Notices { notices, position, age })
        } else if position != before || is_first {
            Some(FeedEvent::Passed(position))
        } else {
            None
        };
        Ok(Looked { event, has_more })
    }

    fn written(&self, row: &SqliteRow) -> Result<Written, sqlx::Error> {
        // What isn't UTF-8 is no key.
        let lossy = |bytes: Option<Vec<u8>>| {
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let (letter, name): (String, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
        let kind = Kind::of(&letter).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let name = name.unwrap_or_default();
        let columns = self.columns.iter().find(|(table, _)| *table == name);
        Ok(Written {
            kind,
            columns: columns.map(|(_, names)| names.clone()).unwrap_or_default(),
            table: Table { schema: "".into(), name: name.into() },
            old: lossy(row.try_get(3)?),
            new: lossy(row.try_get(4)?),
        })
    }

    /// Writes down what was acknowledged, and deletes some of it. When somebody else writes, it is
    /// tried again with the next look.
    async fn forget(&mut self) -> Result<()> {
        let kept = self.due.map_or(0, |due| due.abs_diff(self.acknowledged));
        let is_much = kept > self.feed.options.rows_max / 2;
        let is_time = kept > 0 && (is_much || self.forgets.tick().now_or_never().is_some());
        if let Some(due) = self.due
            && is_time
        {
            let sql = format!("UPDATE {{feed}}_state SET acknowledged = {due}");
            if self.write(&sql).await? {
                self.acknowledged = due;
                self.due = None;
                self.delete(due)?;
            }
        }
        if self.deleting.is_none() {
            self.deleting = self.kept.due();
        }
        let Some(until) = self.deleting else { return Ok(()) };
        let sql = format!(
            "DELETE FROM {{feed}}_change WHERE place IN (
               SELECT place FROM {{feed}}_change WHERE place <= {until} ORDER BY place
                LIMIT {DELETED})"
        );
        let left = format!("SELECT 1 FROM {{feed}}_change WHERE place <= {until} LIMIT 1");
        if self.write(&sql).await? && self.rows(&left).await?.is_empty() {
            self.deleting = None;
        }
        Ok(())
    }

    /// From now on everything up to this may be deleted, which was told before.
    fn delete(&mut self, until: i64) -> Result<()> {
        let is_watched = self.feed.file.is_watched()?;
        self.kept.push(until, is_watched, i64::max);
        Ok(())
    }

    /// Whether it was written; not where somebody else writes.
    async fn write(&mut self, sql: &str) -> Result<bool> {
        match self.asked.execute(&named(&self.feed.options.name, sql)).await {
            Ok(()) => Ok(true),
            Err(error) if is_busy(&error) => Ok(false),
            Err(error) => Err(refused(&error)),
        }
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<SqliteRow>> {
        let sql = named(&self.feed.options.name, sql);
        self.asked.rows(&sql, |query| query).await.map_err(|error| refused(&error))
    }

    async fn rows_between(&mut self, sql: &str, from: i64, to: i64) -> Result<Vec<SqliteRow>> {
        let sql = named(&self.feed.options.name, sql);
        let rows = self.asked.rows(&sql, |query| query.bind(from).bind(to)).await;
        rows.map_err(|error| refused(&error))
    }

    async fn number(&mut self, sql: &str) -> Result<i64> {
        let rows = self.asked.rows(sql, |query| query).await.map_err(|error| refused(&error))?;
        let row = rows.first().ok_or_else(|| refused(&sqlx::Error::RowNotFound))?;
        row.try_get(0).map_err(|error| refused(&error))
    }
}

impl Outbox for Session {
    async fn look(&mut self, acknowledged: Option<FeedPosition>) -> Result<Looked> {
        if let Some(place) = acknowledged.map(Place::at)
            && place.log == self.log
        {
            self.due = self.due.max(Some(place.place));
        }
        if let Some(looked) = self.first.take() {
            return Ok(looked);
        }
        if !self.feed.watches {
            self.forget().await?;
        }
        self.look_anew().await
    }
}

/// Takes the lock of who watches. Who looks whether there is one has it for an instant, so it is
/// tried for a second.
async fn watch(feed: &Inner) -> Result<Lock> {
    const AGAIN: Duration = Duration::from_millis(20);
    for _ in 0..50 {
        match feed.file.watch() {
            Err(error) if error.kind() == ErrorKind::Refused => tokio::time::sleep(AGAIN).await,
            locked => return locked,
        }
    }
    feed.file.watch()
}

fn other() -> Error {
    let message = "the database is another one than the one that is followed";
    Error::new(ErrorKind::SourceDown, message)
}
