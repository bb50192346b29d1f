//! The journal: acknowledged writes, until they are applied.
//!
//! It stores records of bytes under numbers, one behind the other, and knows nothing of what they
//! say. What is durable survives the end of the process, and, as far as its durability promises,
//! of the machine.

use std::fmt;

use bytes::Bytes;

use crate::{BoxFuture, Result};

/// A record and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Each is greater by one than the one before, but where a loss was accepted.
    pub number: u64,
    /// What was appended.
    pub bytes: Bytes,
}

/// Records in the order of their numbers. To ask for the next one may wait for a disk: it is no
/// place for a thread that others need. After an error nothing more comes.
pub type Records = Box<dyn Iterator<Item = Result<Record>> + Send>;

/// How much a journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStanding {
    /// The number of the oldest record that is still needed; `next` where there is none.
    pub first: u64,
    /// The number that the next record will get.
    pub next: u64,
    /// What it takes where it is stored, in bytes.
    pub bytes: u64,
}

/// Where acknowledged writes wait until they are applied.
///
/// # Cancel safety
///
/// A future that is dropped takes nothing back: what was appended becomes durable.
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// A name that no other journal has, as long as it exists.
    fn id(&self) -> &str;

    /// Appends a record behind all others, and returns its number without waiting. It is not
    /// durable yet.
    ///
    /// # Errors
    ///
    /// `Shed` when it is full, or too much waits to become durable: nothing is appended.
    /// `Refused` for a record that is too long, and once another process has taken the journal
    /// over. `Internal` once it has failed to make something durable: then it takes nothing more
    /// until it is opened anew.
    fn append(&self, record: &[u8]) -> Result<u64>;

    /// Waits until the record of this number and all before it are durable.
    ///
    /// # Errors
    ///
    /// `Internal` when that failed. Whether it is stored is not known then, and never will be
    /// without opening it anew. `Shed` when too many wait, and `Timeout` where it takes too long:
    /// it may become durable all the same, so ask again. `Refused` for a number that was never
    /// appended, and once another process has taken the journal over.
    fn durable(&self, number: u64) -> BoxFuture<'static, Result<()>>;

    /// Every record below this number is durable.
    fn durable_below(&self) -> u64;

    /// The durable records from this number on, or from the oldest that is needed, up to where it
    /// ends now.
    ///
    /// # Errors
    ///
    /// `Internal` when it can't be read.
    fn read_from(&self, number: u64) -> Result<Records>;

    /// Records below this number are needed no more, as far as they are durable.
    ///
    /// # Errors
    ///
    /// `Internal` when that can't be written down. They are then read again, which does no harm.
    fn truncate_below(&self, number: u64) -> Result<()>;

    /// How much it holds.
    fn standing(&self) -> JournalStanding;
}
