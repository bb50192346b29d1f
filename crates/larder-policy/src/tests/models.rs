//! The exact policies once more, as queues that are searched from end to end.

use std::collections::VecDeque;

use crate::{Entries, Hits, Policy};

/// The books that all models share: the held slots in an order that the model gives them.
macro_rules! model {
    ($model:ident, $hits:expr, { $($field:ident: $of:ty),* }) => {
        #[derive(Default)]
        pub(super) struct $model { queue: VecDeque<u32>, $($field: $of),* }

        impl Policy for $model {
            fn hits(&self) -> Hits {
                $hits
            }

            fn new(capacity: u64) -> Self {
                Self::made(capacity)
            }

            fn resize(&mut self, capacity: u64) {
                self.resized(capacity);
            }

            fn insert(&mut self, slot: u32, entries: &impl Entries) {
                self.inserted(slot, entries);
            }

            fn hit(&mut self, slot: u32, _entries: &impl Entries) {
                self.used(slot);
            }

            fn remove(&mut self, slot: u32, _entries: &impl Entries) {
                self.removed(slot);
            }

            fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
                self.victim(entries)
            }

            fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
                self.moved(from, to, entries);
            }

            fn len(&self) -> usize {
                self.queue.len()
            }

            fn shrink(&mut self, _slots: u32) {}

            fn allocated(&self) -> usize {
                0
            }

            fn assert_invariants(&self, _entries: &impl Entries) {}
        }
    };
}

fn place(queue: &VecDeque<u32>, slot: u32) -> usize {
    queue.iter().position(|&held| held == slot).expect("the model holds what the policy holds")
}

model!(FifoModel, Hits::Unseen, {});

impl FifoModel {
    fn made(_capacity: u64) -> Self {
        Self::default()
    }

    fn resized(&mut self, _capacity: u64) {}

    fn inserted(&mut self, slot: u32, _entries: &impl Entries) {
        self.queue.push_back(slot);
    }

    fn used(&mut self, _slot: u32) {}

    fn removed(&mut self, slot: u32) {
        self.queue.remove(place(&self.queue, slot));
    }

    fn victim(&mut self, _entries: &impl Entries) -> Option<u32> {
        self.queue.pop_front()
    }

    fn moved(&mut self, from: u32, to: u32, _entries: &impl Entries) {
        let at = place(&self.queue, from);
        self.queue[at] = to;
    }
}

model!(LruModel, Hits::Exact, {});

impl LruModel {
    fn made(_capacity: u64) -> Self {
        Self::default()
    }

    fn resized(&mut self, _capacity: u64) {}

    fn inserted(&mut self, slot: u32, _entries: &impl Entries) {
        self.queue.push_back(slot);
    }

    fn used(&mut self, slot: u32) {
        self.removed(slot);
        self.queue.push_back(slot);
    }

    fn removed(&mut self, slot: u32) {
        self.queue.remove(place(&self.queue, slot));
    }

    fn victim(&mut self, _entries: &impl Entries) -> Option<u32> {
        self.queue.pop_front()
    }

    fn moved(&mut self, from: u32, to: u32, _entries: &impl Entries) {
        let at = place(&self.queue, from);
        self.queue[at] = to;
    }
}

model!(LfuModel, Hits::Exact, { counts: VecDeque<u64>, floor: u64 });

impl LfuModel {
    fn made(_capacity: u64) -> Self {
        Self::default()
    }

    fn resized(&mut self, _capacity: u64) {}

    /// The queue is in the order in which slots reached their counts.
    fn put(&mut self, slot: u32, count: u64) {
        self.queue.push_back(slot);
        self.counts.push_back(count);
    }

    fn inserted(&mut self, slot: u32, _entries: &impl Entries) {
        self.put(slot, self.floor + 1);
    }

    fn used(&mut self, slot: u32) {
        let count = self.counts[place(&self.queue, slot)];
        self.removed(slot);
        self.put(slot, count + 1);
    }

    fn removed(&mut self, slot: u32) {
        let at = place(&self.queue, slot);
        self.queue.remove(at);
        self.counts.remove(at);
    }

