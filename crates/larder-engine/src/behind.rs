//! Write-behind: a write is acknowledged once it is durable in a journal, and applied to the
//! system of record later, in batches.
//!
//! 1. **Push** (see `writes`). The write gets its number in the journal and its place in the dirty
//!    map, in one step. It is acknowledged when the journal has made it durable; many wait for one
//!    `fsync`.
//! 2. **Read** (see `reads`). What was acknowledged is what this process reads, whatever the tiers
//!    hold.
//! 3. **Apply** (see `lane`). What waited long enough, or is many, is applied in one transaction,
//!    in which the sink also notes the sequence of each key: a second time changes nothing.
//! 4. **Close.** Of what nothing waits behind memory has what the sink returned, or nothing (see
//!    [`install`](crate::install)); it is again what the source says.
//! 5. **Replay** (see `replay`). What the journal holds and the sink hasn't applied begins again at
//!    2, before anything else is served.
//!
//! A write that the sink refuses becomes a dead letter, alone: its batch is divided until it is
//! found. One that can't be applied now is tried until it can. Nothing that was acknowledged is
//! ever given up silently.
//!
//! | file | idea |
//! |---|---|
//! | `dirty` | what waits, in order for each key |
//! | `base` | what differences that wait rest on, and until when |
//! | `record` | a write as bytes |
//! | `room` | what waits counts against the memory tier's bound |
//! | `describe` | what such bytes say, for who looks at a journal from outside |
//! | `hub` | what the caches of one journal have in common |
//! | `writes` | pushing |
//! | `reads` | reading what waits, and what is beneath |
//! | `pledges` | other processes keep nothing of what waits |
//! | `announcing` | pledges given to the shared tier and the bus, and taken back |
//! | `lane` | the task that applies |
//! | `letters` | which dead letters are being tried again |
//! | `replay` | beginning again after an end |

mod announcing;
mod base;
mod describe;
pub(crate) mod dirty;
mod hub;
mod lane;
mod letters;
mod pledges;
mod reads;
mod record;
mod replay;
mod room;
mod writes;

use std::sync::{Arc, Weak};

use larder_core::sync::{AtomicBool, AtomicU64, Counter, Mutex, Ordering};
use larder_core::{CacheKey, Error, ErrorKind, Result};

use crate::cache::{Cache, Parts};
use crate::memory::Reserve;
use crate::runtime::Notify;
use crate::shared::codec::Codec;
pub use describe::{Described, DescribedWrite, describe};
use dirty::Dirty;
pub use dirty::Fold;
use hub::Hub;
pub use hub::{BehindBounds, BehindStats, Replayed, Stopped, WriteBehind};
use letters::Letters;
use pledges::Pledges;
use room::Room;
pub(crate) use writes::Only;

/// What a cache needs to be written behind.
pub(crate) struct Behind<K, V> {
    pub(crate) dirty: Dirty<K, V>,
    /// What it takes of the memory tier.
    room: Room,
    /// What everybody was told of it, where the cache is guarded.
    pledges: Pledges<K>,
    hub: Arc<Hub>,
    codec: Box<dyn Codec<V>>,
    /// Under which it owns what it writes; zero before it does.
    epoch: AtomicU64,
    /// Somebody applies what waits.
    runs: AtomicBool,
    /// The records of it below this number have been taken over.
    taken_below: AtomicU64,
    /// Something may be there to apply.
    wake: Notify,
    /// Something was applied, or given up.
    settled: Notify,
    /// The dead letters that are being tried again.
    letters: Letters,
    /// Why nothing is written any more.
    fault: Mutex<Option<Error>>,
    counters: BehindCounters,
}

/// What a cache that is written behind has counted.
#[derive(Debug, Default)]
struct BehindCounters {
    acknowledged: Counter,
    applied: Counter,
    applied_before: Counter,
    buried: Counter,
    failed: Counter,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// What waits to be applied, and what was counted of it; `None` where the cache isn't written
    /// behind.
    #[must_use]
    pub fn behind_stats(&self) -> Option<BehindStats> {
        let behind = self.0.behind()?;
        let counters = &behind.counters;
        let now = self.0.engine.now();
        Some(BehindStats {
            keys: behind.dirty.keys(),
            bytes: behind.dirty.bytes(),
            reserved: behind.room.reserved(),
            oldest: behind.dirty.oldest().map(|(_, since)| now - since),
            acknowledged: counters.acknowledged.get(),
            applied: counters.applied.get(),
            applied_before: counters.applied_before.get(),
            buried: counters.buried.get(),
            failed: counters.failed.get(),
        })
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Behind<K, V> {
    pub(crate) fn new(
        behind: &WriteBehind,
        codec: Box<dyn Codec<V>>,
        fold: Option<Fold<V>>,
    ) -> Self {
        Self {
            dirty: Dirty::new(fold),
            room: Room::default(),
            pledges: Pledges::new(behind.0.bounds.keys_max),
            hub: Arc::clone(&behind.0),
            codec,
            epoch: AtomicU64::new(0),
            runs: AtomicBool::new(false),
            taken_below: AtomicU64::new(0),
            wake: Notify::new(),
            settled: Notify::new(),
            letters: Letters::default(),
            fault: Mutex::default(),
            counters: BehindCounters::default(),
        }
    }

    /// Makes the cache one of those that write in the journal.
    pub(crate) fn join(&self, parts: &Arc<Parts<K, V>>) -> Result<()> {
        let memory: Weak<dyn Reserve> = Arc::downgrade(&parts.memory) as _;
        self.room.within(memory);
        let member: Weak<dyn hub::Member> = Arc::downgrade(parts) as _;
        self.hub.admit(member, &parts.name)
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Nothing is written any more, for this reason. Returns whether that is news.
    fn fail(&self, error: Error) -> bool {
        let is_news = self.fault.lock().replace(error).is_none();
        self.wake.notify_waiters();
        self.settled.notify_waiters();
        is_news
    }

    /// Why nothing is written any more, if that is so.
    fn fault(&self) -> Option<Error> {
        self.fault.lock().clone()
    }

    fn check_writable(&self, name: &str) -> Result<()> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        if self.hub.takes_writes() {
            return self.owned(name).map(drop);
        }
        Err(takes_no_writes(name))
    }

    /// Under which epoch it is owned.
    fn owned(&self, name: &str) -> Result<u64> {
        match self.epoch() {
            0 => Err(takes_no_writes(name)),
            epoch => Ok(epoch),
        }
    }
}

fn takes_no_writes(name: &str) -> Error {
    let message = format!(
        "the cache {name} takes no writes now: its journal is being replayed, or is stopped"
    );
    Error::new(ErrorKind::Shed, message).retry_after(hub::RETRY_AFTER)
}
