//! What goes over all entries: freeing, visiting, removing, and other bounds. A few entries at a
//! time, so that no lock is held for long.

use std::hash::{BuildHasher, Hash};

use larder_core::sync::Ordering;
use larder_policy::Policy;

use super::{BATCH, Memory};
use crate::atomics::lock;
use crate::bounds::Bounds;
use crate::change::{Expired, Held};
use crate::clock::Now;
use crate::shard::Writer;
use crate::stats::RemovalCause;

impl<K: Hash + Eq, V, S: BuildHasher, P: Policy> Memory<K, V, S, P> {
    /// Frees the memory of entries that have expired: at most `max` of each shard, so that no
    /// lock is held for long. Says whether there are more.
    ///
    /// Writes free what expired too, a few entries each; so this is for tiers that are only read.
    pub fn expire(&self, now: impl Now, max: usize) -> Expired {
        let now = now.now();
        let mut all = Expired::default();
        for shard in &self.shards {
            let mut left = self.leftovers();
            let mut writer = shard.write();
            let part = writer.expire(now, max);
            if part.entries > 0 {
                writer.reclaim_all(&mut left);
            }
            all = Expired { entries: all.entries + part.entries, more: all.more || part.more };
        }
        all
    }

    /// Drops what has left the tier and is not read any more.
    pub fn reclaim(&self) {
        for shard in &self.shards {
            let mut left = self.leftovers();
            shard.write().reclaim_all(&mut left);
        }
    }

    /// Shows every live entry to `visit`, in no particular order, a few at a time under the lock
    /// of their shard. An entry that comes, leaves or changes meanwhile is seen as it was before
    /// or after, or not at all. It is no use of the entries.
    pub fn for_each(&self, now: impl Now, mut visit: impl FnMut(&K, Held<'_, V>)) {
        let now = now.now();
        self.sweep(|writer, slot| {
            if writer.last(slot) >= now {
                visit(writer.key(slot), writer.held(slot));
            }
        });
    }

    /// Removes the entries that `keep` doesn't want, for this reason, a few at a time under the
    /// lock of their shard. What is stored meanwhile may or may not be asked about.
    pub fn retain(
        &self,
        now: impl Now,
        cause: RemovalCause,
        mut keep: impl FnMut(&K, Held<'_, V>) -> bool,
    ) {
        let now = now.now();
        self.sweep(|writer, slot| {
            if writer.last(slot) < now {
                writer.remove(slot, RemovalCause::Expired);
            } else if !keep(writer.key(slot), writer.held(slot)) {
                writer.remove(slot, cause);
            }
        });
    }

    /// Removes everything, a few entries at a time, and gives the memory back. An entry that is
    /// stored meanwhile may stay.
    pub fn clear(&self, cause: RemovalCause) {
        self.sweep(|writer, slot| writer.remove(slot, cause));
        self.reclaim();
    }

    /// Other bounds from now on. The number of shards stays, so a shard may be too small for the
    /// heaviest entry afterwards. What is over the new bounds is evicted before this returns, a
    /// few entries at a time; with [`Candidates::Expiring`](crate::Candidates), as far as there is
    /// something to evict.
    pub fn resize(&self, bounds: Bounds) {
        // One after the other for all shards, and without code of a user under the lock.
        let mut held = lock(&self.bounds);
        for (index, shard) in self.shards.iter().enumerate() {
            let share = bounds.share(index, self.shards.len(), Self::ENTRY_OVERHEAD);
            shard.write().resize(share);
        }
        self.weight_max.store(bounds.weight_max(Self::ENTRY_OVERHEAD), Ordering::Relaxed);
        *held = bounds;
        drop(held);
        for shard in &self.shards {
            loop {
                let mut left = self.leftovers();
                let mut writer = shard.write();
                let more = writer.trim(BATCH);
                writer.reclaim_all(&mut left);
                if !more {
                    break;
                }
            }
        }
    }

    /// Runs `visit` for each slot that is live, a few at a time under the lock.
    fn sweep(&self, mut visit: impl FnMut(&mut Writer<'_, K, V, P>, u32)) {
        for shard in &self.shards {
            let mut at = Some(0);
            while let Some(from) = at {
                let mut left = self.leftovers();
                let mut writer = shard.write();
                at = Some(from);
                for _ in 0..BATCH {
                    at = at.and_then(|at| writer.live_from(at));
                    let Some(slot) = at else { break };
                    visit(&mut writer, slot);
                    at = Some(slot + 1);
                }
                writer.reclaim(&mut left);
            }
        }
    }
}
