//! A window and a main queue, and who passes from one to the other.
//!
//! The common ground of [`TinyLfu`](crate::TinyLfu), which holds to one [`Tuning`], and of
//! [`Adaptive`](crate::Adaptive), which changes it. It doesn't know which tuning is good.
//!
//! Both queues are first-in first-out and what was used goes round once more, so that a use is a
//! mark on the entry and moves nothing. A new entry stands in the window. What leaves the window
//! is the *candidate*: while the main queue has room it goes there, and afterwards it is compared
//! with that queue's *victim*, the oldest entry there without a mark. One of the two is evicted.
//!
//! Readers mark at most three uses between two looks, while each miss of a key that isn't held is
//! counted in full. So a candidate must have been seen more often by a margin.

use crate::Entries;
use crate::lines::Lines;
use crate::past::Past;
use crate::queues::Queue::{First as Window, Second as Main};
use crate::queues::{Pair, Queue, Queues};

/// The most entries that one eviction looks at in a queue. After so many it takes what comes, so
/// that no insert waits for a whole queue of used entries to go round.
const LOOKS_MAX: usize = 128;

/// The most entries that one insert moves from the window to the main queue.
const MOVES_MAX: usize = 4;

/// By how much more the candidate must have been seen than the victim.
const MARGIN: u8 = 2;

/// What can be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// The share of the capacity that the window takes, in thousandths.
    pub(crate) window_per_mille: u16,
    pub(crate) admission: Admission,
    pub(crate) returning: Returning,
}

impl Tuning {
    /// The window's share of a capacity, and at least one.
    fn window(self, capacity: u64) -> u64 {
        let share = u128::from(capacity) * u128::from(self.window_per_mille) / 1000;
        // A share of the capacity is at most the capacity.
        (share as u64).max(1)
    }

    /// Whether it makes a difference to it what is known of keys that are not held.
    pub(crate) fn asks_for_past(self) -> bool {
        self.admission == Admission::MoreOften || self.returning != Returning::AsNew
    }
}

/// Which candidates replace the victim of the main queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Each of them.
    Always,
    /// Those that were seen more often than the victim.
    MoreOften,
}

/// What a key gets that comes back soon after it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returning {
    /// Nothing that a new key doesn't get.
    AsNew,
    /// A mark, so that it goes round the window once more.
    Marked,
    /// A place in the main queue.
    ToMain,
}

/// The two queues of the entries that are held.
#[derive(Clone, Debug)]
pub(crate) struct Segments<Q> {
    queues: Q,
    /// What the entries of each queue weigh.
    weights: [u64; 2],
    capacity: u64,
    /// What the window may weigh before it gives entries up.
    window: u64,
    tuning: Tuning,
}

impl<Q: Pair> Segments<Q> {
    /// Segments that hold nothing yet, in these empty queues.
    pub(crate) fn new(queues: Q, capacity: u64, tuning: Tuning) -> Self {
        let window = tuning.window(capacity);
        Self { queues, weights: [0; 2], capacity, window, tuning }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.queues.len(Window) + self.queues.len(Main)
    }

