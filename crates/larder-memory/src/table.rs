//! From a hash to the slots that may hold its key, searched without a lock.
//!
//! Buckets of one cache line: twelve lanes, each with eight bits of the hash and the number of a
//! slot, and a count of the entries that found the bucket full and went on to the next one. So
//! one line tells most misses, and a hit reads that line and its entry. An entry never changes
//! its lane while it is held: a reader that passes by finds it, whatever happens around it. That
//! count in the place of tombstones is F14's (N. Bronson, X. Shi, "Open-sourcing F14", 2019).
//!
//! Writers come one at a time, under their shard's lock.

use crate::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::place::Place;

const LANES: usize = 12;

/// The number of lanes that are filled on average when a table counts as full. One bucket in
/// nine has no room when an entry comes, so in a full tier one entry in nine stands behind its
/// bucket; with nine lanes it would be one in five, and a key that isn't there would take three
/// lines to miss.
const LANES_FULL: usize = 8;

#[derive(Default)]
#[repr(C, align(64))]
struct Bucket {
    /// The tags of the first eight lanes, a byte each; [`FREE`] where the lane is free.
    tags: AtomicU64,
    /// The tags of the last four in the lower half. In the upper half, how many entries passed
    /// this bucket because it was full, and stand behind it.
    tags_and_passed: AtomicU64,
    /// The place of the slot; zero where the lane is free.
    lanes: [AtomicU32; LANES],
}

/// A passer-by, as [`Bucket::tags_and_passed`] counts them.
const PASSER: u64 = 1 << 32;

/// Where a key may be.
pub(crate) enum Guess {
    /// Nearly always here.
    At(Place),
    /// Not in this table.
    Nowhere,
    /// Wherever [`Table::find`] finds it.
    Elsewhere,
}

pub(crate) struct Table {
    buckets: Box<[Bucket]>,
}

impl Table {
    /// A table with room for `entries`, at least.
    pub(crate) fn new(entries: usize) -> Self {
        let buckets = entries.div_ceil(LANES_FULL).max(1);
        Self { buckets: std::iter::repeat_with(Bucket::default).take(buckets).collect() }
    }

    /// How many entries it has room for.
    pub(crate) fn room(&self) -> usize {
        self.buckets.len() * LANES_FULL
    }

    /// What it takes, in bytes.
    pub(crate) fn allocated(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }

    /// Where to look first for a key of this hash, decided from one line.
    #[inline]
    #[expect(unsafe_code, reason = "each bound would cost a hit two instructions in a hundred")]
    pub(crate) fn guess(&self, hash: u32) -> Guess {
        let home = self.home(hash);
        debug_assert!(home < self.buckets.len());
        // SAFETY: of a product of two numbers, divided by the first one's bound, the result is
        // below the second: the home of a hash is below the number of buckets.
        let bucket = unsafe { self.buckets.get_unchecked(home) };
        let (lanes, passed) = bucket.search(tag(hash));
        if lanes == 0 {
            return if passed { Guess::Elsewhere } else { Guess::Nowhere };
        }
        let lane = lanes.trailing_zeros() as usize;
        debug_assert!(lane < LANES);
        // SAFETY: only the bits of lanes are set, and one of them is.
        match Place::new(unsafe { bucket.lanes.get_unchecked(lane) }.load(Ordering::Acquire)) {
            Some(place) => Guess::At(place),
            None => Guess::Elsewhere,
        }
    }