    fn victim(&mut self, _entries: &impl Entries) -> Option<u32> {
        self.floor = *self.counts.iter().min()?;
        let at = self.counts.iter().position(|&count| count == self.floor)?;
        let victim = self.queue[at];
        self.removed(victim);
        Some(victim)
    }

    fn moved(&mut self, from: u32, to: u32, _entries: &impl Entries) {
        let at = place(&self.queue, from);
        self.queue[at] = to;
    }
}

model!(SieveModel, Hits::Marked, { hand: usize });

impl SieveModel {
    fn made(_capacity: u64) -> Self {
        Self::default()
    }

    fn resized(&mut self, _capacity: u64) {}

    fn inserted(&mut self, slot: u32, _entries: &impl Entries) {
        // A hand that went past the youngest begins anew, and doesn't wait for this one.
        self.hand = if self.hand == self.queue.len() { 0 } else { self.hand };
        self.queue.push_back(slot);
    }

    fn used(&mut self, _slot: u32) {}

    fn removed(&mut self, slot: u32) {
        let at = place(&self.queue, slot);
        self.queue.remove(at);
        self.hand -= usize::from(at < self.hand);
    }

    fn victim(&mut self, entries: &impl Entries) -> Option<u32> {
        if self.queue.is_empty() {
            return None;
        }
        loop {
            self.hand = if self.hand == self.queue.len() { 0 } else { self.hand };
            let slot = self.queue[self.hand];
            if entries.uses(slot) == 0 {
                self.queue.remove(self.hand);
                return Some(slot);
            }
            entries.set_uses(slot, 0);
            self.hand += 1;
        }
    }

    fn moved(&mut self, from: u32, to: u32, entries: &impl Entries) {
        let at = place(&self.queue, from);
        self.queue[at] = to;
        entries.set_uses(to, entries.uses(from).max(1));
    }
}

model!(S3FifoModel, Hits::Marked, { small: VecDeque<u32>, main: VecDeque<u32>, ghost: Vec<u32>, capacity: u64 });

impl S3FifoModel {
    /// Of the keys of a quarter of all hashes only the last sixteen are remembered.
    fn remember(&mut self, hash: u32) {
        self.ghost.push(hash);
        let row = |ghost: &u32| ghost >> 30 == hash >> 30;
        if self.ghost.iter().filter(|ghost| row(ghost)).count() > 16 {
            let oldest = self.ghost.iter().position(row).expect("there are seventeen");
            self.ghost.remove(oldest);
        }
    }

    fn made(capacity: u64) -> Self {
        Self { capacity, ..Self::default() }
    }

    fn resized(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    fn inserted(&mut self, slot: u32, entries: &impl Entries) {
        self.queue.push_back(slot);
        match self.ghost.iter().position(|&hash| hash == entries.hash(slot)) {
            Some(at) => {
                self.ghost.remove(at);
                self.main.push_back(slot);
            }
            None => self.small.push_back(slot),
        }
    }

    fn used(&mut self, _slot: u32) {}

    fn removed(&mut self, slot: u32) {
        self.queue.remove(place(&self.queue, slot));
    }

    fn victim(&mut self, entries: &impl Entries) -> Option<u32> {
        let weight: u64 = self.small.iter().map(|&slot| entries.weight(slot)).sum();
        if weight >= self.capacity / 10 || self.main.is_empty() {
            while let Some(slot) = self.small.pop_front() {
                if entries.uses(slot) < 2 {
                    self.remember(entries.hash(slot));
                    self.removed(slot);
                    return Some(slot);
                }
                entries.set_uses(slot, 0);
                self.main.push_back(slot);
            }
        }
        while let Some(slot) = self.main.pop_front() {
            let uses = entries.uses(slot);
            if uses == 0 {
                self.removed(slot);
                return Some(slot);
            }
            entries.set_uses(slot, uses - 1);
            self.main.push_back(slot);
        }
        None
    }

    fn moved(&mut self, _from: u32, _to: u32, _entries: &impl Entries) {
        unreachable!("the steps of this model move nothing");
    }
}
