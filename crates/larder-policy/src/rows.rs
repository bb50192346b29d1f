//! Rows that are chosen by the high bits of a hash, in any number, and never lose their keys when
//! they become more.
//!
//! Linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980):
//! of a power of two of rows the first ones are split in two already. A row that is split is
//! copied, so what it held is found as before. What stands in the rows is for others to know.

/// Rows of a fixed size.
#[derive(Clone, Debug)]
pub(crate) struct Rows<T>(Box<[T]>);

impl<T: Copy> Rows<T> {
    /// As many copies of `row` as `length`, which is above zero.
    pub(crate) fn new(row: T, length: usize) -> Self {
        Self(vec![row; length].into_boxed_slice())
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The row of a key.
    #[inline]
    pub(crate) fn of(&self, hash: u32) -> &T {
        &self.0[place(hash, self.0.len())]
    }

    /// The row of a key.
    #[inline]
    pub(crate) fn of_mut(&mut self, hash: u32) -> &mut T {
        &mut self.0[place(hash, self.0.len())]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
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
        size_of_val(&*self.0)
    }

    fn stretch(&mut self, length: usize) {
        self.0 = (0..length).map(|row| *self.of(first_hash(row, length))).collect();
    }
}

/// The row of a hash among so many.
#[inline]
fn place(hash: u32, length: usize) -> usize {
    let bits = length.ilog2();
    let split = length - (1 << bits);
    let high = ((u64::from(hash) << bits) >> 32) as usize;
    if high < split { ((u64::from(hash) << (bits + 1)) >> 32) as usize } else { high + split }
}

/// The least hash whose row this is among so many.
fn first_hash(row: usize, length: usize) -> u32 {
    let bits = length.ilog2();
    let split = length - (1 << bits);
    let (high, bits) = if row < 2 * split { (row, bits + 1) } else { (row - split, bits) };
    ((high as u64) << (32 - bits)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_hash_of_each_row_leads_to_it() {
        for length in 1..200 {
            for row in 0..length {
                let hash = first_hash(row, length);
                assert_eq!(place(hash, length), row);
                assert!(row == 0 || place(hash - 1, length) == row - 1);
            }
            assert_eq!(place(u32::MAX, length), length - 1);
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
        rows.shrink(3, 1, 3);
        assert_eq!(rows.len(), 3);
    }
}