    /// Shows the slots that may hold a key of this hash, until `visit` returns something.
    #[inline]
    pub(crate) fn find<R>(
        &self,
        hash: u32,
        mut visit: impl FnMut(Place) -> Option<R>,
    ) -> Option<R> {
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let (mut lanes, passed) = bucket.search(tag(hash));
            while lanes != 0 {
                if let Some(place) = bucket.place(lanes.trailing_zeros() as usize)
                    && let Some(found) = visit(place)
                {
                    return Some(found);
                }
                lanes &= lanes - 1;
            }
            if !passed {
                return None;
            }
            at = self.next(at);
        }
        None
    }

    /// Shows the slots that may hold a key whose hash begins where that of `hash` does, and
    /// others; whoever is shown a slot compares. Returns the first hash that begins elsewhere, or
    /// `None` behind the last one. Homes are in the order of hashes, whatever the size of the
    /// table.
    pub(crate) fn visit_home(&self, hash: u32, mut visit: impl FnMut(Place)) -> Option<u32> {
        let home = self.home(hash);
        let mut at = home;
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            (0..LANES).filter_map(|lane| bucket.place(lane)).for_each(&mut visit);
            if bucket.tags_and_passed.load(Ordering::Acquire) < PASSER {
                break;
            }
            at = self.next(at);
        }
        let next = ((home as u64 + 1) << 32).div_ceil(self.buckets.len() as u64);
        u32::try_from(next).ok()
    }

    /// Whether two hashes begin at the same place.
    pub(crate) fn share_home(&self, a: u32, b: u32) -> bool {
        self.home(a) == self.home(b)
    }

    /// Makes a slot findable under this hash. There must be room.
    pub(crate) fn insert(&self, hash: u32, place: Place) {
        let mut at = self.home(hash);
        loop {
            let bucket = &self.buckets[at];
            if let Some(lane) = bucket.free_lane() {
                // First the slot and then the tag: who sees the tag finds the slot.
                bucket.lanes[lane].store(place.get(), Ordering::Release);
                bucket.set_tag(lane, tag(hash));
                return;
            }
            let passed = bucket.tags_and_passed.load(Ordering::Relaxed) + PASSER;
            bucket.tags_and_passed.store(passed, Ordering::Release);
            at = self.next(at);
        }
    }

    /// Lets the lane that leads to `from` lead to `to`, which holds the same key.
    pub(crate) fn redirect(&self, hash: u32, from: Place, to: Place) {
        let (at, lane) = self.lane(hash, from);
        self.buckets[at].lanes[lane].store(to.get(), Ordering::Release);
    }

    /// Makes a slot unfindable.
    pub(crate) fn remove(&self, hash: u32, place: Place) {
        let (end, lane) = self.lane(hash, place);
        let bucket = &self.buckets[end];
        bucket.set_tag(lane, FREE);
        bucket.lanes[lane].store(0, Ordering::Release);
        let mut at = self.home(hash);
        while at != end {
            let bucket = &self.buckets[at];
            let passed = bucket.tags_and_passed.load(Ordering::Relaxed) - PASSER;
            bucket.tags_and_passed.store(passed, Ordering::Release);
            at = self.next(at);
        }
    }

    /// Bucket and lane of a slot that is in the table.
    #[inline]
    fn lane(&self, hash: u32, place: Place) -> (usize, usize) {
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let (mut lanes, _) = bucket.search(tag(hash));
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize;
                if bucket.place(lane) == Some(place) {
                    return (at, lane);
                }
                lanes &= lanes - 1;
            }
            at = self.next(at);
        }
        panic!("{place:?} is not in the table");
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        // The high bits choose the bucket and the low ones are the tag. (D. Lemire, "Fast random
        // integer generation in an interval", ACM TOMACS 29(1), 2019, for the product.)
        ((u64::from(hash) * self.buckets.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() { 0 } else { at + 1 }
    }
}

impl Bucket {
    /// The lanes with this tag, a bit for each, and whether an entry passed. Nothing has to be
    /// decided before the line is there.
    #[inline]
    fn search(&self, tag: u8) -> (u32, bool) {
        let first = self.tags.load(Ordering::Acquire);
        let second = self.tags_and_passed.load(Ordering::Acquire);
        (bytes::equal(first, second, tag) & ((1 << LANES) - 1), second >= PASSER)
    }

    /// What a lane leads to.
    #[inline]
    fn place(&self, lane: usize) -> Option<Place> {
        Place::new(self.lanes.get(lane)?.load(Ordering::Acquire))
    }

    /// A lane that leads nowhere, for who alone may write.
    #[inline]
    fn free_lane(&self) -> Option<usize> {
        let (mut lanes, _) = self.search(FREE);
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize;
            if self.place(lane).is_none() {
                return Some(lane);
            }
            lanes &= lanes - 1;
        }
        None
    }

    fn set_tag(&self, lane: usize, tag: u8) {
        if lane < 8 {
            let tags = self.tags.load(Ordering::Relaxed) & !(0xff << (8 * lane));
            self.tags.store(tags | u64::from(tag) << (8 * lane), Ordering::Release);
        } else {
            let lane = lane - 8;
            let tags = self.tags_and_passed.load(Ordering::Relaxed) & !(0xff << (8 * lane));
            self.tags_and_passed.store(tags | u64::from(tag) << (8 * lane), Ordering::Release);
        }
    }
}

/// The tag of a lane that is free. A lane that isn't may have it too.
const FREE: u8 = 0;

/// What a lane remembers of a hash.
#[inline]
const fn tag(hash: u32) -> u8 {
    hash as u8
}

