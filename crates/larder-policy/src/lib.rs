//! Eviction policies as pure structures over slot numbers.
//!
//! A [`Policy`] decides which entry leaves when room is needed, and knows nothing else: it sees
//! the numbers of the slots that entries stand in, and never a key, a value, a weight, a hash, a
//! clock or a lock. So the memory tier and a simulator run the same code, and a policy is tested
//! without either.
//!
//! | policy | idea | memory per slot | cost per operation |
//! |---|---|---|---|
//! | [`Lru`] | the entry that was used longest ago leaves | 8 bytes | constant, two neighbours |
//!
//! ```
//! use larder_policy::{Lru, Policy};
//!
//! let mut policy = Lru::default();
//! for slot in 0..3 {
//!     policy.insert(slot);
//! }
//! policy.touch(0);
//! assert_eq!(policy.victim(), Some(1));
//! policy.remove(1);
//! assert_eq!(policy.victim(), Some(2));
//! ```

mod lru;

pub use lru::Lru;

/// How many slots there can be: they are numbered from zero to one less than this.
pub const SLOTS_MAX: u32 = u32::MAX - 1;

/// Which entry to evict next, decided from the order in which slots are filled and used.
///
/// Whoever holds the entries tells the policy about each of them: a slot is inserted once,
/// touched at each use, and removed when its entry leaves for whatever reason. The policy never
/// removes a slot by itself; [`victim`](Policy::victim) only names one.
///
/// Slots are numbered densely from zero, since memory is proportional to the highest number in
/// use, and stay below [`SLOTS_MAX`].
///
/// # Panics
///
/// Every method that takes a slot panics when the caller's books are wrong: a slot inserted
/// twice, or touched, removed or moved without being held.
pub trait Policy: Default {
    /// `slot` has been filled with a new entry.
    fn insert(&mut self, slot: u32);

    /// The entry in `slot` was used.
    fn touch(&mut self, slot: u32);

    /// The entry in `slot` has left.
    fn remove(&mut self, slot: u32);

    /// The entry in `from` stands in `to` from now on, with everything known about it; `to` was
    /// not held, and `from` isn't any longer.
    fn relocate(&mut self, from: u32, to: u32);

    /// The slot to evict next, which stays held; `None` when nothing is held. Asked twice with
    /// nothing in between, it answers the same. A policy may settle its own books here.
    fn victim(&mut self) -> Option<u32>;

    /// Gives back what was allocated for slots from `slots` on, none of which is held. Costs
    /// nothing while little would be gained.
    fn shrink(&mut self, slots: u32);
}
