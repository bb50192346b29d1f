//! Cost-aware: what is cheap to load again, large and seldom used leaves first.

use crate::crowd::Crowd;
use crate::draw::Draw;
use crate::{Entries, Hits, Policy};

/// How many entries an eviction looks at.
const LOOKS: u32 = 8;

/// The floor follows the least worth of so many victims. One alone says too little: now and then
/// all the entries drawn are dear, and a floor that rose to theirs would make all others equal.
const VICTIMS: u32 = 16;

/// The most frequency that one entry gathers; it grows by at most
/// [`USES_MAX`](crate::USES_MAX) per look.
const FREQUENCY_MAX: u16 = 255;

/// Evicts, among eight entries drawn by chance, the one with the least `cost × frequency ÷ weight`
/// above an ageing floor.
///
/// *Idea*: GreedyDual-Size-Frequency. An entry's worth is the floor at its last known use plus the
/// loading time that it saves per unit of weight; the floor rises to the worth of what is evicted,
/// so what isn't used any more is overtaken by newcomers. Drawing instead of sorting lets a use be
/// a mark on the entry, which is counted when the entry is drawn; so the floor follows the
/// least of sixteen victims, and not each of them. The seed is fixed.
///
/// *Cost*: an eviction looks at eight entries; everything else is constant, and a use is a mark.
///
/// *Memory*: 24 bytes per slot.
///
/// *Paper*: Cherkasova, "Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching
/// policy", HP Labs 1998.
#[derive(Clone, Debug)]
pub struct CostAware {
    held: Crowd<Worth>,
    floor: f64,
    /// The least worth of the victims since the floor last rose, and how many there were.
    least: f64,
    victims: u32,
    draw: Draw,
}

/// What is known of an entry.
#[derive(Clone, Copy, Debug)]
struct Worth {
    worth: f64,
    frequency: u16,
}

impl CostAware {
    fn worth(&self, slot: u32, frequency: u16, entries: &impl Entries) -> f64 {
        let (cost, weight) = (f64::from(entries.cost(slot)), entries.weight(slot));
        // A weightless entry takes no room, but it takes a slot: it counts as the lightest.
        self.floor + cost * f64::from(frequency) / weight.max(1) as f64
    }

    /// Counts the marks of the entry at `place`, and says what it is worth.
    fn look(&mut self, place: u32, entries: &impl Entries) -> (u32, f64) {
        let (slot, mut known) = *self.held.at(place);
        let uses = entries.uses(slot);
        if uses > 0 {
            entries.set_uses(slot, 0);
            known.frequency = (known.frequency + u16::from(uses)).min(FREQUENCY_MAX);
            known.worth = self.worth(slot, known.frequency, entries);
            self.held.at(place).1 = known;
        }
        (slot, known.worth)
    }
}

impl Policy for CostAware {
    fn hits(&self) -> Hits {
        Hits::Marked
    }

    fn new(_capacity: u64) -> Self {
        Self { held: Crowd::new(), floor: 0.0, least: f64::INFINITY, victims: 0, draw: Draw::new() }
    }

    fn resize(&mut self, _capacity: u64) {}

    fn insert(&mut self, slot: u32, entries: &impl Entries) {
        let worth = self.worth(slot, 1, entries);
        self.held.insert(slot, Worth { worth, frequency: 1 });
    }

    fn hit(&mut self, _slot: u32, _entries: &impl Entries) {}

    fn remove(&mut self, slot: u32, _entries: &impl Entries) {
        self.held.remove(slot);
    }

    fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        let length = self.held.len() as u32;
        let mut least: Option<(u32, f64)> = None;
        for look in 0..LOOKS.min(length) {
            // So few are all looked at.
            let place = if length > LOOKS { self.draw.below(length) } else { look };
            let (slot, worth) = self.look(place, entries);
            if least.is_none_or(|(_, least)| worth < least) {
                least = Some((slot, worth));
            }
        }
        let (victim, worth) = least?;
        self.held.remove(victim);
        self.least = self.least.min(worth);
        self.victims += 1;
        if self.victims == VICTIMS {
            self.floor = self.floor.max(self.least);
            (self.least, self.victims) = (f64::INFINITY, 0);
        }
        Some(victim)
    }

    fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries) {
        let known = self.held.remove(from);
        let frequency = (known.frequency + 1).min(FREQUENCY_MAX);
        self.held.insert(to, Worth { worth: self.worth(to, frequency, entries), frequency });
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
        assert!(self.floor.is_finite(), "the floor is {}", self.floor);
    }
}
