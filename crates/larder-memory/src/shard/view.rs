//! What the policy sees of the entries.

use larder_policy::{Entries, Policy};

use super::{Books, Writer};
use crate::atomics::Ordering;
use crate::slots::{Extra, LastPut, Slots};

impl<P> Books<P> {
    /// The policy, and what it may see.
    pub(super) fn split<'a, K, V>(
        &'a mut self,
        slots: &'a Slots<K, V>,
    ) -> (&'a mut P, View<'a, K, V>) {
        let plain = self.share.weighs.then_some(self.share.overhead as u64);
        (&mut self.policy, View { slots, end: self.end, plain })
    }

    /// What the policy may see.
    fn view<'a, K, V>(&self, slots: &'a Slots<K, V>) -> View<'a, K, V> {
        let plain = self.share.weighs.then_some(self.share.overhead as u64);
        View { slots, end: self.end, plain }
    }
}

impl<K, V, P: Policy> Writer<'_, K, V, P> {
    /// How often the entry in `slot`, which the policy holds, was used.
    pub(super) fn uses(&self, slot: u32) -> u64 {
        let books = &*self.books;
        self.books.policy.uses(slot, &books.view(&self.shard.slots))
    }
}

/// What the policy sees of the entries. It exists only under the lock.
///
/// A policy that asks for a slot which holds nothing has lost count. It gets what the slot held
/// last: whether each one is live is not worth asking, and a wrong answer does no harm here.
pub(super) struct View<'a, K, V> {
    pub(super) slots: &'a Slots<K, V>,
    /// One more than the highest slot that was put.
    pub(super) end: u32,
    /// What an entry weighs that has nothing beside it, and `None` if entries are only counted.
    pub(super) plain: Option<u64>,
}

impl<K, V> View<'_, K, V> {
    #[inline]
    fn at(&self, slot: u32) -> LastPut<'_> {
        assert!(slot < self.end, "a policy asks for slot {slot}, which never held anything");
        // SAFETY: the lock is held. Slots are taken in their order and put at once, and the end
        // moves back when they are shortened.
        unsafe { self.slots.last_put(slot) }
    }
}

impl<K, V> Entries for View<'_, K, V> {
    #[inline]
    fn hash(&self, slot: u32) -> u32 {
        self.at(slot).hash
    }

    #[inline]
    fn weight(&self, slot: u32) -> u64 {
        let Some(plain) = self.plain else { return 1 };
        self.at(slot).extra.map_or(plain, |extra| extra.charge() as u64)
    }

    #[inline]
    fn cost(&self, slot: u32) -> u32 {
        self.at(slot).extra.map_or(1, Extra::cost).max(1)
    }

    #[inline]
    fn uses(&self, slot: u32) -> u8 {
        self.at(slot).uses.load(Ordering::Relaxed)
    }

    #[inline]
    fn set_uses(&self, slot: u32, uses: u8) {
        self.at(slot).uses.store(uses, Ordering::Relaxed);
    }
}
