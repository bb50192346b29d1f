//! A queue of slot numbers that grows by little and gives memory back.
//!
//! It holds numbers and nothing else: which of them still stand for something is for
//! [`Queues`](crate::queues::Queues) to know; in [`Lines`](crate::lines::Lines) all do.

use crate::slots::allocated;

/// A first-in first-out queue in one allocation. It grows by an eighth, in place where the
/// allocator can do that.
#[derive(Clone, Debug)]
pub(crate) struct Ring<T> {
    /// Places, all of them there whether they are taken or not.
    of: Vec<T>,
    /// Where the oldest stands.
    head: usize,
    length: usize,
}

impl<T: Copy + Default> Ring<T> {
    pub(crate) fn new() -> Self {
        Self { of: Vec::new(), head: 0, length: 0 }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.length == self.of.len()
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<T> {
        if self.length > 0 { self.of.get(self.head).copied() } else { None }
    }

    #[inline]
    pub(crate) fn back(&self) -> Option<T> {
        if self.length > 0 { self.of.get(self.at(self.length - 1)).copied() } else { None }
    }

    /// Replaces the youngest, which must be there.
    #[inline]
    pub(crate) fn set_back(&mut self, slot: T) {
        let at = self.at(self.length - 1);
        self.of[at] = slot;
    }

    /// Puts `slot` at the young end, and grows when it is full.
    #[inline]
    pub(crate) fn push(&mut self, slot: T) {
        if self.is_full() {
            self.grow();
        }
        let at = self.at(self.length);
        self.of[at] = slot;
        self.length += 1;
    }

    /// Takes out the oldest, which must be there.
    #[inline]
    pub(crate) fn pop(&mut self) {
        debug_assert!(self.length > 0, "nothing is there to take out");
        self.head = self.at(1);
        self.length -= 1;
    }

    /// Takes out the youngest, which must be there.
    #[inline]
    pub(crate) fn pop_back(&mut self) {
        debug_assert!(self.length > 0, "nothing is there to take out");
        self.length -= 1;
    }

    /// Leaves out what `keep` doesn't want; the order stays.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(T) -> bool) {
        self.straighten();
        let room = self.of.len();
        self.of.truncate(self.length);
        self.of.retain(|&slot| keep(slot));
        self.length = self.of.len();
        self.of.resize(room, T::default());
    }

    /// Gives back what more than a quarter of its length would fill.
    pub(crate) fn shrink(&mut self) {
        if self.of.len() > self.length + self.length / 4 + 16 {
            self.straighten();
            self.of.truncate(self.length + self.length / 8);
            self.of.shrink_to_fit();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        (0..self.length).map(|place| self.of[self.at(place)])
    }

    pub(crate) fn allocated(&self) -> usize {
        allocated(&self.of)
    }

    /// Where the `place`-th oldest stands.
    #[inline]
    fn at(&self, place: usize) -> usize {
        let at = self.head + place;
        if at >= self.of.len() { at - self.of.len() } else { at }
    }

    /// Lets the oldest stand at the beginning.
    fn straighten(&mut self) {
        self.of.rotate_left(self.head);
        self.head = 0;
    }

    #[cold]
    fn grow(&mut self) {
        let (before, room) = (self.of.len(), self.length / 8 + 8);
        self.of.reserve_exact(room);
        self.of.resize(before + room, T::default());
        // What stands from the head on moves to the new end, in front of what is younger.
        self.of.copy_within(self.head..before, self.head + room);
        self.head = if self.length > 0 { self.head + room } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays_while_it_grows_and_shrinks_at_any_turn() {
        let mut ring = Ring::new();
        let (mut oldest, mut next) = (0_u32, 0_u32);
        for turn in 0..2000_u32 {
            for _ in 0..turn % 37 {
                ring.push(next);
                next += 1;
            }
            for _ in 0..(turn % 31).min(next - oldest) {
                assert_eq!(ring.front(), Some(oldest));
                ring.pop();
                oldest += 1;
            }
            if turn % 100 == 0 {
                ring.shrink();
            }
            assert!(ring.iter().eq(oldest..next), "in turn {turn}");
            assert_eq!(ring.back(), (next > oldest).then(|| next - 1));
        }
    }

    #[test]
    fn what_is_left_out_leaves_the_rest_in_order() {
        let mut ring = Ring::new();
        (0..100_u16).for_each(|slot| ring.push(slot));
        for slot in 100..160 {
            ring.pop();
            ring.push(slot);
        }
        ring.retain(|slot| slot % 3 == 0);
        assert!(ring.iter().eq((60..160).filter(|slot| slot % 3 == 0)));
        ring.pop_back();
        assert_eq!((ring.front(), ring.back()), (Some(60), Some(156)));
    }
}
