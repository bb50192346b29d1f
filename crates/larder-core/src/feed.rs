//! Feeds: what a database says was changed, whoever changed it, in the order of its commits.
//!
//! A bus carries what larder announces; a feed carries what the database did, so it hears of
//! writers that never heard of larder. It says which rows changed, and how far it has said
//! everything:
//!
//! - **Nothing is told before it can be read.** A log may hold a commit before readers see it; who
//!   invalidated then would load what was before, and never hear of it again. A feed holds a
//!   notice back until whoever reads sees the change.
//! - **A position is passed when everything before it was told.** Who has asked for the log's
//!   [end](Feed::end) at some moment, and has applied what was told until the feed passed it,
//!   knows of every change that was committed before that moment.
//! - **What may have been missed is said**: a [gap](FeedEvent::Gap). Everything that the feed
//!   covers is then to be dropped, and no age of it is known.
//! - **What was told is acknowledged after it was applied**, everywhere. What isn't is told again.
//!
//! One process at a time follows a feed; others hear of what it applies over the [bus](crate::bus).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::change::{Change, Changed, Table};
use crate::{BoxFuture, Result};

/// A place in a feed's log. Places of two logs can't be compared, and after a [gap](FeedEvent::Gap)
/// it may be another log. A feed tells its own places from those of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FeedPosition(pub u128);

/// One thing that a feed tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A row changed, or all rows of a table.
    Changed(Change),
    /// A table has other columns than before.
    Altered(Table),
    /// A writer left this in its transaction, for larder.
    Message(Bytes),
}

impl Notice {
    /// All rows of a table are gone, or so many changed that it is told as if they were.
    #[must_use]
    pub fn truncated(table: Table) -> Self {
        Self::Changed(Change { table, changed: Changed::Truncated })
    }
}

/// What who follows a feed is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// These were committed, in this order, and can be read.
    Notices {
        /// What was committed.
        notices: Vec<Notice>,
        /// Everything before this place has been told.
        position: FeedPosition,
        /// How long ago the first of them was committed, by the database's own clock, if it says.
        age: Option<Duration>,
    },
    /// Nothing that concerns anybody was committed before this place that wasn't told.
    Passed(FeedPosition),
    /// Anything may have been changed before this place. All of it can be read.
    Gap {
        /// Why, for logs.
        reason: String,
        /// Where what is told begins.
        position: FeedPosition,
    },
}

/// What tells of a database's changes.
pub trait Feed: fmt::Debug + Send + Sync + 'static {
    /// What it is, for logs: the kind of database and where, without secrets.
    fn name(&self) -> &str;

    /// Follows it. Everything that was committed behind `since` is told, which is a place that was
    /// acknowledged before, by whomever. Where there is none, or what came behind it isn't known
    /// any more, the first event is a gap.
    ///
    /// # Errors
    ///
    /// `Refused` while another process follows it: try again later. `Config` when the database
    /// isn't prepared for it, with what to do. `SourceDown` when it can't be reached.
    fn follow(&self, since: Option<FeedPosition>) -> BoxFuture<'_, Result<Box<dyn Following>>>;

    /// Where its log ends: everything that was committed before this was called stands before it.
    /// It is the log that is being followed: of another one the end says nothing.
    ///
    /// # Errors
    ///
    /// `SourceDown` or `Timeout` when the database doesn't say. `SourceDown` when who answers isn't
    /// the server whose log is followed, as after a failover.
    fn end(&self) -> BoxFuture<'_, Result<FeedPosition>>;
}

/// A feed that is followed. Dropped, another process may follow it.
pub trait Following: Send {
    /// What comes next. Who asks for it has applied what came before, as far as it is concerned;
    /// what others know of it is [acknowledged](Self::acknowledge).
    ///
    /// # Errors
    ///
    /// The connection was lost, or what came can't be read: follow it again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    fn next(&mut self) -> BoxFuture<'_, Result<FeedEvent>>;

    /// Everything before this place has been applied, everywhere. It needn't be told again, so the
    /// database may forget it.
    fn acknowledge(&mut self, position: FeedPosition);
}
