//! How much the tier may hold, and how that is divided among its shards.

use larder_core::Moment;

use crate::slots::CHARGE_MAX;

/// How many slots a shard can have.
const SLOTS_MAX: u32 = 1 << 30;

/// The heaviest entry that nobody asked for: 1 MiB.
const ENTRY_BYTES_MAX_DEFAULT: usize = 1 << 20;

/// A shard of fewer entries than this evicts noticeably worse than one list over all of them.
const SHARE_ENTRIES_MIN: usize = 512;

/// The same in bytes, for entries of about 500 bytes.
const SHARE_BYTES_MIN: usize = 256 << 10;

/// One entry of the heaviest kind takes at most this part of a shard with it.
const HEAVIEST_PER_SHARE_MIN: usize = 4;

/// More shards than this serve no machine.
const SHARDS_MAX: usize = 1 << 16;

/// A shard of at least this many bytes frees evicted entries in batches, and keeps room for them.
const SLACK_SHARE_MIN: usize = 256 << 10;

/// At most this much of a shard waits to be freed.
const SLACK_MAX: usize = 64 << 10;

/// Which entries may be evicted when room is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Candidates {
    /// Any.
    #[default]
    All,
    /// Only those that expire at some time. When there is none left, nothing is stored: see
    /// [`Insert::NoRoom`](crate::Insert::NoRoom).
    Expiring,
}

/// How much a [`Memory`](crate::Memory) may hold: bytes, entries, or both.
///
/// A byte is a byte of the process: the weight of an entry, which whoever inserts it gives, plus
/// [`ENTRY_OVERHEAD`](crate::Memory::ENTRY_OVERHEAD). A bound of zero is allowed; nothing can be
/// kept then.
///
/// ```
/// use larder_memory::Bounds;
///
/// let bounds = Bounds::bytes(64 << 20).and_entries(10_000).entry_bytes_max(64 << 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    bytes: Option<usize>,
    entries: Option<usize>,
    entry_bytes_max: usize,
    shards: Option<usize>,
    candidates: Candidates,
}

impl Bounds {
    const NONE: Self = Self {
        bytes: None,
        entries: None,
        entry_bytes_max: ENTRY_BYTES_MAX_DEFAULT,
        shards: None,
        candidates: Candidates::All,
    };

    /// At most `bytes` bytes.
    #[must_use]
    pub const fn bytes(bytes: usize) -> Self {
        Self { bytes: Some(bytes), ..Self::NONE }
    }

    /// At most `entries` entries.
    #[must_use]
    pub const fn entries(entries: usize) -> Self {
        Self { entries: Some(entries), ..Self::NONE }
    }

    /// And at most `bytes` bytes.
    #[must_use]
    pub const fn and_bytes(self, bytes: usize) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    /// And at most `entries` entries.
    #[must_use]
    pub const fn and_entries(self, entries: usize) -> Self {
        Self { entries: Some(entries), ..self }
    }

    /// The heaviest weight that one entry may have, in bytes; 1 MiB unless said otherwise, and
    /// never more than the bound in bytes has room for, nor than 256 GiB.
    ///
    /// Each shard has room for such an entry, so a large number here means few shards.
    #[must_use]
    pub const fn entry_bytes_max(self, bytes: usize) -> Self {
        Self { entry_bytes_max: bytes, ..self }
    }

    /// The number of shards, rounded up to a power of two, and made smaller where a shard would
    /// otherwise have no room for one entry of the heaviest kind. At most 65,536.
    ///
    /// Unless said otherwise it is four times the number of threads that the machine runs at
    /// once, and fewer where the bounds are so small that shards would evict the wrong entries.
    #[must_use]
    pub const fn shards(self, shards: usize) -> Self {
        Self { shards: Some(shards), ..self }
    }

    /// Which entries may be evicted; all of them unless said otherwise.
    #[must_use]
    pub const fn candidates(self, candidates: Candidates) -> Self {
        Self { candidates, ..self }
    }

    /// The bound in bytes, if there is one.
    #[must_use]
    pub const fn bytes_max(&self) -> Option<usize> {
        self.bytes
    }

    /// The heaviest weight that fits, beside an overhead.
    pub(crate) fn weight_max(&self, overhead: usize) -> usize {
        let room = self.bytes.unwrap_or(usize::MAX).min(CHARGE_MAX).saturating_sub(overhead);
        self.entry_bytes_max.min(room)
    }

    /// How many shards there are, a power of two.
    pub(crate) fn shard_count(&self, overhead: usize, parallelism: usize) -> usize {
        let entries = self.entries.unwrap_or(usize::MAX);
        let bytes = self.bytes.unwrap_or(usize::MAX);
        let heaviest = self.entry_bytes_max.saturating_add(overhead);
        let (wanted, entries_min, bytes_min) = match self.shards {
            Some(shards) => (shards, 1, heaviest),
            None => (
                parallelism.saturating_mul(4),
                SHARE_ENTRIES_MIN,
                heaviest.saturating_mul(HEAVIEST_PER_SHARE_MIN).max(SHARE_BYTES_MIN),
            ),
        };
        let rounded = wanted.clamp(1, SHARDS_MAX).next_power_of_two();
        let most = rounded.min(entries / entries_min).min(bytes / bytes_min);
        1 << most.max(1).ilog2()
    }

