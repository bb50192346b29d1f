//! How a tier is put together.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;
use std::time::Duration;

use larder_policy::{Adaptive, Hits, Policy};

use crate::bounds::Bounds;
use crate::fence;
use crate::idle::Idle;
use crate::leftovers::Listener;
use crate::memory::{Costs, Memory};
use crate::retired::Promptly;
use crate::shard::Shard;
use crate::stats::RemovalCause;
use crate::stripes::Stripes;

/// Makes a [`Memory`] with another hasher or policy, a listener, an idle expiry, or costs.
///
/// ```
/// use larder_core::Moment;
/// use larder_memory::{Bounds, Builder, RemovalCause};
/// use larder_policy::{Policy, Sieve};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let evicted = Arc::new(AtomicU64::new(0));
/// let memory = Builder::new(Bounds::entries(2))
///     .policy(Sieve::new)
///     .on_removal({
///         let evicted = Arc::clone(&evicted);
///         move |_: &u64, _: &u64, cause| {
///             if cause == RemovalCause::Evicted {
///                 evicted.fetch_add(1, Ordering::Relaxed);
///             }
///         }
///     })
///     .build();
/// for key in 0..3 {
///     let _ = memory.insert(key, key, 0, Moment::MAX, Moment::ZERO);
/// }
/// assert_eq!(evicted.load(Ordering::Relaxed), 1);
/// ```
pub struct Builder<K, V, S = foldhash::fast::RandomState, P = Adaptive> {
    bounds: Bounds,
    hasher: S,
    policy: Box<dyn Fn(u64) -> P>,
    listener: Option<Box<Listener<K, V>>>,
    idle_for: Option<Duration>,
    costs: Option<Box<Costs<K, V>>>,
}

impl<K, V> Builder<K, V> {
    /// A tier with these bounds, the default policy and the default hasher.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            hasher: foldhash::fast::RandomState::default(),
            policy: Box::new(Adaptive::new),
            listener: None,
            idle_for: None,
            costs: None,
        }
    }
}

impl<K, V, S, P> Builder<K, V, S, P> {
    /// With this hasher. A fixed one makes runs repeat, and lets whoever chooses the keys make them
    /// collide.
    #[must_use]
    pub fn hasher<T>(self, hasher: T) -> Builder<K, V, T, P> {
        let Self { bounds, policy, listener, idle_for, costs, .. } = self;
        Builder { bounds, hasher, policy, listener, idle_for, costs }
    }

    /// With this policy, of which each shard makes one for its part of the capacity.
    #[must_use]
    pub fn policy<R>(self, policy: impl Fn(u64) -> R + 'static) -> Builder<K, V, S, R> {
        let Self { bounds, hasher, listener, idle_for, costs, .. } = self;
        Builder { bounds, hasher, policy: Box::new(policy), listener, idle_for, costs }
    }

    /// Lets entries expire that nobody uses for so long, besides those whose own time is over. A
    /// use is noted when the last note is older than a 32nd of `idle_for`, so an entry stays
    /// up to so much longer, and no less. Then every read needs to know the time. Other than by
    /// reads, an entry is used by being stored. It makes nobody a
    /// [candidate](crate::Candidates::Expiring).
    ///
    /// ```
    /// use larder_core::Moment;
    /// use larder_memory::{Bounds, Builder, Memory};
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let memory: Memory<u64, u64> =
    ///     Builder::new(Bounds::entries(100)).idle_for(10 * minute).build();
    /// let now = Moment::ZERO;
    /// let _ = memory.insert(1, 10, 0, Moment::MAX, now);
    /// assert_eq!(memory.get(&1, now + 9 * minute), Some(10));
    /// assert_eq!(memory.get(&1, now + 18 * minute), Some(10));
    /// assert_eq!(memory.get(&1, now + 29 * minute), None);
    /// ```
    #[must_use]
    pub fn idle_for(self, idle_for: Duration) -> Self {
        Self { idle_for: Some(idle_for), ..self }
    }

    /// What it takes to load a value again, for a policy that weighs it, as
    /// [`CostAware`](larder_policy::CostAware) does: `costs` is asked about each value that is
    /// to be stored. It is kept in microseconds, and more than 67 seconds are not told apart;
    /// nothing counts as a microsecond. `costs` runs under the lock, must be short, and must not
    /// use the tier; if it panics, nothing was changed.
    #[must_use]
    pub fn costs(self, costs: impl Fn(&K, &V) -> Duration + Send + Sync + 'static) -> Self {
        Self { costs: Some(Box::new(costs)), ..self }
    }

    /// Shows every entry that leaves to `listener`, with the reason, once nobody reads it any
    /// more and before it is dropped. It runs in the operation that notices that, after the lock
    /// is released; it may use the tier.
    ///
    /// Each operation that removes then costs a barrier among all threads of the process.
    #[must_use]
    pub fn on_removal(
        self,
        listener: impl Fn(&K, &V, RemovalCause) + Send + Sync + 'static,
    ) -> Self {
        Self { listener: Some(Box::new(listener)), ..self }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, P: Policy> Builder<K, V, S, P> {
    /// The tier, empty. It allocates as it fills.
    #[must_use]
    pub fn build(self) -> Memory<K, V, S, P> {
        fence::prepare();
        let Self { bounds, hasher, policy, listener, idle_for, costs } = self;
        let idle = idle_for.map(Idle::new);
        let overhead = Shard::<K, V, P>::ENTRY_OVERHEAD;
        let parallelism = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let count = bounds.shard_count(overhead, parallelism);
        let promptly = if listener.is_some() { Promptly::Yes } else { Promptly::No };
        let counts = Stripes::for_threads(parallelism);
        let mut hits = Hits::Unseen;
        let shards = (0..count)
            .map(|index| {
                let share = bounds.share(index, count, overhead);
                let policy = policy(share.capacity());
                hits = policy.hits();
                Shard::new(share, policy, promptly, idle)
            })
            .collect();
        Memory::from_parts(bounds, shards, hasher, hits, listener, costs, counts)
    }
}

impl<K, V, S, P> fmt::Debug for Builder<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
