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
use crate::past::Past;
use crate::queues::Queue::{First as Window, Second as Main};
use crate::queues::{Queue, Queues};

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
pub(crate) struct Segments {
    queues: Queues,
    /// What the entries of each queue weigh.
    weights: [u64; 2],
    capacity: u64,
    /// What the window may weigh before it gives entries up.
    window: u64,
    tuning: Tuning,
}

impl Segments {
    pub(crate) fn new(capacity: u64, tuning: Tuning) -> Self {
        let window = tuning.window(capacity);
        Self { queues: Queues::new(), weights: [0; 2], capacity, window, tuning }
    }

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

    pub(crate) fn insert(&mut self, slot: u32, entries: &impl Entries, past: &mut Past) {
        let returned = past.arrive(entries.hash(slot), self.len() + 1);
        match self.tuning.returning {
            Returning::ToMain if returned => self.push(Main, slot, entries),
            Returning::Marked if returned => {
                self.push(Window, slot, entries);
                entries.set_uses(slot, 1);
            }
            _ => self.push(Window, slot, entries),
        }
        self.settle(entries, past);
    }

    pub(crate) fn remove(&mut self, slot: u32, entries: &impl Entries) {
        let queue = self.queues.remove(slot);
        self.weights[queue as usize] -= entries.weight(slot);
    }

    pub(crate) fn evict(&mut self, entries: &impl Entries, past: &mut Past) -> Option<u32> {
        let slot = self.choose(entries, past)?;
        past.leave(entries.hash(slot));
        Some(slot)
    }

    pub(crate) fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        let queue = self.queues.remove(from);
        self.weights[queue as usize] -= entries.weight(from);
        entries.set_uses(to, entries.uses(from).max(1));
        self.push(queue, to, entries);
    }

    pub(crate) fn shrink(&mut self, slots: u32) {
        self.queues.shrink(slots);
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

    /// Whether the main queue takes the next of the window without giving anything up.
    fn main_has_room(&mut self, entries: &impl Entries) -> bool {
        let room = self.capacity.saturating_sub(self.window);
        let candidate = self.queues.front(Window).map_or(0, |slot| entries.weight(slot));
        self.weights[Main as usize].saturating_add(candidate) <= room
    }

    /// Moves entries on, a few at a time, while the window is too heavy and the main queue isn't.
    fn settle(&mut self, entries: &impl Entries, past: &mut Past) {
        for _ in 0..MOVES_MAX {
            if self.weights[Window as usize] <= self.window || !self.main_has_room(entries) {
                return;
            }
            let Some(slot) = self.candidate(entries, past) else { return };
            self.move_on(slot, entries);
        }
    }

    fn choose(&mut self, entries: &impl Entries, past: &mut Past) -> Option<u32> {
        let window_is_full = self.weights[Window as usize] >= self.window;
        if self.queues.len(Main) == 0 || self.queues.len(Window) > 0 && window_is_full {
            let candidate = self.candidate(entries, past)?;
            let Some(victim) = self.victim(entries, past) else {
                return self.pop(Window, entries);
            };
            if !self.admits(candidate, victim, entries, past) {
                return self.pop(Window, entries);
            }
            self.move_on(candidate, entries);
        } else {
            self.victim(entries, past)?;
        }
        self.pop(Main, entries)
    }

    fn admits(&self, candidate: u32, victim: u32, entries: &impl Entries, past: &Past) -> bool {
        match self.tuning.admission {
            Admission::Always => true,
            Admission::MoreOften => {
                let marks = entries.uses(victim);
                let seen = past.frequency(entries.hash(victim)) + marks;
                past.frequency(entries.hash(candidate)) > seen + MARGIN
            }
        }
    }

    /// Brings the window's next entry without a mark to its front; those before it go round.
    fn candidate(&mut self, entries: &impl Entries, past: &mut Past) -> Option<u32> {
        for _ in 0..LOOKS_MAX.min(self.queues.len(Window)) {
            let slot = self.queues.front(Window)?;
            let uses = entries.uses(slot);
            if uses == 0 {
                break;
            }
            past.see(entries.hash(slot), uses);
            entries.set_uses(slot, 0);
            self.queues.rotate(Window);
        }
        self.queues.front(Window)
    }

    /// Brings the main queue's next entry without a mark to its front; those before it lose one
    /// and go round.
    fn victim(&mut self, entries: &impl Entries, past: &mut Past) -> Option<u32> {
        for _ in 0..LOOKS_MAX {
            let slot = self.queues.front(Main)?;
            let uses = entries.uses(slot);
            if uses == 0 {
                break;
            }
            past.see(entries.hash(slot), 1);
            entries.set_uses(slot, uses - 1);
            self.queues.rotate(Main);
        }
        self.queues.front(Main)
    }

    /// Moves the window's oldest entry to the main queue.
    fn move_on(&mut self, candidate: u32, entries: &impl Entries) {
        self.pop(Window, entries);
        self.push(Main, candidate, entries);
    }

    fn push(&mut self, queue: Queue, slot: u32, entries: &impl Entries) {
        self.queues.push(queue, slot);
        self.weights[queue as usize] += entries.weight(slot);
    }

    fn pop(&mut self, queue: Queue, entries: &impl Entries) -> Option<u32> {
        let slot = self.queues.pop(queue)?;
        self.weights[queue as usize] -= entries.weight(slot);
        Some(slot)
    }
}
