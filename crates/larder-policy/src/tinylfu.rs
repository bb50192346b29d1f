//! W-TinyLFU: a small window, and a main part that admits what is used more often.

use crate::past::Past;
use crate::queues::Queues;
use crate::segments::{Admission, Returning, Segments, Tuning};
use crate::{Entries, Hits, Policy};

/// A window of one hundredth of the capacity.
const TUNING: Tuning =
    Tuning { window_per_mille: 10, admission: Admission::MoreOften, returning: Returning::Marked };

/// Evicts what leaves a small window, unless it was seen more often than the oldest of the rest.
///
/// *Idea*: a sketch of four-bit counters remembers how often keys were seen, held or not, so a scan
/// or a key seen once displaces nothing that is used. Here both parts are queues in which a used
/// entry goes round once more, where the paper keeps lists in order of use: so a use is a mark on
/// the entry and reads take no lock. A key that comes back soon after it was evicted goes round the
/// window once more. [`Adaptive`](crate::Adaptive) also chooses the window.
///
/// *Cost*: a use is a mark. An eviction is constant on average, and looks at no more than 256
/// entries; ageing the sketch halves all counts now and then.
///
/// *Memory*: 11 to 12 bytes per slot: 4 in the queues, 1 for its place, 4 in the sketch, 2 for
/// a ghost, and what is in reserve.
///
/// *Paper*: Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM
/// Transactions on Storage 2017.
#[derive(Clone, Debug)]
pub struct TinyLfu {
    segments: Segments<Queues>,
    past: Past,
}

impl Policy for TinyLfu {
    fn hits(&self) -> Hits {
        Hits::Marked
    }

    fn new(capacity: u64) -> Self {
        Self { segments: Segments::new(Queues::new(), capacity, TUNING), past: Past::new() }
    }

    fn resize(&mut self, capacity: u64) {
        self.segments.resize(capacity);
    }

    fn insert(&mut self, slot: u32, entries: &impl Entries) {
        self.segments.insert(slot, entries.hash(slot), entries, &mut self.past);
    }

    fn hit(&mut self, _slot: u32, _entries: &impl Entries) {}

    fn remove(&mut self, slot: u32, entries: &impl Entries) {
        self.segments.remove(slot, entries);
    }

    fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        self.segments.evict(entries, &mut self.past)
    }

    fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        self.segments.relocate(from, to, entries);
    }

    fn len(&self) -> usize {
        self.segments.len()
    }

    fn shrink(&mut self, slots: u32) {
        self.segments.shrink(slots);
        self.past.shrink(self.len());
    }

    fn allocated(&self) -> usize {
        self.segments.allocated() + self.past.allocated()
    }

    fn assert_invariants(&self, entries: &impl Entries) {
        self.segments.assert_invariants(entries);
    }
}
