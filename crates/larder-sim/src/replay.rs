//! A cache around a policy, and a trace replayed through it.
//!
//! The policy is the very code that the memory tier runs; only what holds the entries is another:
//! tables, of one thread, without values. A read that misses fills. What expires leaves at once,
//! as the memory tier's timers see to it, and a read never finds it.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use larder_policy::{Entries, Hits, Policy, USES_MAX};

use crate::columns::Times;
use crate::outcome::Hit;
use crate::request::Op;
use crate::{Outcome, Requests};

/// In what a capacity is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Each entry weighs 1.
    Entries,
    /// An entry weighs its size, at least 1.
    Bytes,
}

/// How many requests are replayed between two calls of `progress`.
pub(crate) const REQUESTS_AT_ONCE: usize = 1 << 16;

/// Replays requests through a cache with this policy, whose entries may weigh `capacity`.
///
/// `progress` is told now and then how many more requests were replayed.
///
/// Memory beside the policy's own: 4 bytes for each key of the trace, about 24 for each entry
/// held, 16 more where entries expire.
pub fn replay<P: Policy>(
    policy: P,
    requests: &Requests,
    unit: Unit,
    capacity: u64,
    mut progress: impl FnMut(u64),
) -> Outcome {
    let mut cache = Cache::new(policy, requests, capacity);
    let columns = &requests.columns;
    let mut next = 0;
    while next < columns.len() {
        let end = columns.len().min(next + REQUESTS_AT_ONCE);
        for at in next..end {
            let (key, size, times) = (columns.keys()[at], columns.size(at), columns.times(at));
            let weight = match unit {
                Unit::Entries => 1,
                Unit::Bytes => size.max(1),
            };
            if columns.have_times() {
                cache.expire(times.now_ms);
            }
            match columns.op(at) {
                Op::Read => {
                    let hit = cache.read(key);
                    cache.outcome.read(hit, size);
                    if hit == Hit::No {
                        cache.insert(key, weight, times);
                    }
                }
                Op::Write => cache.write(key, weight, times),
                Op::Remove => cache.remove(key),
            }
        }
        progress((end - next) as u64);
        next = end;
    }
    cache.outcome
}

/// No slot, and no key.
const NONE: u32 = u32::MAX;

/// Entries in slots, kept within a capacity by a policy.
struct Cache<'a, P> {
    policy: P,
    hits: Hits,
    table: Table<'a>,
    /// The slot of each key.
    slots: Vec<u32>,
    /// Slots below the highest used that hold nothing.
    free: Vec<u32>,
    held: u64,
    capacity: u64,
    /// When which slot's entry expires, the next first. An entry that has gone leaves its
    /// moment behind, until its time comes or these are the most.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    outcome: Outcome,
}

/// What the policy may ask about.
struct Table<'a> {
    hashes: &'a [u64],
    entries: Vec<Entry>,
}

struct Entry {
    /// [`NONE`] for a free slot.
    key: u32,
    weight: u32,
    expires_ms: u64,
    uses: Cell<u8>,
}

impl Entries for Table<'_> {
    fn hash(&self, slot: u32) -> u32 {
        (self.hashes[self.entries[slot as usize].key as usize] >> 32) as u32
    }

    fn weight(&self, slot: u32) -> u64 {
        u64::from(self.entries[slot as usize].weight)
    }

    fn cost(&self, _slot: u32) -> u32 {
        1
    }

    fn uses(&self, slot: u32) -> u8 {
        self.entries[slot as usize].uses.get()
    }

    fn set_uses(&self, slot: u32, uses: u8) {
        self.entries[slot as usize].uses.set(uses);
    }
}

impl<'a, P: Policy> Cache<'a, P> {
    fn new(policy: P, requests: &'a Requests, capacity: u64) -> Self {
        Self {
            hits: policy.hits(),
            policy,
            table: Table { hashes: &requests.hashes, entries: Vec::new() },
            slots: vec![NONE; requests.keys()],
            free: Vec::new(),
            held: 0,
            capacity,
            timers: BinaryHeap::new(),
            outcome: Outcome::new(requests),
        }
    }

