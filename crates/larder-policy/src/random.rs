//! Random: any entry leaves, each as likely as the next.

use crate::crowd::Crowd;
use crate::draw::Draw;
use crate::{Entries, Hits, Policy};

/// Evicts an entry drawn by chance.
///
/// *Idea*: no pattern of use is its worst case; a loop over more than the capacity still hits.
/// The seed is fixed, so the same operations evict the same entries.
///
/// *Cost*: every operation is constant. A use is never seen.
///
/// *Memory*: 8 bytes per slot.
///
/// *Paper*: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
/// Journal 1966.
#[derive(Clone, Debug)]
pub struct Random {
    held: Crowd<()>,
    draw: Draw,
}

impl Policy for Random {
    fn hits(&self) -> Hits {
        Hits::Unseen
    }

    fn new(_capacity: u64) -> Self {
        Self { held: Crowd::new(), draw: Draw::new() }
    }

    fn resize(&mut self, _capacity: u64) {}

    fn insert(&mut self, slot: u32, _entries: &impl Entries) {
        self.held.insert(slot, ());
    }

    fn hit(&mut self, _slot: u32, _entries: &impl Entries) {}

    fn remove(&mut self, slot: u32, _entries: &impl Entries) {
        self.held.remove(slot);
    }

    fn evict(&mut self, _entries: &impl Entries) -> Option<u32> {
        if self.held.len() == 0 {
            return None;
        }
        let place = self.draw.below(self.held.len() as u32);
        let (victim, ()) = *self.held.at(place);
        self.held.remove(victim);
        Some(victim)
    }

    fn relocate(&mut self, from: u32, to: u32, _entries: &impl Entries) {
        self.held.remove(from);
        self.held.insert(to, ());
    }

    fn len(&self) -> usize {
        self.held.len()
    }

    fn shrink(&mut self, slots: u32) {
        self.held.shrink(slots);
    }

    fn allocated(&self) -> usize {
        self.held.allocated()
    }

    fn assert_invariants(&self, _entries: &impl Entries) {
        self.held.assert_invariants();
    }
}
