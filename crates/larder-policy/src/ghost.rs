//! What was evicted lately, by fingerprint.
//!
//! A policy asks it whether a key that comes back was here not long ago. It knows hashes, and
//! nothing about slots or entries.

use crate::rows::Rows;

/// How many fingerprints share a row.
pub(crate) const ROW: usize = 16;

/// The fewest rows.
const ROWS_MIN: usize = 4;

/// The last evicted keys, two bytes each.
///
/// A key stays for about as many evictions as entries are held, up to twice as many where a row is
/// split already. One look in 4,000 finds a key that wasn't there.
#[derive(Clone, Debug)]
pub(crate) struct Ghost {
    rows: Rows<Ghosts>,
}

impl Ghost {
    pub(crate) fn new() -> Self {
        Self { rows: Rows::new(Ghosts::NONE, ROWS_MIN) }
    }

    /// Makes room for the ghosts of about as many keys as are held.
    #[inline]
    pub(crate) fn reach(&mut self, held: usize) {
        self.rows.reach(held, ROW);
    }

    /// Gives back what is far more than `held` keys need.
    pub(crate) fn shrink(&mut self, held: usize) {
        self.rows.shrink(held, ROW, ROWS_MIN);
    }

    /// Remembers a key; the oldest of its row is forgotten.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32) {
        self.rows.of_mut(hash).insert(hash);
    }

    /// Whether the key was remembered. It no longer is.
    #[inline]
    pub(crate) fn take(&mut self, hash: u32) -> bool {
        self.rows.of_mut(hash).take(hash)
    }

    pub(crate) fn allocated(&self) -> usize {
        self.rows.allocated()
    }
}

/// A row of sixteen fingerprints, the youngest first: a queue of its own. Rows are chosen by the
/// high bits of the hash; the fingerprint is of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ghosts([u16; ROW]);

impl Ghosts {
    pub(crate) const NONE: Self = Self([0; ROW]);

    /// Remembers a key; the oldest is forgotten.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32) {
        // A copy of known length takes two registers, where a move within the row takes a call.
        let before = self.0;
        self.0[1..].copy_from_slice(&before[..ROW - 1]);
        self.0[0] = print(hash);
    }

    /// Whether the key was remembered. It no longer is.
    #[inline]
    pub(crate) fn take(&mut self, hash: u32) -> bool {
        let print = print(hash);
        // Most keys aren't there: all sixteen are compared at once to say so.
        let same = self.0.iter().map(|&kept| u16::from(kept == print));
        let is_there = same.fold(0, |any, same| any | same) != 0;
        if is_there {
            self.forget(print);
        }
        is_there
    }

    /// Takes the youngest of these fingerprints out.
    #[cold]
    fn forget(&mut self, print: u16) {
        if let Some(at) = self.0.iter().position(|&kept| kept == print) {
            self.0.copy_within(at + 1.., at);
            self.0[ROW - 1] = 0;
        }
    }
}

/// The fingerprint of a key: never zero, which is an empty place. The keys of a sample have the
/// same low bits, so these alone would not tell them apart.
#[inline]
fn print(hash: u32) -> u16 {
    ((hash ^ hash >> 16) as u16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::hash;

    #[test]
    fn a_key_is_remembered_until_it_is_taken() {
        let mut ghost = Ghost::new();
        ghost.insert(hash(1));
        ghost.insert(hash(2));
        assert!(ghost.take(hash(1)));
        assert!(!ghost.take(hash(1)));
        assert!(ghost.take(hash(2)));
    }

    #[test]
    fn about_as_many_keys_are_remembered_as_there_are_places() {
        let mut ghost = Ghost::new();
        ghost.reach(1000);
        (0..10_000).for_each(|key| ghost.insert(hash(key)));
        let kept = |keys: std::ops::Range<u32>, ghost: &mut Ghost| {
            keys.filter(|&key| ghost.take(hash(key))).count()
        };
        assert!(kept(0..6000, &mut ghost) < 20);
        assert!(kept(9500..10_000, &mut ghost) > 450);
    }

    #[test]
    fn keys_of_a_sample_are_told_apart() {
        let mut ghost = Ghost::new();
        ghost.reach(256);
        let mut sampled = (0..).map(hash).filter(|hash| hash & 1023 == 0);
        sampled.by_ref().take(256).for_each(|hash| ghost.insert(hash));
        let found = sampled.take(2000).filter(|&hash| ghost.take(hash)).count();
        assert!(found < 10, "{found} of 2000 keys are found that weren't there");
    }
}
