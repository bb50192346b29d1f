//! The system of record, as larder writes it.
//!
//! A write that somebody waits for is one transaction: [`Sink::write`]. Writes that were
//! acknowledged before they reached the system of record (write-behind) come in batches, and may
//! come again after a crash: [`Sink::apply`]. So that a second time changes nothing, each of them
//! has a [`Sequence`], and the sink keeps the last one of each key beside the data, in the same
//! transaction.
//!
//! Only one process at a time may apply to a cache: its *owner*, known by an epoch that the sink
//! counts. Who owned it before is refused from the moment on at which another one owns it, even if
//! it was merely stopped and knows nothing of that.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, ErrorKind, Result, Write, Written};

/// The place of an acknowledged write: those of one key are applied in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence {
    /// Under whose ownership it was acknowledged. A later one comes after all earlier ones.
    pub epoch: u64,
    /// Its number in the journal.
    pub number: u64,
}

/// An acknowledged write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered<K, V> {
    /// What is written.
    pub key: K,
    /// How.
    pub write: Write<V>,
    /// Its place. Where several were made one, that of the last.
    pub sequence: Sequence,
    /// The dead letter that it was, if it was one: it is taken away in the same transaction, and
    /// where it is gone already, this was applied before.
    pub letter: Option<u64>,
}

/// What became of one write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied<V> {
    /// It is committed, and this is what is held now.
    Now(Written<V>),
    /// It, or a later one of its key, had been committed before.
    Before,
}

/// A write that the system of record will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter<K, V> {
    /// Which it is, among those of its cache.
    pub id: u64,
    /// The write.
    pub numbered: Numbered<K, V>,
    /// Why it wasn't taken.
    pub reason: String,
}

/// What a failed write means for who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// Nothing was written. The same may succeed later.
    Transient,
    /// Nothing was written, since another writer was in the way. The same may succeed at once.
    Conflict,
    /// Nothing was written, and never will be: the system of record refuses this write.
    Poison,
    /// It may be written or not: the answer to the commit was lost.
    Unknown,
    /// Nothing was written: another process owns the cache.
    Disowned,
}

/// Why a write failed.
#[derive(Clone, Debug)]
pub struct WriteError {
    /// What it means.
    pub fault: WriteFault,
    /// What happened.
    pub error: Error,
}