    /// The part of the bounds that shard `index` of `shards` keeps. The shares of all shards
    /// together are the bounds.
    pub(crate) fn share(&self, index: usize, shards: usize, overhead: usize) -> Share {
        let part = |whole: usize| whole / shards + usize::from(index < whole % shards);
        let entries = self.entries.map_or(usize::MAX, part).min(SLOTS_MAX as usize);
        // Without a bound in bytes there is still no sum that a usize can't hold.
        let bytes = self.bytes.map_or(usize::MAX / 4 / shards, part);
        let heaviest = self.entry_bytes_max.saturating_add(overhead).min(bytes).min(CHARGE_MAX);
        let (weighs, candidates) = (self.bytes.is_some(), self.candidates);
        Share { entries, bytes, heaviest, weighs, overhead, candidates }
    }
}

/// What one shard may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
    /// The most that one entry may take, its overhead included.
    pub(crate) heaviest: usize,
    /// Whether bytes are bounded, so that entries have a weight in the eyes of the policy.
    pub(crate) weighs: bool,
    /// What an entry takes besides its weight.
    pub(crate) overhead: usize,
    pub(crate) candidates: Candidates,
}

impl Share {
    /// The bytes up to which a shard is filled. The rest is for what has left and may still be
    /// read.
    pub(crate) fn target(&self) -> usize {
        match self.bytes {
            bytes if self.weighs && bytes >= SLACK_SHARE_MIN => {
                bytes - (bytes / 128).min(SLACK_MAX)
            }
            bytes => bytes,
        }
    }

    /// The capacity in the eyes of the policy.
    pub(crate) fn capacity(&self) -> u64 {
        if self.weighs { self.target() as u64 } else { self.entries as u64 }
    }

    /// Whether an entry that expires then may be evicted.
    pub(crate) fn offers(&self, expires_at: Moment) -> bool {
        match self.candidates {
            Candidates::All => true,
            Candidates::Expiring => expires_at != Moment::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERHEAD: usize = 100;

    fn check(bounds: Bounds, cores: usize, shards: usize) {
        assert_eq!(bounds.shard_count(OVERHEAD, cores), shards, "{bounds:?} on {cores} cores");
        let shares = || (0..shards).map(|index| bounds.share(index, shards, OVERHEAD));
        if let Some(bytes) = bounds.bytes {
            assert_eq!(shares().map(|share| share.bytes).sum::<usize>(), bytes);
            let heaviest = bytes.min(bounds.entry_bytes_max.saturating_add(OVERHEAD));
            assert!(shares().all(|share| share.heaviest == heaviest), "{bounds:?}");
        }
        if let Some(entries) = bounds.entries {
            assert_eq!(shares().map(|share| share.entries).sum::<usize>(), entries);
            assert!(entries == 0 || shares().all(|share| share.entries > 0), "{bounds:?}");
        }
    }

    #[test]
    fn there_are_as_many_shards_as_the_bounds_have_room_for() {
        check(Bounds::bytes(1 << 30), 2, 8);
        check(Bounds::bytes(1 << 30), 3, 16);
        check(Bounds::bytes(64 << 20), 64, 8);
        check(Bounds::bytes(64 << 20).entry_bytes_max(4096), 64, 256);
        check(Bounds::bytes(1 << 20), 2, 1);
        check(Bounds::bytes(3), 2, 1);
        check(Bounds::bytes(0), 2, 1);
        check(Bounds::bytes(1 << 20).entry_bytes_max(usize::MAX), 2, 1);
        check(Bounds::entries(4096), 2, 8);
        check(Bounds::entries(4095), 2, 4);
        check(Bounds::entries(10), 2, 1);
        check(Bounds::entries(0), 2, 1);
        check(Bounds::entries(1 << 20).and_bytes(1 << 20), 2, 1);
    }

    #[test]
    fn a_number_of_shards_that_is_asked_for_is_kept_where_it_can_be() {
        check(Bounds::entries(10).shards(3), 2, 4);
        check(Bounds::entries(10).shards(1000), 2, 8);
        check(Bounds::bytes(10_000).entry_bytes_max(900).shards(8), 2, 8);
        check(Bounds::bytes(10_000).entry_bytes_max(901).shards(16), 2, 8);
        check(Bounds::bytes(10_000).shards(8), 2, 1);
        check(Bounds::entries(1 << 40).shards(usize::MAX).entry_bytes_max(0), 2, SHARDS_MAX);
        check(Bounds::entries(10).shards(0), 2, 1);
    }

    #[test]
    fn a_shard_has_no_more_entries_than_slots() {
        let share = Bounds::entries(usize::MAX).share(0, 1, OVERHEAD);
        assert_eq!(share.entries, SLOTS_MAX as usize);
    }
}
