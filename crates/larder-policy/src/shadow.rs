//! A small cache of sampled keys, without values, that shows what a tuning would hit.
//!
//! It runs the very code of the policy on the keys of a sample, whose size is to the capacity as
//! the sample is to all keys. It knows nothing of the real cache.

use std::cell::Cell;

use crate::past::Past;
use crate::segments::{Segments, Tuning};
use crate::slots::{allocated, reserve};
use crate::{Entries, USES_MAX};

/// No slot: an empty place of the table.
const NONE: u16 = u16::MAX;

/// Keys held by hash, about 22 bytes each. Every entry weighs one.
///
/// *Paper*: Waldspurger, Saemundsson, Ahmad, Park, "Cache modeling and optimization using miniature
/// simulations", USENIX ATC 2017.
#[derive(Clone, Debug)]
pub(crate) struct Shadow {
    segments: Segments,
    past: Past,
    keys: Keys,
    /// Where each key stands: open addressing, at most half full.
    table: Box<[u16]>,
    spare: Vec<u16>,
    capacity: usize,
}

/// The keys by slot.
#[derive(Clone, Debug, Default)]
struct Keys(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    hash: u32,
    uses: Cell<u8>,
}

impl Entries for Keys {
    fn hash(&self, slot: u32) -> u32 {
        self.0[slot as usize].hash
    }

    fn weight(&self, _slot: u32) -> u64 {
        1
    }

    fn cost(&self, _slot: u32) -> u32 {
        1
    }

    fn uses(&self, slot: u32) -> u8 {
        self.0[slot as usize].uses.get()
    }

    fn set_uses(&self, slot: u32, uses: u8) {
        self.0[slot as usize].uses.set(uses);
    }
}

impl Shadow {
    /// A shadow that never holds more than `keys_max` keys, fewer than 32,768.
    pub(crate) fn new(keys_max: usize, tuning: Tuning) -> Self {
        Self {
            segments: Segments::new(keys_max as u64, tuning),
            past: Past::new(),
            keys: Keys::default(),
            table: vec![NONE; (2 * keys_max).next_power_of_two()].into_boxed_slice(),
            spare: Vec::new(),
            capacity: keys_max,
        }
    }

    /// Holds at most `capacity` keys from now on, which is no more than it was made for.
    pub(crate) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.segments.resize(capacity as u64);
        while self.segments.len() > capacity {
            self.evict();
        }
    }

    /// A use of the key in the real cache, hit or miss there. Answers whether it hits here.
    pub(crate) fn see(&mut self, hash: u32) -> bool {
        if let Some(slot) = self.find(hash) {
            let uses = &self.keys.0[usize::from(slot)].uses;
            uses.set((uses.get() + 1).min(USES_MAX));
            return true;
        }
        if self.segments.len() >= self.capacity {
            self.evict();
        }
        let slot = self.fill(hash);
        self.segments.insert(u32::from(slot), &self.keys, &mut self.past);
        false
    }

    /// Lets go of the keys that are no longer in the sample.
    pub(crate) fn thin(&mut self, mask: u32) {
        let held = self.table.iter().copied().filter(|&slot| slot != NONE);
        let out: Vec<u16> = held.filter(|&slot| self.hash(slot) & mask != 0).collect();
        for slot in out {
            self.segments.remove(u32::from(slot), &self.keys);
            self.free(slot);
        }
    }

    pub(crate) fn allocated(&self) -> usize {
        self.segments.allocated()
            + self.past.allocated()
            + allocated(&self.keys.0)
            + size_of_val(&*self.table)
            + allocated(&self.spare)
    }

    pub(crate) fn assert_invariants(&self) {
        self.segments.assert_invariants(&self.keys);
        let held = self.table.iter().filter(|&&slot| slot != NONE).count();
        assert_eq!(held, self.segments.len());
        assert_eq!(held + self.spare.len(), self.keys.0.len());
        assert!(held <= self.capacity, "{held} keys stand in a shadow for {}", self.capacity);
        for &slot in self.table.iter().filter(|&&slot| slot != NONE) {
            assert_eq!(self.find(self.hash(slot)), Some(slot), "a key can't be found");
        }
    }

    fn evict(&mut self) {
        if let Some(slot) = self.segments.evict(&self.keys, &mut self.past) {
            // There are fewer slots than fit into sixteen bits.
            self.free(slot as u16);
        }
    }

    /// Puts a key that isn't held into a slot and into the table.
    fn fill(&mut self, hash: u32) -> u16 {
        let slot = self.spare.pop().unwrap_or(self.keys.0.len() as u16);
        let key = Key { hash, uses: Cell::new(0) };
        match self.keys.0.get_mut(usize::from(slot)) {
            Some(place) => *place = key,
            None => {
                let length = self.keys.0.len() + 1;
                reserve(&mut self.keys.0, length);
                self.keys.0.push(key);
            }
        }
        let place = self.place(hash, NONE);
        self.table[place] = slot;
        slot
    }

    /// Takes a slot's key out of the table, and moves back what stood behind it.
    fn free(&mut self, slot: u16) {
        let mut gap = self.place(self.hash(slot), slot);
        let mut at = gap;
        loop {
            at = self.next(at);
            let other = self.table[at];
            if other == NONE {
                break;
            }
            let home = self.home(self.hash(other));
            if self.distance(home, at) >= self.distance(gap, at) {
                self.table[gap] = other;
                gap = at;
            }
        }
        self.table[gap] = NONE;
        self.spare.push(slot);
    }

    fn find(&self, hash: u32) -> Option<u16> {
        let mut at = self.home(hash);
        while self.table[at] != NONE {
            if self.hash(self.table[at]) == hash {
                return Some(self.table[at]);
            }
            at = self.next(at);
        }
        None
    }

    /// The place in the table where `slot` stands, looked for as a key with this hash.
    fn place(&self, hash: u32, slot: u16) -> usize {
        let mut at = self.home(hash);
        while self.table[at] != slot {
            at = self.next(at);
        }
        at
    }

    fn hash(&self, slot: u16) -> u32 {
        self.keys.0[usize::from(slot)].hash
    }

    /// Where a key would stand in an empty table. The low bits are those of the sample, so the
    /// others decide.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash.wrapping_mul(0x9E37_79B1)) * self.table.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.table.len() - 1)
    }

    /// How far it is from one place onwards to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.table.len() - 1)
    }
}
