//! The two halves of a full memory barrier, of which readers pay nearly nothing.
//!
//! A reader says that it is about to search and then looks what is there; a writer takes something
//! away and then looks who is searching. Neither may miss the other, for which
//! each must have its store seen before its load. Reads are many and reclamations are few, so
//! where the system can, the writer makes *every* thread of the process pass a barrier
//! (`membarrier(2)`, private expedited), and a reader only keeps the compiler from swapping the
//! two. Elsewhere both pay for a fence of their own.
//!
//! One barrier serves every shard of every tier in the process, so they are numbered: what was
//! taken away before a barrier began is safe to judge once it has ended. That count and the
//! registry of readers are all the state that the process shares.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence, fence};

/// Whether readers must pay for a fence of their own. So it is until the system has said that
/// writers can pay for them.
static READERS_PAY: AtomicBool = AtomicBool::new(true);

/// Who pays is decided once, before there is a reader: afterwards both sides must agree.
static DECIDED: Once = Once::new();

/// How many barriers have begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// The highest number of a barrier that has ended.
static ENDED: AtomicU64 = AtomicU64::new(0);

/// Finds out whether writers can pay. Called before the first reader of a tier can exist.
pub(crate) fn prepare() {
    DECIDED.call_once(|| READERS_PAY.store(!system::register(), Ordering::Release));
}

/// Whether readers must pay for a fence of their own: [`light`] wants to know it.
pub(crate) fn readers_pay() -> bool {
    READERS_PAY.load(Ordering::Acquire)
}

/// The reader's half: between saying that it searches and searching.
#[inline]
pub(crate) fn light(readers_pay: bool) {
    if readers_pay {
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// When something was taken away, in the count of barriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// No barrier has begun after this.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Now: after all that the caller has taken away.
    pub(crate) fn now() -> Self {
        // What was taken away must be seen by everybody before the count is read. A barrier
        // reaches one thread after the other: with the store still on its way, a reader who has
        // passed the barrier could search, and find, before it arrives.
        fence(Ordering::SeqCst);
        Self(BEGUN.load(Ordering::Acquire))
    }

    /// Whether a barrier has begun after this stamp, and ended.
    pub(crate) fn is_past(self) -> bool {
        // Without help from the system nobody else's fence counts for the caller's stores.
        !READERS_PAY.load(Ordering::Relaxed) && ENDED.load(Ordering::Acquire) > self.0
    }
}

/// The writer's half: between taking away and looking who searches. Afterwards every stamp
/// made by this thread before the call can be judged. False if the system refused: then nothing
/// may be judged.
pub(crate) fn heavy() -> bool {
    let number = BEGUN.fetch_add(1, Ordering::AcqRel) + 1;
    fence(Ordering::SeqCst);
    if !READERS_PAY.load(Ordering::Acquire) && !system::barrier() {
        return false;
    }
    ENDED.fetch_max(number, Ordering::AcqRel);
    true
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use rustix::thread::{MembarrierCommand, membarrier};

    pub(super) fn register() -> bool {
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    pub(super) fn barrier() -> bool {
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        true
    }
}
