//! What the policy sees of the entries.

use larder_policy::Entries;

use super::Books;
use crate::atomics::Ordering;
use crate::live::Live;
use crate::slots::{Entry, Slots};

impl<P> Books<P> {
    /// The policy, and what it may see.
    pub(super) fn split<'a, K, V>(
        &'a mut self,
        slots: &'a Slots<K, V>,
    ) -> (&'a mut P, View<'a, K, V>) {
        let plain = self.share.weighs.then_some(self.share.overhead as u64);
        (&mut self.policy, View { slots, live: &self.live, plain })
    }
}

/// What the policy sees of the entries.
pub(super) struct View<'a, K, V> {
    pub(super) slots: &'a Slots<K, V>,
    pub(super) live: &'a Live,
    /// What an entry weighs that has nothing beside it, and `None` if entries are only counted.
    pub(super) plain: Option<u64>,
}

impl<K, V> View<'_, K, V> {
    pub(super) fn entry(&self, slot: u32) -> &Entry<K, V> {
        assert!(self.live.contains(slot), "a policy asks for slot {slot}, which holds nothing");
        // SAFETY: the slot is live, and a view exists only under the lock.
        unsafe { self.slots.entry(slot) }
    }
}

impl<K, V> Entries for View<'_, K, V> {
    fn hash(&self, slot: u32) -> u32 {
        self.entry(slot).hash
    }

    fn weight(&self, slot: u32) -> u64 {
        let Some(plain) = self.plain else { return 1 };
        // SAFETY: as in `entry`.
        let extra = unsafe { self.slots.extra(slot, self.entry(slot)) };
        extra.map_or(plain, |extra| extra.charge() as u64)
    }

    fn cost(&self, slot: u32) -> u32 {
        // SAFETY: as in `entry`.
        let extra = unsafe { self.slots.extra(slot, self.entry(slot)) };
        extra.map_or(1, |extra| extra.cost().max(1))
    }

    fn uses(&self, slot: u32) -> u8 {
        self.entry(slot).uses.load(Ordering::Relaxed)
    }

    fn set_uses(&self, slot: u32, uses: u8) {
        self.entry(slot).uses.store(uses, Ordering::Relaxed);
    }
}
