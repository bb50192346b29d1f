//! Least frequently used: the entry with the fewest uses leaves first, with ageing.

use crate::links::{Links, List};
use crate::slots::{Slots, allocated, give_back, reserve};
use crate::{Entries, Hits, Policy};

/// No bucket: the end of their list, or a slot that isn't held.
const NONE: u32 = u32::MAX;

/// Evicts the entry with the fewest uses, the one that reached that number first among equals.
///
/// *Idea*: what was used often is used again. So that yesterday's favourites leave too, it ages:
/// a new entry starts at one more than the count of the last victim instead of at one (LFU with
/// dynamic ageing). Until something was evicted this is plain LFU.
///
/// *Cost*: entries of one count share a bucket, and buckets are linked in order, so every operation
/// is constant: a use moves the entry to the next bucket, under the holder's lock.
///
/// *Memory*: 12 bytes per slot, and 24 for each count that occurs.
///
/// *Papers*: Shah, Mitra, Matani, "An O(1) algorithm for implementing the LFU cache eviction
/// scheme", 2010; Arlitt et al., "Evaluating content management techniques for Web proxy caches",
/// HP Labs 1999.
#[derive(Clone, Debug)]
pub struct Lfu {
    links: Links,
    /// The bucket that each slot stands in.
    places: Slots<u32>,
    buckets: Vec<Bucket>,
    /// Buckets that aren't in use, linked by `more`.
    spare: u32,
    /// The bucket with the fewest uses.
    fewest: u32,
    /// The count of the last victim.
    floor: u64,
    length: usize,
}

/// The entries with one count.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    count: u64,
    list: List,
    fewer: u32,
    more: u32,
}

impl Lfu {
    /// The bucket for `count`, where `after` is the one with the most uses below it.
    fn bucket(&mut self, count: u64, after: u32) -> u32 {
        let next = match after {
            NONE => self.fewest,
            _ => self.buckets[after as usize].more,
        };
        if next != NONE && self.buckets[next as usize].count == count {
            return next;
        }
        let made = self.spare_bucket();
        self.buckets[made as usize] = Bucket { count, list: List::EMPTY, fewer: after, more: next };
        self.join(after, made);
        self.join_back(made, next);
        made
    }

    /// A bucket that isn't in use.
    fn spare_bucket(&mut self) -> u32 {
        if self.spare != NONE {
            let spare = self.spare;
            self.spare = self.buckets[spare as usize].more;
            return spare;
        }
        // Fewer buckets than slots are ever in use, so this fits.
        let made = self.buckets.len() as u32;
        let length = self.buckets.len() + 1;
        reserve(&mut self.buckets, length);
        self.buckets.push(Bucket { count: 0, list: List::EMPTY, fewer: NONE, more: NONE });
        made
    }

    /// Makes `fewer` know that `more` follows it.
    fn join(&mut self, fewer: u32, more: u32) {
        match fewer {
            NONE => self.fewest = more,
            _ => self.buckets[fewer as usize].more = more,
        }
    }

    /// Makes `more` know that `fewer` stands before it.
    fn join_back(&mut self, fewer: u32, more: u32) {
        if more != NONE {
            self.buckets[more as usize].fewer = fewer;
        }
    }

    fn place(&self, slot: u32) -> u32 {
        let place = self.places.get(slot);
        assert!(place != NONE, "slot {slot} is not held by the policy");
        place
    }

    fn put(&mut self, slot: u32, bucket: u32) {
        self.links.push(&mut self.buckets[bucket as usize].list, slot);
        self.places.make_room(slot);
        self.places[slot] = bucket;
    }

    /// Takes `slot` out of its bucket, which may be empty then.
    fn take(&mut self, slot: u32) -> u32 {
        let place = self.place(slot);
        self.links.take(&mut self.buckets[place as usize].list, slot);
        self.places[slot] = NONE;
        place
    }

    /// Gives up the bucket at `place` when it is empty.
    fn tidy(&mut self, place: u32) {
        let bucket = self.buckets[place as usize];
        if bucket.list.oldest().is_none() {
            self.join(bucket.fewer, bucket.more);
            self.join_back(bucket.fewer, bucket.more);
            self.buckets[place as usize].more = self.spare;
            self.spare = place;
        }
    }
}

impl Policy for Lfu {
    fn hits(&self) -> Hits {
        Hits::Exact
    }

    fn new(_capacity: u64) -> Self {
        Self {
            links: Links::new(),
            places: Slots::new(NONE),
            buckets: Vec::new(),
            spare: NONE,
            fewest: NONE,
            floor: 0,
            length: 0,
        }
    }

    fn resize(&mut self, _capacity: u64) {}

    fn insert(&mut self, slot: u32, _entries: &impl Entries) {
        assert!(self.places.get(slot) == NONE, "slot {slot} is held by the policy");
        // No held entry counts less than the floor, so its bucket can only be the first.
        let first = self.fewest;
        let at_floor = first != NONE && self.buckets[first as usize].count == self.floor;
        let bucket = self.bucket(self.floor + 1, if at_floor { first } else { NONE });
        self.put(slot, bucket);
        self.length += 1;
    }

    fn hit(&mut self, slot: u32, _entries: &impl Entries) {
        let from = self.take(slot);
        let to = self.bucket(self.buckets[from as usize].count + 1, from);
        self.put(slot, to);
        self.tidy(from);
    }

    fn remove(&mut self, slot: u32, _entries: &impl Entries) {
        let place = self.take(slot);
        self.tidy(place);
        self.length -= 1;
    }

    fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        if self.fewest == NONE {
            return None;
        }
        let bucket = self.buckets[self.fewest as usize];
        self.floor = bucket.count;
        let victim = bucket.list.oldest()?;
        self.remove(victim, entries);
        Some(victim)
    }

    fn relocate(&mut self, from: u32, to: u32, _entries: &impl Entries) {
        let place = self.place(from);
        self.links.replace(&mut self.buckets[place as usize].list, from, to);
        self.places[from] = NONE;
        self.places.make_room(to);
        self.places[to] = place;
    }

    fn uses(&self, slot: u32, _entries: &impl Entries) -> u64 {
        self.buckets[self.place(slot) as usize].count
    }

    fn len(&self) -> usize {
        self.length
    }

    fn shrink(&mut self, slots: u32) {
        self.links.shrink(slots);
        self.places.shrink(slots);
        if self.length == 0 {
            (self.buckets, self.spare) = (Vec::new(), NONE);
        }
        give_back(&mut self.buckets);
    }

    fn allocated(&self) -> usize {
        self.links.allocated() + self.places.allocated() + allocated(&self.buckets)
    }

    fn assert_invariants(&self, _entries: &impl Entries) {
        let (mut at, mut fewer, mut length) = (self.fewest, NONE, 0);
        while at != NONE {
            let bucket = self.buckets[at as usize];
            assert!(bucket.count >= self.floor, "an entry counts less than the last victim");
            assert!(bucket.list.oldest().is_some(), "an empty bucket is kept");
            assert_eq!(bucket.fewer, fewer);
            assert!(fewer == NONE || self.buckets[fewer as usize].count < bucket.count);
            length += self.links.assert_list(bucket.list);
            assert!(self.links.iter(bucket.list).all(|slot| self.places[slot] == at));
            (fewer, at) = (at, bucket.more);
        }
        assert_eq!(length, self.length);
        assert_eq!(self.links.count(), self.length);
    }
}
