//! Rows that are chosen by the high bits of a hash, in any number, and never lose their keys when
//! they become more.
//!
//! Linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980):
//! of a power of two of rows the first ones are split in two already. A row that is split is
//! copied, so what it held is found as before. What stands in the rows is for others to know.

use crate::slots::allocated;

/// Rows of a fixed size.
#[derive(Clone, Debug)]
pub(crate) struct Rows<T> {
    of: Vec<T>,
    places: Places,
}

impl<T: Copy> Rows<T> {
    /// As many copies of `row` as `length`, which is above zero.
    pub(crate) fn new(row: T, length: usize) -> Self {
        Self { of: vec![row; length], places: Places::among(length) }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// The row of a key.
    #[inline]
    pub(crate) fn of(&self, hash: u32) -> &T {
        &self.of[self.places.of(hash)]
    }

    /// The row of a key.
    #[inline]
    pub(crate) fn of_mut(&mut self, hash: u32) -> &mut T {
        &mut self.of[self.places.of(hash)]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.of.iter_mut()
    }

    /// Makes rows enough for `held` keys and an eighth, when there are too few for `held`.
    #[inline]
    pub(crate) fn reach(&mut self, held: usize, per_row: usize) {
        if held > self.len() * per_row {
            self.stretch((held + held / 8).div_ceil(per_row));
        }
    }

    /// Gives back what is far more than `held` keys need, but not the last `least` rows. Of rows
    /// that become one only the first is kept.
    pub(crate) fn shrink(&mut self, held: usize, per_row: usize, least: usize) {
        let length = (held + held / 8).div_ceil(per_row).max(least);
        if self.len() > length + length / 4 {
            self.stretch(length);
        }
    }

    pub(crate) fn allocated(&self) -> usize {
        allocated(&self.of)
    }

    /// Makes the rows so many. They are moved where they stand: a row's copies stand behind it, so
    /// from the end none is overwritten before it was copied, and towards fewer from the beginning.
    #[cold]
    fn stretch(&mut self, length: usize) {
        let (before, after) = (self.places, Places::among(length));
        let old = self.of.len();
        if length > old {
            self.of.reserve_exact(length - old);
            self.of.resize(length, self.of[0]);
            for row in (0..length).rev() {
                self.of[row] = self.of[before.of(after.first_hash(row))];
            }
        } else {
            for row in 0..length {
                self.of[row] = self.of[before.of(after.first_hash(row))];
            }
            self.of.truncate(length);
            self.of.shrink_to_fit();
        }
        self.places = after;
    }
}

/// Which of so many rows is a hash's.
#[derive(Clone, Copy, Debug)]
struct Places {
    /// How many low bits of a hash don't matter to the rows that are split.
    low: u32,
    /// How many rows, of the power of two, are split.
    split: u32,
}

impl Places {
    /// The places among `length` rows: above zero, and below two to the power of 31, where each
    /// hash would have its own.
    fn among(length: usize) -> Self {
        let bits = length.ilog2();
        Self { low: 31 - bits, split: (length - (1 << bits)) as u32 }
    }

    #[inline]
    fn of(self, hash: u32) -> usize {
        // Two rows for each of the power of two, if all were split; and one for each, behind those
        // that come from a split. Where that is done, the former is the less, and else the latter.
        let fine = hash >> self.low;
        fine.min(fine / 2 + self.split) as usize
    }

    /// The least hash whose row this is.
    fn first_hash(self, row: usize) -> u32 {
        let (row, split) = (row as u32, self.split);
        if row < 2 * split { row << self.low } else { (row - split) << 1 << self.low }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_hash_of_each_row_leads_to_it() {
        for length in 1..200 {
            let places = Places::among(length);
            for row in 0..length {
                let hash = places.first_hash(row);
                assert_eq!(places.of(hash), row);
                assert!(row == 0 || places.of(hash - 1) == row - 1);
            }
            assert_eq!(places.of(u32::MAX), length - 1);
        }
    }

    #[test]
    fn more_rows_keep_what_each_key_had() {
        let hashes: Vec<u32> = (0..1000u32).map(|key| key.wrapping_mul(0x9E37_79B1)).collect();
        let mut rows = Rows::new(0, 3);
        for held in (3..300).step_by(7) {
            let before: Vec<usize> = hashes.iter().map(|&hash| *rows.of(hash)).collect();
            rows.reach(held, 1);
            let after: Vec<usize> = hashes.iter().map(|&hash| *rows.of(hash)).collect();
            assert_eq!(before, after);
            rows.iter_mut().enumerate().for_each(|(at, row)| *row = at);
        }
        let few = Places::among(3);
        let kept = [0, 1, 2].map(|row| *rows.of(few.first_hash(row)));
        rows.shrink(2, 1, 3);
        assert_eq!(rows.of, kept);
    }
}
