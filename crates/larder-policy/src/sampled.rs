//! The keys that any shadow holds, found by hash.
//!
//! It knows which shadows hold a key and how often it was used in each, and nothing of what the
//! shadows make of that.

use std::cell::Cell;

use crate::slots::{allocated, reserve};
use crate::{Entries, USES_MAX};

/// The most shadows: there is a bit of a byte for each.
pub(crate) const SHADOWS_MAX: usize = u8::BITS as usize;

/// No slot: an empty place of the table.
const NONE: u16 = u16::MAX;

/// The places of the first table.
const PLACES_MIN: usize = 32;

/// The keys by slot, fewer than 65,535: eight bytes each, and two to six in the table.
#[derive(Clone, Debug)]
pub(crate) struct Sampled {
    keys: Vec<Key>,
    /// Where each key stands: open addressing in a power of two of places, at most three quarters
    /// of them taken.
    table: Box<[u16]>,
    spare: Vec<u16>,
}

#[derive(Clone, Debug)]
struct Key {
    hash: u32,
    /// How often it was used, two bits for each shadow.
    uses: Cell<u16>,
    /// Which shadows hold it, a bit for each. No bit is set in a spare slot.
    holders: u8,
}

/// What one of the shadows may know of the keys. Each weighs one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    keys: &'a [Key],
    shadow: usize,
}

impl Entries for View<'_> {
    #[inline]
    fn hash(&self, slot: u32) -> u32 {
        self.keys[slot as usize].hash
    }

    #[inline]
    fn weight(&self, _slot: u32) -> u64 {
        1
    }

    fn cost(&self, _slot: u32) -> u32 {
        1
    }

    #[inline]
    fn uses(&self, slot: u32) -> u8 {
        (self.keys[slot as usize].uses.get() >> (2 * self.shadow)) as u8 & USES_MAX
    }

    #[inline]
    fn set_uses(&self, slot: u32, uses: u8) {
        let (of, shift) = (&self.keys[slot as usize].uses, 2 * self.shadow);
        of.set(of.get() & !(u16::from(USES_MAX) << shift) | u16::from(uses) << shift);
    }
}

impl Sampled {
    pub(crate) fn new() -> Self {
        let table = vec![NONE; PLACES_MIN].into_boxed_slice();
        Self { keys: Vec::new(), table, spare: Vec::new() }
    }

