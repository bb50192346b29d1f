//! A part of a budget: a tier whose bound is set from outside, and what was measured of it. It
//! doesn't know who else shares the budget, but for what the last function gives to all of them.

use std::hash::Hash;
use std::sync::{Arc, Weak};

use larder_memory::RemovalCause;

use super::divide::{self, Standing};
use super::returns::{Counted, Returns};
use crate::memory::MemoryTier;

/// A memory tier, whatever it holds.
pub(super) trait Tier: Send + Sync {
    fn tell(&self) -> Told;
    fn resize(&self, bytes: usize);
}

/// What a tier tells of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    /// Entries that left so far, for any reason.
    pub(super) left: u64,
    /// Those among them that were evicted.
    pub(super) evicted: u64,
}

impl<K, V> Tier for MemoryTier<K, V>
where
    K: Hash + Eq + Send + Sync,
    V: Send + Sync,
{
    fn tell(&self) -> Told {
        let stats = self.stats();
        let left = RemovalCause::ALL.into_iter().map(|cause| stats.removals(cause)).sum();
        let evicted = stats.removals(RemovalCause::Evicted);
        // What is reserved can't be given up either.
        let bytes = stats.bytes + self.reserved();
        Told { entries: stats.entries, bytes, left, evicted }
    }

    fn resize(&self, bytes: usize) {
        // The tier's own method, not this one.
        MemoryTier::resize(self, self.bounds().and_bytes(bytes));
    }
}

/// What the budget knows of a tier.
pub(super) struct Part {
    tier: Weak<dyn Tier>,
    returns: Arc<Returns>,
    /// The tier's bound in bytes.
    pub(super) bound: usize,
    /// What the tier told and what was counted, at the last look.
    told: Told,
    counted: Counted,
    /// What was measured so far, the older the less: see [`Standing`].
    wanting: f64,
    believed: f64,
}

impl Part {
    pub(super) fn new(tier: &Arc<dyn Tier>, bound: usize) -> Self {
        tier.resize(bound);
        Self {
            tier: Arc::downgrade(tier),
            returns: Arc::new(Returns::new()),
            bound,
            told: Told::default(),
            counted: Counted::default(),
            wanting: 0.0,
            believed: 0.0,
        }
    }

    pub(super) fn is(&self, tier: &Arc<dyn Tier>) -> bool {
        std::ptr::addr_eq(self.tier.as_ptr(), Arc::as_ptr(tier))
    }

    /// Where its fills are noted.
    pub(super) fn returns(&self) -> Arc<Returns> {
        Arc::clone(&self.returns)
    }

    /// Whether neither the tier nor a seat is left.
    fn has_left(&self) -> bool {
        self.tier.strong_count() == 0 && Arc::strong_count(&self.returns) == 1
    }

    /// Takes what was measured since the last look into account.
    pub(super) fn look(&mut self) -> Standing {
        let counted = self.returns.counted();
        // Who is being dropped has nothing to tell, and wants nothing.
        let told = self.tier.upgrade().map_or_else(Told::default, |tier| tier.tell());
        let evicted = told.evicted.saturating_sub(self.told.evicted);
        let left = told.left.saturating_sub(self.told.left);
        let share = if left == 0 { 0.0 } else { evicted as f64 / left as f64 };
        let since = |now: u64, then: u64| now.wrapping_sub(then) as f64 * share;
        self.wanting = self.wanting / 2.0 + since(counted.micros, self.counted.micros);
        self.believed = self.believed / 2.0 + since(counted.returns, self.counted.returns);
        (self.told, self.counted) = (told, counted);
        self.returns.follow(told.entries);
        let Self { bound, wanting, believed: returns, .. } = *self;
        Standing { bound, bytes: told.bytes, wanting, returns }
    }

    /// Gives room up, down to `bound`; what can't be evicted keeps its room. Says how much it was.
    pub(super) fn shrink(&mut self, bound: usize) -> usize {
        // Who is being dropped keeps its room until it is gone.
        let Some(tier) = self.tier.upgrade() else { return 0 };
        tier.resize(bound);
        // Over its bound it can't have grown since.
        let held = tier.tell().bytes.clamp(bound, self.bound);
        if held > bound {
            tier.resize(held);
        }
        let freed = self.bound - held;
        self.bound = held;
        freed
    }

    pub(super) fn grow(&mut self, bound: usize) {
        self.bound = bound;
        if let Some(tier) = self.tier.upgrade() {
            tier.resize(bound);
        }
    }
}

pub(super) fn bounds(parts: &[Part]) -> Vec<usize> {
    parts.iter().map(|part| part.bound).collect()
}

/// Gives the room of those who have left to those who are there.
pub(super) fn give_back(parts: &mut Vec<Part>) {
    while let Some(index) = parts.iter().position(Part::has_left) {
        let freed = parts.remove(index).bound;
        if !parts.is_empty() {
            let grown = divide::with_one_less(&bounds(parts), freed);
            for (part, bound) in parts.iter_mut().zip(grown) {
                part.grow(bound);
            }
        }
    }
}
