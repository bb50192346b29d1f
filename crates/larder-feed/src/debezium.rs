//! Debezium: what it tells in JSON, over whatever carries it.
//!
//! Debezium reads the log of a database and produces records; a *transport* delivers them here
//! ([`Records`]), and remembers how far they were acknowledged. A [`DebeziumFeed`] decodes them,
//! and implements [`Feed`].
//!
//! Only the database knows what was committed, and Debezium doesn't say how far it is. So the
//! horizon comes from a [`Heartbeat`]: something is committed, and when it arrives among the
//! records, everything that was committed before has arrived. Without one, changes invalidate, and
//! no horizon is known: `max_staleness` bounds what an answer may be, as without a feed.
//!
//! **What a beat proves needs an order.** Debezium reads a log in its order and tells it in its
//! order. A beat proves what came before it where the transport keeps that: where there is one
//! lane, or where nothing is readable in any lane before what was produced earlier is in every
//! other ([`Reading::caught_up`]). Between Kafka's partitions there is no such order. All tables
//! that are followed, and the beats, come from one connector.
//!
//! | trap | what is done |
//! |---|---|
//! | a commit is told before readers see it | it is held back until a snapshot has it, where the beat's database says (`session`) |
//! | Debezium has lost its place and begins with a snapshot: what it missed is never told | the first row of a snapshot that nobody asked for is a gap |
//! | a record can't be read | it is a gap, with the reason |
//! | JSON doesn't say whether `18628` is a number or a date | the schema does, or the database, or it is unknown (`decode`) |
//! | of an old row Postgres tells the columns that identify it; Debezium writes the rest as nulls or defaults | only what was told is known |
//! | a beat's table is told by a snapshot as well | only what the log told is a beat |
//! | two connectors, each with a beat | the horizon stands still, and it is said why |
//!
//! | module | idea |
//! |---|---|
//! | [`records`] | the contract with what carries them |
//! | [`http`] | Debezium Server's HTTP sink, whose requests somebody else receives |
//! | `redis` | its Redis sink: streams (feature `redis`) |
//! | `kafka` | Debezium on Kafka Connect (feature `kafka`) |
//! | `nats` | its NATS sink: a stream of `JetStream` (feature `nats`) |

mod beat;
mod decode;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(any(feature = "nats", feature = "redis"))]
mod marks;
#[cfg(feature = "nats")]
pub mod nats;
mod position;
pub mod records;
#[cfg(feature = "redis")]
pub mod redis;
mod session;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use larder_core::change::Table;
use larder_core::feed::{FeedPosition, Following, Notice};
use larder_core::sync::{AtomicU64, Mutex, Ordering};
use larder_core::{BoxFuture, Error, ErrorKind, Feed, Result};

pub use self::beat::{
    BEAT_PREFIX, BEAT_TABLE, Beat, Catalog, Columns, Heartbeat, PostgresBeat, View,
};
pub use self::decode::{Decoder, Event, RECORD_BYTES_MAX, Unreadable, What};
use self::position::Position;
pub use self::records::{Batch, Place, Reading, Record, Records};
use self::session::Session;

/// How Debezium's records are followed.
#[derive(Clone, Debug)]
pub struct DebeziumOptions {
    /// What tells how far it is. Without one no horizon is known.
    pub heartbeat: Option<Heartbeat>,
    /// Changes of other tables are passed over: `schema.table`, or `table` in whatever schema.
    /// Where none is named, all are told.
    pub tables: Vec<String>,
    /// What a row that is read for a snapshot means; nothing by default.
    pub snapshots: Snapshots,
    /// What stands for a large value that didn't change (`unavailable.value.placeholder`).
    pub unavailable: String,
    /// Columns whose JSON isn't the text that the database writes (dates, times, bytes, numbers
    /// that aren't integers), where records come without their schema and the heartbeat's database
    /// isn't asked: `column`, or `table.column`.
    pub opaque: Vec<String>,
}

/// What a row that is read for a snapshot means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Snapshots {
    /// Nothing: it didn't change.
    #[default]
    Ignored,
    /// It is told as if it had been inserted.
    Inserted,
}

impl DebeziumOptions {
    /// Follows these tables.
    pub fn new(tables: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let Decoder { unavailable, opaque, .. } = Decoder::default();
        let tables = tables.into_iter().map(Into::into).collect();
        Self { heartbeat: None, tables, snapshots: Snapshots::default(), unavailable, opaque }
    }
}

