//! Two first-in first-out queues from whose middle nothing leaves one by one.
//!
//! The shadows use them: two bytes per slot, where [`Queues`](crate::queues::Queues) take five.

use crate::queues::{Pair, Queue};
use crate::ring::Ring;

/// Two queues over fewer than 65,536 slots. Which slots stand in them is for the caller to know.
#[derive(Clone, Debug)]
pub(crate) struct Lines([Ring<u16>; 2]);

impl Lines {
    pub(crate) fn new() -> Self {
        Self([Ring::new(), Ring::new()])
    }

    /// Leaves out what `keep` doesn't want; the order stays.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        self.0.iter_mut().for_each(|ring| ring.retain(|slot| keep(u32::from(slot))));
    }
}

impl Pair for Lines {
    #[inline]
    fn len(&self, queue: Queue) -> usize {
        self.0[queue as usize].len()
    }

    #[inline]
    fn front(&mut self, queue: Queue) -> Option<u32> {
        self.0[queue as usize].front().map(u32::from)
    }

    #[inline]
    fn push(&mut self, queue: Queue, slot: u32) {
        // There are fewer slots than fit into sixteen bits.
        self.0[queue as usize].push(slot as u16);
    }

    #[inline]
    fn take(&mut self, queue: Queue, slot: u32) {
        debug_assert_eq!(self.front(queue), Some(slot), "that is not in front");
        self.0[queue as usize].pop();
    }

    #[inline]
    fn rotate(&mut self, queue: Queue, slot: u32) {
        self.take(queue, slot);
        self.push(queue, slot);
    }

    fn iter(&self, queue: Queue) -> impl Iterator<Item = u32> {
        self.0[queue as usize].iter().map(u32::from)
    }

    fn allocated(&self) -> usize {
        self.0.iter().map(Ring::allocated).sum()
    }

    fn assert_invariants(&self) {
        let mut slots: Vec<u32> = self.iter(Queue::First).chain(self.iter(Queue::Second)).collect();
        slots.sort_unstable();
        assert!(slots.is_sorted_by(|one, next| one < next), "a slot stands twice");
    }
}
