//! The tier itself: which shard a key belongs to, and what is done under that shard's lock.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;

use larder_core::Moment;
use larder_core::sync::Mutex;

use crate::bounds::Bounds;
use crate::change::{Change, Expired, Held, Insert, Outcome};
use crate::leftovers::Leftovers;
use crate::shard::{New, Shard};
use crate::stats::{RemovalCause, Stats};

/// A bounded map from keys to values that forgets: what expires, and, when it is full, what was
/// used longest ago.
///
/// It never waits for anything but a shard's lock, and is meant to be shared by reference. Each
/// operation hashes the key once and takes the lock of one shard, so operations on one key have
/// one order, in which each sees what the one before it did.
///
/// Closures that are given to it run under that lock: they must be short, and must not use the
/// same `Memory`, which would wait for itself. What they have captured by value is dropped under
/// the lock as well. Keys and values that leave are dropped after the lock is released, so their
/// destructors may do either. A closure that panics leaves the tier sound, and its own change
/// undone.
///
/// Time is an argument. Calls whose `now` goes back and forth a little, as those of different
/// threads do, are as good as others.
///
/// The hasher must fill all 64 bits: the shard comes from the high ones. The default is seeded
/// anew in every process.
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
/// assert_eq!(memory.get("visits", now, |visits| *visits), Some(1));
///
/// let (outcome, visits) = memory.compute("visits", now, str::to_owned, |held| {
///     let visits = held.map_or(0, |held| *held.value) + 1;
///     (Change::Put { value: visits, weight: "visits".len(), expires_at: later }, visits)
/// });
/// assert_eq!((outcome, visits), (Outcome::Stored, 2));
///
/// assert_eq!(memory.remove("visits", now, RemovalCause::Removed, || ()), Some(2));
/// ```
pub struct Memory<K, V, S = foldhash::fast::RandomState> {
    shards: Box<[Aligned<K, V>]>,
    hasher: S,
    bounds: Bounds,
}

/// A shard's lock on cache lines of its own: neighbours don't slow each other down.
#[repr(align(128))]
struct Aligned<K, V>(Mutex<Shard<K, V>>);

impl<K: Hash + Eq, V> Memory<K, V> {
    /// An empty tier with these bounds and the default hasher. It allocates as it fills.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self::with_hasher(bounds, foldhash::fast::RandomState::default())
    }
}

impl<K, V, S> Memory<K, V, S> {
    /// What an entry counts besides its weight, in bytes: its slot, in which key and value stand
    /// inline, its part of the table, of the policy and of the order of expiry, and what the
    /// allocator adds to what key and value have on the heap.
    pub const ENTRY_OVERHEAD: usize = Shard::<K, V>::ENTRY_OVERHEAD;
}

