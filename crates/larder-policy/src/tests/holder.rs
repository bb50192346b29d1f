//! A holder of entries for the tests: it keeps its own books and checks the policy's by them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::hash;
use crate::{Entries, Hits, Policy, USES_MAX};

/// Something that happens to a cache. Slots are chosen among the held ones by a number.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Uses the key if it is held, and fills it otherwise.
    Get {
        key: u32,
        weight: u64,
    },
    Remove(usize),
    Relocate(usize),
    Evict,
    Resize(u64),
    Shrink,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let weight = prop_oneof![8 => Just(1), 1 => Just(0), 2 => 2..5u64, 1 => 5..60u64];
    let step = prop_oneof![
        12 => (0..60u32, weight).prop_map(|(key, weight)| Step::Get { key, weight }),
        2 => any::<usize>().prop_map(Step::Remove),
        2 => any::<usize>().prop_map(Step::Relocate),
        1 => Just(Step::Evict),
        1 => prop_oneof![4 => 0..40u64, 1 => Just(u64::MAX)].prop_map(Step::Resize),
        1 => Just(Step::Shrink),
    ];
    prop::collection::vec(step, 0..300)
}

/// The entries by slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Vec<Entry>);

#[derive(Clone, Debug, Default)]
struct Entry {
    hash: u32,
    weight: u64,
    cost: u32,
    uses: Cell<u8>,
}

impl Table {
    /// One key in four costs a hundred times as much as the others.
    pub(super) fn is_dear(&self, slot: u32) -> bool {
        self.0[slot as usize].cost > 1
    }
}

impl Entries for Table {
    fn hash(&self, slot: u32) -> u32 {
        self.0[slot as usize].hash
    }

    fn weight(&self, slot: u32) -> u64 {
        self.0[slot as usize].weight
    }

    fn cost(&self, slot: u32) -> u32 {
        self.0[slot as usize].cost
    }

    fn uses(&self, slot: u32) -> u8 {
        self.0[slot as usize].uses.get()
    }

    fn set_uses(&self, slot: u32, uses: u8) {
        assert!(uses <= USES_MAX, "{uses} uses are more than fit");
        self.0[slot as usize].uses.set(uses);
    }
}

/// A cache without values.
#[derive(Debug)]
pub(super) struct Holder<P> {
    pub(super) policy: P,
    pub(super) table: Table,
    /// What was evicted, in order, by key.
    pub(super) evicted: Vec<u32>,
    slots: BTreeMap<u32, u32>,
    keys: BTreeMap<u32, u32>,
    free: BTreeSet<u32>,
    capacity: u64,
    weight: u64,
}

impl<P: Policy> Holder<P> {
    pub(super) fn new(policy: P, capacity: u64) -> Self {
        Self {
            policy,
            table: Table::default(),
            evicted: Vec::new(),
            slots: BTreeMap::new(),
            keys: BTreeMap::new(),
            free: BTreeSet::new(),
            capacity,
            weight: 0,
        }
    }

    pub(super) fn apply(&mut self, step: &Step) {
        match *step {
            Step::Get { key, weight } => match self.slots.get(&key) {
                Some(&slot) => self.touch(slot),
                None if weight <= self.capacity => drop(self.fill_quietly(key, weight)),
                None => {}
            },
            Step::Remove(nth) => {
                if let Some(slot) = self.nth(nth) {
                    self.remove(slot);
                }
            }
            Step::Relocate(nth) => {
                if let Some(slot) = self.nth(nth) {
                    self.relocate(slot);
                }
            }
            Step::Evict => drop(self.evict()),
            Step::Resize(capacity) => self.resize(capacity),
            Step::Shrink => {
                let slots = self.keys.last_key_value().map_or(0, |(last, _)| last + 1);
                self.free.retain(|&slot| slot < slots);
                self.table.0.truncate(slots as usize);
                self.policy.shrink(slots);
            }
        }
        self.check();
    }

    /// Uses the key if it is held, and fills it otherwise. Answers whether it was held.
    pub(super) fn get_or_fill(&mut self, key: u32) -> bool {
        match self.slots.get(&key) {
            Some(&slot) => self.touch(slot),
            None => return self.fill_quietly(key, 1) == u32::MAX,
        }
        true
    }

