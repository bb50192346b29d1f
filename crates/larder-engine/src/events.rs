//! Events: invalidations that name no single key, so that each costs the same however many
//! entries it strikes.
//!
//! A tag, a whole cache and a prefix are invalidated by writing down the number of the event. An
//! entry remembers how many events there had been when its load began; it stands as long as
//! nothing that it depends on was struck by a later one.
//!
//! The order is what makes it safe:
//!
//! 1. a reader takes the count of events **before** it loads,
//! 2. whoever invalidates writes the event's number at everything that it strikes, and **then**
//!    raises the count.
//!
//! So a load that began with the count raised began after the marks were there, and a mark that
//! is missing while the count is still low belongs to an invalidation that hasn't returned.
//!
//! An entry with tags remembers the count at which its tags were last looked up: while no event
//! came, one comparison does. The count is read before the marks are, so that an event in between
//! makes the next reader look again.

use std::sync::OnceLock;

use larder_core::sync::{AtomicU64, Mutex, Ordering};

use crate::invalidate::Invalidation;

/// Tags share so many marks, which take 1 MiB. Two tags that share one are struck together: a
/// needless load now and then, never a stale answer. A checker makes them anew for every order.
const MARKS: usize = if cfg!(shuttle) { 16 } else { 65_536 };

/// What became of an entry through events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// Nothing.
    Stands,
    /// Something that it depends on was marked stale.
    Staled,
    /// Something that it depends on was invalidated.
    Dropped,
}

/// The events of an engine.
#[derive(Debug)]
pub(crate) struct Events {
    count: AtomicU64,
    /// The last event that struck tags.
    tags: AtomicU64,
    /// Events are applied one after the other.
    applying: Mutex<()>,
    /// Allocated when the first tag is invalidated.
    marks: OnceLock<Box<[Mark]>>,
    #[cfg(shuttle)]
    omit: crate::engine::Omit,
}

/// The last events that struck something.
#[derive(Debug, Default)]
struct Mark {
    dropped: AtomicU64,
    staled: AtomicU64,
}

impl Mark {
    fn strike(&self, event: u64, what: Invalidation) {
        let at = match what {
            Invalidation::Drop => &self.dropped,
            Invalidation::MarkStale => &self.staled,
        };
        at.store(event, Ordering::Release);
    }

    fn fate(&self, born: u64) -> Fate {
        if self.dropped.load(Ordering::Acquire) > born {
            Fate::Dropped
        } else if self.staled.load(Ordering::Acquire) > born {
            Fate::Staled
        } else {
            Fate::Stands
        }
    }
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            tags: AtomicU64::new(0),
            applying: Mutex::new(()),
            marks: OnceLock::new(),
            #[cfg(shuttle)]
            omit: crate::engine::Omit::Nothing,
        }
    }

    #[cfg(shuttle)]
    pub(crate) fn omit(&mut self, omit: crate::engine::Omit) {
        self.omit = omit;
    }

    #[cfg(shuttle)]
    pub(crate) fn omits(&self, step: crate::engine::Omit) -> bool {
        self.omit == step
    }

    /// How many there have been. To be taken before a load begins.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The last event that struck tags.
    pub(crate) fn last_of_tags(&self) -> u64 {
        self.tags.load(Ordering::Acquire)
    }

    /// Applies an event: `strike` writes its number wherever it must stand.
    pub(crate) fn apply(&self, strike: impl FnOnce(u64)) {
        let _applying = self.applying.lock();
        let event = self.count.load(Ordering::Relaxed) + 1;
        #[cfg(shuttle)]
        if self.omit == crate::engine::Omit::MarksBeforeCount {
            self.count.store(event, Ordering::Release);
            return strike(event);
        }
        strike(event);
        self.count.store(event, Ordering::Release);
    }

    /// Strikes everything that depends on one of these tags.
    pub(crate) fn strike_tags(&self, tags: impl Iterator<Item = u64>, what: Invalidation) {
        let new = || (0..MARKS).map(|_| Mark::default()).collect();
        self.apply(|event| {
            let marks = self.marks.get_or_init(new);
            tags.for_each(|tag| marks[place(tag)].strike(event, what));
            self.tags.store(event, Ordering::Release);
        });
    }

    /// What became of an entry whose load began at the count `born`, through its tags.
    pub(crate) fn fate(&self, tags: &[u64], born: u64) -> Fate {
        let Some(marks) = self.marks.get() else { return Fate::Stands };
        let fates = tags.iter().map(|&tag| marks[place(tag)].fate(born));
        fates.max().unwrap_or(Fate::Stands)
    }
}

