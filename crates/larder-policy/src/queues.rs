//! Two first-in first-out queues over slots, from which any slot can be removed.
//!
//! The queues are rings of slot numbers. A slot that leaves from the middle stays behind as a
//! *stale* number, and each slot counts its own: within one ring the older numbers of a slot come
//! out first, so as many as are stale are dropped when they do. That takes a byte per slot where
//! links would take eight. What the queues mean is for the policy to know.

use crate::ring::Ring;
use crate::slots::Slots;

/// The most stale numbers of one slot in one ring.
const STALE_MAX: u8 = 3;

/// Which of the two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    First = 0,
    Second = 1,
}

/// Two first-in first-out queues, in one of which each slot stands or in none.
pub(crate) trait Pair {
    /// How many slots stand in `queue`.
    fn len(&self, queue: Queue) -> usize;

    /// The oldest slot of `queue`, which stays there.
    fn front(&mut self, queue: Queue) -> Option<u32>;

    /// Puts `slot` at the young end of `queue`.
    ///
    /// # Panics
    ///
    /// When it is held or beyond the last slot, and that is known.
    fn push(&mut self, queue: Queue, slot: u32);

    /// Takes out the oldest slot of `queue`, which [`front`](Self::front) has named.
    fn take(&mut self, queue: Queue, slot: u32);

    /// Puts the oldest slot of `queue`, which [`front`](Self::front) has named, at its young end.
    fn rotate(&mut self, queue: Queue, slot: u32);

    /// The slots of `queue`, the oldest first.
    fn iter(&self, queue: Queue) -> impl Iterator<Item = u32>;

    fn allocated(&self) -> usize;

    fn assert_invariants(&self);
}

/// Two queues: a byte per slot, and four per number in a ring.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    rings: [Ring<u32>; 2],
    /// How many slots stand in each queue.
    lengths: [usize; 2],
    places: Slots<Place>,
}

/// What is known of a slot: bits 0 and 1 say in which queue it stands, 2 and 3 how many stale
/// numbers the first ring has of it, 4 and 5 the second, and bit 6 that it goes round once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u8);

impl Place {
    const FREE: Self = Self(0);
    const AGAIN: u8 = 1 << 6;

    #[inline]
    fn queue(self) -> Option<Queue> {
        match self.0 & 3 {
            0 => None,
            1 => Some(Queue::First),
            _ => Some(Queue::Second),
        }
    }

    #[inline]
    fn set_queue(&mut self, queue: Option<Queue>) {
        self.0 = self.0 & !(3 | Self::AGAIN) | queue.map_or(0, |queue| queue as u8 + 1);
    }

    /// Whether the next number of the slot in this queue's ring stands for it.
    #[inline]
    fn stands(self, queue: Queue) -> bool {
        self.0 & (STALE_MAX << (2 + 2 * queue as u8) | Self::AGAIN) == 0
    }

    /// Whether the slot stands in no queue, and another number of it in this one can be counted.
    #[inline]
    fn takes(self, queue: Queue) -> bool {
        self.0 & 3 == 0 && self.stale(queue) < STALE_MAX
    }

    /// Whether this queue's ring has stale numbers of it.
    #[inline]
    fn is_stale(self, queue: Queue) -> bool {
        self.0 & STALE_MAX << (2 + 2 * queue as u8) != 0
    }

    /// It no longer stands in this queue, where its number becomes stale.
    #[inline]
    fn leave(&mut self, queue: Queue) {
        self.set_queue(None);
        // While the slot stood there, fewer were stale than can be counted.
        self.0 += 1 << (2 + 2 * queue as u8);
    }

    #[inline]
    fn stale(self, queue: Queue) -> u8 {
        self.0 >> (2 + 2 * queue as u8) & STALE_MAX
    }

    #[inline]
    fn set_stale(&mut self, queue: Queue, stale: u8) {
        let shift = 2 + 2 * queue as u8;
        self.0 = self.0 & !(STALE_MAX << shift) | stale << shift;
    }
}

impl Pair for Queues {
    #[inline]
    fn len(&self, queue: Queue) -> usize {
        self.lengths[queue as usize]
    }

    #[inline]
    fn front(&mut self, queue: Queue) -> Option<u32> {
        let slot = self.rings[queue as usize].front()?;
        if self.places[slot].stands(queue) { Some(slot) } else { self.clear_front(queue) }
    }

    #[inline]
    fn push(&mut self, queue: Queue, slot: u32) {
        let ring = &mut self.rings[queue as usize];
        match self.places.get_mut(slot) {
            // Nearly always: nothing is known of the slot, and the ring has room.
            Some(place) if *place == Place::FREE && !ring.is_full() => {
                place.set_queue(Some(queue));
                ring.push(slot);
                self.lengths[queue as usize] += 1;
            }
            _ => self.make_way_and_push(queue, slot),
        }
    }

