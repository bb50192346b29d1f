//! What a caller sees of an entry, what it may do to one, and what came of it.

use larder_core::Moment;

use crate::RemovalCause;

/// An entry that is held and has not expired, as a closure under its shard's lock sees it.
#[derive(Debug)]
pub struct Held<'a, V> {
    /// The value.
    pub value: &'a V,
    /// Its weight in bytes, as it was given.
    pub weight: usize,
    /// The last moment at which it may be seen.
    pub expires_at: Moment,
    /// How often it was used, as far as the tier's policy keeps count: see
    /// [`Policy::uses`](larder_policy::Policy::uses). Readers mark no more than
    /// [`USES_MAX`](larder_policy::USES_MAX) uses, and a policy that evicts takes marks away
    /// again, so it tells what is used from what isn't, and no more; only
    /// [`Lfu`](larder_policy::Lfu) counts on. Where no policy knows the entry it is zero.
    pub uses: u64,
}

/// How much a part of the tier has free: see [`Memory::room`](crate::Memory::room).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// So many entries more are held before another one must leave.
    pub entries: usize,
    /// The same in bytes, weights and overheads.
    pub bytes: usize,
}

/// What [`Memory::compute`](crate::Memory::compute) is to do with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<V> {
    /// Leave everything as it is. It is no use of the entry either.
    Keep,
    /// Hold this value from now on, instead of what was held.
    Put {
        /// The value.
        value: V,
        /// What key and value take on the heap, in bytes.
        weight: usize,
        /// The last moment at which it may be seen; [`Moment::MAX`] for always.
        expires_at: Moment,
    },
    /// Hold nothing any longer, for this reason.
    Remove(RemovalCause),
}

/// What [`Memory::compute`](crate::Memory::compute) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Nothing: the closure kept what there was, or removed what there wasn't.
    Kept,
    /// The new value is held.
    Stored,
    /// What was held is removed.
    Removed,
    /// There was no room, and no entry that [may be evicted](crate::Candidates). What was held
    /// under the key still is.
    NoRoom,
    /// The new value is too heavy to be held. What was held under the key is removed, as
    /// [`Replaced`](RemovalCause::Replaced): the old value must not outlive the new one.
    TooHeavy,
}

/// What [`Memory::insert_if`](crate::Memory::insert_if) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Insert {
    /// The value is held.
    Stored,
    /// The condition didn't hold. Whatever was held still is.
    Refused,
    /// There was no room, and no entry that [may be evicted](crate::Candidates). What was held
    /// under the key still is.
    NoRoom,
    /// The value is too heavy to be held. What was held under the key is removed, as
    /// [`Replaced`](RemovalCause::Replaced): the old value must not outlive the new one.
    TooHeavy,
}

/// What one call of [`Memory::expire`](crate::Memory::expire) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Expired {
    /// How many entries it removed.
    pub entries: usize,
    /// Whether entries that have expired are left, for another call.
    pub more: bool,
}
