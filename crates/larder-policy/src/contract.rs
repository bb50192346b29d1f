//! What a policy and whoever holds the entries promise each other.

/// How many slots there can be: they are numbered from zero to one less than this.
pub const SLOTS_MAX: u32 = u32::MAX - 1;

/// The most uses that readers mark on an entry: they stop writing there, so an entry that is
/// read all the time is only read.
pub const USES_MAX: u8 = 3;

/// What a policy may ask about the entries in the slots that it holds.
///
/// It is the holder's: the memory tier answers from its entries, a simulator from its tables.
pub trait Entries {
    /// The part of the key's hash that ghosts, sketches and samples go by. Well mixed in all its
    /// bits, and the same whenever the same key comes back.
    fn hash(&self, slot: u32) -> u32;

    /// How much of the capacity the entry takes; 1 where entries are only counted.
    fn weight(&self, slot: u32) -> u64;

    /// What it takes to load the entry again, in microseconds; 1 where nobody measured it.
    fn cost(&self, slot: u32) -> u32;

    /// How often the entry was used since this was last set; readers stop at [`USES_MAX`].
    /// Zero for a slot that was just filled.
    fn uses(&self, slot: u32) -> u8;

    /// Sets what [`uses`](Self::uses) answers, at most [`USES_MAX`]. A use at the same time may
    /// be lost.
    fn set_uses(&self, slot: u32, uses: u8);
}

/// How a policy learns that an entry was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hits {
    /// It doesn't: a use changes nothing.
    Unseen,
    /// Readers count uses on the entry itself, up to [`USES_MAX`], and the policy looks at them
    /// when it evicts. [`Policy::hit`] is called only for uses that raised the count, of entries
    /// whose hash is in the policy's [sample](Policy::sample), and some of these calls may be
    /// left out.
    Marked,
    /// [`Policy::hit`] is called for each use, in order; nothing is counted on the entry.
    Exact,
}

/// Which entry to evict next, decided from the order in which slots are filled and used.
///
/// Whoever holds the entries tells the policy about each of them: a slot is inserted once, and
/// then either evicted by the policy or removed by the holder. In both cases the policy lets go of
/// it, and the slot may be inserted again with another entry.
///
/// Slots are numbered densely from zero, since memory is proportional to the highest number in
/// use, and stay below [`SLOTS_MAX`].
///
/// # Panics
///
/// Every method that takes a slot panics when the caller's books are wrong and it can tell: a slot
/// inserted twice, or hit, removed or moved without being held.
pub trait Policy: Sized {
    /// How it learns of uses; always the same for one policy. A policy that is known when the
    /// program is built answers with a constant, so that the question costs nothing.
    fn hits(&self) -> Hits;

    /// A policy for entries that together may weigh `capacity`.
    fn new(capacity: u64) -> Self;

    /// The entries may weigh `capacity` from now on. Whoever holds them asks for victims until
    /// they do.
    fn resize(&mut self, capacity: u64);

    /// The mask of the sample: uses of an entry are shown to [`hit`](Self::hit) where
    /// `hash & mask == 0`. It changes now and then while entries come and go, so whoever keeps a
    /// copy asks again after [`insert`](Self::insert) and [`evict`](Self::evict); what an older
    /// mask shows does no harm. A policy that needs no sample answers [`u32::MAX`] and takes the
    /// rare hash of zero in good part.
    fn sample(&self) -> u32 {
        u32::MAX
    }

    /// `slot` has been filled with a new entry. Room was made before, so the new entry is not the
    /// victim of its own insert.
    fn insert(&mut self, slot: u32, entries: &impl Entries);

    /// The entry in `slot` was used; see [`Hits`].
    fn hit(&mut self, slot: u32, entries: &impl Entries);

    /// The entry in `slot` leaves, and not for space.
    fn remove(&mut self, slot: u32, entries: &impl Entries);

    /// The entry to evict, which the policy no longer holds and may remember as a ghost; `None`
    /// when it holds nothing.
    fn evict(&mut self, entries: &impl Entries) -> Option<u32>;

    /// The entry in `from` stands in `to` from now on: it moved, or its value was replaced, and
    /// then its weight may be another. `to` was not held, and `from` isn't any longer; `entries`
    /// answers for both. Its rank stays about what it was, at least that of an entry just used.
    fn relocate(&mut self, from: u32, to: u32, entries: &impl Entries);

    /// How often the entry in `slot`, which is held, was used, as far as the policy keeps count: to
    /// compare entries of one policy with each other, and nothing else. It is what readers have
    /// marked, unless the policy knows better.
    fn uses(&self, slot: u32, entries: &impl Entries) -> u64 {
        entries.uses(slot).into()
    }

    /// How many entries it holds.
    fn len(&self) -> usize;

    /// Whether it holds nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives back what was allocated for slots from `slots` on, none of which is held. Costs
    /// nothing while little would be gained.
    fn shrink(&mut self, slots: u32);

    /// What the policy has allocated, in bytes.
    fn allocated(&self) -> usize;

    /// Checks its own books from end to end, for tests. Costs time in proportion to the slots.
    ///
    /// # Panics
    ///
    /// When they don't agree.
    fn assert_invariants(&self, entries: &impl Entries);
}
