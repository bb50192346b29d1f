//! Least recently used: the entry that was used longest ago leaves first.

use crate::links::{Links, List};
use crate::{Entries, Hits, Policy};

/// Evicts the entry that was used longest ago.
///
/// *Idea*: what was used lately is used again. One scan over more than the capacity flushes it.
///
/// *Cost*: each use moves the entry to the young end of a doubly linked list, under the holder's
/// lock; the youngest stays where it is. Every operation is constant and touches two neighbours.
///
/// *Memory*: 8 bytes per slot.
///
/// *Paper*: Mattson, Gecsei, Slutz, Traiger, "Evaluation techniques for storage hierarchies", IBM
/// Systems Journal 1970.
#[derive(Clone, Debug)]
pub struct Lru {
    links: Links,
    list: List,
    length: usize,
}

impl Policy for Lru {
    fn hits(&self) -> Hits {
        Hits::Exact
    }

    fn new(_capacity: u64) -> Self {
        Self { links: Links::new(), list: List::EMPTY, length: 0 }
    }

    fn resize(&mut self, _capacity: u64) {}

    fn insert(&mut self, slot: u32, _entries: &impl Entries) {
        self.links.push(&mut self.list, slot);
        self.length += 1;
    }

    fn hit(&mut self, slot: u32, _entries: &impl Entries) {
        // The youngest stays where it is: a hot entry's reads write nothing.
        if self.list.newest() != Some(slot) {
            self.links.take(&mut self.list, slot);
            self.links.push(&mut self.list, slot);
        }
    }

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
