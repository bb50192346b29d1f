//! What a policy remembers of keys, held or not: how often they were seen, and which left lately.

use crate::ghost::Ghost;
use crate::sketch::Sketch;

/// A sketch and a ghost that grow with the number of held keys: six bytes per key.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    sketch: Sketch,
    ghost: Ghost,
}

impl Past {
    pub(crate) fn new() -> Self {
        Self { sketch: Sketch::new(), ghost: Ghost::new() }
    }

    /// Counts uses of a key.
    #[inline]
    pub(crate) fn see(&mut self, hash: u32, uses: u8) {
        for _ in 0..uses {
            self.sketch.see(hash);
        }
    }

    /// Counts a key that wasn't held and is now, one of `held`. Answers whether it had left lately.
    #[inline]
    pub(crate) fn arrive(&mut self, hash: u32, held: usize) -> bool {
        self.sketch.reach(held);
        self.ghost.reach(held);
        self.sketch.see(hash);
        self.ghost.take(hash)
    }

    /// Remembers that a key left.
    #[inline]
    pub(crate) fn leave(&mut self, hash: u32) {
        self.ghost.insert(hash);
    }

    /// How often a key was seen.
    #[inline]
    pub(crate) fn frequency(&self, hash: u32) -> u8 {
        self.sketch.estimate(hash)
    }

    pub(crate) fn shrink(&mut self, held: usize) {
        self.sketch.shrink(held);
        self.ghost.shrink(held);
    }

    pub(crate) fn allocated(&self) -> usize {
        self.sketch.allocated() + self.ghost.allocated()
    }
}
