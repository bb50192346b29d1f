//! Where the entries of a shard stand: numbered slots in chunks of fixed size.
//!
//! An entry stays in its slot until it leaves, so an index into the slab is as good as a pointer.
//! Growing allocates one chunk and moves nothing. Shrinking goes slot by slot from the end, and
//! whoever keeps slot numbers is told which entry moved.

use larder_core::Moment;

/// No slot: the end of the list of free ones.
const NONE: u32 = u32::MAX;

/// A chunk takes about this many bytes.
const CHUNK_BYTES: usize = 8 << 10;

/// An entry as the shard keeps it.
#[derive(Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) hash: u64,
    pub(crate) expires_at: Moment,
    /// Its weight and its overhead, in bytes.
    pub(crate) charge: usize,
    pub(crate) key: K,
    pub(crate) value: V,
}

#[derive(Debug)]
enum Slot<K, V> {
    Held(Entry<K, V>),
    /// Free slots are linked both ways, so that the last slot can leave the list wherever it
    /// stands in it.
    Free {
        before: u32,
        after: u32,
    },
}

/// A growing and shrinking array of entries with a list of free slots.
#[derive(Debug)]
pub(crate) struct Slab<K, V> {
    chunks: Vec<Vec<Slot<K, V>>>,
    slots: u32,
    held: u32,
    first_free: u32,
}

impl<K, V> Slab<K, V> {
    /// What one slot takes, in bytes.
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot<K, V>>();

    /// Slots per chunk: a power of two, at most 64, so that a small shard stays small.
    const CHUNK: usize = match CHUNK_BYTES / Self::SLOT_BYTES {
        0 => 1,
        fit if fit >= 64 => 64,
        fit => 1 << fit.ilog2(),
    };

    /// How many entries there are.
    pub(crate) const fn len(&self) -> u32 {
        self.held
    }

    /// How many slots there are; they are numbered from zero.
    pub(crate) const fn slots(&self) -> u32 {
        self.slots
    }

    /// The entry in a slot that is held.
    pub(crate) fn get(&self, slot: u32) -> &Entry<K, V> {
        match &self.chunks[Self::chunk(slot)][Self::place(slot)] {
            Slot::Held(entry) => entry,
            Slot::Free { .. } => panic!("slot {slot} of the slab is free"),
        }
    }

    /// The entry in a slot that is held.
    pub(crate) fn get_mut(&mut self, slot: u32) -> &mut Entry<K, V> {
        match self.slot_mut(slot) {
            Slot::Held(entry) => entry,
            Slot::Free { .. } => panic!("slot {slot} of the slab is free"),
        }
    }

    /// Puts an entry into a free slot, or a new one.
    pub(crate) fn insert(&mut self, entry: Entry<K, V>) -> u32 {
        self.held += 1;
        if self.first_free == NONE {
            return self.push(Slot::Held(entry));
        }
        let slot = self.first_free;
        self.unlink(slot);
        *self.slot_mut(slot) = Slot::Held(entry);
        slot
    }

    /// Takes the entry out of a slot that is held.
    pub(crate) fn remove(&mut self, slot: u32) -> Entry<K, V> {
        let after = self.first_free;
        let free = Slot::Free { before: NONE, after };
        match std::mem::replace(self.slot_mut(slot), free) {
            Slot::Held(entry) => {
                if after != NONE {
                    self.set_before(after, slot);
                }
                self.first_free = slot;
                self.held -= 1;
                entry
            }
            Slot::Free { .. } => panic!("slot {slot} of the slab is free"),
        }
    }

    /// Whether so many slots are free that the slab should become shorter: more than a chunk and
    /// an eighth of what is held. In between, a slot that is freed is soon used again.
    pub(crate) const fn is_sparse(&self) -> bool {
        (self.slots - self.held) as usize > Self::CHUNK + self.held as usize / 8
    }

    /// Gives up the last slot of a slab that has free ones. The entry in it moves to a free one,
    /// if there is an entry: then the slots that it moved from and to are returned.
    pub(crate) fn shorten(&mut self) -> Option<(u32, u32)> {
        let last = self.slots - 1;
        if matches!(self.slot_mut(last), Slot::Free { .. }) {
            self.unlink(last);
            self.pop();
            return None;
        }
        let to = self.first_free;
        self.unlink(to);
        let entry = self.pop();
        *self.slot_mut(to) = entry;
        Some((last, to))
    }

