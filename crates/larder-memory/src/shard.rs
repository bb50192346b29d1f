//! One shard: everything that stands behind one lock.
//!
//! The shard's books are a table from hash to slot, a slab of entries, the policy, the order of
//! expiry, and sums. They agree with each other whenever code of a user runs, so a panic there
//! leaves a sound shard. The shard knows no hasher, no lock and no clock, and it drops no key and
//! no value: what leaves goes to the [`Leftovers`].

use std::borrow::Borrow;

use hashbrown::HashTable;
use larder_core::Moment;
use larder_policy::{Lru, Policy};

use crate::bounds::Share;
use crate::change::{Expired, Held};
use crate::expiry::Expiries;
use crate::leftovers::Leftovers;
use crate::slab::{Entry, Slab};
use crate::stats::{RemovalCause, Stats};

/// What an entry takes besides its slot: its part of the table (6 to 23 bytes, as full as the
/// table is; mostly 10), of the policy (8) and of the order of expiry (20), with their reserves
/// and the slots that are free in between.
const INDEX_BYTES: usize = 48;

/// What an allocator adds to a key or a value that is on the heap: its header and rounding.
const ALLOCATOR_BYTES: usize = 16;

/// How many expired entries a write frees, so that they go even if nobody asks for it.
const EXPIRED_PER_WRITE: usize = 2;

/// A value to be held.
#[derive(Debug)]
pub(crate) struct New<V> {
    pub(crate) value: V,
    pub(crate) weight: usize,
    pub(crate) expires_at: Moment,
}

#[derive(Debug)]
pub(crate) struct Shard<K, V> {
    share: Share,
    table: HashTable<u32>,
    slab: Slab<K, V>,
    policy: Lru,
    expiries: Expiries,
    /// The sum of all charges.
    bytes: usize,
    counts: Stats,
}

impl<K, V> Shard<K, V> {
    /// What every entry takes besides its weight.
    pub(crate) const ENTRY_OVERHEAD: usize = Slab::<K, V>::SLOT_BYTES
        + INDEX_BYTES
        + if std::mem::needs_drop::<K>() { ALLOCATOR_BYTES } else { 0 }
        + if std::mem::needs_drop::<V>() { ALLOCATOR_BYTES } else { 0 };

    pub(crate) fn new(share: Share) -> Self {
        Self {
            share,
            table: HashTable::new(),
            slab: Slab::default(),
            policy: Lru::default(),
            expiries: Expiries::default(),
            bytes: 0,
            counts: Stats::default(),
        }
    }

