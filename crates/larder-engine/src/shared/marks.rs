//! What this process knows of the marks: when tags, whole caches and prefixes were last
//! invalidated, by the clock of the tier that keeps them.
//!
//! It is read at the start, and kept up to date from the bus. An entry of the shared tier carries
//! what its filler knew, before it loaded, of that clock: it stands if none of its marks is later.
//! What a filler knew is a lower bound, so a lag costs a load, never a stale answer.
//!
//! After a gap nothing is known until the marks were read again, and nothing in the tier serves.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use larder_core::envelope::Envelope;
use larder_core::shared::{Invalidation, Mark, MarkClock, Marks};
use larder_core::sync::Mutex;

use crate::events::Fate;

/// The marks of a tag's hash fall in so many buckets, as in the tier: two tags that share one are
/// struck together.
const BUCKETS: usize = 65_536;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct MarkTable(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How often track of them was lost.
    era: u64,
    /// Whether every mark is known, of this incarnation.
    incarnation: Option<u32>,
    clock: MarkClock,
    tags: Option<Box<[Struck]>>,
    caches: HashMap<Box<str>, OfCache, RandomState>,
    all: Struck,
    /// What was heard while nothing was known: it may be later than what is being read.
    heard: Vec<(Mark, Invalidation, MarkClock, u32)>,
}

/// When something was last dropped, and last marked stale.
#[derive(Clone, Copy, Debug, Default)]
struct Struck {
    dropped: MarkClock,
    staled: MarkClock,
}

/// The marks of one cache.
#[derive(Debug, Default)]
struct OfCache {
    all: Struck,
    /// A tier keeps a bounded number of them, and forgets them with a mark of the whole cache.
    prefixes: HashMap<Box<str>, Struck, RandomState>,
}

/// This process forgets prefixes beyond so many of a cache, and counts the whole cache as struck.
const PREFIXES_MAX: usize = 64;

/// So many marks are remembered while nothing is known. With more they must be read again.
const HEARD_MAX: usize = 4096;

impl Struck {
    fn strike(&mut self, strike: Invalidation, clock: MarkClock) {
        let at = match strike {
            Invalidation::Drop => &mut self.dropped,
            Invalidation::MarkStale => &mut self.staled,
        };
        *at = clock.max(*at);
    }

    fn fate(self, clock: MarkClock) -> Fate {
        if self.dropped > clock {
            Fate::Dropped
        } else if self.staled > clock {
            Fate::Staled
        } else {
            Fate::Stands
        }
    }
}

/// The bucket of a tag's hash.
pub(crate) fn bucket(hash: u64) -> u16 {
    (hash >> 48) as u16
}

impl MarkTable {
    /// What is known now, to be taken before a load begins: the incarnation of the marks, and how
    /// far its clock is known. `None` while nothing is.
    pub(crate) fn known(&self) -> Option<(u32, MarkClock)> {
        let known = self.0.lock();
        known.incarnation.map(|incarnation| (incarnation, known.clock))
    }

    /// Whether this cache has a mark; `None` while not every mark is known.
    pub(super) fn has_cache(&self, cache: &str) -> Option<bool> {
        let known = self.0.lock();
        known.incarnation.map(|_| known.caches.contains_key(cache))
    }

    /// Nothing is known any more.
    pub(super) fn unknown(&self) {
        let mut known = self.0.lock();
        *known = Known { era: known.era + 1, ..Known::default() };
    }

    /// To be taken before the marks are read that are [learnt](Self::learn) then.
    pub(super) fn era(&self) -> u64 {
        self.0.lock().era
    }

    /// Every mark was read, since `era` was taken. Returns `false` when too many were heard
    /// meanwhile, or track of them was lost: what was set since they were read may be among what
    /// was missed. They must be read again.
    pub(super) fn learn(&self, marks: &Marks, era: u64) -> bool {
        let mut known = self.0.lock();
        if known.era != era {
            return false;
        }
        let heard = std::mem::take(&mut *known).heard;
        known.era = era;
        if heard.len() == HEARD_MAX {
            return false;
        }
        known.incarnation = Some(marks.incarnation);
        known.clock = marks.clock;
        for (mark, strike, clock) in &marks.marks {
            known.strike(mark, *strike, *clock);
        }
        for (mark, strike, clock, incarnation) in heard {
            if incarnation == marks.incarnation {
                known.strike(&mark, strike, clock);
                known.clock = known.clock.max(clock);
            }
        }
        true
    }

    /// A mark was set. Returns `false` when marks were lost: this one is of another incarnation
    /// than those that are known.
    pub(super) fn heard(
        &self,
        marks: impl Iterator<Item = Mark>,
        strike: Invalidation,
        (clock, incarnation): (MarkClock, u32),
    ) -> bool {
        let mut known = self.0.lock();
        match known.incarnation {
            None => {
                let room = HEARD_MAX - known.heard.len();
                known.heard.extend(marks.take(room).map(|mark| (mark, strike, clock, incarnation)));
                true
            }
            Some(known) if known != incarnation => false,
            Some(_) => {
                marks.for_each(|mark| known.strike(&mark, strike, clock));
                known.clock = known.clock.max(clock);
                true
            }
        }
    }

    /// What became of an entry of the tier through marks. `None` while they aren't known, or when
    /// it was filled under marks that were lost.
    pub(crate) fn fate(&self, cache: &str, key: &str, envelope: &Envelope) -> Option<Fate> {
        let known = self.0.lock();
        if known.incarnation != Some(envelope.marks) {
            return None;
        }
        let mut fate = known.all.fate(envelope.clock);
        if let Some(tags) = &known.tags {
            let of_tag = |&hash: &u64| tags[usize::from(bucket(hash))].fate(envelope.clock);
            fate = fate.max(envelope.tags.iter().map(of_tag).max().unwrap_or(Fate::Stands));
        }
        if let Some(of_cache) = known.caches.get(cache) {
            fate = fate.max(of_cache.all.fate(envelope.clock));
            for (prefix, struck) in &of_cache.prefixes {
                if key.starts_with(&**prefix) {
                    fate = fate.max(struck.fate(envelope.clock));
                }
            }
        }
        Some(fate)
    }
}

impl Known {
    fn strike(&mut self, mark: &Mark, strike: Invalidation, clock: MarkClock) {
        match mark {
            Mark::Tag(bucket) => {
                let new = || vec![Struck::default(); BUCKETS].into_boxed_slice();
                let tags = self.tags.get_or_insert_with(new);
                tags[usize::from(*bucket)].strike(strike, clock);
            }
            Mark::Cache(cache) => {
                let of_cache = self.caches.entry(cache.clone()).or_default();
                of_cache.all.strike(strike, clock);
                if strike == Invalidation::Drop {
                    of_cache
                        .prefixes
                        .retain(|_, struck| struck.dropped > clock || struck.staled > clock);
                }
            }
            Mark::Prefix { cache, prefix } => {
                let of_cache = self.caches.entry(cache.clone()).or_default();
                let is_new = !of_cache.prefixes.contains_key(prefix);
                if is_new && of_cache.prefixes.len() == PREFIXES_MAX {
                    let latest = |struck: &Struck| struck.dropped.max(struck.staled);
                    let clocks = of_cache.prefixes.drain().map(|(_, struck)| latest(&struck));
                    let clock = clocks.max().unwrap_or_default().max(clock);
                    of_cache.all.strike(Invalidation::Drop, clock);
                    return;
                }
                of_cache.prefixes.entry(prefix.clone()).or_default().strike(strike, clock);
            }
            Mark::All => self.all.strike(strike, clock),
        }
    }
}

#[cfg(test)]
mod tests;
