//! First in, first out: the entry that was filled longest ago leaves first.

use crate::links::{Links, List};
use crate::{Entries, Hits, Policy};

/// Evicts the entry that was filled longest ago, however often it was used.
///
/// *Idea*: none, and so nothing to get wrong: a use costs nothing at all. The yardstick for the
/// others.
///
/// *Cost*: every operation is constant. A use is never seen.
///
/// *Memory*: 8 bytes per slot, a doubly linked list: it keeps the order exact when entries are
/// removed or moved.
///
/// *Paper*: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
/// Journal 1966.
#[derive(Clone, Debug)]
pub struct Fifo {
    links: Links,
    list: List,
    length: usize,
}

impl Policy for Fifo {
    fn hits(&self) -> Hits {
        Hits::Unseen
    }

    fn new(_capacity: u64) -> Self {
        Self { links: Links::new(), list: List::EMPTY, length: 0 }
    }

    fn resize(&mut self, _capacity: u64) {}

    fn insert(&mut self, slot: u32, _entries: &impl Entries) {
        self.links.push(&mut self.list, slot);
        self.length += 1;
    }

    fn hit(&mut self, _slot: u32, _entries: &impl Entries) {}

    fn remove(&mut self, slot: u32, _entries: &impl Entries) {
        self.links.take(&mut self.list, slot);
        self.length -= 1;
    }

    fn evict(&mut self, _entries: &impl Entries) -> Option<u32> {
        let victim = self.list.oldest()?;
        self.links.take(&mut self.list, victim);
        self.length -= 1;
        Some(victim)
    }

    fn relocate(&mut self, from: u32, to: u32, _entries: &impl Entries) {
        self.links.replace(&mut self.list, from, to);
    }

    fn len(&self) -> usize {
        self.length
    }

    fn shrink(&mut self, slots: u32) {
        self.links.shrink(slots);
    }

    fn allocated(&self) -> usize {
        self.links.allocated()
    }

    fn assert_invariants(&self, _entries: &impl Entries) {
        assert_eq!(self.links.assert_list(self.list), self.length);
        assert_eq!(self.links.count(), self.length);
    }
}
