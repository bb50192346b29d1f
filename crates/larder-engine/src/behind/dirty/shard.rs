//! A part of the dirty map under one lock, and what stands in it of each key.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use larder_core::sink::{Numbered, Sequence};
use larder_core::{CacheKey, Moment, Write};

use super::{Base, Read, Seen};

/// Keys and what waits of them, under one lock.
pub(super) struct Shard<K, V> {
    pub(super) keys: HashMap<K, Place<V>, RandomState>,
    /// Keys with something that may be taken, the longest waiting first.
    pub(super) order: VecDeque<K>,
    /// The oldest record that each waiting write needs, and since when it waits.
    pub(super) firsts: BTreeSet<(u64, Moment)>,
    /// Keys with a write that has taken the place of others, and may not be durable yet.
    pub(super) replacing: HashSet<K, RandomState>,
}

/// What waits of one key.
pub(super) struct Place<V> {
    pub(super) waiting: VecDeque<Waiting<V>>,
    /// The first of them is being applied.
    pub(super) flies: bool,
    /// It stands in the order.
    pub(super) stands: bool,
    /// So many read what is beneath, and nothing may be applied meanwhile.
    pub(super) pins: usize,
    pub(super) seen: Seen<V>,
    /// What is seen was read beneath, or returned by the sink, and may be changed by others; `None`
    /// where a write that waits says all of it.
    pub(super) base: Option<Arc<Base>>,
    /// How often somebody may have changed what is beneath.
    pub(super) doubts: u64,
    /// How often it had been when what flies was taken.
    pub(super) doubts_at_take: u64,
    pub(super) last: u64,
    /// Somebody read it since it waits, or memory held it before.
    pub(super) is_wanted: bool,
}

/// A write that waits.
pub(super) struct Waiting<V> {
    pub(super) write: Write<V>,
    /// The oldest record that it needs, and since when.
    pub(super) first: (u64, Moment),
    pub(super) sequence: Sequence,
    pub(super) letter: Option<u64>,
    pub(super) weight: usize,
}

impl<V: Clone> Place<V> {
    /// What a read sees of it.
    pub(super) fn read(&self) -> Read<V> {
        Read { seen: self.seen.clone(), base: self.base.clone(), last: self.last }
    }
    /// The last write, if a further one may take its place.
    pub(super) fn joinable(&self) -> Option<&Waiting<V>> {
        let is_free = self.waiting.len() > usize::from(self.flies);
        self.waiting.back().filter(|last| is_free && last.letter.is_none())
    }
}

impl<K: CacheKey, V: Clone> Shard<K, V> {
    /// Takes the first write of the key that has waited longest.
    pub(super) fn take(&mut self) -> Option<(Numbered<K, V>, usize)> {
        loop {
            let key = self.order.pop_front()?;
            let Some(place) = self.keys.get_mut(&key) else { continue };
            place.stands = false;
            // Who reads beneath puts it back.
            if place.pins > 0 || place.flies {
                continue;
            }
            let Some(first) = place.waiting.front() else { continue };
            place.flies = true;
            place.doubts_at_take = place.doubts;
            let (write, sequence) = (first.write.clone(), first.sequence);
            let weight = first.weight;
            return Some((Numbered { key, write, sequence, letter: first.letter }, weight));
        }
    }
}
