//! Which slots of a shard hold an entry that can be found: a bit for each.

/// A set of slot numbers.
#[derive(Debug, Default)]
pub(crate) struct Live {
    words: Vec<u64>,
    len: usize,
}

impl Live {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.words.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Adds a slot that isn't there.
    pub(crate) fn insert(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        debug_assert!(!self.contains(slot));
        self.words[word] |= 1 << (slot % 64);
        self.len += 1;
    }

    /// Takes away a slot that is there.
    pub(crate) fn remove(&mut self, slot: u32) {
        debug_assert!(self.contains(slot));
        self.words[slot as usize / 64] &= !(1 << (slot % 64));
        self.len -= 1;
    }

    /// The first slot from `slot` on.
    pub(crate) fn next(&self, slot: u32) -> Option<u32> {
        let mut at = slot as usize / 64;
        let mut word = self.words.get(at)? & (!0 << (slot % 64));
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some(at as u32 * 64 + word.trailing_zeros())
    }

    /// One more than the last slot.
    pub(crate) fn end(&self) -> u32 {
        let last = self.words.iter().rposition(|&word| word != 0);
        last.map_or(0, |at| at as u32 * 64 + u64::BITS - self.words[at].leading_zeros())
    }

    /// Gives back what was allocated for slots from `slots` on, none of which is there.
    pub(crate) fn shrink(&mut self, slots: u32) {
        self.words.truncate(slots.div_ceil(64) as usize);
        self.words.shrink_to(2 * self.words.len());
    }
}
