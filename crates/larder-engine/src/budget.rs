//! Several memory tiers on one budget: they hold values of different types, and hot ones take room
//! from cold ones. It knows nothing of caches or loads beyond what a fill had cost.
//!
//! Each tier that [joins](Budget::join) is a *part* with a bound of its own. The parts' bounds
//! together are never more than the budget, at any instant: a part shrinks first, evicting what
//! is over its new bound, and only what that has freed makes another grow.
//!
//! **What is measured.** Room is worth to a part the loading time that more of it would spare. A
//! sample of the keys that are filled is remembered as a ghost; a key that is filled again soon
//! is a *return*, which about twice the room would have spared (`returns`). Returns of a part
//! that loses entries for other reasons as well, by expiry, invalidation and replacement, count
//! only by the share of evictions in what left since the last look. Older counts count half at
//! each look. What is worth more than half as much again there as here moves, a step at a time
//! (`divide`).
//!
//! **What that can't see.** A loop over more than twice what a part holds shows no returns, so
//! nothing tells that enough room would end its misses. Entries that a policy refuses early return
//! sooner than the room that is missing to them would suggest. And the share of evictions is taken
//! of all that left, so a part whose reloads are mostly invalidated keys, while other keys are
//! evicted, looks somewhat shorter of room than it is. A part with fewer than some sixteen returns
//! between two looks is not believed, however dear its loads are.

mod divide;
mod part;
mod returns;

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use larder_core::sync::{AtomicU64, Counter, Mutex, Ordering};
use larder_core::{Error, ErrorKind, Result};

use crate::memory::MemoryTier;
use divide::Standing;
use part::{Part, Tier};
use returns::Returns;

/// How many tiers may share a budget.
const PARTS_MAX: usize = 256;

/// After so many sampled fills the division is looked at. As sparse as samples of large parts are,
/// that is about when a part has filled a quarter or half of itself anew.
const SAMPLES_PER_LOOK: u64 = 256;

/// Bytes for several memory tiers together. Cloning it is cheap and shares it.
///
/// A tier keeps at least a quarter of an equal share, give or take some bytes. Beside the budget,
/// each takes 33 KiB for what is remembered of its fills.
///
/// ```
/// use larder_engine::{Budget, Cache};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
/// let budget = Budget::bytes(64 << 20);
/// let minute = Duration::from_secs(60);
/// let names: Cache<u64, String> =
///     Cache::builder("name").max_staleness(minute).budget(&budget).build()?;
/// assert_eq!(names.worth().memory_bytes_max, 64 << 20);
///
/// let pages: Cache<String, Vec<u8>> =
///     Cache::builder("page").max_staleness(minute).budget(&budget).build()?;
/// assert_eq!(names.worth().memory_bytes_max, 32 << 20);
/// assert_eq!(pages.worth().memory_bytes_max, 32 << 20);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    bytes: usize,
    hasher: RandomState,
    /// Held by whoever changes bounds, while it does. Nobody who reads, loads or fills waits for
    /// it; the locks of a tier are taken inside it.
    parts: Mutex<Vec<Part>>,
    samples: AtomicU64,
    moved: Counter,
}

impl Budget {
    /// A budget of so many bytes, of which nothing is taken yet.
    #[must_use]
    pub fn bytes(bytes: usize) -> Self {
        Self(Arc::new(Shared {
            bytes,
            hasher: RandomState::default(),
            parts: Mutex::default(),
            samples: AtomicU64::new(0),
            moved: Counter::default(),
        }))
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.0.bytes
    }

    /// About how many bytes the next tier to join begins with. A tier keeps the number of shards
    /// that it was made with, so this is a good bound to make it with; an entry that is heavier
    /// than a shard's part of what the tier has later will not be held then.
    #[must_use]
    pub fn share(&self) -> usize {
        self.0.bytes / (self.0.parts.lock().len() + 1)
    }

