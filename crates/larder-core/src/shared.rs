//! The shared tier: entries that other processes see too.
//!
//! A shared tier stores bytes (an [`envelope`](crate::envelope)) under a key, and gives out
//! *leases*. A hit is a plain read. Only who holds the lease of a key may fill it, and whatever
//! invalidates the key voids its lease: so of the race
//!
//! 1. a reader misses and reads `v1` from the source,
//! 2. a writer commits `v2` and invalidates,
//! 3. the reader fills `v1`,
//!
//! step 3 finds no lease and stores nothing. A lease that was evicted, that expired, or that a
//! restart forgot is void as well: what is lost costs a load, never a stale answer. (Leases: R.
//! Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.)
//!
//! A tier also keeps *marks*: named clocks that say when a tag, a whole cache or a prefix was last
//! invalidated, so that each of those costs the same however many entries it strikes.
//!
//! The contract knows neither envelopes nor values, and drivers know of an envelope only what
//! [`envelope`](crate::envelope) says that they may. No machine's clock is compared with
//! another's: how old an entry is, its tier tells by its own clock.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::bus::Position;
use crate::{BoxFuture, Error, ErrorKind, Result};

/// The name in a tier of a key of a cache. A cache's name has no slash, so no two keys share one.
#[must_use]
pub fn entry_name(cache: &str, key: &str) -> Vec<u8> {
    [cache.as_bytes(), b"/", key.as_bytes()].concat()
}

/// The cache and the key that a name belongs to; `None` where none does.
///
/// ```
/// use larder_core::shared::{cache_and_key, entry_name};
///
/// assert_eq!(cache_and_key(&entry_name("page", "/a/b")), Some(("page", "/a/b")));
/// assert_eq!(cache_and_key(b"no cache"), None);
/// ```
#[must_use]
pub fn cache_and_key(name: &[u8]) -> Option<(&str, &str)> {
    str::from_utf8(name).ok()?.split_once('/')
}

/// Which run of a tier something belongs to. What another run stored may have been rolled back:
/// it is no hit. Zero where a tier that starts again is surely empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u32);

/// The permission to fill one key, until something invalidates it or its time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What tells it from every other lease; opaque, at most [`Lease::TOKEN_BYTES_MAX`] long.
    pub token: Bytes,
    /// The run of the tier that granted it, as the driver counts them. After a change the lease
    /// is void.
    pub incarnation: Incarnation,
}

impl Lease {
    /// The longest token.
    pub const TOKEN_BYTES_MAX: usize = 32;
}

/// What a tier holds of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedEntry {
    /// Its envelope, as it was filled; only the state in it may have changed.
    pub envelope: Bytes,
    /// How long the tier will still hold it, by the tier's own clock, rounded down. Its age is its
    /// lifetime less this.
    pub remaining: Duration,
    /// The run of the tier that answered.
    pub incarnation: Incarnation,
}

/// A question for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAsk<'a> {
    /// The key, of any bytes.
    pub key: &'a [u8],
    /// The fill stamp of an entry that the caller has seen and can't use. Any other fresh entry is
    /// a hit.
    pub seen: Option<u64>,
}

/// What became of a question for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedRead {
    /// Somebody filled it meanwhile.
    Hit(SharedEntry),
    /// It is held, but stale, or it was [`seen`](LeaseAsk::seen); the caller may fill it.
    Stale {
        /// What is held.
        entry: SharedEntry,
        /// The permission.
        lease: Lease,
    },
    /// Nothing is held; the caller may fill it.
    Miss(Lease),
    /// Another one has the lease.
    Busy {
        /// When the lease ends at the latest.
        retry_after: Duration,
        /// What is held, stale.
        stale: Option<SharedEntry>,
    },
    /// A writer announced a change that it has not ended: the source may be read, but nothing may
    /// be filled.
    WriterPending {
        /// What is held, stale.
        stale: Option<SharedEntry>,
    },
}

/// What became of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedFill {
    /// It is held now.
    Stored,
    /// The lease was void, or the lifetime was used up before the fill came.
    Refused,
}

/// What a writer announces before it commits: a name that no other write ever has.
///
/// While an intent lives its key is neither leased nor filled, so that nobody holds afterwards what
/// was loaded before the commit, even if the writer is never heard of again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Intent(pub u128);

/// An intent that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Whether something was held of the key, which is dropped.
    pub was_held: bool,
    /// The run of the tier that knows of the intent.
    pub incarnation: Incarnation,
    /// Where it stands on the bus, if it was announced in the same step.
    pub position: Option<Position>,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was committed. What it left is to be held for so long, counted from the beginning of the
    /// write, if no other intent and no invalidation overlapped it.
    Committed(Option<(Bytes, Duration)>),
    /// Nothing was written.
    Aborted,
    /// Nobody knows, and the commit may still be on its way: what is held is dropped, and the
    /// intent lives on until its time is over.
    Unknown,
}

/// A write that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Whether what it left is held now.
    pub is_held: bool,
    /// Where the end stands on the bus, if it was announced in the same step.
    pub position: Option<Position>,
}

/// What an invalidation leaves of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalidation {
    /// Nothing.
    Drop,
    /// The entry, marked stale.
    MarkStale,
}

/// What a mark stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Everything with a tag whose hash falls in this bucket.
    Tag(u16),
    /// Everything of a cache.
    Cache(Box<str>),
    /// Everything of a cache whose key begins so.
    Prefix {
        /// The cache.
        cache: Box<str>,
        /// How its keys begin.
        prefix: Box<str>,
    },
    /// Everything.
    All,
}

/// The moment of a mark, by the clock of the tier that keeps it: each is later than all before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarkClock(pub u64);

