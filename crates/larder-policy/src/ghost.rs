//! What was evicted lately, by fingerprint.
//!
//! A policy asks it whether a key that comes back was here not long ago. It knows hashes, and
//! nothing about slots or entries.

use crate::rows::Rows;

/// How many fingerprints share a row.
const ROW: usize = 16;

/// The fewest rows.
const ROWS_MIN: usize = 4;

/// The last evicted keys, two bytes each.
///
/// A row of sixteen fingerprints is a queue of its own, chosen by the high bits of the hash; the
/// fingerprint is of the low bits. So a key stays for about as many evictions as entries are held,
/// up to twice as many where a row is split already, and one look is at half a cache line. One
/// look in 4,000 finds a key that wasn't there.
#[derive(Clone, Debug)]
pub(crate) struct Ghost {
    rows: Rows<[u16; ROW]>,
}

impl Ghost {
    pub(crate) fn new() -> Self {
        Self { rows: Rows::new([0; ROW], ROWS_MIN) }
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
        let row = self.rows.of_mut(hash);
        row.copy_within(..ROW - 1, 1);
        row[0] = print(hash);
    }

    /// Whether the key was remembered. It no longer is.
    #[inline]
    pub(crate) fn take(&mut self, hash: u32) -> bool {
        let row = self.rows.of_mut(hash);
        let Some(at) = row.iter().position(|&kept| kept == print(hash)) else { return false };
        row.copy_within(at + 1.., at);
        row[ROW - 1] = 0;
        true
    }

    pub(crate) fn allocated(&self) -> usize {
        self.rows.allocated()
    }
}

/// The fingerprint of a key: never zero, which is an empty place.
#[inline]
fn print(hash: u32) -> u16 {
    (hash as u16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: u32) -> u32 {
        let mixed = (key ^ key >> 16).wrapping_mul(0x7FEB_352D);
        (mixed ^ mixed >> 15).wrapping_mul(0x846C_A68B)
    }

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
}