/// Which of sixteen bytes are equal to one.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions that every x86-64 has are marked as if some had not")]
mod bytes {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};

    /// A bit for each of the bytes of `first` and `second` that is `wanted`, the lowest first.
    #[inline]
    pub(super) fn equal(first: u64, second: u64, wanted: u8) -> u32 {
        // SAFETY: SSE2 is a part of x86-64, and none of these touches memory.
        unsafe {
            let bytes = _mm_set_epi64x(second.cast_signed(), first.cast_signed());
            let equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(wanted.cast_signed()));
            _mm_movemask_epi8(equal).cast_unsigned()
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
use portable as bytes;

/// The same with ordinary instructions.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[cfg_attr(any(loom, shuttle), expect(dead_code, reason = "tested elsewhere"))]
mod portable {
    const EVERY: u64 = 0x0101_0101_0101_0101;

    /// A bit for each of the bytes of `first` and `second` that is `wanted`, the lowest first.
    #[inline]
    pub(super) fn equal(first: u64, second: u64, wanted: u8) -> u32 {
        let wanted = u64::from(wanted) * EVERY;
        zeros(first ^ wanted) | zeros(second ^ wanted) << 8
    }

    /// A bit for each byte that is zero.
    #[inline]
    fn zeros(bytes: u64) -> u32 {
        let low = EVERY * 0x7f;
        let high = !(((bytes & low) + low) | bytes | low);
        // The product brings the high bits together in the highest byte, in their order.
        ((high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    }
}

#[cfg(test)]
impl Table {
    /// Checks the table against the slots that should be in it, with their hashes.
    pub(crate) fn assert_holds(&self, held: &[(u32, Place)]) {
        let mut passed = vec![0; self.buckets.len()];
        for &(hash, place) in held {
            let (end, lane) = self.lane(hash, place);
            let bucket = &self.buckets[end];
            let tags = bucket.tags.load(Ordering::Relaxed).to_le_bytes();
            let more = bucket.tags_and_passed.load(Ordering::Relaxed).to_le_bytes();
            assert_eq!(if lane < 8 { tags[lane] } else { more[lane - 8] }, tag(hash));
            let mut at = self.home(hash);
            while at != end {
                passed[at] += 1;
                at = self.next(at);
            }
        }
        let mut lanes = 0;
        for (bucket, passed) in self.buckets.iter().zip(passed) {
            assert_eq!(bucket.tags_and_passed.load(Ordering::Relaxed) >> 32, passed);
            lanes += bucket.lanes.iter().filter(|lane| lane.load(Ordering::Relaxed) != 0).count();
        }
        assert_eq!(lanes, held.len());
    }
}

#[cfg(test)]
#[cfg(not(any(loom, shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(number: u32) -> Place {
        Place::new(number + 1).unwrap()
    }

    fn found(table: &Table, hash: u32, place: Place) -> bool {
        table.find(hash, |at| (at == place).then_some(())).is_some()
    }

    proptest! {
        /// Few hashes, so that buckets overflow and wrap around.
        #[test]
        fn every_slot_that_was_inserted_is_found_and_no_other(
            hashes in prop::collection::vec(
                prop_oneof![Just(u32::MAX), Just(0), 0..4_u32, any::<u32>()], 1..120),
            leaves in prop::collection::vec(any::<bool>(), 121),
        ) {
            let table = Table::new(hashes.len());
            let mut held = Vec::new();
            for (slot, &hash) in (0..).zip(&hashes) {
                table.insert(hash, place(slot));
                held.push((hash, place(slot)));
                table.assert_holds(&held);
            }
            let (gone, stays): (Vec<_>, Vec<_>) =
                held.into_iter().partition(|&(_, place)| leaves[place.get() as usize]);
            for &(hash, slot) in &gone {
                table.remove(hash, slot);
            }
            table.assert_holds(&stays);
            for (hash, slot) in gone {
                prop_assert!(!found(&table, hash, slot));
            }
            for (hash, slot) in stays {
                prop_assert!(found(&table, hash, slot));
                let other = place(slot.get() + 1000);
                table.redirect(hash, slot, other);
                prop_assert!(!found(&table, hash, slot));
                prop_assert!(found(&table, hash, other));
            }
        }
    }

    proptest! {
        #[test]
        fn equal_bytes_are_found_with_and_without_special_instructions(
            all in prop::array::uniform16(prop_oneof![Just(0), Just(1), Just(0x80), any::<u8>()]),
            wanted in prop_oneof![Just(0), Just(1), Just(0x80), any::<u8>()],
        ) {
            let push = |word: u64, &byte: &u8| word << 8 | u64::from(byte);
            let word = |bytes: &[u8]| bytes.iter().rev().fold(0, push);
            let (first, second) = (word(&all[..8]), word(&all[8..]));
            let expected = (0..16).filter(|&at| all[at] == wanted).map(|at| 1 << at).sum::<u32>();
            prop_assert_eq!(portable::equal(first, second, wanted), expected);
            prop_assert_eq!(bytes::equal(first, second, wanted), expected);
        }
    }

    #[test]
    fn a_key_that_is_not_there_costs_one_line_where_nothing_passed() {
        let table = Table::new(9);
        for slot in 0..12 {
            table.insert(7, place(slot));
        }
        assert_eq!(table.find(8, |_| Some(())), None);
        let mut seen = 0;
        assert_eq!(
            table.find(7, |_| {
                seen += 1;
                None::<()>
            }),
            None
        );
        assert_eq!(seen, 12);
    }
}
