//! The in-process tier: a sharded map with bounds that hold.
//!
//! [`Memory`] keeps entries until they expire, are removed, or have to make room. It never waits
//! for anything but a lock, and starts no thread.
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
//! assert_eq!(memory.get(&42, now, String::len), Some(3));
//! assert_eq!(memory.get(&43, now, String::len), None);
//! ```
//!
//! # Bounds
//!
//! [`Bounds`] limit bytes, entries, or both, at every instant and over all shards together. Each
//! shard keeps its own part of them. What happens at the limit: entries that have expired go
//! first, then the one that was used longest ago, but never the one that is being stored. What
//! could not be kept even alone is not stored, and takes the old value under its key with it.
//!
//! # Memory
//!
//! An entry counts `weight + Memory::ENTRY_OVERHEAD` bytes. The weight is what its key and value
//! have on the heap; whoever stores it knows. The overhead is
//!
//! | bytes | for |
//! |---|---|
//! | size of key + size of value + 24 to 32 | its slot: both inline, hash, expiry and charge |
//! | 48 | its part of the table, of the policy and of the order of expiry |
//! | 16 each for key and value, unless they have no destructor | the allocator's headers and rounding |
//!
//! so 96 bytes for a `Memory<u64, u64>`. A process that churns a tier grows by about its bound: a
//! test holds it to 15 %. What the allocator makes of holes when the size of the values changes
//! is not counted.
//!
//! # What it deliberately does not know
//!
//! What fresh and stale mean, what a value is worth, what a load is, or what time it is: moments
//! are arguments. Why an entry leaves is known ([`RemovalCause`]); hits and misses are for the
//! caller to count.

mod bounds;
mod change;
mod expiry;
mod leftovers;
mod memory;
mod shard;
mod slab;
mod stats;

#[cfg(test)]
#[cfg(shuttle)]
mod interleavings;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;

pub use bounds::Bounds;
pub use change::{Change, Expired, Held, Insert, Outcome};
pub use memory::Memory;
pub use stats::{RemovalCause, Stats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
