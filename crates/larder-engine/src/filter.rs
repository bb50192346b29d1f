//! The filter in front of a source: a read of a key that surely doesn't exist never reaches the
//! source.
//!
//! It is a Bloom filter (B. H. Bloom, *Space/time trade-offs in hash coding with allowable
//! errors*, 1970) over all keys of the source, read from a [`KeyList`](larder_core::KeyList). It
//! may take a key that doesn't exist for one that may, and never the other way round. Where its
//! bits are set depends on a seed that each filter draws for itself, because keys come from the
//! network and nobody there shall know which of them look alike.
//!
//! # Where it is sound
//!
//! "Absent" is an answer like a value, and the promise about staleness holds for it too. A key
//! that somebody inserts behind our back would be absent here until the next build, whatever
//! window was declared. So a filter belongs only where inserts are known: where every writer
//! announces its changes (`changes = "announced"`, or a feed), or where nothing changes
//! (`static`). With `changes = "unknown"` it breaks the promise.
//!
//! An insert is made known by [`Filter::add`] **after** its commit and before its announcement
//! returns; what can't be named (a generation, a prefix, a gap in a feed) by [`Filter::void`], at
//! the same time. A read that starts after that is not told "absent".
//!
//! # Why nothing that is announced during a build is lost
//!
//! A build ([`Build`]) puts its own bits, still empty, under the filter's lock *before* it asks
//! for the first page, and from then on `add` takes both generations under that lock:
//!
//! 1. the build reads the page that would hold `k`, and doesn't find it,
//! 2. a writer commits `k` and announces it: `k` goes into the current bits and into those being
//!    built,
//! 3. the build ends, and its bits, with `k`, become the current ones.
//!
//! If `add` came before the build's bits were there, the commit did too, and the reading, which
//! begins later, finds `k`. If `add` has taken both generations and sets its bits only after
//! step 3, it does so in what is current by then, before the announcement returns. And a `void`
//! during the build takes the build's bits away, because pages that it has read already may be
//! from before; the next build begins after.
//!
//! | part | idea |
//! |---|---|
//! | `filter` | what is asked and what is announced |
//! | `filter/build` | one reading of the list, from its claim to its end |
//! | `filter/state` | the current bits, the build, and what becomes of them |
//! | `filter/due` | whether a build is due: a pure function |
//! | `filter/bits` | the bits of one generation, and how many |
//! | `filter/options` | what a filter can be told |
//! | `filter/report` | progress and statistics |
//!
//! It knows no cache and no memory tier, and starts no task.

mod bits;
mod build;
mod due;
mod options;
mod report;
mod state;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;

use larder_core::sync::{Counter, Mutex};
use larder_core::{Moment, Result};

use self::state::State;

pub use build::Build;
pub use due::BuildCause;
pub use options::FilterOptions;
pub use report::{BuildState, FilterStats, Progress};

/// What a filter says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key doesn't exist: answer that, and don't ask the source.
    Absent,
    /// The key may exist: ask the source.
    Maybe,
    /// The filter was not built yet, or not since something unnameable changed: ask the source.
    NotReady,
}

/// A protective step that a checker leaves out, to show that the step is needed.
#[cfg(shuttle)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    /// Everything is in place.
    Nothing,
    /// What is announced doesn't go into the bits that are being built.
    AddToBuild,
    /// A build puts its bits under the lock only after it has read the list.
    BitsBeforePages,
    /// A build goes on whatever was voided meanwhile.
    VoidOfBuild,
}

/// A filter over the keys of one source. Clones are the same filter.
///
/// ```
/// use larder_core::{Clock, keys_of};
/// use larder_engine::filter::{BuildState, Filter, FilterOptions, Verdict};
/// use larder_engine::runtime::SystemClock;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let clock = SystemClock::new();
/// let filter = Filter::new(FilterOptions::default())?;
/// assert_eq!(filter.ask(&7_u64), Verdict::NotReady);
///
/// // Due, because it was never built. A cache spawns this.
/// let build = filter.begin(clock.now()).expect("nobody else builds it");
/// assert!(matches!(build.run(&keys_of(0..1_000_u64), &clock).await, BuildState::Done));
/// assert_eq!(filter.ask(&7), Verdict::Maybe);
/// assert_eq!(filter.ask(&1_000_000), Verdict::Absent); // but for one in a hundred
///
/// filter.add(&1_000_000); // inserted
/// assert_eq!(filter.ask(&1_000_000), Verdict::Maybe);
/// # Ok::<_, larder_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Filter<K>(Arc<Inner>, PhantomData<fn(&K)>);

struct Inner {
    options: FilterOptions,
    hasher: RandomState,
    state: Mutex<State>,
    absent: Counter,
    maybe: Counter,
    not_ready: Counter,
    false_positives: Counter,
    #[cfg(shuttle)]
    omit: Omit,
}

