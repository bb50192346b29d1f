//! The tier itself: which shard a key belongs to, and what is done there.

mod pages;
mod reads;
mod room;
mod sweeps;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use larder_core::Moment;
use larder_core::sync::{AtomicUsize, Mutex, Ordering};
use larder_policy::{Adaptive, Hits, Policy, USES_MAX};

use crate::atomics::lock;
use crate::bounds::Bounds;
use crate::builder::Builder;
use crate::change::{Change, Held, Insert, Outcome};
use crate::clock::Now;
use crate::leftovers::{Leftovers, Listener};
use crate::shard::{New, Shard, Writer};
use crate::stats::{RemovalCause, Stats};
use crate::stripes::Stripes;

pub use pages::Cursor;

/// How many entries are visited or removed before a shard's lock is given to somebody else.
const BATCH: usize = 64;

/// Where hits and misses are counted.
const HITS: usize = 0;
const MISSES: usize = 1;

/// A bounded map from keys to values that forgets: what expires, and, when it is full, what its
/// policy gives up.
///
/// It is meant to be shared by reference. Each operation hashes the key once and goes to one
/// shard; operations on one key have one order, in which each sees what the one before it did.
/// Reads take no lock and write to no memory that threads share, beyond a use count of the entry
/// that stops at three and, where entries [expire that aren't used](Builder::idle_for), a note of
/// the last use now and then; except with the policies that must know the exact order of all uses
/// ([`Lru`](larder_policy::Lru), [`Lfu`](larder_policy::Lfu)), where a hit takes the shard's lock.
/// A policy that learns from a sample is shown a use that raised the count of a sampled key, if the
/// lock is free just then. Writes take the lock of their shard.
///
/// Closures that change something run under that lock: they must be short, and must not use the
/// same `Memory`, which would wait for itself. What they have captured by value is dropped under
/// the lock as well. Closures that only read one value run without it and may do either. A closure
/// that panics leaves the tier sound, and its own change undone.
///
/// # When values are dropped
///
/// Never under a lock. An entry that leaves may still be read by another thread, so it is dropped
/// by a later operation on the same shard: when 64 to 512 entries wait, or a 64th of the shard's
/// bytes, or room is needed. [`reclaim`](Self::reclaim) doesn't wait for that. A tier with a
/// [listener](Builder::on_removal) drops with each write what nobody reads just then.
///
/// Time is an argument: a moment, or a clock that is only read where an entry expires at all
/// ([`Now`]). Calls whose `now` goes back and forth a little, as those of different threads do,
/// are as good as others.
///
/// The default hasher is seeded anew in every process, against floods of keys that were chosen to
/// collide. Any other will do that tells keys apart, in whichever of the 64 bits.
///
/// ```
/// use larder_core::Moment;
/// use larder_memory::{Bounds, Change, Insert, Memory, Outcome, RemovalCause};
/// use std::time::Duration;
///
/// let memory: Memory<String, u64> = Memory::new(Bounds::entries(1000));
/// let now = Moment::ZERO;
/// let later = now + Duration::from_secs(60);
///
/// let key = "visits".to_owned();
/// let stored = memory.insert_if(key, 1, "visits".len(), later, now, |held| held.is_none());
/// assert_eq!(stored, Insert::Stored);
/// assert_eq!(memory.get("visits", now), Some(1));
///
/// let (outcome, visits) = memory.compute("visits", now, str::to_owned, |held| {
///     let visits = held.map_or(0, |held| *held.value) + 1;
///     (Change::Put { value: visits, weight: "visits".len(), expires_at: later }, visits)
/// });
/// assert_eq!((outcome, visits), (Outcome::Stored, 2));
///
/// let visits = memory.remove("visits", now, RemovalCause::Removed, |visits| visits.copied());
/// assert_eq!(visits, Some(2));
/// ```
pub struct Memory<K, V, S = foldhash::fast::RandomState, P = Adaptive> {
    shards: Box<[Shard<K, V, P>]>,
    hasher: S,
    /// How many uses readers mark on an entry; none if the policy must know each use.
    marks: Option<u8>,
    bounds: Mutex<Bounds>,
    /// The heaviest weight under these bounds.
    weight_max: AtomicUsize,
    listener: Option<Box<Listener<K, V>>>,
    costs: Option<Box<Costs<K, V>>>,
    counts: Stripes<2>,
}

/// What it takes to load a value again.
pub(crate) type Costs<K, V> = dyn Fn(&K, &V) -> Duration + Send + Sync;

impl<K: Hash + Eq, V> Memory<K, V> {
    /// An empty tier with these bounds, the default policy and the default hasher. It allocates
    /// as it fills.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Builder::new(bounds).build()
    }
}

