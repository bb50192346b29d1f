//! SIEVE: a hand goes through a queue and evicts the first entry that wasn't used.

use crate::links::{Links, List};
use crate::{Entries, Hits, Policy};

/// Evicts the first entry without a use that a hand meets on its way from old to young.
///
/// *Idea*: a used entry is passed over and loses its mark, but keeps its place. So what proved
/// useful gathers at the old end, and new entries are tried quickly behind it.
///
/// *Cost*: a use is a mark on the entry. An eviction passes over each used entry once, so it is
/// constant on average; the longest goes once around.
///
/// *Memory*: 8 bytes per slot, a doubly linked list: the victim leaves from the middle.
///
/// *Paper*: Zhang et al., "SIEVE is simpler than LRU: an efficient turn-key eviction algorithm for
/// web caches", NSDI 2024.
#[derive(Clone, Debug)]
pub struct Sieve {
    links: Links,
    list: List,
    /// Where the hand goes on; from the oldest when there is nothing.
    hand: Option<u32>,
    length: usize,
}

impl Policy for Sieve {
    fn hits(&self) -> Hits {
        Hits::Marked
    }

    fn new(_capacity: u64) -> Self {
        Self { links: Links::new(), list: List::EMPTY, hand: None, length: 0 }
    }

    fn resize(&mut self, _capacity: u64) {}

    fn insert(&mut self, slot: u32, _entries: &impl Entries) {
        self.links.push(&mut self.list, slot);
        self.length += 1;
    }

    fn hit(&mut self, _slot: u32, _entries: &impl Entries) {}

    fn remove(&mut self, slot: u32, _entries: &impl Entries) {
        let next = self.links.newer(slot);
        if self.hand == Some(slot) {
            self.hand = next;
        }
        self.links.take(&mut self.list, slot);
        self.length -= 1;
    }

    fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        let mut at = self.hand.or(self.list.oldest())?;
        // After one time around without a rest even what readers keep marking has to leave.
        for _ in 0..=self.length {
            if entries.uses(at) == 0 {
                break;
            }
            entries.set_uses(at, 0);
            at = self.links.newer(at).or(self.list.oldest())?;
        }
        self.hand = self.links.newer(at);
        self.links.take(&mut self.list, at);
        self.length -= 1;
        Some(at)
    }

    fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        self.links.replace(&mut self.list, from, to);
        if self.hand == Some(from) {
            self.hand = Some(to);
        }
        entries.set_uses(to, entries.uses(from).max(1));
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
        assert!(self.hand.is_none_or(|slot| self.links.is_held(slot)), "the hand is elsewhere");
    }
}