impl<K: Hash> Filter<K> {
    /// A filter that was not built yet.
    ///
    /// # Errors
    ///
    /// `Config` when the options can't be kept.
    pub fn new(options: FilterOptions) -> Result<Self> {
        options.check()?;
        let inner = Inner {
            options,
            hasher: RandomState::new(),
            state: Mutex::default(),
            absent: Counter::default(),
            maybe: Counter::default(),
            not_ready: Counter::default(),
            false_positives: Counter::default(),
            #[cfg(shuttle)]
            omit: Omit::Nothing,
        };
        Ok(Self(Arc::new(inner), PhantomData))
    }

    /// The same filter with one step left out, if nobody has it yet.
    #[cfg(shuttle)]
    #[must_use]
    pub fn omitting(mut self, omit: Omit) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.omit = omit;
        }
        self
    }

    /// Whether `key` may exist. Takes the filter's lock for a moment, so it is for misses.
    #[must_use]
    pub fn ask(&self, key: &K) -> Verdict {
        let inner = &*self.0;
        let current = inner.state.lock().current();
        // The bits are looked at without the lock. If they are replaced or voided meanwhile, that
        // has not returned when this read began.
        let (verdict, counter) = match current {
            None => (Verdict::NotReady, &inner.not_ready),
            Some(bits) if bits.may_hold(inner.hash(key)) => (Verdict::Maybe, &inner.maybe),
            Some(_) => (Verdict::Absent, &inner.absent),
        };
        counter.add(1);
        verdict
    }

    /// Says that `key` may exist: it was loaded, written, or named by an invalidation. To be
    /// called after the commit; once it has returned nobody who asks is told "absent".
    ///
    /// A key that is there already changes nothing. One that is removed from the source stays
    /// until the next build.
    pub fn add(&self, key: &K) {
        let inner = &*self.0;
        let generations = inner.generations();
        let hash = inner.hash(key);
        for bits in generations.into_iter().flatten() {
            bits.add(hash);
        }
    }

    /// Says that keys may exist which can't be named. To be called after the commit; until the
    /// filter has been built from a reading that begins after this, it answers
    /// [`NotReady`](Verdict::NotReady). A build that is under way is given up.
    pub fn void(&self) {
        let inner = &*self.0;
        // Freed after the lock: it may be many megabytes.
        let voided = {
            let mut state = inner.state.lock();
            #[cfg(shuttle)]
            if inner.omit == Omit::VoidOfBuild {
                return drop(state.void_current());
            }
            (state.void_current(), state.void_build())
        };
        drop(voided);
    }

    /// Says that the source had nothing for `key`, to measure the filter: if it said
    /// [`Maybe`](Verdict::Maybe), that was a false positive.
    pub fn was_absent(&self, key: &K) {
        let inner = &*self.0;
        let current = inner.state.lock().current();
        if current.is_some_and(|bits| bits.may_hold(inner.hash(key))) {
            inner.false_positives.add(1);
        }
    }

    /// Why a build is due at `now`, if one is: none is running, and the pause after the last one
    /// is over. Cheap enough for every miss.
    #[must_use]
    pub fn due(&self, now: Moment) -> Option<BuildCause> {
        self.0.state.lock().due(self.0.options.rebuild_after, now)
    }

    /// Claims the build that is due at `now`, if one is. Nobody else is given one until it has
    /// ended or was dropped.
    #[must_use = "a build does nothing until it is run"]
    pub fn begin(&self, now: Moment) -> Option<Build<K>> {
        let claimed = self.0.state.lock().claim(self.0.options.rebuild_after, now);
        claimed.then(|| Build::new(self.clone(), now))
    }

    /// How far the build is, or how the last one ended; `None` before the first.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.0.state.lock().progress()
    }

    /// What the filter holds and has counted. It looks at all current bits: some milliseconds
    /// where there are 32 MiB of them.
    #[must_use]
    pub fn stats(&self) -> FilterStats {
        let inner = &*self.0;
        let mut stats = FilterStats {
            answered_absent: inner.absent.get(),
            answered_maybe: inner.maybe.get(),
            answered_not_ready: inner.not_ready.get(),
            false_positives: inner.false_positives.get(),
            ..FilterStats::default()
        };
        let current = {
            let state = inner.state.lock();
            state.report(&mut stats);
            state.current()
        };
        stats.rate_estimated = current.map(|bits| bits.rate());
        stats
    }
}

impl Inner {
    /// Where the bits of a key are, the same in every generation.
    fn hash<K: Hash>(&self, key: &K) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The current bits and those being built, as they are together at one moment.
    fn generations(&self) -> [Option<Arc<bits::Bits>>; 2] {
        let state = self.state.lock();
        #[cfg(shuttle)]
        if self.omit == Omit::AddToBuild {
            return [state.current(), None];
        }
        [state.current(), state.building()]
    }
}

impl<K> Clone for Filter<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl<K> fmt::Debug for Filter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("options", &self.0.options).finish_non_exhaustive()
    }
}
