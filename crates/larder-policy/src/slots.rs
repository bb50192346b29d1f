//! A vector with one element for each slot, which grows by little and gives memory back.
//!
//! Every policy keeps what it knows of a slot here. It doesn't know what that is.

use std::ops::{Index, IndexMut};

use crate::SLOTS_MAX;

/// One element for each slot up to the highest one that was ever in use.
#[derive(Clone, Debug)]
pub(crate) struct Slots<T> {
    of: Vec<T>,
    /// What stands for a slot that isn't held.
    free: T,
}

impl<T: Copy + PartialEq> Slots<T> {
    pub(crate) fn new(free: T) -> Self {
        Self { of: Vec::new(), free }
    }

    /// What is known of `slot`, which need not exist.
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> T {
        self.of.get(slot as usize).copied().unwrap_or(self.free)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.of.get_mut(slot as usize)
    }

    /// Makes the element of `slot` exist.
    ///
    /// # Panics
    ///
    /// When the slot is beyond the last one.
    #[inline]
    pub(crate) fn make_room(&mut self, slot: u32) {
        if slot as usize >= self.of.len() {
            self.grow(slot);
        }
    }

    #[cold]
    fn grow(&mut self, slot: u32) {
        assert!(slot < SLOTS_MAX, "slot {slot} is beyond the last one");
        let length = slot as usize + 1;
        reserve(&mut self.of, length);
        self.of.resize(length, self.free);
    }

    /// Gives back the elements from `slots` on, unless little would be gained.
    pub(crate) fn shrink(&mut self, slots: u32) {
        self.of.truncate(slots as usize);
        give_back(&mut self.of);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, T)> {
        (0..).zip(self.of.iter().copied())
    }

    pub(crate) fn allocated(&self) -> usize {
        allocated(&self.of)
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.of[slot as usize]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.of[slot as usize]
    }
}

/// Makes room for `length` elements, and for an eighth more when that takes memory: growing by
/// doubling would let half of it stand empty.
pub(crate) fn reserve<T>(of: &mut Vec<T>, length: usize) {
    if length > of.capacity() {
        of.reserve_exact(length + length / 8 - of.len());
    }
}

/// Gives back what more than a quarter of the elements in use would fill.
pub(crate) fn give_back<T>(of: &mut Vec<T>) {
    if of.capacity() > of.len() + of.len() / 4 {
        of.shrink_to(of.len() + of.len() / 8);
    }
}

/// The bytes of a vector.
pub(crate) fn allocated<T>(of: &Vec<T>) -> usize {
    of.capacity() * size_of::<T>()
}