    pub(crate) fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.window = self.tuning.window(capacity);
    }

    /// Goes on with another tuning; the queues follow little by little.
    pub(crate) fn tune(&mut self, tuning: Tuning) {
        self.tuning = tuning;
        self.window = tuning.window(self.capacity);
    }

    /// Holds the entry in `slot`, whose key has this `hash`.
    #[inline]
    pub(crate) fn insert(&mut self, slot: u32, hash: u32, entries: &impl Entries, past: &mut Past) {
        let weight = entries.weight(slot);
        if past.arrive(hash, self.len() + 1) {
            self.insert_returned(slot, weight, entries);
        } else {
            self.push(Window, slot, weight);
        }
        if self.weights[Window as usize] > self.window {
            self.settle(entries, past);
        }
    }

    /// Holds an entry that left lately.
    #[inline(never)]
    fn insert_returned(&mut self, slot: u32, weight: u64, entries: &impl Entries) {
        match self.tuning.returning {
            Returning::AsNew => self.push(Window, slot, weight),
            Returning::Marked => {
                self.push(Window, slot, weight);
                entries.set_uses(slot, 1);
            }
            Returning::ToMain => self.push(Main, slot, weight),
        }
    }

    #[inline]
    pub(crate) fn evict(&mut self, entries: &impl Entries, past: &mut Past) -> Option<u32> {
        if self.queues.len(Main) == 0 {
            return self.evict_from_window(entries, past);
        }
        let victim = if self.weights[Window as usize] >= self.window {
            let candidate = self.candidate(entries, past)?;
            let (victim, marks) = self.victim(entries, past)?;
            let hash = entries.hash(candidate);
            if !self.admits(hash, victim, marks, entries, past) {
                past.leave(hash);
                self.take(Window, candidate, entries);
                return Some(candidate);
            }
            let weight = self.take(Window, candidate, entries);
            self.push(Main, candidate, weight);
            victim
        } else {
            self.victim(entries, past)?.0
        };
        past.leave(entries.hash(victim));
        self.take(Main, victim, entries);
        Some(victim)
    }

    /// Evicts where nobody is there whose place a candidate could take.
    #[cold]
    fn evict_from_window(&mut self, entries: &impl Entries, past: &mut Past) -> Option<u32> {
        let candidate = self.candidate(entries, past)?;
        past.leave(entries.hash(candidate));
        self.take(Window, candidate, entries);
        Some(candidate)
    }

    pub(crate) fn allocated(&self) -> usize {
        self.queues.allocated()
    }

    pub(crate) fn assert_invariants(&self, entries: &impl Entries) {
        self.queues.assert_invariants();
        for queue in [Window, Main] {
            let weight: u64 = self.queues.iter(queue).map(|slot| entries.weight(slot)).sum();
            assert_eq!(weight, self.weights[queue as usize], "the {queue:?} queue weighs wrongly");
        }
    }

    /// Whether a candidate, by its hash, takes the place of the victim, which has so many marks.
    #[inline]
    fn admits(
        &self,
        candidate: u32,
        victim: u32,
        marks: u8,
        entries: &impl Entries,
        past: &Past,
    ) -> bool {
        match self.tuning.admission {
            Admission::Always => true,
            Admission::MoreOften => {
                let least = marks + MARGIN;
                // Most candidates were seen so seldom that the victim need not be looked up.
                past.is_seen_more(candidate, least)
                    && past.is_seen_more(candidate, least + past.frequency(entries.hash(victim)))
            }
        }
    }

    /// Moves entries on, a few at a time, while the window is too heavy and the main queue isn't.
    #[inline(never)]
    fn settle(&mut self, entries: &impl Entries, past: &mut Past) {
        for _ in 0..MOVES_MAX {
            if self.weights[Window as usize] <= self.window {
                return;
            }
            let room = self.capacity.saturating_sub(self.window);
            let Some(front) = self.queues.front(Window) else { return };
            if self.weights[Main as usize].saturating_add(entries.weight(front)) > room {
                return;
            }
            let Some(slot) = self.candidate(entries, past) else { return };
            let weight = self.take(Window, slot, entries);
            self.push(Main, slot, weight);
        }
    }

    /// Brings the window's next entry without a mark to its front.
    // Always in line, as is the victim: a call costs more than what is done in most of them.
    #[inline(always)]
    fn candidate(&mut self, entries: &impl Entries, past: &mut Past) -> Option<u32> {
        let slot = self.queues.front(Window)?;
        if entries.uses(slot) == 0 { Some(slot) } else { self.next_candidate(entries, past) }
    }

    /// Brings the main queue's next entry without a mark to its front, and answers how many marks
    /// it has all the same.
    #[inline(always)]
    fn victim(&mut self, entries: &impl Entries, past: &mut Past) -> Option<(u32, u8)> {
        let slot = self.queues.front(Main)?;
        if entries.uses(slot) == 0 { Some((slot, 0)) } else { self.next_victim(entries, past) }
    }

    /// Lets what has marks go round in the window, where it loses them.
    #[inline(never)]
    fn next_candidate(&mut self, entries: &impl Entries, past: &mut Past) -> Option<u32> {
        for _ in 0..LOOKS_MAX.min(self.queues.len(Window)) {
            let slot = self.queues.front(Window)?;
            let uses = entries.uses(slot);
            if uses == 0 {
                return Some(slot);
            }
            past.see(entries.hash(slot), uses);
            entries.set_uses(slot, 0);
            self.queues.rotate(Window, slot);
        }
        self.queues.front(Window)
    }

    /// Lets what has marks go round in the main queue, where it loses one.
    #[inline(never)]
    fn next_victim(&mut self, entries: &impl Entries, past: &mut Past) -> Option<(u32, u8)> {
        for _ in 0..LOOKS_MAX {
            let slot = self.queues.front(Main)?;
            let uses = entries.uses(slot);
            if uses == 0 {
                return Some((slot, 0));
            }
            past.see(entries.hash(slot), 1);
            entries.set_uses(slot, uses - 1);
            self.queues.rotate(Main, slot);
        }
        let slot = self.queues.front(Main)?;
        Some((slot, entries.uses(slot)))
    }

    /// Takes the oldest entry, whose slot is known, out of a queue. Answers what it weighs.
    #[inline]
    fn take(&mut self, queue: Queue, slot: u32, entries: &impl Entries) -> u64 {
        let weight = entries.weight(slot);
        self.queues.take(queue, slot);
        self.weights[queue as usize] -= weight;
        weight
    }

    #[inline]
    fn push(&mut self, queue: Queue, slot: u32, weight: u64) {
        self.queues.push(queue, slot);
        self.weights[queue as usize] += weight;
    }
}

impl Segments<Lines> {
    /// Lets go of what `keep` doesn't want; the order stays.
    pub(crate) fn retain(&mut self, entries: &impl Entries, keep: impl Fn(u32) -> bool) {
        self.queues.retain(keep);
        for queue in [Window, Main] {
            let weights = self.queues.iter(queue).map(|slot| entries.weight(slot));
            self.weights[queue as usize] = weights.sum();
        }
    }

    /// What it holds, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.queues.iter(Window).chain(self.queues.iter(Main))
    }
}

impl Segments<Queues> {
    pub(crate) fn remove(&mut self, slot: u32, entries: &impl Entries) {
        let queue = self.queues.remove(slot);
        self.weights[queue as usize] -= entries.weight(slot);
    }

    pub(crate) fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        let weight = &mut self.weights[self.queues.replace(from, to) as usize];
        *weight = *weight - entries.weight(from) + entries.weight(to);
        entries.set_uses(to, entries.uses(from).max(1));
    }

    pub(crate) fn shrink(&mut self, slots: u32) {
        self.queues.shrink(slots);
    }
}
