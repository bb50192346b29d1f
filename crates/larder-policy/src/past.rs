//! What a policy remembers of keys, held or not: how often they were seen, and which left lately.

use crate::ghost::{Ghosts, ROW};
use crate::rows::Rows;
use crate::sketch::Counts;

/// How many keys a page is made for: as many as fit into its row of ghosts.
const KEYS: usize = ROW;

/// The fewest pages.
const PAGES_MIN: usize = 4;

/// How many times the keys that it is made for are seen, on average, before all counts are halved.
const SEEN_PER_KEY: usize = 10;

/// A sketch and a ghost that grow with the number of held keys: six bytes per key.
///
/// When ten times as many keys were seen as it is made for, every count is halved, so old uses
/// fade. A key that left is remembered for about as many evictions as entries are held, up to twice
/// as many where a page is split already.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pages: Rows<Page>,
    seen: usize,
    is_ignored: bool,
}

/// What is known of the keys that share a page: one look is at neighbouring cache lines.
#[derive(Clone, Copy, Debug)]
struct Page {
    counts: Counts,
    ghosts: Ghosts,
}

impl Page {
    const EMPTY: Self = Self { counts: Counts::NONE, ghosts: Ghosts::NONE };
}

impl Past {
    pub(crate) fn new() -> Self {
        Self { pages: Rows::new(Page::EMPTY, PAGES_MIN), seen: 0, is_ignored: false }
    }

    /// A past that nobody asks for: it remembers nothing.
    pub(crate) fn ignored() -> Self {
        Self { pages: Rows::new(Page::EMPTY, 1), seen: 0, is_ignored: true }
    }

    /// Counts uses of a key.
    pub(crate) fn see(&mut self, hash: u32, uses: u8) {
        if self.is_ignored {
            return;
        }
        for _ in 0..uses {
            self.pages.of_mut(hash).counts.see(hash);
            self.count();
        }
    }

    /// Counts a key that wasn't held and is now, one of `held`. Answers whether it had left lately.
    // It has one caller for each policy, but isn't put in line there by itself.
    #[inline(always)]
    pub(crate) fn arrive(&mut self, hash: u32, held: usize) -> bool {
        if self.is_ignored {
            return false;
        }
        self.pages.reach(held, KEYS);
        let page = self.pages.of_mut(hash);
        page.counts.see(hash);
        let had_left = page.ghosts.take(hash);
        self.count();
        had_left
    }

    /// Remembers that a key left.
    #[inline]
    pub(crate) fn leave(&mut self, hash: u32) {
        if !self.is_ignored {
            self.pages.of_mut(hash).ghosts.insert(hash);
        }
    }

    /// How often a key was seen.
    #[inline]
    pub(crate) fn frequency(&self, hash: u32) -> u8 {
        self.pages.of(hash).counts.estimate(hash)
    }

    /// Whether a key was seen more often than so many times.
    #[inline]
    pub(crate) fn is_seen_more(&self, hash: u32, times: u8) -> bool {
        self.pages.of(hash).counts.is_above(hash, times)
    }

    pub(crate) fn shrink(&mut self, held: usize) {
        self.pages.shrink(held, KEYS, PAGES_MIN);
    }

    pub(crate) fn allocated(&self) -> usize {
        self.pages.allocated()
    }

    /// Counts that some key was seen.
    #[inline]
    fn count(&mut self) {
        self.seen += 1;
        if self.seen >= SEEN_PER_KEY * KEYS * self.pages.len() {
            self.age();
        }
    }

    #[cold]
    fn age(&mut self) {
        self.pages.iter_mut().for_each(|page| page.counts.halve());
        self.seen /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::hash;

    #[test]
    fn a_key_is_never_counted_less_than_it_was_seen_until_counts_are_halved() {
        let mut past = Past::new();
        past.pages.reach(1000, KEYS);
        for key in 0..1000 {
            past.see(hash(key), (key % 9) as u8);
        }
        let more = (0..1000).filter(|&key| {
            let seen = (key % 9) as u8;
            let above = |times| past.is_seen_more(hash(key), times);
            assert!((0..16).all(|times| above(times) == (past.frequency(hash(key)) > times)));
            assert!(past.frequency(hash(key)) >= seen, "key {key} was seen {seen} times");
            past.frequency(hash(key)) > seen
        });
        let more = more.count();
        assert!(more < 100, "{more} of 1000 keys are counted too often");
    }

    #[test]
    fn counts_fade() {
        let mut past = Past::new();
        past.see(hash(1), 40);
        assert_eq!(past.frequency(hash(1)), 15);
        let round = SEEN_PER_KEY * KEYS * past.pages.len();
        (0..2 * round as u32).for_each(|key| past.see(hash(1000 + key), 1));
        assert!(past.frequency(hash(1)) < 15);
    }

    #[test]
    fn a_key_that_comes_back_is_known_once() {
        let mut past = Past::new();
        assert!(!past.arrive(hash(1), 1));
        past.leave(hash(1));
        assert!(past.arrive(hash(1), 1));
        assert!(!past.arrive(hash(1), 1));
        assert_eq!(past.frequency(hash(1)), 3);
    }
}
