//! The held slots in no order, so that one can be drawn, with a value beside each.
//!
//! The policies that sample use it.

use crate::slots::{Slots, allocated, give_back, reserve};

/// No place: the slot isn't held.
const NONE: u32 = u32::MAX;

/// The held slots, densely, each with a `T`: eight bytes per slot and the size of `T`.
#[derive(Clone, Debug)]
pub(crate) struct Crowd<T> {
    held: Vec<(u32, T)>,
    places: Slots<u32>,
}

impl<T: Copy> Crowd<T> {
    pub(crate) fn new() -> Self {
        Self { held: Vec::new(), places: Slots::new(NONE) }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// The slot at `place`, which is below [`len`](Self::len), and its value.
    pub(crate) fn at(&mut self, place: u32) -> &mut (u32, T) {
        &mut self.held[place as usize]
    }

    /// # Panics
    ///
    /// When `slot` is held, or beyond the last slot.
    pub(crate) fn insert(&mut self, slot: u32, value: T) {
        self.places.make_room(slot);
        assert!(self.places[slot] == NONE, "slot {slot} is held by the policy");
        // There are at most as many held slots as there are slots, so this fits.
        self.places[slot] = self.held.len() as u32;
        let length = self.held.len() + 1;
        reserve(&mut self.held, length);
        self.held.push((slot, value));
    }

    /// # Panics
    ///
    /// When `slot` isn't held.
    pub(crate) fn remove(&mut self, slot: u32) -> T {
        let place = self.places.get(slot);
        assert!(place != NONE, "slot {slot} is not held by the policy");
        let (_, value) = self.held.swap_remove(place as usize);
        if let Some(&(moved, _)) = self.held.get(place as usize) {
            self.places[moved] = place;
        }
        self.places[slot] = NONE;
        value
    }

    pub(crate) fn shrink(&mut self, slots: u32) {
        debug_assert!(
            self.held.iter().all(|&(slot, _)| slot < slots),
            "a slot that is given back is held"
        );
        self.places.shrink(slots);
        give_back(&mut self.held);
    }

    pub(crate) fn allocated(&self) -> usize {
        allocated(&self.held) + self.places.allocated()
    }

    pub(crate) fn assert_invariants(&self) {
        for (place, &(slot, _)) in self.held.iter().enumerate() {
            assert_eq!(self.places[slot] as usize, place, "slot {slot} stands elsewhere");
        }
        let placed = self.places.iter().filter(|&(_, place)| place != NONE).count();
        assert_eq!(placed, self.held.len());
    }
}
