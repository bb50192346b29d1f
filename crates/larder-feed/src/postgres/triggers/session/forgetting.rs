//! Forgetting what was applied: writing down how far, making room for writers, deleting.

use std::time::Duration;

use futures_util::FutureExt as _;
use larder_core::Result;
use larder_core::feed::FeedPosition;
use sqlx::Row as _;
use tokio::time::Interval;

use super::super::super::control::internal;
use super::super::Tick;
use super::{Asked, Range, Seen, Session, UNSEEN};
use crate::outbox::ticks_every;

/// So often what was applied is written down and forgotten, unless half of the room is taken.
const FORGET_EVERY: Duration = Duration::from_secs(1);
/// So many rows are deleted at once, and so often in one look.
const DELETED: i64 = 5_000;
const DELETES: usize = 10;

/// When it is time to write down what was acknowledged.
pub(super) fn ticks() -> Interval {
    ticks_every(FORGET_EVERY)
}

impl Session {
    /// Everything before this place was applied.
    pub(super) fn note(&mut self, acknowledged: FeedPosition) {
        let tick = Tick::at(acknowledged);
        if tick.log != self.log {
            return;
        }
        while self.marks.front().is_some_and(|mark| mark.clock <= tick.clock) {
            self.due = self.marks.pop_front();
        }
    }

    /// Writes down what was acknowledged, and deletes some of it.
    pub(super) async fn forget(&mut self) -> Result<()> {
        for _ in 0..DELETES {
            if self.deleting.is_none() {
                self.deleting = self.kept.due();
            }
            let Some((from, to)) = self.deleting.clone() else { break };
            let sql = format!(
                "DELETE FROM {{feed}}.change d WHERE d.ctid = ANY (ARRAY(
                     SELECT c.ctid FROM {{feed}}.change c WHERE {UNSEEN} LIMIT $3))
                 RETURNING 1"
            );
            let bound = |query: Asked| query.bind(from).bind(to).bind(DELETED);
            if (self.rows(&sql, bound).await?.len() as i64) < DELETED {
                self.deleting = None;
            }
        }
        let Some(due) = &self.due else { return Ok(()) };
        if due.place == self.acknowledged.place {
            // Nobody has written anything.
            self.due = None;
            return Ok(());
        }
        let kept = due.place.saturating_sub(self.acknowledged.place).cast_unsigned();
        let is_time = self.forgets.tick().now_or_never().is_some();
        if self.deleting.is_none()
            && (is_time || kept > self.feed.options.rows_max / 2)
            && let Some(due) = self.due.take()
        {
            let range = (self.acknowledged.snapshot.clone(), due.snapshot.clone());
            self.write_down(due).await?;
            self.delete(range).await?;
        }
        Ok(())
    }

    /// From now on this may be deleted, which was seen before.
    pub(super) async fn delete(&mut self, range: Range) -> Result<()> {
        let watched = "SELECT EXISTS (
               SELECT FROM pg_locks l, {feed}.state s
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                  AND l.database = (SELECT oid FROM pg_database
                                     WHERE datname = current_database())
                  AND (l.classid::int8 << 32 | l.objid::int8) = s.lock # 1)";
        let row = self.row(watched, |query| query).await?;
        let is_watched = row.try_get(0).map_err(|error| internal(&error))?;
        // Each begins where the one before it ends.
        self.kept.push(range, is_watched, |(from, _), (_, to)| (from, to));
        Ok(())
    }

    /// From now on, who follows next goes on behind this.
    pub(super) async fn write_down(&mut self, seen: Seen) -> Result<()> {
        let (clock, snapshot) = (seen.clock, seen.snapshot.clone());
        let (place, missed) = (seen.place, seen.missed);
        let state = "UPDATE {feed}.state SET clock = $1, snapshot = $2, missed = $3";
        self.rows(state, |query| query.bind(clock).bind(snapshot).bind(missed)).await?;
        self.acknowledged = seen;
        self.make_room(place).await
    }

    /// Lets writers write down again what they do.
    pub(super) async fn make_room(&mut self, place: i64) -> Result<()> {
        let set = "SELECT setval('{feed}.acknowledged', $1)";
        self.rows(set, |query| query.bind(place)).await?;
        self.acknowledged.place = place;
        Ok(())
    }
}