    pub(super) fn fill(&mut self, key: u32, weight: u64) -> u32 {
        let slot = self.fill_quietly(key, weight);
        if self.keys.len() < 100 {
            self.check();
        }
        slot
    }

    /// Makes room for the key and fills it into a slot.
    pub(super) fn fill_quietly(&mut self, key: u32, weight: u64) -> u32 {
        while weight > self.capacity - self.weight {
            assert!(self.evict().is_some(), "there is no room, and nothing to evict");
        }
        let slot = self.take_slot();
        let cost = if key.is_multiple_of(4) { 100 } else { 1 };
        self.table.0[slot as usize] = Entry { hash: hash(key), weight, cost, uses: Cell::new(0) };
        self.slots.insert(key, slot);
        self.keys.insert(slot, key);
        self.weight += weight;
        self.policy.insert(slot, &self.table);
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) {
        self.policy.remove(slot, &self.table);
        self.let_go(slot);
    }

    pub(super) fn remove_key(&mut self, key: u32) {
        if let Some(&slot) = self.slots.get(&key) {
            self.remove(slot);
        }
    }

    /// Moves an entry to another slot, lighter by one if it weighs anything.
    pub(super) fn relocate(&mut self, from: u32) {
        let to = self.take_slot();
        let mut entry = self.table.0[from as usize].clone();
        let lighter = entry.weight.saturating_sub(1);
        self.weight -= entry.weight - lighter;
        entry.weight = lighter;
        self.table.0[to as usize] = entry;
        self.policy.relocate(from, to, &self.table);
        let key = self.keys.remove(&from).expect("what is moved is held");
        self.keys.insert(to, key);
        self.slots.insert(key, to);
        self.free.insert(from);
    }

    pub(super) fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.policy.resize(capacity);
        while self.weight > capacity {
            assert!(self.evict().is_some(), "there is too much, and nothing to evict");
        }
    }

    /// What a reader does that can't stop reading.
    pub(super) fn mark_all(&self) {
        for entry in &self.table.0 {
            entry.uses.set(USES_MAX);
        }
    }

    /// Evicts all that is held: each entry must come exactly once.
    pub(super) fn drain(&mut self) {
        self.check();
        for left in (0..self.keys.len()).rev() {
            assert!(self.evict().is_some(), "{left} and one are held, but there is no victim");
        }
        assert_eq!(self.policy.evict(&self.table), None);
        self.check();
    }

    pub(super) fn held(&self) -> impl Iterator<Item = u32> {
        self.keys.keys().copied()
    }

    fn check(&self) {
        assert_eq!(self.policy.len(), self.keys.len());
        self.policy.assert_invariants(&self.table);
    }

    fn touch(&mut self, slot: u32) {
        let uses = self.table.uses(slot);
        match self.policy.hits() {
            Hits::Unseen => {}
            Hits::Exact => self.policy.hit(slot, &self.table),
            Hits::Marked if uses == USES_MAX => {}
            Hits::Marked => {
                self.table.set_uses(slot, uses + 1);
                if self.table.hash(slot) & self.policy.sample() == 0 {
                    self.policy.hit(slot, &self.table);
                }
            }
        }
    }

    fn evict(&mut self) -> Option<u32> {
        let victim = self.policy.evict(&self.table)?;
        let key = self.keys.get(&victim).copied().expect("the victim must be held");
        self.evicted.push(key);
        self.let_go(victim);
        Some(victim)
    }

    fn let_go(&mut self, slot: u32) {
        let key = self.keys.remove(&slot).expect("what leaves is held");
        self.slots.remove(&key);
        self.weight -= self.table.weight(slot);
        self.free.insert(slot);
    }

    fn take_slot(&mut self) -> u32 {
        self.free.pop_last().unwrap_or_else(|| {
            self.table.0.push(Entry::default());
            self.table.0.len() as u32 - 1
        })
    }

    fn nth(&self, nth: usize) -> Option<u32> {
        let at = nth.checked_rem(self.keys.len())?;
        self.keys.keys().nth(at).copied()
    }
}