/// Every mark that a tier keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Random: another one means that marks were lost, and that nothing filled under the old one
    /// can be trusted.
    pub incarnation: u32,
    /// The latest of the clocks.
    pub clock: MarkClock,
    /// What was struck, how, and when last. A mark may stand here once for each strike: what was
    /// dropped stays dropped when it is marked stale later.
    pub marks: Vec<(Mark, Invalidation, MarkClock)>,
}

/// A mark that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    /// When, by the tier's clock.
    pub clock: MarkClock,
    /// See [`Marks::incarnation`].
    pub incarnation: u32,
    /// Where it stands on the bus, if it was announced in the same step.
    pub position: Option<Position>,
}

/// What a tier can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is an ability of its own.
pub struct Abilities {
    /// Whether it keeps marks: tags, whole caches and prefixes.
    pub marks: bool,
    /// Whether it announces on its own bus in the same step in which it invalidates.
    pub announces: bool,
    /// Whether a writer can announce its change before it commits.
    pub intents: bool,
    /// Whether a key can be marked stale.
    pub marks_stale: bool,
    /// How exactly it tells what remains of a lifetime.
    pub resolution: Duration,
    /// The longest key, in bytes.
    pub key_bytes_max: usize,
    /// The longest envelope, in bytes.
    pub envelope_bytes_max: usize,
}

/// A store of entries that several processes share, and its leases.
///
/// Keys are any bytes; a driver gives them the names that its server needs, and two keys never get
/// the same. Every method may be called at any time from many tasks. A failure is an
/// [`Error`](crate::Error) of the kind [`SharedDown`](crate::ErrorKind::SharedDown) or
/// [`Timeout`](crate::ErrorKind::Timeout); what it leaves behind each method says. The engine sets
/// the deadlines: it drops futures.
///
/// # Cancel safety
///
/// Dropping a future leaves the tier usable. What was sent may still take effect, at any later
/// time: a fill only under its lease, a lease until its end, an invalidation as if it had been
/// repeated.
pub trait SharedTier: fmt::Debug + Send + Sync + 'static {
    /// What it is, for logs: the kind of server and where, without secrets.
    fn name(&self) -> &str;

    /// What it can do.
    fn abilities(&self) -> Abilities;

    /// What is held of these keys, in their order: plain reads, one round trip. What is stale is
    /// returned as it is. Each key has its own result, because each may live elsewhere.
    fn get_many<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
    ) -> BoxFuture<'a, Vec<Result<Option<SharedEntry>>>>;

    /// Asks for leases of `time`, in the order of the keys; one round trip. A lease that another
    /// run of the tier granted is void, and stands in nobody's way.
    fn lease_many<'a>(
        &'a self,
        asks: &'a [LeaseAsk<'a>],
        time: Duration,
    ) -> BoxFuture<'a, Vec<Result<SharedRead>>>;

    /// Fills `key` under `lease`, which ends so. The entry is held for `lifetime`, counted from
    /// the grant of the lease. After an error it may be stored or not.
    fn fill<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        envelope: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<SharedFill>>;

    /// Lets the lease last for `time` from now on. `false` when it is void.
    fn extend<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Gives the lease back unused, so that the next one needn't wait for its end.
    fn release<'a>(&'a self, key: &'a [u8], lease: &'a Lease) -> BoxFuture<'a, Result<()>>;

    /// Voids the leases of these keys, and drops what is held of them or marks it stale. Where the
    /// tier [announces](Abilities::announces) and `announcement` is given, it is published in the
    /// same step, and its position returned. After an error some keys may be done and some not; it
    /// is to be repeated until it succeeds.
    fn invalidate<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Option<Position>>>;

    /// Sets marks, all at one new moment of the tier's clock. As for `announcement` and errors,
    /// see [`invalidate`](Self::invalidate). [`Refused`](crate::ErrorKind::Refused) where the tier
    /// keeps none.
    fn mark<'a>(
        &'a self,
        marks: &'a [Mark],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Marked>>;

    /// Every mark that was set; where they were lost, a new incarnation begins. None where the
    /// tier keeps none.
    fn marks(&self) -> BoxFuture<'_, Result<Marks>>;

    /// Announces a write of `key` that is about to be committed: drops what is held, voids the
    /// lease, and lets nobody lease or fill until the write has [ended](Self::end_write), or
    /// `time` is over. Announced again under the same intent it lasts for `time` from then on, and
    /// leaves no value at its end. As for `announcement` see [`invalidate`](Self::invalidate).
    /// After an error it may be announced or not. [`Refused`](crate::ErrorKind::Refused) where the
    /// tier knows no [intents](Abilities::intents).
    fn begin_write<'a>(
        &'a self,
        key: &'a [u8],
        intent: Intent,
        time: Duration,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Begun>> {
        let _ = (key, intent, time, announcement);
        Box::pin(async { Err(no_intents()) })
    }

    /// Ends a write of `key`, as `ended` says. After an error it may have ended or not: then the
    /// key is to be [invalidated](Self::invalidate), and its intent ends with its time.
    fn end_write<'a>(
        &'a self,
        key: &'a [u8],
        intent: Intent,
        ended: Ended,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Closed>> {
        let _ = (key, intent, ended, announcement);
        Box::pin(async { Err(no_intents()) })
    }

    /// Whether it answers at all, over a connection of its own.
    fn probe(&self) -> BoxFuture<'_, Result<()>>;
}

fn no_intents() -> Error {
    let message = "this shared tier knows no intents: a writer can't announce what it is about to \
                   commit";
    Error::new(ErrorKind::Refused, message)
}
