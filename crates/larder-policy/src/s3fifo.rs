//! S3-FIFO: three first-in first-out queues, small, main and ghost.

use crate::ghost::Ghost;
use crate::queues::Queue::{First as Small, Second as Main};
use crate::queues::{Pair, Queue, Queues};
use crate::{Entries, Hits, Policy};

/// What share of the capacity the small queue takes: a tenth.
const SMALL: u64 = 10;

/// Evicts from a small queue what isn't used twice there, and keeps the rest in a main queue.
///
/// *Idea*: most entries are never used again, so a new entry is on trial in a tenth of the
/// capacity. One that is used more than once, or comes back soon after it was evicted, stands in
/// the main queue, where each use lets it go round once more.
///
/// *Cost*: a use is a mark on the entry. An eviction lets an entry go round at most as often as it
/// was used, so it is constant on average.
///
/// *Memory*: 7 bytes per slot: 4 in the queues, 1 for its place, 2 for a ghost.
///
/// *Paper*: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
#[derive(Clone, Debug)]
pub struct S3Fifo {
    queues: Queues,
    /// What the entries of each queue weigh.
    weights: [u64; 2],
    ghost: Ghost,
    capacity: u64,
}

impl S3Fifo {
    fn push(&mut self, queue: Queue, slot: u32, entries: &impl Entries) {
        self.queues.push(queue, slot);
        self.weights[queue as usize] += entries.weight(slot);
    }

    fn pop(&mut self, queue: Queue, entries: &impl Entries) -> Option<u32> {
        let slot = self.queues.front(queue)?;
        self.queues.take(queue, slot);
        self.weights[queue as usize] -= entries.weight(slot);
        Some(slot)
    }

    /// The first entry of the small queue that wasn't used twice; those before it move on.
    fn evict_small(&mut self, entries: &impl Entries) -> Option<u32> {
        while let Some(slot) = self.pop(Small, entries) {
            if entries.uses(slot) < 2 {
                self.ghost.insert(entries.hash(slot));
                return Some(slot);
            }
            entries.set_uses(slot, 0);
            self.push(Main, slot, entries);
        }
        None
    }

    /// The first entry of the main queue that wasn't used; those before it go round.
    fn evict_main(&mut self, entries: &impl Entries) -> Option<u32> {
        // Each entry goes round at most three times, unless readers keep marking.
        for _ in 0..3 * self.queues.len(Main) {
            let slot = self.queues.front(Main)?;
            let uses = entries.uses(slot);
            if uses == 0 {
                break;
            }
            entries.set_uses(slot, uses - 1);
            self.queues.rotate(Main, slot);
        }
        self.pop(Main, entries)
    }
}

impl Policy for S3Fifo {
    fn hits(&self) -> Hits {
        Hits::Marked
    }

    fn new(capacity: u64) -> Self {
        Self { queues: Queues::new(), weights: [0; 2], ghost: Ghost::new(), capacity }
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn insert(&mut self, slot: u32, entries: &impl Entries) {
        let returned = self.ghost.take(entries.hash(slot));
        self.push(if returned { Main } else { Small }, slot, entries);
        self.ghost.reach(self.len());
    }

    fn hit(&mut self, _slot: u32, _entries: &impl Entries) {}

    fn remove(&mut self, slot: u32, entries: &impl Entries) {
        let queue = self.queues.remove(slot);
        self.weights[queue as usize] -= entries.weight(slot);
    }

    fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        if self.weights[Small as usize] >= self.capacity / SMALL || self.queues.len(Main) == 0 {
            self.evict_small(entries).or_else(|| self.evict_main(entries))
        } else {
            self.evict_main(entries)
        }
    }

    fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        let weight = &mut self.weights[self.queues.replace(from, to) as usize];
        *weight = *weight - entries.weight(from) + entries.weight(to);
        entries.set_uses(to, entries.uses(from).max(1));
    }

    fn len(&self) -> usize {
        self.queues.len(Small) + self.queues.len(Main)
    }

    fn shrink(&mut self, slots: u32) {
        self.queues.shrink(slots);
        self.ghost.shrink(self.len());
    }

    fn allocated(&self) -> usize {
        self.queues.allocated() + self.ghost.allocated()
    }

    fn assert_invariants(&self, entries: &impl Entries) {
        self.queues.assert_invariants();
        for queue in [Small, Main] {
            let weight: u64 = self.queues.iter(queue).map(|slot| entries.weight(slot)).sum();
            assert_eq!(weight, self.weights[queue as usize]);
        }
    }
}