impl<K, V, S, P: Policy> Memory<K, V, S, P> {
    /// What an entry counts besides its weight, in bytes: its slot, in which key and value stand
    /// inline, its part of the table, of the policy and of the order of expiry, and what the
    /// allocator adds to what key and value have on the heap.
    pub const ENTRY_OVERHEAD: usize = Shard::<K, V, P>::ENTRY_OVERHEAD;
}

impl<K: Hash + Eq, V, S: BuildHasher, P: Policy> Memory<K, V, S, P> {
    pub(crate) fn from_parts(
        bounds: Bounds,
        shards: Box<[Shard<K, V, P>]>,
        hasher: S,
        hits: Hits,
        listener: Option<Box<Listener<K, V>>>,
        costs: Option<Box<Costs<K, V>>>,
        counts: Stripes<2>,
    ) -> Self {
        let weight_max = AtomicUsize::new(bounds.weight_max(Self::ENTRY_OVERHEAD));
        let marks = match hits {
            Hits::Unseen => Some(0),
            Hits::Marked => Some(USES_MAX),
            Hits::Exact => None,
        };
        Self {
            shards,
            hasher,
            marks,
            bounds: Mutex::new(bounds),
            weight_max,
            listener,
            costs,
            counts,
        }
    }

    /// Holds `value` under `key`, in place of what was held there, as
    /// [`insert_if`](Self::insert_if) does.
    pub fn insert(
        &self,
        key: K,
        value: V,
        weight: usize,
        expires_at: Moment,
        now: impl Now,
    ) -> Insert {
        self.insert_if(key, value, weight, expires_at, now, |_| true)
    }

    /// Changes what is held under `key` in one step: `change` sees the live entry, if there is
    /// one, and says what is to be done. What else it returns is returned. `own` makes the key
    /// when a value is put.
    ///
    /// A value that is too heavy is not held, and neither is the old one any longer: see
    /// [`Outcome::TooHeavy`]. One that has expired already is stored and never seen.
    ///
    /// Storing evicts as many other entries as it takes to stay within the bounds, and never the
    /// entry that is stored.
    pub fn compute<Q, R>(
        &self,
        key: &Q,
        now: impl Now,
        own: impl FnOnce(&Q) -> K,
        change: impl FnOnce(Option<Held<'_, V>>) -> (Change<V>, R),
    ) -> (Outcome, R)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.compute_then(key, now, own, change, |outcome, returned| (outcome, returned))
    }

