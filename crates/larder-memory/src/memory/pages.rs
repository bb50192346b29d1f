//! Pages: a walk through all entries that may stop and go on, with nothing kept in between.

use std::hash::{BuildHasher, Hash};

use larder_core::Moment;
use larder_policy::Policy;

use super::{BATCH, Memory};
use crate::change::Held;
use crate::clock::Now;

/// So many empty places are looked at for each entry that is wanted.
const EMPTY_PER_ENTRY: usize = 10;

/// Where a walk through the entries stands: between two of them, in the order of shards and
/// hashes.
///
/// It is a number of at most 48 bits, and means something as long as the tier lives.
///
/// ```
/// use larder_memory::Cursor;
///
/// assert_eq!(Cursor::START.number(), 0);
/// assert_eq!(Cursor::from_number(7).number(), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(u64);

impl Cursor {
    /// Before the first entry.
    pub const START: Self = Self(0);

    /// The place of this number. One that no walk gave is some place, too, or the end.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Its number; zero is the start.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    const fn of(shard: usize, hash: u32) -> Self {
        Self((shard as u64) << 32 | hash as u64)
    }

    fn parts(self) -> (usize, u32) {
        (usize::try_from(self.0 >> 32).unwrap_or(usize::MAX), self.0 as u32)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, P: Policy> Memory<K, V, S, P> {
    /// The place that a random number stands for: as likely one as any other.
    ///
    /// ```
    /// use larder_memory::{Bounds, Memory};
    ///
    /// let memory: Memory<u64, u64> = Memory::new(Bounds::entries(1000));
    /// assert_eq!(memory.place_of(7), memory.place_of(7));
    /// ```
    #[must_use]
    pub fn place_of(&self, drawn: u64) -> Cursor {
        let shard = usize::try_from(drawn >> 32).unwrap_or(0) & (self.shards.len() - 1);
        Cursor::of(shard, drawn as u32)
    }

    /// Shows live entries to `visit`, from `from` on, a few at a time under the lock of their
    /// shard: about `max` of them, and fewer, or none, where most places are empty. Returns where
    /// to go on, or `None` behind the last entry. It is no use of the entries.
    ///
    /// Entries come in the order of their hashes, which doesn't change with their number. So of
    /// a walk from [`Cursor::START`] to the end, whatever is stored, replaced and removed
    /// meanwhile: an entry whose key was held all the time is shown exactly once, and one whose
    /// key came or left meanwhile once or not at all. Entries whose hashes are equal are shown
    /// together, so there may be a few more than `max`.
    ///
    /// ```
    /// use larder_core::Moment;
    /// use larder_memory::{Bounds, Cursor, Memory};
    ///
    /// let memory: Memory<u64, u64> = Memory::new(Bounds::entries(1000));
    /// for key in 0..100 {
    ///     let _ = memory.insert(key, key, 0, Moment::MAX, Moment::ZERO);
    /// }
    /// let (mut seen, mut at) = (0, Some(Cursor::START));
    /// while let Some(from) = at {
    ///     at = memory.page(from, 10, Moment::ZERO, |_, _| seen += 1);
    /// }
    /// assert_eq!(seen, 100);
    /// ```
    pub fn page(
        &self,
        from: Cursor,
        max: usize,
        now: impl Now,
        mut visit: impl FnMut(&K, Held<'_, V>),
    ) -> Option<Cursor> {
        let now: Moment = now.now();
        let max = max.max(1);
        let (mut index, mut hash) = from.parts();
        let (mut seen, mut looked) = (0, 0);
        while seen < max && looked < max.saturating_mul(EMPTY_PER_ENTRY) {
            let writer = self.shards.get(index)?.write();
            for _ in 0..BATCH {
                let next = writer.visit_hashes(hash, |slot| {
                    if writer.last(slot) >= now {
                        seen += 1;
                        visit(writer.key(slot), writer.held(slot));
                    }
                });
                looked += 1;
                (index, hash) = match next {
                    Some(next) => (index, next),
                    None => (index + 1, 0),
                };
                if next.is_none() || seen >= max {
                    break;
                }
            }
        }
        (index < self.shards.len()).then(|| Cursor::of(index, hash))
    }
}