    /// What this shadow may know.
    #[inline]
    pub(crate) fn view(&self, shadow: usize) -> View<'_> {
        View { keys: &self.keys, shadow }
    }

    /// The slot of a key, which is filled into one if no shadow holds it. Whoever asks sees to it
    /// that one holds it then.
    #[inline]
    pub(crate) fn slot(&mut self, hash: u32) -> u32 {
        match self.find(hash) {
            Ok(slot) => u32::from(slot),
            Err(at) => self.fill(hash, at),
        }
    }

    /// Which shadows hold a key, a bit for each.
    #[inline]
    pub(crate) fn holders(&self, slot: u32) -> u8 {
        self.keys[slot as usize].holders
    }

    /// This shadow holds the key from now on, unused.
    #[inline]
    pub(crate) fn hold(&mut self, slot: u32, shadow: usize) {
        self.view(shadow).set_uses(slot, 0);
        self.keys[slot as usize].holders |= 1 << shadow;
    }

    /// This shadow no longer holds the key, which is forgotten after the last.
    #[inline]
    pub(crate) fn let_go(&mut self, slot: u32, shadow: usize) {
        let key = &mut self.keys[slot as usize];
        key.holders &= !(1 << shadow);
        if key.holders == 0 {
            self.free(slot as u16);
        }
    }

    pub(crate) fn allocated(&self) -> usize {
        allocated(&self.keys) + size_of_val(&*self.table) + allocated(&self.spare)
    }

    /// The slots of the keys that any shadow holds.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let held = (0..).zip(&self.keys).filter(|(_, key)| key.holders != 0);
        held.map(|(slot, _)| slot)
    }

    pub(crate) fn assert_invariants(&self) {
        let held = self.iter().count();
        assert_eq!(held + self.spare.len(), self.keys.len());
        assert_eq!(self.table.iter().filter(|&&slot| slot != NONE).count(), held);
        for slot in self.iter() {
            assert_eq!(self.find(self.hash(slot as u16)), Ok(slot as u16), "a key can't be found");
        }
    }

    /// The slot of a key, or the empty place in the table where the search for it ends.
    #[inline]
    fn find(&self, hash: u32) -> Result<u16, usize> {
        let mut at = self.home(hash);
        loop {
            let slot = self.table[at];
            if slot == NONE {
                return Err(at);
            }
            if self.hash(slot) == hash {
                return Ok(slot);
            }
            at = self.next(at);
        }
    }

    /// Puts a key that isn't there into a slot, and into the table `at` this empty place.
    fn fill(&mut self, hash: u32, at: usize) -> u32 {
        let key = Key { hash, uses: Cell::new(0), holders: 0 };
        let slot = match self.spare.pop() {
            Some(slot) => {
                self.keys[usize::from(slot)] = key;
                slot
            }
            None => {
                let length = self.keys.len() + 1;
                reserve(&mut self.keys, length);
                self.keys.push(key);
                // There are fewer slots than fit into sixteen bits.
                (length - 1) as u16
            }
        };
        self.table[at] = slot;
        let taken = self.keys.len() - self.spare.len();
        if taken > self.table.len() / 4 * 3 {
            self.grow();
        }
        u32::from(slot)
    }

    /// Makes the table twice as large.
    #[cold]
    fn grow(&mut self) {
        let larger = vec![NONE; 2 * self.table.len()].into_boxed_slice();
        let table = std::mem::replace(&mut self.table, larger);
        for &slot in table.iter().filter(|&&slot| slot != NONE) {
            let place = self.place(self.hash(slot), NONE);
            self.table[place] = slot;
        }
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

    /// The place in the table where `slot` stands, looked for as a key with this hash.
    #[inline]
    fn place(&self, hash: u32, slot: u16) -> usize {
        let mut at = self.home(hash);
        while self.table[at] != slot {
            at = self.next(at);
        }
        at
    }

    #[inline]
    fn hash(&self, slot: u16) -> u32 {
        self.keys[usize::from(slot)].hash
    }

    /// Where a key would stand in an empty table. The low bits are those of the sample, so the
    /// others decide.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash.wrapping_mul(0x9E37_79B1)) * self.table.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.table.len() - 1)
    }

    /// How far it is from one place onwards to another.
    #[inline]
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.table.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_forgotten_when_the_last_shadow_lets_it_go() {
        let mut sampled = Sampled::new();
        let slot = sampled.slot(7);
        sampled.hold(slot, 0);
        sampled.hold(slot, 4);
        sampled.let_go(slot, 0);
        assert_eq!((sampled.slot(7), sampled.holders(slot)), (slot, 1 << 4));
        sampled.let_go(slot, 4);
        sampled.assert_invariants();
        assert_eq!(sampled.iter().count(), 0);
        assert_eq!(sampled.slot(8), slot, "a spare slot is used again");
    }

    #[test]
    fn each_shadow_counts_uses_of_its_own() {
        let mut sampled = Sampled::new();
        let slot = sampled.slot(7);
        for shadow in 0..SHADOWS_MAX {
            sampled.hold(slot, shadow);
            sampled.view(shadow).set_uses(slot, shadow as u8 % 4);
        }
        let uses: Vec<u8> = (0..8).map(|shadow| sampled.view(shadow).uses(slot)).collect();
        assert_eq!(uses, [0, 1, 2, 3, 0, 1, 2, 3]);
        sampled.hold(slot, 3);
        assert_eq!(sampled.view(3).uses(slot), 0);
    }

    #[test]
    fn keys_are_found_while_the_table_grows_and_others_leave() {
        let mut sampled = Sampled::new();
        let hash = |key: u32| key.wrapping_mul(0x85EB_CA6B) & !255;
        for key in 0..2000 {
            let slot = sampled.slot(hash(key));
            assert_eq!(sampled.holders(slot), 0, "key {key} is new");
            sampled.hold(slot, 1);
            if key % 3 > 0 {
                let slot = sampled.slot(hash(key / 2));
                sampled.hold(slot, 1);
                sampled.let_go(slot, 1);
            }
        }
        sampled.assert_invariants();
        assert!(sampled.iter().count() > 500);
    }
}