    /// The entries in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.chunks.iter().flatten().filter_map(|slot| match slot {
            Slot::Held(entry) => Some(entry),
            Slot::Free { .. } => None,
        })
    }

    const fn chunk(slot: u32) -> usize {
        slot as usize / Self::CHUNK
    }

    const fn place(slot: u32) -> usize {
        slot as usize % Self::CHUNK
    }

    fn slot_mut(&mut self, slot: u32) -> &mut Slot<K, V> {
        &mut self.chunks[Self::chunk(slot)][Self::place(slot)]
    }

    fn push(&mut self, slot: Slot<K, V>) -> u32 {
        let last = self.slots;
        if Self::place(last) == 0 {
            self.chunks.push(Vec::with_capacity(Self::CHUNK));
        }
        self.chunks[Self::chunk(last)].push(slot);
        self.slots += 1;
        last
    }

    fn pop(&mut self) -> Slot<K, V> {
        self.slots -= 1;
        let chunk = &mut self.chunks[Self::chunk(self.slots)];
        let slot = chunk.pop().expect("the last slot stands in the last chunk");
        if chunk.is_empty() {
            self.chunks.pop();
        }
        slot
    }

    /// Takes a free slot out of the list of free ones.
    fn unlink(&mut self, slot: u32) {
        let Slot::Free { before, after } = *self.slot_mut(slot) else {
            panic!("slot {slot} of the slab is held");
        };
        match before {
            NONE => self.first_free = after,
            _ => self.set_after(before, after),
        }
        if after != NONE {
            self.set_before(after, before);
        }
    }

    fn set_before(&mut self, slot: u32, to: u32) {
        if let Slot::Free { before, .. } = self.slot_mut(slot) {
            *before = to;
        }
    }

    fn set_after(&mut self, slot: u32, to: u32) {
        if let Slot::Free { after, .. } = self.slot_mut(slot) {
            *after = to;
        }
    }
}

impl<K, V> Default for Slab<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), slots: 0, held: 0, first_free: NONE }
    }
}

#[cfg(test)]
impl<K, V> Slab<K, V> {
    pub(crate) fn assert_invariants(&self) {
        assert_eq!(self.iter().count(), self.held as usize);
        assert_eq!(self.chunks.iter().map(Vec::len).sum::<usize>(), self.slots as usize);
        assert!(self.chunks.iter().all(|chunk| chunk.capacity() == Self::CHUNK));
        let (mut free, mut last, mut at) = (0, NONE, self.first_free);
        while at != NONE {
            let Slot::Free { before, after } = self.chunks[Self::chunk(at)][Self::place(at)] else {
                panic!("slot {at} is held and in the list of free ones");
            };
            assert_eq!(before, last);
            (free, last, at) = (free + 1, at, after);
        }
        assert_eq!(self.held + free, self.slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry<u64, u64> {
        Entry { hash: number, expires_at: Moment::MAX, charge: 1, key: number, value: number }
    }

    #[test]
    fn freed_slots_are_used_again_before_new_ones() {
        let mut slab = Slab::default();
        let slots: Vec<_> = (0..100).map(|number| slab.insert(entry(number))).collect();
        assert_eq!(slots, (0..100).collect::<Vec<_>>());
        for slot in [3, 99, 0, 50] {
            assert_eq!(slab.remove(slot).value, u64::from(slot));
            slab.assert_invariants();
        }
        let again: Vec<_> = (0..4).map(|number| slab.insert(entry(number))).collect();
        assert_eq!(again, [50, 0, 99, 3]);
        assert_eq!(slab.insert(entry(7)), 100);
        slab.assert_invariants();
    }

    #[test]
    fn a_sparse_slab_becomes_short_and_loses_nothing() {
        let mut slab = Slab::default();
        for number in 0..1000 {
            slab.insert(entry(number));
        }
        for slot in (0..1000).filter(|slot| slot % 10 != 7) {
            slab.remove(slot);
        }
        let mut places: Vec<_> = (0..1000).filter(|slot| slot % 10 == 7).collect();
        while slab.is_sparse() {
            if let Some((from, to)) = slab.shorten() {
                let moved = places.iter_mut().find(|slot| **slot == from).unwrap();
                *moved = to;
            }
            slab.assert_invariants();
        }
        assert!(slab.slots() <= 100 + 100 / 8 + 64, "{} slots", slab.slots());
        for (number, &slot) in (7..).step_by(10).zip(&places) {
            assert_eq!(slab.get(slot).value, number);
        }
        assert_eq!(slab.len(), 100);
    }
}
