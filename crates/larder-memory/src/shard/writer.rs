//! What those who write do with one entry, under the shard's lock.

use std::borrow::Borrow;

use larder_core::Moment;
use larder_policy::{Hits, Policy, USES_MAX};

use super::room::Predecessor;
use super::{Read, Shard, Writer};
use crate::atomics::Ordering;
use crate::change::Held;
use crate::clock::Now;
use crate::hazard::Section;
use crate::idle;
use crate::leftovers::Leftovers;
use crate::slots::{Entry, Extra};
use crate::stats::{RemovalCause, Stats};
use crate::table::Table;

/// A value to be held.
#[derive(Debug)]
pub(crate) struct New<V> {
    pub(crate) value: V,
    pub(crate) weight: usize,
    pub(crate) expires_at: Moment,
    /// What it takes to load it again, in microseconds; 0 if nobody knows.
    pub(crate) cost: u32,
}

impl<'a, K, V, P: Policy> Writer<'a, K, V, P> {
    /// The slot of the live entry under `key`. One that has expired is removed and not found.
    pub(crate) fn find<Q>(&mut self, hash: u32, key: &Q, now: impl Now) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.table().find(hash, |place| {
            let slot = self.shard.slots.slot(place);
            let entry = self.entry(slot);
            (entry.hash == hash && entry.key.borrow() == key).then_some(slot)
        })?;
        let last = self.last(slot);
        if last == Moment::MAX || last >= now.now() {
            return Some(slot);
        }
        self.remove(slot, RemovalCause::Expired);
        None
    }

    /// The entry in `slot` was used, for a policy that is told of each use.
    pub(crate) fn hit(&mut self, slot: u32, now: impl Now) {
        if let (Some(idle), Some(extra)) = (self.shard.idle, self.extra(slot)) {
            idle.note(extra, now.now());
        }
        // What may not be evicted the policy doesn't know.
        if self.is_candidate(slot) {
            let (policy, view) = self.books.split(&self.shard.slots);
            policy.hit(slot, &view);
        }
    }

    /// Goes on reading the entry in `slot` after the lock is released.
    pub(crate) fn read(self, slot: u32) -> Read<'a, K, V> {
        let section = Section::open();
        let place = self.shard.slots.place(slot);
        // SAFETY: the slot is live, and whoever takes its entry out does so under the lock, which
        // is still held, and waits for this section.
        let entry = unsafe { self.shard.slots.entry(place) };
        Read { entry, place, section }
    }

    pub(crate) fn held(&self, slot: u32) -> Held<'_, V> {
        let weight = self.charge(slot) - Shard::<K, V, P>::ENTRY_OVERHEAD;
        let uses = if self.is_candidate(slot) { self.uses(slot) } else { 0 };
        Held { value: &self.entry(slot).value, weight, expires_at: self.expires_at(slot), uses }
    }

    pub(crate) fn value(&self, slot: u32) -> &V {
        &self.entry(slot).value
    }

    pub(crate) fn key(&self, slot: u32) -> &K {
        &self.entry(slot).key
    }

    /// The first live slot from `slot` on.
    pub(crate) fn live_from(&self, slot: u32) -> Option<u32> {
        self.books.live.next(slot)
    }

    /// Shows the live slots whose hashes are `from` or higher and share its bucket. Returns the
    /// first hash of the next bucket, or `None` behind the last one.
    pub(crate) fn visit_hashes(&self, from: u32, mut visit: impl FnMut(u32)) -> Option<u32> {
        let table = self.table();
        table.visit_home(from, |place| {
            let slot = self.shard.slots.slot(place);
            let hash = self.entry(slot).hash;
            if hash >= from && table.share_home(hash, from) {
                visit(slot);
            }
        })
    }

    /// Whether an entry of this weight can be held at all. If not, that is counted, and what
    /// `found` names is removed.
    pub(crate) fn admits(&mut self, weight: usize, found: Option<u32>) -> bool {
        let charge = weight.checked_add(Shard::<K, V, P>::ENTRY_OVERHEAD);
        let share = &self.books.share;
        if share.entries > 0 && charge.is_some_and(|charge| charge <= share.heaviest) {
            return true;
        }
        self.books.counts.too_heavy += 1;
        if let Some(slot) = found {
            self.remove(slot, RemovalCause::Replaced);
        }
        false
    }

    pub(crate) fn refuse(&mut self) {
        self.books.counts.refused += 1;
    }

    /// Holds an admitted value: under a key that isn't held, or in place of the one in `found`.
    /// False if there was no room and nothing to evict: then everything is as it was, except
    /// for what was evicted in vain, and what was not stored goes to `left`.
    pub(crate) fn store(
        &mut self,
        hash: u32,
        key: K,
        new: New<V>,
        found: Option<u32>,
        now: impl Now,
        left: &mut Leftovers<'_, K, V>,
    ) -> bool {
        let charge = new.weight + Shard::<K, V, P>::ENTRY_OVERHEAD;
        self.expire_some(found, now);
        let Some(predecessor) = self.make_room(charge, found, now, left) else {
            self.books.counts.no_room += 1;
            left.push_refused(key, new.value);
            return false;
        };
        let New { value, weight, expires_at, cost } = new;
        let used_at = self.shard.idle.map(|_| now.now());
        let plain = weight == 0 && expires_at == Moment::MAX && cost == 0 && used_at.is_none();
        let used_at = used_at.unwrap_or(Moment::ZERO);
        let extra = (!plain).then(|| Extra::new(expires_at, charge, cost, used_at));
        let last = extra.as_ref().map_or(Moment::MAX, |extra| idle::last(extra, self.shard.idle));
        let slot = self.take_slot();
        // SAFETY: the lock is held, and slots that are taken hold nothing: they were never used,
        // or they were freed when nobody read them.
        unsafe { self.shard.slots.put(slot, hash, key, value, extra) };
        self.books.live.insert(slot);
        // What it replaces is still counted, so the sum may be beyond a usize for a moment.
        self.books.bytes = self.books.bytes.wrapping_add(charge);
        self.books.counts.inserts += 1;
        match found {
            Some(old) => self.take_over(hash, old, slot, predecessor),
            None => self.enter(hash, slot, expires_at),
        }
        if last != Moment::MAX {
            self.books.wheel.insert(slot, last);
        }
        let sample = self.books.policy.sample();
        if sample != self.shard.sample.load(Ordering::Relaxed) {
            self.shard.sample.store(sample, Ordering::Relaxed);
        }
        true
    }

    /// Removes the entry in `slot`.
    pub(crate) fn remove(&mut self, slot: u32, cause: RemovalCause) {
        if self.is_candidate(slot) {
            let (policy, view) = self.books.split(&self.shard.slots);
            policy.remove(slot, &view);
        }
        self.leave(slot, cause);
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            entries: self.books.live.len(),
            expiring: self.books.wheel.len(),
            bytes: self.books.bytes,
            ..self.books.counts
        }
    }

    pub(super) fn table(&self) -> &Table {
        // SAFETY: the table in force is replaced under the lock only, which is held, and freed
        // later than that.
        unsafe { &*self.shard.table.load(Ordering::Relaxed) }
    }

    /// The entry in a slot that the table leads to.
    pub(super) fn entry(&self, slot: u32) -> &Entry<K, V> {
        debug_assert!(self.books.live.contains(slot));
        // SAFETY: the table leads to live slots only, and to take the entry out needs this writer.
        unsafe { self.shard.slots.entry(self.shard.slots.place(slot)) }
    }

    pub(super) fn extra(&self, slot: u32) -> Option<&Extra> {
        // SAFETY: as for the entry.
        unsafe { self.shard.slots.extra(self.shard.slots.place(slot), self.entry(slot)) }
    }

    pub(super) fn charge(&self, slot: u32) -> usize {
        self.extra(slot).map_or(Shard::<K, V, P>::ENTRY_OVERHEAD, Extra::charge)
    }

    fn expires_at(&self, slot: u32) -> Moment {
        self.extra(slot).map_or(Moment::MAX, |extra| extra.expires_at)
    }

    /// The last moment at which the entry in `slot` may be seen, if it isn't used again.
    pub(crate) fn last(&self, slot: u32) -> Moment {
        self.extra(slot).map_or(Moment::MAX, |extra| idle::last(extra, self.shard.idle))
    }

    /// Whether the policy knows the entry in `slot`.
    pub(super) fn is_candidate(&self, slot: u32) -> bool {
        self.books.share.offers(self.expires_at(slot))
    }

    /// A slot that holds nothing.
    fn take_slot(&mut self) -> u32 {
        let books = &mut *self.books;
        books.free.pop().unwrap_or_else(|| {
            let slot = books.end;
            books.end += 1;
            slot
        })
    }

    /// Makes a new entry findable.
    fn enter(&mut self, hash: u32, slot: u32, expires_at: Moment) {
        if self.books.live.len() > self.table().room() {
            self.grow();
        } else {
            self.table().insert(hash, self.shard.slots.place(slot));
        }
        if self.books.share.offers(expires_at) {
            let (policy, view) = self.books.split(&self.shard.slots);
            policy.insert(slot, &view);
        }
    }

    /// Lets the entry in `new` take the place of the one in `old`. That is a use.
    fn take_over(&mut self, hash: u32, old: u32, new: u32, predecessor: Predecessor) {
        let slots = &self.shard.slots;
        self.table().redirect(hash, slots.place(old), slots.place(new));
        match (predecessor, self.is_candidate(new)) {
            (Predecessor::Known, true) => {
                let uses = self.entry(old).uses.load(Ordering::Relaxed);
                self.entry(new).uses.store(USES_MAX.min(uses + 1), Ordering::Relaxed);
                let (policy, view) = self.books.split(&self.shard.slots);
                policy.relocate(old, new, &view);
                if policy.hits() == Hits::Exact {
                    policy.hit(new, &view);
                }
            }
            (was, is) => {
                let (policy, view) = self.books.split(&self.shard.slots);
                if was == Predecessor::Known {
                    policy.remove(old, &view);
                }
                if is {
                    policy.insert(new, &view);
                }
            }
        }
        self.retire(old, RemovalCause::Replaced);
    }

    /// Makes the entry in `slot`, which the policy no longer knows, unfindable.
    pub(super) fn leave(&mut self, slot: u32, cause: RemovalCause) {
        self.table().remove(self.entry(slot).hash, self.shard.slots.place(slot));
        self.retire(slot, cause);
    }

    /// The entry in `slot` is in no book any longer and can't be found.
    fn retire(&mut self, slot: u32, cause: RemovalCause) {
        let charge = self.charge(slot);
        let books = &mut *self.books;
        books.wheel.remove(slot);
        books.live.remove(slot);
        books.bytes = books.bytes.wrapping_sub(charge);
        books.counts.count_removals(cause, 1);
        books.retired.push_slot(slot, charge, cause);
    }
}

