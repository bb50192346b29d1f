//! What a tier has free, for those who want to fill it without taking anything away.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use larder_policy::Policy;

use super::Memory;
use crate::change::Room;

impl<K: Hash + Eq, V, S: BuildHasher, P: Policy> Memory<K, V, S, P> {
    /// What can be stored beside `key` before an entry is evicted for it, in the part of the tier
    /// that the key belongs to: other parts may have more or less. What has expired and was not
    /// yet noticed takes its room until it is [freed](Self::expire).
    ///
    /// It is what there was at one moment; others may take the room meanwhile. It takes the lock
    /// of a shard.
    ///
    /// ```
    /// use larder_core::Moment;
    /// use larder_memory::{Bounds, Memory};
    ///
    /// let memory: Memory<u64, u64> = Memory::new(Bounds::entries(3));
    /// let _ = memory.insert(1, 10, 0, Moment::MAX, Moment::ZERO);
    /// assert_eq!(memory.room(&2).entries, 2);
    /// ```
    #[must_use]
    pub fn room<Q>(&self, key: &Q) -> Room
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, _) = self.locate(key);
        shard.write().room()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use larder_core::Moment;
    use larder_policy::{Lfu, Lru, Policy, Sieve};

    use crate::{Bounds, Builder, Candidates, Insert, Memory, RemovalCause};

    #[test]
    fn as_much_as_there_is_room_for_is_stored_without_an_eviction_and_no_more() {
        for bounds in [
            Bounds::entries(100).and_bytes(1 << 30).shards(4),
            Bounds::bytes(64 << 10).entry_bytes_max(100).shards(4),
            Bounds::bytes(4 << 20).entry_bytes_max(100).shards(4),
        ] {
            let memory: Memory<u64, u64> = Memory::new(bounds);
            let charge = 50 + Memory::<u64, u64>::ENTRY_OVERHEAD;
            let (mut kept, mut evicting) = (0, 0);
            for key in 0..100_000 {
                let room = memory.room(&key);
                let fits = room.entries > 0 && room.bytes >= charge;
                let before = memory.stats().removals(RemovalCause::Evicted);
                let stored = memory.insert(key, key, 50, Moment::MAX, Moment::ZERO);
                assert_eq!(stored, Insert::Stored);
                let evicted = memory.stats().removals(RemovalCause::Evicted) > before;
                assert_eq!(fits, !evicted, "{bounds:?}, key {key}");
                if fits { kept += 1 } else { evicting += 1 }
            }
            assert!(kept > 0 && evicting > 0);
        }
    }

    fn uses<P: Policy>(memory: &Memory<u64, u64, foldhash::fast::RandomState, P>) -> [u64; 3] {
        let mut uses = [u64::MAX; 3];
        memory.for_each(Moment::ZERO, |&key, held| uses[key as usize] = held.uses);
        uses
    }

    #[test]
    fn uses_are_what_readers_mark_and_lfu_counts_on() {
        let bounds = Bounds::entries(10).candidates(Candidates::All);
        let sieve = Builder::new(bounds).policy(Sieve::new).build();
        let lfu = Builder::new(bounds).policy(Lfu::new).build();
        let lru = Builder::new(bounds).policy(Lru::new).build();
        for key in 0..3 {
            let _ = sieve.insert(key, key, 0, Moment::MAX, Moment::ZERO);
            let _ = lfu.insert(key, key, 0, Moment::MAX, Moment::ZERO);
            let _ = lru.insert(key, key, 0, Moment::MAX, Moment::ZERO);
            for _ in 0..key * key * 2 {
                assert!(sieve.get(&key, Moment::ZERO).is_some());
                assert!(lfu.get(&key, Moment::ZERO).is_some());
                assert!(lru.get(&key, Moment::ZERO).is_some());
            }
        }
        assert_eq!(uses(&sieve), [0, 2, 3]);
        assert_eq!(uses(&lfu), [1, 3, 9]);
        assert_eq!(uses(&lru), [0, 0, 0]);
    }

    #[test]
    fn an_entry_that_no_policy_knows_has_no_uses() {
        let bounds = Bounds::entries(10).candidates(Candidates::Expiring);
        let memory = Builder::new(bounds).policy(Lfu::new).build();
        for key in 0..3 {
            let _ = memory.insert(key, key, 0, Moment::MAX, Moment::ZERO);
        }
        assert_eq!(uses(&memory), [0, 0, 0]);
    }
}