impl<K: Hash + Eq, V, S: BuildHasher> Memory<K, V, S> {
    /// An empty tier with these bounds and this hasher. It allocates as it fills.
    #[must_use]
    pub fn with_hasher(bounds: Bounds, hasher: S) -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let shards = bounds.shard_count(Self::ENTRY_OVERHEAD, parallelism);
        let share = |index| bounds.share(index, shards, Self::ENTRY_OVERHEAD);
        let shards =
            (0..shards).map(|index| Aligned(Mutex::new(Shard::new(share(index))))).collect();
        Self { shards, hasher, bounds }
    }

    /// Reads the value under `key`, if it is held and has not expired, and counts as a use of it.
    ///
    /// An entry whose last moment is before `now` is removed, as
    /// [`Expired`](RemovalCause::Expired), and not seen.
    pub fn get<Q, R>(&self, key: &Q, now: Moment, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.look(key, now, |shard, slot| {
            shard.touch(slot);
            read(shard.held(slot).value)
        })
    }

    /// The same as [`get`](Self::get), but not a use: it doesn't keep the entry from being
    /// evicted.
    pub fn peek<Q, R>(&self, key: &Q, now: Moment, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.look(key, now, |shard, slot| read(shard.held(slot).value))
    }

    /// Changes what is held under `key` in one step: `change` sees the live entry, if there is
    /// one, and says what is to be done. What else it returns is returned. `own` makes the key
    /// when one is needed: a value is put where none was held.
    ///
    /// A value that is too heavy is not held, and neither is the old one any longer: see
    /// [`Outcome::TooHeavy`]. One that has expired already is stored and never seen.
    ///
    /// Storing evicts as many other entries as it takes to stay within the bounds, those that
    /// have expired first, and never the entry that is stored.
    pub fn compute<Q, R>(
        &self,
        key: &Q,
        now: Moment,
        own: impl FnOnce(&Q) -> K,
        change: impl FnOnce(Option<Held<'_, V>>) -> (Change<V>, R),
    ) -> (Outcome, R)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let mut left = Leftovers::new();
        let mut shard = self.shard(hash).lock();
        let found = shard.find(hash, key, now, &mut left);
        let (change, returned) = change(found.map(|slot| shard.held(slot)));
        let outcome = match (change, found) {
            (Change::Keep, _) | (Change::Remove(_), None) => Outcome::Kept,
            (Change::Remove(cause), Some(slot)) => {
                left.push_entry(shard.remove(slot, cause));
                shard.tidy(&left);
                Outcome::Removed
            }
            (Change::Put { value, weight, .. }, found)
                if !shard.admits(weight, found, &mut left) =>
            {
                left.push_value(value);
                Outcome::TooHeavy
            }
            (Change::Put { value, weight, expires_at }, found) => {
                let new = New { value, weight, expires_at };
                match found {
                    Some(slot) => shard.replace(slot, new, now, &mut left),
                    None => shard.insert(hash, own(key), new, now, &mut left),
                }
                Outcome::Stored
            }
        };
        (outcome, returned)
    }

    /// Holds `value` under `key` if `holds` says so, which sees the live value under that key, if
    /// there is one. `weight` is what key and value take on the heap, in bytes; `expires_at` is
    /// the last moment at which the value may be seen, [`Moment::MAX`] for always.
    ///
    /// `holds` runs under the lock under which [`remove`](Self::remove) runs its `before`. So a
    /// fence that is checked here and raised there is never checked, raised, and then ignored.
    ///
    /// A value that is too heavy is not held, and neither is the old one any longer: see
    /// [`Insert::TooHeavy`]. For the rest it is like [`compute`](Self::compute).
    pub fn insert_if(
        &self,
        key: K,
        value: V,
        weight: usize,
        expires_at: Moment,
        now: Moment,
        holds: impl FnOnce(Option<&V>) -> bool,
    ) -> Insert {
        let hash = self.hasher.hash_one(&key);
        let mut left = Leftovers::new();
        let mut shard = self.shard(hash).lock();
        let found = shard.find(hash, &key, now, &mut left);
        if !holds(found.map(|slot| shard.held(slot).value)) {
            shard.refuse();
            return Insert::Refused;
        }
        if !shard.admits(weight, found, &mut left) {
            return Insert::TooHeavy;
        }
        let new = New { value, weight, expires_at };
        match found {
            Some(slot) => shard.replace(slot, new, now, &mut left),
            None => shard.insert(hash, key, new, now, &mut left),
        }
        Insert::Stored
    }

    /// Removes what is held under `key`, and returns it unless it has expired.
    ///
    /// `before` runs first, under the same lock and whether or not anything is held: this is
    /// where a fence is raised.
    pub fn remove<Q>(
        &self,
        key: &Q,
        now: Moment,
        cause: RemovalCause,
        before: impl FnOnce(),
    ) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let mut left = Leftovers::new();
        let (_key, value) = {
            let mut shard = self.shard(hash).lock();
            before();
            let slot = shard.find(hash, key, now, &mut left)?;
            let entry = shard.remove(slot, cause);
            shard.tidy(&left);
            entry
        };
        Some(value)
    }

    /// Frees the memory of entries that have expired: at most `max` of each shard, so that no
    /// lock is held for long. Says whether there are more.
    ///
    /// Reads and writes free what expired too, but only what they come across.
    pub fn expire(&self, now: Moment, max: usize) -> Expired {
        let mut all = Expired::default();
        for shard in &self.shards {
            let mut left = Leftovers::new();
            let part = shard.0.lock().expire(now, max, &mut left);
            all = Expired { entries: all.entries + part.entries, more: all.more || part.more };
        }
        all
    }

    /// Shows every live entry to `visit`, shard by shard in no particular order, each shard under
    /// its lock. An entry that comes, leaves or changes meanwhile is seen as it was before or
    /// after, or not at all. It is no use of the entries.
    pub fn for_each(&self, now: Moment, mut visit: impl FnMut(&K, Held<'_, V>)) {
        for shard in &self.shards {
            for (key, held) in shard.0.lock().iter(now) {
                visit(key, held);
            }
        }
    }

    /// Removes everything, shard by shard, and gives the memory back. An entry that is stored
    /// meanwhile may stay.
    pub fn clear(&self, cause: RemovalCause) {
        for shard in &self.shards {
            let left = shard.0.lock().clear(cause);
            drop(left);
        }
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

    /// The bounds that it was made with.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The heaviest weight that an entry may have here: what
    /// [`entry_bytes_max`](Bounds::entry_bytes_max) asks for, where the bound in bytes has room.
    #[must_use]
    pub fn weight_max(&self) -> usize {
        self.bounds.weight_max(Self::ENTRY_OVERHEAD)
    }

    /// What is held, and what was done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for shard in &self.shards {
            stats += shard.0.lock().stats();
        }
        stats
    }

    /// Runs `visit` with the slot of the live entry under `key`, if there is one.
    fn look<Q, R>(
        &self,
        key: &Q,
        now: Moment,
        visit: impl FnOnce(&mut Shard<K, V>, u32) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let mut left = Leftovers::new();
        let mut shard = self.shard(hash).lock();
        let slot = shard.find(hash, key, now, &mut left)?;
        Some(visit(&mut shard, slot))
    }

    /// The shard that keys of this hash belong to. The table tells entries apart by the seven
    /// highest bits, which would be wasted if they were the same in the whole shard; so the shard
    /// comes from the bits below them.
    fn shard(&self, hash: u64) -> &Mutex<Shard<K, V>> {
        let bits = self.shards.len().ilog2();
        // Shifted in two steps since a shift by 64, for a single shard, is none.
        let index = (hash << 7) >> 1 >> (63 - bits);
        &self.shards[index as usize].0
    }
}

impl<K, V, S> fmt::Debug for Memory<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("bounds", &self.bounds)
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl<K, V, S> Memory<K, V, S> {
    pub(crate) fn assert_invariants(&self) {
        for shard in &self.shards {
            shard.0.lock().assert_invariants();
        }
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = &Mutex<Shard<K, V>>> {
        self.shards.iter().map(|shard| &shard.0)
    }
}