    /// How many bytes of room went from one part to another so far.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.0.moved.get()
    }

    /// Makes `memory` a part: from now on its bound in bytes is the budget's to set, and nobody
    /// else resizes it. It should be empty. The others make room, each by the same share of what
    /// it has; what they evict for it is evicted before this returns. A tier that is a part
    /// already gets another seat.
    ///
    /// The part is one until tier and seats are dropped, in this order; its room then goes to the
    /// others, when next the division is looked at.
    ///
    /// A tier that may evict only [some entries](larder_memory::Candidates) keeps the room that the
    /// others take, so that a newcomer may begin with less; and like after any resize it may hold
    /// more than its bound.
    ///
    /// Must not be called from the destructor of a value that a part holds: it would wait for
    /// itself.
    ///
    /// # Errors
    ///
    /// `Config` if 256 tiers are parts already.
    pub fn join<K, V>(&self, memory: &Arc<MemoryTier<K, V>>) -> Result<Seat>
    where
        K: Hash + Eq + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        let tier: Arc<dyn Tier> = Arc::<MemoryTier<K, V>>::clone(memory);
        self.join_tier(&tier)
    }

    fn join_tier(&self, tier: &Arc<dyn Tier>) -> Result<Seat> {
        let mut parts = self.0.parts.lock();
        part::give_back(&mut parts);
        if let Some(part) = parts.iter().find(|part| part.is(tier)) {
            return Ok(self.seat(part));
        }
        if parts.len() >= PARTS_MAX {
            let message = format!("at most {PARTS_MAX} caches may share a budget");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let shrunk = divide::with_one_more(self.0.bytes, &part::bounds(&parts));
        for (part, bound) in parts.iter_mut().zip(shrunk) {
            part.shrink(bound);
        }
        let part = Part::new(tier, self.free(&parts));
        let seat = self.seat(&part);
        parts.push(part);
        Ok(seat)
    }

    /// Looks at the division, and moves one step of room if that is worth it. Says how many bytes
    /// moved; none while another look is under way.
    ///
    /// Fills do this now and then by themselves. Other calls age what was measured: frequent
    /// ones leave too little to be believed, and nothing moves.
    ///
    /// Takes as long as evicting at most an eighth of a part, and no more than 16 MiB.
    pub fn rebalance(&self) -> usize {
        let Some(mut parts) = self.0.parts.try_lock() else { return 0 };
        part::give_back(&mut parts);
        let standings: Vec<Standing> = parts.iter_mut().map(Part::look).collect();
        let Some(step) = divide::step(self.0.bytes, &standings) else { return 0 };
        let giver = &mut parts[step.from];
        let freed = giver.shrink(giver.bound - step.bytes);
        // What is free is what was freed, and what a panic of somebody's destructor left over.
        let free = self.free(&parts);
        let taker = &mut parts[step.to];
        taker.grow(taker.bound + free);
        self.0.moved.add(freed as u64);
        freed
    }

    /// What is nobody's.
    fn free(&self, parts: &[Part]) -> usize {
        let taken: usize = part::bounds(parts).iter().sum();
        self.0.bytes.saturating_sub(taken)
    }

    fn seat(&self, part: &Part) -> Seat {
        Seat { budget: self.clone(), returns: part.returns() }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("bytes", &self.0.bytes).finish_non_exhaustive()
    }
}

/// A tier's place in a [`Budget`], kept beside the tier and dropped after it.
#[derive(Debug)]
#[must_use = "keep it beside the tier: what is filled is noted here"]
pub struct Seat {
    budget: Budget,
    returns: Arc<Returns>,
}

impl Seat {
    /// Notes that a value was stored under `key`, and that its load took `cost`. Now and then it
    /// [rebalances](Budget::rebalance); otherwise it takes some nanoseconds. Not to be called where
    /// a tier holds its lock, in the closure of an insert for instance.
    pub fn filled<K: Hash + ?Sized>(&self, key: &K, cost: Duration) {
        let shared = &self.budget.0;
        if self.returns.note(shared.hasher.hash_one(key), cost)
            && shared.samples.fetch_add(1, Ordering::Relaxed) % SAMPLES_PER_LOOK
                == SAMPLES_PER_LOOK - 1
        {
            self.budget.rebalance();
        }
    }
}

#[cfg(test)]
mod tests;