    #[inline]
    fn take(&mut self, queue: Queue, slot: u32) {
        debug_assert_eq!(self.rings[queue as usize].front(), Some(slot), "that is not in front");
        self.rings[queue as usize].pop();
        self.places[slot].set_queue(None);
        self.lengths[queue as usize] -= 1;
    }

    #[inline]
    fn rotate(&mut self, queue: Queue, slot: u32) {
        debug_assert_eq!(self.rings[queue as usize].front(), Some(slot), "that is not in front");
        self.rings[queue as usize].pop();
        self.rings[queue as usize].push(slot);
    }

    fn iter(&self, queue: Queue) -> impl Iterator<Item = u32> {
        let mut places = self.places.clone();
        self.rings[queue as usize].iter().filter(move |&slot| {
            let stale = places[slot].stale(queue);
            places[slot].set_stale(queue, stale.saturating_sub(1));
            stale == 0
        })
    }

    fn allocated(&self) -> usize {
        self.places.allocated() + self.rings.iter().map(Ring::allocated).sum::<usize>()
    }

    fn assert_invariants(&self) {
        for queue in [Queue::First, Queue::Second] {
            let mut held = 0;
            for slot in self.iter(queue) {
                assert_eq!(self.places[slot].queue(), Some(queue), "slot {slot} is elsewhere");
                held += 1;
            }
            assert_eq!(held, self.lengths[queue as usize], "{queue:?} counts wrongly");
            let stale = self.places.iter().map(|(_, place)| usize::from(place.stale(queue)));
            assert_eq!(held + stale.sum::<usize>(), self.rings[queue as usize].len());
        }
        let placed = self.places.iter().filter(|(_, place)| place.queue().is_some()).count();
        assert_eq!(placed, self.lengths.iter().sum::<usize>());
    }
}

impl Queues {
    pub(crate) fn new() -> Self {
        Self { rings: [Ring::new(), Ring::new()], lengths: [0; 2], places: Slots::new(Place::FREE) }
    }

    /// Puts `slot` at the young end of `queue`, whatever has to be done before.
    #[inline(never)]
    fn make_way_and_push(&mut self, queue: Queue, slot: u32) {
        self.places.make_room(slot);
        if self.rings[queue as usize].is_full() {
            self.compact(queue);
        }
        let place = &mut self.places[slot];
        assert!(place.queue().is_none(), "slot {slot} is held by the policy");
        let stale = place.stale(queue);
        place.set_queue(Some(queue));
        if stale == STALE_MAX {
            // No more can be counted. The newest of them stands for the slot again, and since
            // that is too old a place, the slot goes round once when it comes out.
            place.set_stale(queue, stale - 1);
            place.0 |= Place::AGAIN;
        } else {
            self.rings[queue as usize].push(slot);
        }
        self.lengths[queue as usize] += 1;
    }

    /// Takes `slot` out, wherever it stands.
    ///
    /// # Panics
    ///
    /// When it is in no queue.
    pub(crate) fn remove(&mut self, slot: u32) -> Queue {
        let queue = self.queue(slot);
        self.places[slot].leave(queue);
        self.lengths[queue as usize] -= 1;
        if self.rings[queue as usize].back() == Some(slot) {
            self.trim(queue);
        }
        queue
    }

    /// Takes `from` out and puts `to` at the young end of the same queue.
    ///
    /// # Panics
    ///
    /// When `from` is in no queue, or `to` is held or beyond the last slot.
    #[inline]
    pub(crate) fn replace(&mut self, from: u32, to: u32) -> Queue {
        let queue = self.queue(from);
        self.places.make_room(to);
        let (place, ring) = (&mut self.places[to], &mut self.rings[queue as usize]);
        let is_youngest = ring.back() == Some(from);
        if place.takes(queue) && (is_youngest || !ring.is_full()) {
            place.set_queue(Some(queue));
            if is_youngest {
                // Nothing becomes stale.
                ring.set_back(to);
                self.places[from].set_queue(None);
            } else {
                ring.push(to);
                self.places[from].leave(queue);
            }
        } else {
            self.remove(from);
            self.make_way_and_push(queue, to);
        }
        queue
    }

    /// In which queue `slot` stands.
    #[inline]
    fn queue(&self, slot: u32) -> Queue {
        match self.places.get(slot).queue() {
            Some(queue) => queue,
            None => panic!("slot {slot} is not held by the policy"),
        }
    }

    /// Gives back the memory for slots from `slots` on, none of which is held.
    pub(crate) fn shrink(&mut self, slots: u32) {
        debug_assert!(
            self.places.iter().all(|(slot, place)| slot < slots || place.queue().is_none()),
            "a slot that is given back is held"
        );
        for queue in [Queue::First, Queue::Second] {
            self.drop_stale(queue);
            self.rings[queue as usize].shrink();
        }
        self.places.shrink(slots);
    }

