//! The contract between Debezium's records and what carries them: Kafka, NATS, Redis, HTTP.
//!
//! A transport delivers records and remembers how far they were acknowledged. It knows nothing of
//! what a record says, nor of tables, caches and horizons.

use std::fmt;

use bytes::Bytes;
use larder_core::{BoxFuture, Result};

/// A batch has so many records at most.
pub const BATCH_RECORDS_MAX: usize = 1_024;
/// And so many bytes of keys and values, or one record.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// One record as a transport delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is filed under: a topic, a stream, a subject; empty where there is nothing like it.
    pub topic: Box<str>,
    /// Which of the transport's independent orders it stands in (a partition); 0 where there is
    /// one.
    pub lane: u32,
    /// What identifies the row, as JSON.
    pub key: Option<Bytes>,
    /// What happened to it, as JSON; nothing in a tombstone.
    pub value: Option<Bytes>,
}

/// A place in what a transport delivers, as all processes that read it understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which run of the transport the number is of: another one where what was remembered has been
    /// made anew.
    pub log: u32,
    /// As [`Batch::Records`] has them, below 2^56.
    pub number: u64,
}

/// Where Debezium's records come from: a transport.
///
/// Records of one lane come in order, and each is delivered again until it was acknowledged.
pub trait Records: fmt::Debug + Send + Sync + 'static {
    /// What it is, for logs: the kind of transport and where, without secrets.
    fn name(&self) -> &str;

    /// Begins to read behind what was acknowledged, by whomever. Where nothing ever was, it begins
    /// with what comes from now on.
    ///
    /// # Errors
    ///
    /// `Refused` while another process reads them: try again later. `Config` when the transport
    /// isn't prepared for it, with what to do. `SourceDown` when it can't be reached.
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Reading>>>;
}

/// Records while they are read. Dropped, another process may read them.
pub trait Reading: Send {
    /// The place that was acknowledged last, by whomever, when this was opened: of two places of
    /// one log everything before the lower number has been delivered before the higher one's.
    /// `None` where numbers mean something to this reading only: who follows then begins with a
    /// gap.
    fn begins(&self) -> Option<Place> {
        None
    }

    /// What comes next, at most [`BATCH_RECORDS_MAX`] and [`BATCH_BYTES_MAX`].
    ///
    /// # Errors
    ///
    /// The transport doesn't answer, or an acknowledgement failed: open it again. `Refused` when
    /// another process has begun to read.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    fn next(&mut self) -> BoxFuture<'_, Result<Batch>>;

    /// Everything delivered up to this batch has been applied: nobody serves what was before. How
    /// far it is nobody else may know yet, so it stays what is delivered again; who waits for no
    /// more than that it was applied needn't wait longer.
    fn applied(&mut self, batch: u64) {
        let _ = batch;
    }

    /// Everything delivered up to this batch was applied everywhere, and whoever reads next knows
    /// it: it needn't be delivered again.
    /// That becomes durable in the background; a failure shows in the next [`next`](Self::next).
    fn acknowledge(&mut self, batch: u64);

    /// Whether every record that was **produced before** any of those that were delivered when
    /// this was called first has been delivered, too. The first call after one that said yes (or
    /// after opening) notes where the lanes end; it and those that follow it say whether that was
    /// reached. So it says yes at some time, however much is produced meanwhile.
    ///
    /// A transport of one order says yes at once. One of several lanes says so when it has
    /// delivered what they held, if its producer writes nothing into any lane before what it wrote
    /// earlier can be read in every other.
    ///
    /// # Errors
    ///
    /// `Config` where lanes know nothing of each other, as Kafka's partitions: no horizon can then
    /// be known, and records are read all the same. Anything else ends the reading.
    fn caught_up(&mut self) -> BoxFuture<'_, Result<bool>>;
}

/// What a transport delivers at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Some records, one at least.
    Records {
        /// Everything up to here has been delivered. Later batches have higher numbers.
        number: u64,
        /// In the order of each lane.
        records: Vec<Record>,
    },
    /// What came behind the place that was acknowledged last isn't there any more, or may not be:
    /// what is delivered from now on begins later.
    Lost {
        /// Why, for logs.
        reason: String,
    },
    /// Nothing came for a while: 100 ms at most.
    Nothing,
}
