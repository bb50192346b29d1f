//! Why entries leave, and how many came and went.

use std::ops::AddAssign;

/// Why an entry left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemovalCause {
    /// For space: the tier removed it so that another entry fits.
    Evicted,
    /// For time: the tier noticed that its last moment had passed.
    Expired,
    /// A new value was put under its key, or was to be put and turned out too heavy. The tier's
    /// own cause.
    Replaced,
    /// The data behind it changed. Given by whoever removes: the engine, for every invalidation.
    Invalidated,
    /// The user said so. Given by whoever removes: the engine, on the user's behalf.
    Removed,
}

impl RemovalCause {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::Evicted, Self::Expired, Self::Replaced, Self::Invalidated, Self::Removed];

    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::Invalidated => "invalidated",
            Self::Removed => "removed",
        }
    }
}

/// What the tier holds and what it did since it was made. Counters never go back.
///
/// Each shard's part is exact; the parts are read one after the other.
/// `inserts` is always `entries` plus the removals of all causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries held, including those that have expired and were not yet noticed.
    pub entries: usize,
    /// Entries among them that expire at some time.
    pub expiring: usize,
    /// Bytes held: weights and overheads.
    pub bytes: usize,
    /// Reads that found an entry. Looks that are no use ([`peek`](crate::Memory::peek),
    /// [`compute`](crate::Memory::compute)) don't count, and neither do they as misses.
    pub hits: u64,
    /// Reads that found none, or one that had expired.
    pub misses: u64,
    /// Values stored, under new keys and in place of others.
    pub inserts: u64,
    /// Values not stored because the condition of the insert didn't hold.
    pub refused: u64,
    /// Values not stored because they were too heavy.
    pub too_heavy: u64,
    /// Values not stored because there was no room and nothing that may be evicted.
    pub no_room: u64,
    pub(crate) removals: [u64; RemovalCause::ALL.len()],
}

impl Stats {
    /// Entries that left for this cause.
    #[must_use]
    pub const fn removals(&self, cause: RemovalCause) -> u64 {
        self.removals[cause as usize]
    }

    pub(crate) const fn count_removals(&mut self, cause: RemovalCause, entries: u64) {
        self.removals[cause as usize] += entries;
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.expiring += other.expiring;
        self.bytes += other.bytes;
        self.hits += other.hits;
        self.misses += other.misses;
        self.inserts += other.inserts;
        self.refused += other.refused;
        self.too_heavy += other.too_heavy;
        self.no_room += other.no_room;
        for (sum, part) in self.removals.iter_mut().zip(other.removals) {
            *sum += part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_causes_are_counted_apart() {
        let mut stats = Stats::default();
        for (number, cause) in (1..).zip(RemovalCause::ALL) {
            stats.count_removals(cause, number);
        }
        stats += stats;
        for (number, cause) in (1..).zip(RemovalCause::ALL) {
            assert_eq!(stats.removals(cause), 2 * number, "{}", cause.as_str());
        }
    }
}
