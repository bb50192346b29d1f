//! Beats: what is committed into the database in order to see it arrive.
//!
//! Only the database knows what was committed. A beat is committed after everything that was
//! committed before, Debezium tells it after all of that, and when it has arrived, so has the rest.
//!
//! What a beat's database says of itself besides is here, too: what a reader sees, and which
//! columns are written in JSON as the database writes them.

mod postgres;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use larder_core::change::Table;
use larder_core::{BoxFuture, Result};

pub use self::postgres::PostgresBeat;

/// Messages with this prefix are beats.
pub const BEAT_PREFIX: &str = "larder-heartbeat";
/// The table whose changes are beats, with one row, in a column `beat`.
pub const BEAT_TABLE: &str = "larder_heartbeat";

/// A database that can be made to beat.
pub trait Beat: fmt::Debug + Send + Sync + 'static {
    /// Commits this text where Debezium tells of it: as a message under [`BEAT_PREFIX`], or into
    /// the column `beat` of [`BEAT_TABLE`].
    ///
    /// # Errors
    ///
    /// `SourceDown` or `Timeout` when the database doesn't do it, `Config` when it can't.
    fn beat<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<()>>;

    /// What a reader who begins now sees; `None` where whatever Debezium tells can be read already.
    ///
    /// # Errors
    ///
    /// The database doesn't say.
    fn view(&self) -> BoxFuture<'_, Result<Option<View>>> {
        Box::pin(async { Ok(None) })
    }

    /// What the database says of its columns; `None` where it isn't asked.
    ///
    /// # Errors
    ///
    /// The database doesn't say.
    fn catalog(&self) -> BoxFuture<'_, Result<Option<Catalog>>> {
        Box::pin(async { Ok(None) })
    }
}

/// What a reader who begins now sees.
pub struct View {
    /// Every transaction below this number has ended.
    pub ended_below: u64,
    /// None from this number on has begun.
    pub begun_below: u64,
    /// When it was taken, in milliseconds since 1970, by the database's clock.
    pub millis: i64,
    /// Whether it sees what the transaction of this number (Debezium's `txId`) committed.
    pub sees: Box<dyn Fn(u64) -> bool + Send + Sync>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("ended_below", &self.ended_below)
            .field("begun_below", &self.begun_below)
            .finish_non_exhaustive()
    }
}

/// What a database says of the columns of its tables.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By table.
    pub tables: HashMap<Table, Columns>,
}

/// What a database says of a table's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// These are written in JSON as the database writes them, whatever Debezium is told: integers,
    /// texts, booleans, UUIDs.
    pub plain: HashSet<Box<str>>,
    /// The log tells these of a row that is gone.
    pub identity: HashSet<Box<str>>,
}

/// What tells how far Debezium is. Clones are the same.
#[derive(Clone, Debug)]
pub struct Heartbeat(Arc<dyn Beat>);

impl Heartbeat {
    /// The Postgres at this URL beats by logical messages, which Debezium tells since Postgres 14
    /// with `pgoutput`. See [`PostgresBeat`].
    ///
    /// # Errors
    ///
    /// `Config` when the URL can't be.
    ///
    /// ```
    /// use larder_feed::debezium::Heartbeat;
    ///
    /// let heartbeat = Heartbeat::postgres("postgres://larder:secret@db.example.com/shop")?;
    /// assert!(!format!("{heartbeat:?}").contains("secret"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn postgres(url: &str) -> Result<Self> {
        Ok(Self::by(PostgresBeat::by_messages(url)?))
    }

    /// Another database beats.
    pub fn by(beat: impl Beat) -> Self {
        Self(Arc::new(beat))
    }

    pub(super) fn beat(&self) -> &dyn Beat {
        &*self.0
    }
}
