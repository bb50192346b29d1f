//! The in-process tier: a sharded map with bounds that hold, read without a lock.
//!
//! [`Memory`] keeps entries until they expire, are removed, or have to make room. Reads wait for
//! nobody; writes wait for nothing but the lock of their shard. It starts no thread.
//!
//! ```
//! use larder_core::Moment;
//! use larder_memory::{Bounds, Insert, Memory};
//!
//! let memory: Memory<u64, String> = Memory::new(Bounds::bytes(64 << 20));
//! let (now, name) = (Moment::ZERO, "Ada".to_owned());
//! let weight = name.capacity();
//! let insert = memory.insert_if(42, name, weight, Moment::MAX, now, |held| held.is_none());
//! assert_eq!(insert, Insert::Stored);
//! assert_eq!(memory.get_with(&42, now, String::len), Some(3));
//! assert_eq!(memory.get(&43, now), None);
//! ```
//!
//! # Bounds
//!
//! [`Bounds`] limit bytes, entries, or both, at every instant and over all shards together. Each
//! shard keeps its own part of them. What happens at the limit: entries that expired a
//! millisecond ago or more go first, as far as a few steps find them, then those that the [policy]
//! gives up, but never the one that is being stored. What
//! could not be kept even alone is not stored, and takes the old value under its key with it.
//!
//! # Reads
//!
//! A reader says that it searches, finds the entry, and says that it holds it, or copies a value
//! of at most two words at once; whoever takes an entry away looks at both before the entry is
//! dropped and its memory used again. So a key that
//! is held is found, and a value that is read is whole, whatever writers do meanwhile. Where the
//! policy must know the order of all uses, a hit takes the lock of its shard instead. A policy that
//! learns from a sample is shown a use that raised the count of a sampled key, if the lock is free
//! just then; nobody waits for it.
//!
//! # Memory
//!
//! An entry counts `weight + Memory::ENTRY_OVERHEAD` bytes. The weight is what its key and value
//! have on the heap; whoever stores it knows. The overhead is
//!
//! | bytes | for |
//! |---|---|
//! | size of key + size of value + 8, rounded up | its slot: both inline, hash and use count |
//! | 24 | its expiry, charge, cost and last use, which stand beside the slot |
//! | 32 | its part of the table, of the policy and of the order of expiry |
//! | 16 each for key and value, unless they have no destructor | the allocator's headers and rounding |
//!
//! so 80 bytes for a `Memory<u64, u64>`. A process that churns a tier grows by about its bound: a
//! test holds it to 15 %. When the size of the values changes, more is left: free slots are
//! given back in halves only, and the allocator keeps holes. The test holds that to 65 %.
//!
//! # What it deliberately does not know
//!
//! What fresh and stale mean, what a value is worth, what a load is, or what time it is: moments
//! are arguments.

mod atomics;
mod bounds;
mod builder;
mod change;
mod clock;
mod fence;
mod hazard;
mod idle;
#[cfg(all(test, shuttle))]
mod interleavings;
mod leftovers;
mod live;
mod memory;
mod place;
mod reference;
mod retired;
mod shard;
mod slots;
mod stats;
mod stripes;
mod table;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod wheel;

pub use bounds::{Bounds, Candidates};
pub use builder::Builder;
pub use change::{Change, Expired, Held, Insert, Outcome, Room};
pub use clock::{CoarseClock, Now};
pub use memory::{Cursor, Memory};
pub use reference::Ref;
pub use stats::{RemovalCause, Stats};
pub use stripes::Stripes;

/// The policies, to choose one for a [`Builder`].
pub use larder_policy as policy;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