    /// The slot of the live entry under `key`. One that has expired is removed and not found.
    pub(crate) fn find<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        now: Moment,
        left: &mut Leftovers<K, V>,
    ) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slab = &self.slab;
        let same = |&slot: &u32| {
            let entry = slab.get(slot);
            entry.hash == hash && entry.key.borrow() == key
        };
        let slot = *self.table.find(hash, same)?;
        if slab.get(slot).expires_at >= now {
            return Some(slot);
        }
        left.push_entry(self.remove(slot, RemovalCause::Expired));
        self.tidy(left);
        None
    }

    /// The entry in `slot` was used.
    pub(crate) fn touch(&mut self, slot: u32) {
        self.policy.touch(slot);
    }

    pub(crate) fn held(&self, slot: u32) -> Held<'_, V> {
        Self::view(self.slab.get(slot))
    }

    /// The live entries.
    pub(crate) fn iter(&self, now: Moment) -> impl Iterator<Item = (&K, Held<'_, V>)> {
        let live = self.slab.iter().filter(move |entry| entry.expires_at >= now);
        live.map(|entry| (&entry.key, Self::view(entry)))
    }

    /// Whether an entry of this weight can be held at all. If not, that is counted, and what
    /// `found` names is removed.
    pub(crate) fn admits(
        &mut self,
        weight: usize,
        found: Option<u32>,
        left: &mut Leftovers<K, V>,
    ) -> bool {
        let charge = weight.checked_add(Self::ENTRY_OVERHEAD);
        if self.share.entries > 0 && charge.is_some_and(|charge| charge <= self.share.heaviest) {
            return true;
        }
        self.counts.too_heavy += 1;
        if let Some(slot) = found {
            left.push_entry(self.remove(slot, RemovalCause::Replaced));
            self.tidy(left);
        }
        false
    }

    pub(crate) fn refuse(&mut self) {
        self.counts.refused += 1;
    }

    /// Holds an admitted value under a key that isn't held.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        key: K,
        new: New<V>,
        now: Moment,
        left: &mut Leftovers<K, V>,
    ) {
        let New { value, weight, expires_at } = new;
        let charge = weight + Self::ENTRY_OVERHEAD;
        self.make_room(1, charge, now, left);
        self.bytes += charge;
        let slot = self.slab.insert(Entry { hash, expires_at, charge, key, value });
        let slab = &self.slab;
        self.table.insert_unique(hash, slot, |&slot| slab.get(slot).hash);
        self.policy.insert(slot);
        self.expiries.set(slot, expires_at);
        self.counts.inserts += 1;
        self.tidy(left);
    }

    /// Holds an admitted value in place of the one in `slot`.
    pub(crate) fn replace(
        &mut self,
        slot: u32,
        new: New<V>,
        now: Moment,
        left: &mut Leftovers<K, V>,
    ) {
        let New { value, weight, expires_at } = new;
        let charge = weight + Self::ENTRY_OVERHEAD;
        // While room is made the entry is in none of the books that name who leaves, so it is
        // not the victim of its own replacement, whatever the policy thinks of it.
        self.policy.remove(slot);
        self.expiries.remove(slot);
        self.bytes -= self.slab.get(slot).charge;
        self.make_room(0, charge, now, left);
        self.bytes += charge;
        let entry = self.slab.get_mut(slot);
        (entry.expires_at, entry.charge) = (expires_at, charge);
        left.push_value(std::mem::replace(&mut entry.value, value));
        self.policy.insert(slot);
        self.expiries.set(slot, expires_at);
        self.counts.inserts += 1;
        self.counts.count_removals(RemovalCause::Replaced, 1);
        self.tidy(left);
    }

    /// Removes the entry in `slot`. Slots keep their numbers until [`tidy`](Self::tidy).
    pub(crate) fn remove(&mut self, slot: u32, cause: RemovalCause) -> (K, V) {
        self.policy.remove(slot);
        self.expiries.remove(slot);
        let entry = self.slab.remove(slot);
        self.table
            .find_entry(entry.hash, |&at| at == slot)
            .expect("every entry stands in the table")
            .remove();
        self.bytes -= entry.charge;
        self.counts.count_removals(cause, 1);
        (entry.key, entry.value)
    }

    /// Removes at most `max` entries that have expired.
    pub(crate) fn expire(
        &mut self,
        now: Moment,
        max: usize,
        left: &mut Leftovers<K, V>,
    ) -> Expired {
        let mut entries = 0;
        while entries < max
            && let Some(slot) = self.expiries.expired(now)
        {
            left.push_entry(self.remove(slot, RemovalCause::Expired));
            entries += 1;
        }
        self.tidy(left);
        Expired { entries, more: self.expiries.expired(now).is_some() }
    }

    /// Removes everything, and returns it to be dropped.
    pub(crate) fn clear(&mut self, cause: RemovalCause) -> impl Sized + use<K, V> {
        let mut counts = self.counts;
        counts.count_removals(cause, u64::from(self.slab.len()));
        let empty = Self { counts, ..Self::new(self.share) };
        std::mem::replace(self, empty)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            entries: self.slab.len() as usize,
            expiring: self.expiries.len(),
            bytes: self.bytes,
            ..self.counts
        }
    }

    /// Gives back memory that many removals have left unused, a few slots at a time: two for each
    /// entry in `left`, and two more.
    ///
    /// Entries change their slots here, so it comes last in every operation that removes.
    pub(crate) fn tidy(&mut self, left: &Leftovers<K, V>) {
        let slots = self.slab.slots();
        for _ in 0..2 * (left.len() + 1) {
            if !self.slab.is_sparse() {
                break;
            }
            if let Some((from, to)) = self.slab.shorten() {
                self.relocate(from, to);
            }
        }
        if self.slab.slots() < slots {
            self.shrink();
        }
    }

    fn view(entry: &Entry<K, V>) -> Held<'_, V> {
        let weight = entry.charge - Self::ENTRY_OVERHEAD;
        Held { value: &entry.value, weight, expires_at: entry.expires_at }
    }

    /// Removes entries until `entries` more and `bytes` more are within the share: those that
    /// have expired first, then the policy's victims. An admitted entry fits in an empty shard.
    fn make_room(&mut self, entries: usize, bytes: usize, now: Moment, left: &mut Leftovers<K, V>) {
        for _ in 0..EXPIRED_PER_WRITE {
            if let Some(slot) = self.expiries.expired(now) {
                left.push_entry(self.remove(slot, RemovalCause::Expired));
            }
        }
        while self.slab.len() as usize + entries > self.share.entries
            || self.bytes + bytes > self.share.bytes
        {
            let (slot, cause) = match self.expiries.expired(now) {
                Some(slot) => (slot, RemovalCause::Expired),
                None => {
                    let victim = self.policy.victim();
                    let slot = victim.expect("a shard that is full has an entry to evict");
                    (slot, RemovalCause::Evicted)
                }
            };
            left.push_entry(self.remove(slot, cause));
        }
    }

    /// The entry that stood in `from` stands in `to`.
    fn relocate(&mut self, from: u32, to: u32) {
        let hash = self.slab.get(to).hash;
        *self.table.find_mut(hash, |&at| at == from).expect("every entry stands in the table") = to;
        self.policy.relocate(from, to);
        self.expiries.relocate(from, to);
    }

    /// Fits the books to the number of slots, each when it has much to give back.
    fn shrink(&mut self) {
        let slots = self.slab.slots();
        self.policy.shrink(slots);
        self.expiries.shrink(slots);
        if self.table.capacity() > 4 * (slots as usize + 1) {
            let slab = &self.slab;
            self.table.shrink_to(2 * slots as usize, |&slot| slab.get(slot).hash);
        }
    }
}