    fn read(&mut self, key: u32) -> Hit {
        let slot = self.slots[key as usize];
        if slot == NONE {
            return Hit::No;
        }
        match self.hits {
            Hits::Unseen => {}
            Hits::Exact => self.policy.hit(slot, &self.table),
            Hits::Marked => {
                let uses = self.table.uses(slot);
                if uses < USES_MAX {
                    self.table.set_uses(slot, uses + 1);
                    if self.table.hash(slot) & self.policy.sample() == 0 {
                        self.policy.hit(slot, &self.table);
                    }
                }
            }
        }
        Hit::Yes
    }

    /// Fills a key that isn't held.
    fn insert(&mut self, key: u32, weight: u32, times: Times) {
        if u64::from(weight) > self.capacity {
            self.outcome.refused += 1;
            return;
        }
        // Nothing is worth filling that has expired already.
        if times.expires_ms <= times.now_ms {
            return;
        }
        self.make_room(u64::from(weight));
        let slot = self.take_slot(key, weight, times.expires_ms);
        self.policy.insert(slot, &self.table);
    }

    /// Stores a value, in the place of the one that is held if there is one.
    fn write(&mut self, key: u32, weight: u32, times: Times) {
        if self.slots[key as usize] != NONE {
            let lighter = self.weight_of(key).min(u64::from(weight));
            let more = u64::from(weight) - lighter;
            if u64::from(weight) <= self.capacity && times.expires_ms > times.now_ms {
                self.make_room(more);
            } else {
                self.remove(key);
            }
        }
        // The old value may have been the victim.
        let from = self.slots[key as usize];
        if from == NONE {
            return self.insert(key, weight, times);
        }
        let to = self.take_slot(key, weight, times.expires_ms);
        self.table.set_uses(to, self.table.uses(from));
        self.policy.relocate(from, to, &self.table);
        self.give_slot(from);
    }

    fn remove(&mut self, key: u32) {
        let slot = std::mem::replace(&mut self.slots[key as usize], NONE);
        if slot != NONE {
            self.policy.remove(slot, &self.table);
            self.give_slot(slot);
        }
    }

    /// Removes what has expired by `now_ms`.
    fn expire(&mut self, now_ms: u64) {
        while let Some(&Reverse((expires_ms, slot))) = self.timers.peek() {
            if expires_ms > now_ms {
                break;
            }
            self.timers.pop();
            let entry = &self.table.entries[slot as usize];
            if entry.key != NONE && entry.expires_ms == expires_ms {
                self.remove(entry.key);
                self.outcome.expired += 1;
            }
        }
    }

    fn weight_of(&self, key: u32) -> u64 {
        self.table.weight(self.slots[key as usize])
    }

    /// Evicts until `weight` more has room.
    fn make_room(&mut self, weight: u64) {
        while self.held + weight > self.capacity {
            // An empty cache has room for whatever isn't refused.
            let Some(victim) = self.policy.evict(&self.table) else { return };
            self.slots[self.table.entries[victim as usize].key as usize] = NONE;
            self.give_slot(victim);
            self.outcome.evicted += 1;
        }
    }

    fn take_slot(&mut self, key: u32, weight: u32, expires_ms: u64) -> u32 {
        let entry = Entry { key, weight, expires_ms, uses: Cell::new(0) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.table.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.table.entries.push(entry);
                self.table.entries.len() as u32 - 1
            }
        };
        self.slots[key as usize] = slot;
        self.held += u64::from(weight);
        if expires_ms != u64::MAX {
            self.set_timer(expires_ms, slot);
        }
        slot
    }

    fn set_timer(&mut self, expires_ms: u64, slot: u32) {
        self.timers.push(Reverse((expires_ms, slot)));
        if self.timers.len() > 2 * self.table.entries.len() + 64 {
            let entries = &self.table.entries;
            self.timers.retain(|&Reverse((expires_ms, slot))| {
                let entry = &entries[slot as usize];
                entry.key != NONE && entry.expires_ms == expires_ms
            });
        }
    }

    /// Frees a slot that the policy no longer holds.
    fn give_slot(&mut self, slot: u32) {
        let entry = &mut self.table.entries[slot as usize];
        entry.key = NONE;
        self.held -= u64::from(entry.weight);
        self.free.push(slot);
    }
}