    /// Drops what is stale in front of the oldest slot of `queue`.
    #[cold]
    fn clear_front(&mut self, queue: Queue) -> Option<u32> {
        let ring = &mut self.rings[queue as usize];
        loop {
            let slot = ring.front()?;
            let place = &mut self.places[slot];
            let stale = place.stale(queue);
            if stale > 0 {
                place.set_stale(queue, stale - 1);
                ring.pop();
            } else if place.0 & Place::AGAIN != 0 {
                place.0 &= !Place::AGAIN;
                ring.pop();
                ring.push(slot);
            } else {
                return Some(slot);
            }
        }
    }

    /// Takes stale numbers off the young end, so that filling and removing the same slots in turn
    /// leaves nothing behind.
    #[inline]
    fn trim(&mut self, queue: Queue) {
        let ring = &mut self.rings[queue as usize];
        while let Some(slot) = ring.back() {
            let place = &mut self.places[slot];
            let stale = place.stale(queue);
            if place.queue() == Some(queue) || stale == 0 {
                return;
            }
            place.set_stale(queue, stale - 1);
            ring.pop_back();
        }
    }

    /// Makes room in a full ring by leaving out the stale, when they are a sixth of it.
    #[cold]
    fn compact(&mut self, queue: Queue) {
        let length = self.rings[queue as usize].len();
        if length - self.lengths[queue as usize] > length / 6 {
            self.drop_stale(queue);
        }
    }

    fn drop_stale(&mut self, queue: Queue) {
        let places = &mut self.places;
        self.rings[queue as usize].retain(|slot| {
            let place = &mut places[slot];
            let is_stale = place.is_stale(queue);
            // Seldom: most numbers stand for their slots.
            if is_stale {
                place.set_stale(queue, place.stale(queue) - 1);
            }
            !is_stale
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Queue::{First, Second};
    use super::*;

    fn pop(queues: &mut Queues, queue: Queue) -> Option<u32> {
        let slot = queues.front(queue)?;
        queues.take(queue, slot);
        Some(slot)
    }

    #[test]
    fn a_slot_removed_and_pushed_again_stands_at_the_young_end() {
        let mut queues = Queues::new();
        (0..3).for_each(|slot| queues.push(First, slot));
        assert_eq!(queues.remove(0), First);
        queues.push(First, 0);
        queues.assert_invariants();
        assert_eq!([0; 3].map(|_| pop(&mut queues, First)), [Some(1), Some(2), Some(0)]);
        assert_eq!(pop(&mut queues, First), None);
    }

    #[test]
    fn a_replaced_slot_gives_its_successor_the_young_end_and_leaves_at_most_one_number() {
        let mut queues = Queues::new();
        (0..3).for_each(|slot| queues.push(Second, slot));
        let numbers = |queues: &Queues| queues.rings[Second as usize].len();
        assert_eq!(queues.replace(2, 3), Second);
        queues.assert_invariants();
        assert_eq!(numbers(&queues), 3, "the youngest leaves nothing behind");
        assert_eq!(queues.replace(0, 2), Second);
        queues.assert_invariants();
        assert_eq!(numbers(&queues), 4);
        for _ in 0..20 {
            queues.replace(1, 0);
            queues.replace(0, 1);
            queues.assert_invariants();
        }
        let popped: Vec<u32> = std::iter::from_fn(|| pop(&mut queues, Second)).collect();
        assert_eq!(popped, [3, 2, 1]);
        queues.assert_invariants();
    }

    #[test]
    #[should_panic(expected = "slot 1 is held")]
    fn what_is_held_replaces_nothing() {
        let mut queues = Queues::new();
        (0..2).for_each(|slot| queues.push(First, slot));
        queues.replace(0, 1);
    }

    #[test]
    fn more_stale_numbers_than_can_be_counted_leave_each_slot_held_once() {
        let mut queues = Queues::new();
        for other in 1..=20 {
            queues.push(Second, 0);
            queues.push(Second, other);
            assert_eq!(queues.remove(0), Second);
            queues.assert_invariants();
        }
        queues.push(Second, 0);
        queues.assert_invariants();
        let mut popped: Vec<u32> = std::iter::from_fn(|| pop(&mut queues, Second)).collect();
        popped.sort_unstable();
        assert_eq!(popped, (0..=20).collect::<Vec<_>>());
        queues.assert_invariants();
    }

    #[test]
    fn a_ring_leaves_out_what_is_stale_before_it_grows() {
        let mut queues = Queues::new();
        (0..1000).for_each(|slot| queues.push(First, slot));
        let before = queues.allocated();
        for round in 0..10_000 {
            let slot = round % 1000;
            queues.remove(slot);
            queues.push(First, slot);
        }
        queues.assert_invariants();
        assert!(queues.allocated() <= before + before / 4, "{} bytes", queues.allocated());
        queues.shrink(1000);
        assert!(queues.iter(First).eq(0..1000));
    }
}