    /// The same, and `then` runs under the lock as well, when it has been done: whoever reads from
    /// then on sees it. `then` sees what came of it and what `change` returned besides; what it
    /// returns is returned.
    ///
    /// This is where a fence is raised that [`insert_if`](Self::insert_if) looks at. Readers take
    /// no lock, so one who sees a fence that is raised by `change` may still read what was held.
    pub fn compute_then<Q, R, T>(
        &self,
        key: &Q,
        now: impl Now,
        own: impl FnOnce(&Q) -> K,
        change: impl FnOnce(Option<Held<'_, V>>) -> (Change<V>, R),
        then: impl FnOnce(Outcome, R) -> T,
    ) -> T
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, hash) = self.locate(key);
        let mut left = self.leftovers();
        // Dropped after the lock is released, if code of the user panics.
        let (put, owned);
        let mut writer = shard.write();
        let found = writer.find(hash, key, now);
        let (change, returned) = change(found.map(|slot| writer.held(slot)));
        let outcome = match (change, found) {
            (Change::Keep, _) | (Change::Remove(_), None) => Outcome::Kept,
            (Change::Remove(cause), Some(slot)) => {
                writer.remove(slot, cause);
                Outcome::Removed
            }
            (Change::Put { value, weight, expires_at }, found) => {
                put = value;
                owned = own(key);
                let cost = self.cost(&owned, &put);
                let new = New { value: put, weight, expires_at, cost };
                match Self::store(&mut writer, hash, owned, new, found, now, &mut left) {
                    Insert::Stored => Outcome::Stored,
                    Insert::NoRoom => Outcome::NoRoom,
                    Insert::TooHeavy | Insert::Refused => Outcome::TooHeavy,
                }
            }
        };
        let returned = then(outcome, returned);
        writer.reclaim(&mut left);
        returned
    }

    /// Holds `value` under `key` if `holds` says so, which sees the live value under that key, if
    /// there is one. `weight` is what key and value take on the heap, in bytes; `expires_at` is
    /// the last moment at which the value may be seen, [`Moment::MAX`] for always.
    ///
    /// `holds` runs under the lock under which [`compute_then`](Self::compute_then) runs its
    /// closures. So a fence that is checked here and raised there is never checked, raised, and
    /// then ignored.
    ///
    /// A value that is too heavy is not held, and neither is the old one any longer: see
    /// [`Insert::TooHeavy`]. For the rest it is like [`compute`](Self::compute).
    pub fn insert_if(
        &self,
        key: K,
        value: V,
        weight: usize,
        expires_at: Moment,
        now: impl Now,
        holds: impl FnOnce(Option<&V>) -> bool,
    ) -> Insert {
        let (shard, hash) = self.locate(&key);
        let mut left = self.leftovers();
        let mut writer = shard.write();
        let found = writer.find(hash, &key, now);
        let insert = if holds(found.map(|slot| writer.value(slot))) {
            let cost = self.cost(&key, &value);
            let new = New { value, weight, expires_at, cost };
            Self::store(&mut writer, hash, key, new, found, now, &mut left)
        } else {
            writer.refuse();
            left.push_refused(key, value);
            Insert::Refused
        };
        writer.reclaim(&mut left);
        insert
    }

    /// Removes what is held under `key`.
    ///
    /// `read` runs first, under the lock and whether or not anything is held. It sees the value,
    /// unless that has expired; what it returns is returned.
    pub fn remove<Q, R>(
        &self,
        key: &Q,
        now: impl Now,
        cause: RemovalCause,
        read: impl FnOnce(Option<&V>) -> R,
    ) -> R
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, hash) = self.locate(key);
        let mut left = self.leftovers();
        let mut writer = shard.write();
        let found = writer.find(hash, key, now);
        let returned = read(found.map(|slot| writer.value(slot)));
        if let Some(slot) = found {
            writer.remove(slot, cause);
        }
        writer.reclaim(&mut left);
        returned
    }

    /// How many entries are held, including those that have expired and were not yet noticed.
    /// Never more than the bound.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.stats().entries
    }

    /// How many bytes are held: weights and overheads. Never more than the bound.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.stats().bytes
    }

    /// The bounds in force.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        *lock(&self.bounds)
    }

    /// The heaviest weight that an entry may have here: what
    /// [`entry_bytes_max`](Bounds::entry_bytes_max) asks for, where the bound in bytes has room.
    #[must_use]
    pub fn weight_max(&self) -> usize {
        self.weight_max.load(Ordering::Relaxed)
    }

    /// What is held, and what was done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for shard in &self.shards {
            stats += shard.write().stats();
        }
        [stats.hits, stats.misses] = self.counts.sums();
        stats
    }

    fn store(
        writer: &mut Writer<'_, K, V, P>,
        hash: u32,
        key: K,
        new: New<V>,
        found: Option<u32>,
        now: impl Now,
        left: &mut Leftovers<'_, K, V>,
    ) -> Insert {
        if !writer.admits(new.weight, found) {
            left.push_refused(key, new.value);
            Insert::TooHeavy
        } else if writer.store(hash, key, new, found, now, left) {
            Insert::Stored
        } else {
            Insert::NoRoom
        }
    }

    /// What it takes to load a value again, in microseconds; 0 if nobody knows.
    fn cost(&self, key: &K, value: &V) -> u32 {
        let Some(costs) = &self.costs else { return 0 };
        u32::try_from(costs(key, value).as_micros()).unwrap_or(u32::MAX)
    }

    fn leftovers(&self) -> Leftovers<'_, K, V> {
        Leftovers::new(self.listener.as_deref())
    }

    /// The shard of a key, and the part of its hash that counts there.
    #[inline]
    fn locate<Q: Hash + ?Sized>(&self, key: &Q) -> (&Shard<K, V, P>, u32) {
        let (high, hash) = spread(self.hasher.hash_one(key));
        let index = usize::from(high) & (self.shards.len() - 1);
        (&self.shards[index], hash)
    }
}

/// What chooses the shard of a key, and what the place in it. Quick hashers fill some bits well and
/// leave others nearly constant, and not the same ones with each seed. Of a whole product the low
/// half depends on all the bits below each, and the high half on all those above. (The constant is
/// the golden ratio's, after D. Knuth, "The Art of Computer Programming", volume 3, section 6.4.)
#[inline]
const fn spread(hash: u64) -> (u16, u32) {
    let product = hash as u128 * 0x9E37_79B9_7F4A_7C15;
    let folded = product as u64 ^ (product >> 64) as u64;
    ((folded >> 48) as u16, folded as u32)
}

impl<K, V, S, P> fmt::Debug for Memory<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("bounds", &*lock(&self.bounds))
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl<K, V, S, P: Policy> Memory<K, V, S, P> {
    pub(crate) fn assert_invariants(&self) {
        for shard in &self.shards {
            shard.write().assert_invariants();
        }
    }

    #[cfg(not(shuttle))]
    pub(crate) fn old_tables(&self) -> usize {
        self.shards.iter().map(|shard| shard.write().old_tables()).sum()
    }

    #[cfg(not(shuttle))]
    pub(crate) fn slots(&self) -> u32 {
        self.shards.iter().map(|shard| shard.write().slots()).sum()
    }
}
