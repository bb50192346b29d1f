//! Reads: of one entry in a glance, where that is enough, and of many at once.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use larder_policy::Policy;

use super::{HITS, MISSES, Memory};
use crate::clock::Now;
use crate::hazard::Section;
use crate::reference::Ref;
use crate::shard::{Glance, Read, Shard, Used};

/// How many entries the processor is asked for at once.
const PREFETCHED: usize = 16;

impl<K: Hash + Eq, V, S: BuildHasher, P: Policy> Memory<K, V, S, P> {
    /// A copy of the value under `key`, if it is held and has not expired. It counts as a use.
    #[inline]
    pub fn get<Q>(&self, key: &Q, now: impl Now) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.read(key, now, Read::copied)
    }

    /// Reads the value under `key` in place, if it is held and has not expired. It counts as a
    /// use.
    ///
    /// What is read stays as it is as long as `read` runs, even if it is replaced or removed
    /// meanwhile, and keeps nobody else from anything.
    ///
    /// An entry whose last moment is before `now` is not seen. It leaves with a later write to
    /// its shard, or with [`expire`](Self::expire).
    #[inline]
    pub fn get_with<Q, R>(&self, key: &Q, now: impl Now, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.read(key, now, |entry| {
            let (value, _hold) = entry.hold();
            read(value)
        })
    }

    /// A reference to the value under `key`, if it is held and has not expired. It counts as a
    /// use. While the reference lives, its entry's memory is not freed, even if it leaves; nothing
    /// else is kept from anything.
    #[inline]
    pub fn get_ref<Q>(&self, key: &Q, now: impl Now) -> Option<Ref<'_, V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.read(key, now, Ref::new)
    }

    /// Copies of the values under these keys, in their order, as by [`get`](Self::get). Each is
    /// one that was held at some time during the call. Where the tier is larger than the
    /// processor's caches, many keys at once are found faster than one after the other: the
    /// processor waits for several entries at the same time.
    pub fn get_many<'k, Q>(
        &self,
        keys: impl IntoIterator<Item = &'k Q>,
        now: impl Now,
    ) -> Vec<Option<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized + 'k,
        V: Clone,
    {
        let mut keys = keys.into_iter();
        let mut values = Vec::with_capacity(keys.size_hint().0);
        let mut batch = Vec::with_capacity(PREFETCHED);
        loop {
            batch.extend(keys.by_ref().take(PREFETCHED).map(|key| (self.locate(key), key)));
            if batch.is_empty() {
                return values;
            }
            let section = Section::open();
            for ((shard, hash), _) in &batch {
                shard.prefetch(*hash, &section);
            }
            drop(section);
            let found = |((shard, hash), key)| self.read_in(shard, hash, key, now, Read::copied);
            values.extend(batch.drain(..).map(found));
        }
    }

    /// The same as [`get_with`](Self::get_with), but not a use: it doesn't keep the entry from
    /// being evicted.
    pub fn peek<Q, R>(&self, key: &Q, now: impl Now, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, hash) = self.locate(key);
        let entry = shard.read(hash, key).ok()?;
        if shard.has_expired(&entry, now, Used::No) {
            return None;
        }
        let (value, _hold) = entry.hold();
        Some(read(value))
    }

    /// What `take` makes of the live entry under `key`, of which this is a use.
    #[inline]
    fn read<'a, Q, R>(
        &'a self,
        key: &Q,
        now: impl Now,
        take: impl FnOnce(Read<'a, K, V>) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (shard, hash) = self.locate(key);
        self.read_in(shard, hash, key, now, take)
    }

    /// The same in the shard of the key.
    #[inline]
    fn read_in<'a, Q, R>(
        &'a self,
        shard: &'a Shard<K, V, P>,
        hash: u32,
        key: &Q,
        now: impl Now,
        take: impl FnOnce(Read<'a, K, V>) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.marks {
            None => self.read_exactly(shard, hash, key, now, take),
            Some(marks) => match shard.glance(hash, key, marks) {
                Glance::Lasting(entry) => {
                    self.counts.add_for(entry.reader(), HITS, 1);
                    Some(take(entry))
                }
                Glance::Expiring(entry) => self.use_expiring(shard, entry, now, marks, take),
                Glance::Nothing(reader) => {
                    self.counts.add_for(reader, MISSES, 1);
                    None
                }
                Glance::Unsure => self.read_closely(shard, hash, key, now, marks, take),
            },
        }
    }

    /// A use of an entry, if it has not expired.
    #[inline(never)]
    fn use_expiring<'a, R>(
        &'a self,
        shard: &'a Shard<K, V, P>,
        entry: Read<'a, K, V>,
        now: impl Now,
        marks: u8,
        take: impl FnOnce(Read<'a, K, V>) -> R,
    ) -> Option<R> {
        if shard.has_expired(&entry, now, Used::Yes) {
            self.counts.add_for(entry.reader(), MISSES, 1);
            return None;
        }
        self.counts.add_for(entry.reader(), HITS, 1);
        shard.mark(&entry, marks);
        Some(take(entry))
    }

    /// The same where a glance isn't enough.
    #[inline(never)]
    fn read_closely<'a, Q, R>(
        &'a self,
        shard: &'a Shard<K, V, P>,
        hash: u32,
        key: &Q,
        now: impl Now,
        marks: u8,
        take: impl FnOnce(Read<'a, K, V>) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match shard.read(hash, key) {
            Ok(entry) => self.use_expiring(shard, entry, now, marks, take),
            Err(reader) => {
                self.counts.add_for(reader, MISSES, 1);
                None
            }
        }
    }

    /// The same for a policy that must know each use: its order is decided under the lock, and
    /// the value is read after it.
    #[inline(never)]
    fn read_exactly<'a, Q, R>(
        &'a self,
        shard: &'a Shard<K, V, P>,
        hash: u32,
        key: &Q,
        now: impl Now,
        take: impl FnOnce(Read<'a, K, V>) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut writer = shard.write();
        let Some(slot) = writer.find(hash, key, now) else {
            self.counts.add_for(Section::open().reader(), MISSES, 1);
            return None;
        };
        writer.hit(slot, now);
        let entry = writer.read(slot);
        self.counts.add_for(entry.reader(), HITS, 1);
        Some(take(entry))
    }
}