/// The hash of a tag, by which it is known to everything but its loader: the same in every
/// process, for ever.
pub(crate) fn tag_hash(tag: &str) -> u64 {
    rapidhash::v3::rapidhash_v3(tag.as_bytes())
}

/// Where a tag of this hash is marked.
fn place(hash: u64) -> usize {
    (hash >> 48) as usize % MARKS
}

/// The events that struck a whole cache.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    mark: Mark,
    /// The last of them, of either kind.
    last: AtomicU64,
    /// The last event that voids the loads that were under way, whether or not it struck what
    /// is held: a prefix strikes entries one by one, but nobody knows what is being loaded.
    fenced: AtomicU64,
    /// How many walk through memory at this moment, to find what has a prefix.
    walks: AtomicU64,
}

/// A walk through memory, until it is dropped.
#[derive(Debug)]
pub(crate) struct Walk<'a>(&'a AtomicU64);

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Sweeps {
    /// Begins a walk; before the first lock of the memory tier is taken for it.
    pub(crate) fn walk(&self) -> Walk<'_> {
        self.walks.fetch_add(1, Ordering::AcqRel);
        Walk(&self.walks)
    }

    /// Whether somebody walks.
    pub(crate) fn is_walked(&self) -> bool {
        self.walks.load(Ordering::Acquire) > 0
    }

    /// Strikes everything that the cache holds, and every load under way.
    pub(crate) fn strike(&self, event: u64, what: Invalidation) {
        self.mark.strike(event, what);
        self.last.store(event, Ordering::Release);
        self.fence(event);
    }

    /// Strikes every load under way.
    pub(crate) fn fence(&self, event: u64) {
        self.fenced.store(event, Ordering::Release);
    }

    /// Whether a load that began at the count `born` was struck.
    pub(crate) fn voids(&self, born: u64) -> bool {
        self.fenced.load(Ordering::Acquire) > born
    }

    /// What became of an entry whose load began at the count `born`.
    #[inline]
    pub(crate) fn fate(&self, born: u64) -> Fate {
        if self.last.load(Ordering::Acquire) <= born { Fate::Stands } else { self.mark.fate(born) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_strikes_what_was_loaded_before_and_nothing_later() {
        let events = Events::new();
        let [a, b] = ["tenant:1", "tenant:2"].map(tag_hash);
        assert_ne!(place(a), place(b), "the tags of this test share a mark; choose others");
        let before = events.count();
        events.strike_tags([a].into_iter(), Invalidation::Drop);
        assert_eq!(events.fate(&[a], before), Fate::Dropped);
        assert_eq!(events.fate(&[b], before), Fate::Stands);
        assert_eq!(events.fate(&[b, a], before), Fate::Dropped);
        assert_eq!(events.fate(&[a], events.count()), Fate::Stands);
    }

    #[test]
    fn the_harder_fate_wins() {
        let events = Events::new();
        let tag = [tag_hash("t")];
        let before = events.count();
        events.strike_tags(tag.into_iter(), Invalidation::MarkStale);
        assert_eq!(events.fate(&tag, before), Fate::Staled);
        let between = events.count();
        events.strike_tags(tag.into_iter(), Invalidation::Drop);
        events.strike_tags(tag.into_iter(), Invalidation::MarkStale);
        assert_eq!(events.fate(&tag, before), Fate::Dropped);
        assert_eq!(events.fate(&tag, between), Fate::Dropped);
    }

    #[test]
    fn a_sweep_strikes_the_whole_cache_and_a_fence_only_what_is_under_way() {
        let (events, sweeps) = (Events::new(), Sweeps::default());
        let before = events.count();
        events.apply(|event| sweeps.fence(event));
        assert_eq!((sweeps.fate(before), sweeps.voids(before)), (Fate::Stands, true));
        events.apply(|event| sweeps.strike(event, Invalidation::MarkStale));
        assert_eq!((sweeps.fate(before), sweeps.voids(before)), (Fate::Staled, true));
        let after = events.count();
        assert_eq!((sweeps.fate(after), sweeps.voids(after)), (Fate::Stands, false));
    }
}
