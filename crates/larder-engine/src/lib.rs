//! The read engine: what is fresh, stale or gone; who loads, who waits, and what is kept.
//!
//! [`Cache`] is the whole of it for a user. Inside, one idea has one file:
//!
//! | file | idea |
//! |---|---|
//! | `read` | the life of a read, on one page |
//! | `blocking` | the same for code that can't await |
//! | `held` | what memory has for a read |
//! | `stand_in` | what a read gets that can't be given better |
//! | `consistency` | what is promised across processes |
//! | `patience` | how long one read waits, and what it takes |
//! | `load` | what the leader of a flight sets going |
//! | `departed` | a flight on its way, until it has landed |
//! | `fill` | what was loaded goes into memory, if its fence holds |
//! | `many` | many keys with one call |
//! | `gather` | single reads loaded together |
//! | `flight` | one running load and everyone who waits for it |
//! | `backoff` | how long a key is left alone after its load failed |
//! | `fence` | what a reader captures before it reads |
//! | `events` | tags, whole caches, prefixes: invalidations that name no single key |
//! | `ticket` | cache-aside without the race |
//! | `invalidate` | the one door of every invalidation |
//! | `strike` | what it does in this process |
//! | `write` | the life of a write, on one page |
//! | `writing` | one write under way, until it has ended |
//! | `guarded` | writes that are announced before they are committed |
//! | `late` | commits of writes that were given up |
//! | `install` | what a write returned goes into memory, if nothing overlapped it |
//! | `plain` | keys without a source: what was written is what is read |
//! | `memory` | the memory tier with a policy chosen when the program runs |
//! | `filter` | keys that surely don't exist never reach the source |
//! | `penetration` | the filter of a cache |
//! | `keys` | a list of keys as an object |
//! | `budget` | memory that the tiers of several caches share |
//! | `ledger` | what each cache of a memory tier has taken of it |
//! | `observe` | who is told what a cache does beside its reads |
//! | `worth` | what a cache saved and spent, for a verdict |
//! | `warm` | a memory tier is filled before it is asked |
//! | `guard` | how much a source is asked at a time, and whether at all |
//! | [`shared`] | entries that other processes see too, and what they are told |
//! | `recent` | what a thread last knew of the time |
//! | `runtime` | the only file that knows tokio |
//! | [`verdict`] | whether a cache is worth it, from what it counted |
//!
//! The engine knows the memory tier, and of everything else only the contracts in
//! `larder-core`: no database, no protocol, no file. Lock order: a shard of the memory tier, then a
//! shard of the flight map, never the other way round; a flight's own lock is the innermost. No
//! lock is held across an `.await`.

mod backoff;
pub mod behind;
mod blocking;
pub mod budget;
mod builder;
mod cache;
mod consistency;
pub mod counters;
mod departed;
mod engine;
mod erased;
mod events;
pub mod feeding;
mod fence;
mod fill;
pub mod filter;
mod flight;
mod gather;
pub mod guard;
mod guarded;
mod held;
mod horizon;
mod install;
mod invalidate;
mod key_fence;
mod key_tags;
mod keys;
mod late;
mod ledger;
mod load;
mod many;
mod memory;
pub mod observe;
mod patience;
mod penetration;
mod plain;
mod read;
#[cfg(target_os = "linux")]
mod recent;
mod reload;
pub mod runtime;
pub mod shared;
mod slot;
mod stand_in;
mod strike;
mod ticket;
mod token;
pub mod verdict;
mod wait;
mod warm;
mod worth;
mod write;
mod writing;

pub use blocking::Blocking;
pub use budget::Budget;
pub use builder::CacheBuilder;
pub use cache::Cache;
pub use consistency::Consistency;
pub use counters::{CacheStats, HistogramSnapshot};
pub use engine::Engine;
#[cfg(shuttle)]
pub use engine::Omit;
pub use fill::Fill;
pub use guard::{BreakerBounds, BreakerState, Guard, GuardBounds};
pub use held::Servable;
pub use invalidate::{Invalidated, Invalidation};
pub use key_fence::KeyFence;
pub use keys::{AnyKeyList, AnyKeyPages};
pub use memory::{MemoryTier, memory_tier};
pub use patience::Read;
pub use plain::{Moved, Moving, Occupant, Plain, PlainChange, PlainHeld};
pub use reload::Reload;
pub use shared::codec::{Codec, MessagePack, Raw};
pub use shared::{SharedStats, Sharing, SharingBounds};
pub use slot::Slot;
pub use ticket::{Lookup, Ticket};
pub use token::{NotAToken, Token};
pub use warm::{Warm, WarmEnd, WarmReport, Warming};
pub use write::{Install, WriteMode, Wrote};
