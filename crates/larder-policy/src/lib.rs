//! Eviction policies as pure structures over slot numbers.
//!
//! A [`Policy`] decides which entry leaves when room is needed, and knows nothing else: it sees
//! the numbers of the slots that entries stand in and asks [`Entries`] for what it needs to know
//! of them, but never for a key, a value, a clock or a lock. So the memory tier and a simulator
//! run the same code, and a policy is tested without either.
//!
//! | policy | name | evicts | a use is | bytes per slot |
//! |---|---|---|---|---|
//! | [`Adaptive`] | `adaptive` | whatever small shadow caches say works best; the default | a mark | 11 to 12 |
//! | [`TinyLfu`] | `tinylfu` | new entries, unless they are seen more often than old ones | a mark | 11 to 12 |
//! | [`S3Fifo`] | `s3fifo` | what isn't used twice while it is on trial | a mark | 7 to 8 |
//! | [`Sieve`] | `sieve` | what isn't used until a hand comes by | a mark | 8 |
//! | [`CostAware`] | `cost` | what is cheap to load, large and seldom used | a mark | 24 |
//! | [`Lru`] | `lru` | what was used longest ago | a move under the lock | 8 |
//! | [`Lfu`] | `lfu` | what was used least often | a move under the lock | 12 |
//! | [`Fifo`] | `fifo` | what was filled longest ago | nothing | 8 |
//! | [`Random`] | `random` | any entry | nothing | 8 |
//!
//! Vectors grow by an eighth, so up to that much more is in reserve. Every operation takes constant
//! time on average. [`Chosen`] is any of them, chosen by [`PolicyKind`] when the program runs.
//!
//! ```
//! use larder_policy::{Entries, Lru, Policy};
//!
//! /// Entries that only count.
//! struct Counted;
//!
//! impl Entries for Counted {
//!     fn hash(&self, slot: u32) -> u32 {
//!         slot.wrapping_mul(0x9E37_79B1)
//!     }
//!     fn weight(&self, _slot: u32) -> u64 {
//!         1
//!     }
//!     fn cost(&self, _slot: u32) -> u32 {
//!         1
//!     }
//!     fn uses(&self, _slot: u32) -> u8 {
//!         0
//!     }
//!     fn set_uses(&self, _slot: u32, _uses: u8) {}
//! }
//!
//! let mut policy = Lru::new(3);
//! for slot in 0..3 {
//!     policy.insert(slot, &Counted);
//! }
//! policy.hit(0, &Counted);
//! assert_eq!(policy.evict(&Counted), Some(1));
//! assert_eq!(policy.evict(&Counted), Some(2));
//! ```

mod adaptive;
mod chosen;
mod contract;
mod cost;
mod crowd;
mod draw;
mod fifo;
mod ghost;
mod kind;
mod lfu;
mod lines;
mod links;
mod lru;
mod past;
mod queues;
mod random;
mod ring;
mod rows;
mod s3fifo;
mod sampled;
mod segments;
mod shadow;
mod sieve;
mod sketch;
mod slots;
#[cfg(test)]
mod tests;
mod tinylfu;

pub use adaptive::Adaptive;
pub use chosen::Chosen;
pub use contract::{Entries, Hits, Policy, SLOTS_MAX, USES_MAX};
pub use cost::CostAware;
pub use fifo::Fifo;
pub use kind::{PolicyKind, UnknownPolicy};
pub use lfu::Lfu;
pub use lru::Lru;
pub use random::Random;
pub use s3fifo::S3Fifo;
pub use sieve::Sieve;
pub use tinylfu::TinyLfu;