#[cfg(test)]
impl<K, V, P: Policy> Writer<'_, K, V, P> {
    pub(crate) fn assert_invariants(&self) {
        let books = &*self.books;
        let live: Vec<u32> =
            std::iter::successors(books.live.next(0), |at| books.live.next(at + 1)).collect();
        assert_eq!(live.len(), books.live.len());
        assert!(live.len() <= books.share.entries);
        assert!(books.bytes <= books.share.bytes);
        assert_eq!(live.iter().map(|&slot| self.charge(slot)).sum::<usize>(), books.bytes);
        let place = |slot| self.shard.slots.place(slot);
        let hashes: Vec<_> =
            live.iter().map(|&slot| (self.entry(slot).hash, place(slot))).collect();
        self.table().assert_holds(&hashes);
        // Every slot is live, retired, or free, and only one of these.
        let mut slots =
            [live.clone(), books.retired.slots().collect(), books.free.clone()].concat();
        slots.sort_unstable();
        assert!(slots.iter().copied().eq(0..books.end), "{slots:?}");
        let offered = live.iter().filter(|&&slot| self.is_candidate(slot)).count();
        assert_eq!(books.policy.len(), offered);
        books.policy.assert_invariants(&super::view::View {
            slots: &self.shard.slots,
            end: books.end,
            plain: books.share.weighs.then_some(books.share.overhead as u64),
        });
        let expiring = |slot: &&u32| self.last(**slot) != Moment::MAX;
        assert_eq!(books.wheel.len(), live.iter().filter(expiring).count());
        // What was used lately stands where it would have expired otherwise.
        if self.shard.idle.is_none() {
            let at = super::room::expiries(&self.shard.slots, &books.live, None);
            books.wheel.assert_invariants(at);
        }
        let removals: u64 =
            RemovalCause::ALL.into_iter().map(|cause| books.counts.removals(cause)).sum();
        assert_eq!(books.counts.inserts, live.len() as u64 + removals);
    }

    #[cfg(not(shuttle))]
    pub(crate) fn old_tables(&self) -> usize {
        self.books.retired.tables()
    }

    #[cfg(not(shuttle))]
    pub(crate) fn slots(&self) -> u32 {
        self.books.end
    }
}