/// What Debezium tells. Clones are the same feed.
///
/// ```
/// use larder_feed::debezium::http::{HttpIntake, HttpIntakeOptions};
/// use larder_feed::debezium::{DebeziumFeed, DebeziumOptions, Heartbeat};
///
/// let intake = HttpIntake::new(HttpIntakeOptions::default());
/// let mut options = DebeziumOptions::new(["public.users"]);
/// options.heartbeat = Some(Heartbeat::postgres("postgres://larder@db.example.com/shop")?);
/// let feed = DebeziumFeed::new("shop", intake.clone(), options);
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # What a restart means
///
/// The transport continues where it was acknowledged. A process that has just started knows nothing
/// of what it covers, so it begins with a gap; one that was told over the bus how far another one
/// was goes on there without one, if the transport's places mean the same to both.
#[derive(Clone)]
pub struct DebeziumFeed(Arc<Inner>);

struct Inner {
    name: String,
    records: Box<dyn Records>,
    options: DebeziumOptions,
    /// Whose beats are ours.
    who: u64,
    /// So many were committed, or tried.
    beats: AtomicU64,
    /// Why no horizon can be known, beside there being no heartbeat.
    no_horizon: Mutex<Option<Error>>,
}

impl DebeziumFeed {
    /// What these records say, under this name in logs. Nothing is connected yet.
    pub fn new(name: &str, records: impl Records, options: DebeziumOptions) -> Self {
        let name = format!("debezium {name} over {}", records.name());
        Self(Arc::new(Inner {
            name,
            records: Box::new(records),
            options,
            who: RandomState::new().hash_one(0_u8),
            beats: AtomicU64::new(0),
            no_horizon: Mutex::default(),
        }))
    }
}

impl Inner {
    fn beat_text(&self, number: u64) -> String {
        format!("larder {:016x} {number}", self.who)
    }

    /// The number of a beat, if it is ours.
    fn own_beat(&self, text: &str) -> Option<u64> {
        let mut parts = text.strip_prefix("larder ")?.splitn(2, ' ');
        let who = u64::from_str_radix(parts.next()?, 16).ok()?;
        let number: u64 = parts.next()?.parse().ok()?;
        let is_ours = who == self.who && number <= self.beats.load(Ordering::Acquire);
        is_ours.then_some(number)
    }

    fn has_horizon(&self) -> bool {
        self.options.heartbeat.is_some() && self.no_horizon.lock().is_none()
    }

    /// Whether changes of this are told.
    fn follows(&self, notice: &Notice) -> bool {
        let table = match notice {
            Notice::Changed(change) => &change.table,
            Notice::Altered(table) => table,
            Notice::Message(_) => return true,
        };
        let tables = &self.options.tables;
        tables.is_empty() || tables.iter().any(|name| is_named(table, name))
    }
}

fn is_named(table: &Table, name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((schema, name)) => *schema == *table.schema && *name == *table.name,
        None => *name == *table.name,
    }
}

impl Feed for DebeziumFeed {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn follow(&self, since: Option<FeedPosition>) -> BoxFuture<'_, Result<Box<dyn Following>>> {
        Box::pin(async move {
            let session = Session::open(Arc::clone(&self.0), since).await?;
            Ok(Box::new(session) as Box<dyn Following>)
        })
    }

    /// Commits a beat: only who follows sees it arrive.
    fn end(&self) -> BoxFuture<'_, Result<FeedPosition>> {
        Box::pin(async move {
            let Some(heartbeat) = &self.0.options.heartbeat else {
                let message = "how far Debezium is isn't known without a heartbeat: its changes \
                               invalidate, and max_staleness bounds the rest by age";
                return Err(Error::new(ErrorKind::Config, message));
            };
            if let Some(error) = self.0.no_horizon.lock().clone() {
                return Err(error);
            }
            let number = self.0.beats.fetch_add(1, Ordering::AcqRel) + 1;
            heartbeat.beat().beat(&self.0.beat_text(number)).await?;
            Ok(Position::end(number))
        })
    }
}

impl fmt::Debug for DebeziumFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebeziumFeed")
            .field("name", &self.0.name)
            .field("records", &self.0.records)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