impl WriteError {
    /// An error that means this.
    #[must_use]
    pub const fn new(fault: WriteFault, error: Error) -> Self {
        Self { fault, error }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Which writes a sink takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is an ability of its own.
pub struct SinkAbilities {
    /// [`Write::Store`].
    pub store: bool,
    /// [`Write::Delete`].
    pub delete: bool,
    /// [`Write::Add`].
    pub add: bool,
    /// [`Sink::replace`].
    pub replace: bool,
    /// [`Sink::apply`] and what belongs to it.
    pub behind: bool,
}

/// The system of record behind a cache, as it is written.
///
/// ```
/// use larder_core::sink::{Sink, SinkAbilities, WriteError};
/// use larder_core::{Write, Written};
///
/// struct Nowhere;
///
/// impl Sink<u64, String> for Nowhere {
///     fn abilities(&self) -> SinkAbilities {
///         SinkAbilities { store: true, delete: true, ..SinkAbilities::default() }
///     }
///
///     async fn write(&self, _: &u64, _: &Write<String>) -> Result<Written<String>, WriteError> {
///         Ok(Written::Unsaid)
///     }
/// }
/// ```
///
/// # Cancel safety
///
/// Dropping a future leaves the sink usable; what it wrote may be committed or not.
pub trait Sink<K, V>: Send + Sync + 'static
where
    K: Send + Sync,
    V: Send + Sync,
{
    /// Which writes it takes. A write that it doesn't take is refused before it is asked.
    fn abilities(&self) -> SinkAbilities;

    /// For how long a write that was given up may still be committed: its future was dropped, or it
    /// failed with [`Unknown`](WriteFault::Unknown), and the system of record may be at it all the
    /// same. Counted from then.
    fn lingers(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether it would take this write, as far as it knows without asking anybody. A write that is
    /// to wait in a journal is refused by it before it is acknowledged, where otherwise it would
    /// become a dead letter.
    ///
    /// # Errors
    ///
    /// Why it could never be written.
    fn check(&self, key: &K, write: &Write<V>) -> Result<()> {
        let _ = (key, write);
        Ok(())
    }

    /// Writes one key in a transaction of its own, and returns after the commit.
    ///
    /// # Errors
    ///
    /// What it means stands in the [fault](WriteError::fault).
    fn write(
        &self,
        key: &K,
        write: &Write<V>,
    ) -> impl Future<Output = Result<Written<V>, WriteError>> + Send;

    /// Writes one key if it holds what is `expected`, in one transaction that no other writer can
    /// come between.
    ///
    /// # Errors
    ///
    /// [`Conflict`](WriteFault::Conflict) when it holds something else; otherwise as
    /// [`write`](Self::write).
    fn replace(
        &self,
        key: &K,
        expected: Option<&V>,
        write: &Write<V>,
    ) -> impl Future<Output = Result<Written<V>, WriteError>> + Send {
        let _ = (key, expected, write);
        async { Err(WriteError::new(WriteFault::Poison, no_replace())) }
    }

    /// Takes the cache over for `owner`, whose name it will have until it is
    /// [disowned](Self::disown), and returns the new epoch: greater than every earlier one.
    ///
    /// # Errors
    ///
    /// `Refused` when another one owns it, with who it is and what to do.
    fn own(&self, owner: &str) -> impl Future<Output = Result<u64>> + Send {
        let _ = owner;
        async { Err(no_behind()) }
    }

    /// Gives the cache back, if it is still owned under this epoch: everything acknowledged is
    /// applied.
    ///
    /// # Errors
    ///
    /// When the system of record can't be asked. Then it remains owned.
    fn disown(&self, epoch: u64) -> impl Future<Output = Result<()>> + Send {
        let _ = epoch;
        async { Err(no_behind()) }
    }

    /// Applies acknowledged writes, at most one of each key, all in one transaction or none.
    /// Returns what became of each, in their order.
    ///
    /// # Errors
    ///
    /// What it means for the whole batch stands in the [fault](WriteError::fault):
    /// [`Poison`](WriteFault::Poison) when one of them is refused, whichever it is.
    fn apply(
        &self,
        epoch: u64,
        batch: &[Numbered<K, V>],
    ) -> impl Future<Output = Result<Vec<Applied<V>>, WriteError>> + Send {
        let _ = (epoch, batch);
        async { Err(WriteError::new(WriteFault::Poison, no_behind())) }
    }

    /// The last sequence that was applied of each of these keys, in their order, with those that
    /// became dead letters.
    ///
    /// # Errors
    ///
    /// When the system of record can't be asked.
    fn applied(&self, keys: &[K]) -> impl Future<Output = Result<Vec<Option<Sequence>>>> + Send {
        let _ = keys;
        async { Err(no_behind()) }
    }

    /// Puts a write that is refused with the dead letters, and counts it as applied, in one
    /// transaction.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply), but for `Poison`.
    fn bury(
        &self,
        epoch: u64,
        write: &Numbered<K, V>,
        reason: &str,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        let _ = (epoch, write, reason);
        async { Err(WriteError::new(WriteFault::Transient, no_behind())) }
    }

    /// At most `limit` of the dead letters that somebody asked to be tried again. They stay where
    /// they are until they are applied, or buried anew.
    ///
    /// # Errors
    ///
    /// When the system of record can't be asked.
    fn requeued(&self, limit: usize) -> impl Future<Output = Result<Vec<DeadLetter<K, V>>>> + Send {
        let _ = limit;
        async { Err(no_behind()) }
    }
}

fn no_replace() -> Error {
    let message =
        "this sink can't compare what is held with what is expected: store or add instead";
    Error::new(ErrorKind::Refused, message)
}

fn no_behind() -> Error {
    let message = "this sink keeps no sequences, and so can't be written behind: write through or \
                   around it";
    Error::new(ErrorKind::Refused, message)
}

impl<K, V, S> Sink<K, V> for Arc<S>
where
    K: Send + Sync,
    V: Send + Sync,
    S: Sink<K, V>,
{
    fn abilities(&self) -> SinkAbilities {
        S::abilities(self)
    }

    fn lingers(&self) -> Duration {
        S::lingers(self)
    }

    fn check(&self, key: &K, write: &Write<V>) -> Result<()> {
        S::check(self, key, write)
    }

    fn write(
        &self,
        key: &K,
        write: &Write<V>,
    ) -> impl Future<Output = Result<Written<V>, WriteError>> + Send {
        S::write(self, key, write)
    }

    fn replace(
        &self,
        key: &K,
        expected: Option<&V>,
        write: &Write<V>,
    ) -> impl Future<Output = Result<Written<V>, WriteError>> + Send {
        S::replace(self, key, expected, write)
    }

    fn own(&self, owner: &str) -> impl Future<Output = Result<u64>> + Send {
        S::own(self, owner)
    }

    fn disown(&self, epoch: u64) -> impl Future<Output = Result<()>> + Send {
        S::disown(self, epoch)
    }

    fn apply(
        &self,
        epoch: u64,
        batch: &[Numbered<K, V>],
    ) -> impl Future<Output = Result<Vec<Applied<V>>, WriteError>> + Send {
        S::apply(self, epoch, batch)
    }

    fn applied(&self, keys: &[K]) -> impl Future<Output = Result<Vec<Option<Sequence>>>> + Send {
        S::applied(self, keys)
    }

    fn bury(
        &self,
        epoch: u64,
        write: &Numbered<K, V>,
        reason: &str,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        S::bury(self, epoch, write, reason)
    }

    fn requeued(&self, limit: usize) -> impl Future<Output = Result<Vec<DeadLetter<K, V>>>> + Send {
        S::requeued(self, limit)
    }
}