#[cfg(test)]
impl<K, V> Shard<K, V> {
    pub(crate) fn assert_invariants(&self) {
        self.slab.assert_invariants();
        self.expiries.assert_invariants();
        let entries = self.slab.len() as usize;
        assert_eq!(self.table.len(), entries);
        assert!(entries <= self.share.entries);
        assert!(self.bytes <= self.share.bytes);
        assert_eq!(self.slab.iter().map(|entry| entry.charge).sum::<usize>(), self.bytes);
        // Every slot in the policy is in the slab and can be reached through the table.
        let mut listed = 0;
        for slot in self.policy.iter() {
            let entry = self.slab.get(slot);
            assert_eq!(self.table.find(entry.hash, |&at| at == slot), Some(&slot));
            assert_eq!(self.expiries.get(slot), entry.expires_at);
            listed += 1;
        }
        assert_eq!(listed, entries);
        let removals: u64 =
            RemovalCause::ALL.into_iter().map(|cause| self.counts.removals(cause)).sum();
        assert_eq!(self.counts.inserts, entries as u64 + removals);
    }

    /// The keys, the next victim first.
    pub(crate) fn keys_coldest_first(&self) -> impl Iterator<Item = &K> {
        self.policy.iter().map(|slot| &self.slab.get(slot).key)
    }

    pub(crate) fn slots(&self) -> u32 {
        self.slab.slots()
    }
}
