//! How a shard makes room: which entries leave for time, and which for space.

use larder_core::Moment;
use larder_policy::Policy;

use super::Writer;
use crate::atomics::Ordering;
use crate::bounds::Share;
use crate::change::{Expired, Room};
use crate::clock::Now;
use crate::idle::{self, Idle};
use crate::leftovers::Leftovers;
use crate::live::Live;
use crate::slots::Slots;
use crate::stats::RemovalCause;

/// How many expired entries a write frees, so that they go even if nobody asks for it.
const EXPIRED_PER_WRITE: usize = 2;

/// How many steps of the wheel a write pays for at most.
const STEPS_PER_WRITE: usize = 8;

/// What the policy has to do with the entry that a new one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predecessor {
    /// It holds it.
    Known,
    /// There is none, or the policy never knew it, or has just given it up.
    Unknown,
}

impl<K, V, P: Policy> Writer<'_, K, V, P> {
    /// The entry that the policy gives up.
    fn victim(&mut self) -> Option<u32> {
        let (policy, view) = self.books.split(&self.shard.slots);
        let victim = policy.evict(&view);
        // Anybody can write a policy, and no mistake in one may lead to an entry that isn't there.
        let held = |slot| self.books.live.contains(slot);
        assert!(victim.is_none_or(held), "a policy evicts slot {victim:?}, which holds nothing");
        victim
    }

    /// Removes entries until one more of this charge is within the share, in place of `found`:
    /// those that have expired first, then the policy's victims. `None` if there are none left.
    ///
    /// The entry in `found` stays where readers find it, even if the policy gives it up.
    pub(super) fn make_room(
        &mut self,
        charge: usize,
        found: Option<u32>,
        now: impl Now,
        left: &mut Leftovers<'_, K, V>,
    ) -> Option<Predecessor> {
        let known = found.is_some_and(|slot| self.is_candidate(slot));
        let mut predecessor = if known { Predecessor::Known } else { Predecessor::Unknown };
        loop {
            let books = &*self.books;
            let freed = found.map_or(0, |slot| self.charge(slot));
            let entries = books.live.len() + usize::from(found.is_none());
            let bytes = (books.bytes - freed).checked_add(charge);
            let most = books.share.target().max(charge);
            if entries <= books.share.entries && bytes.is_some_and(|bytes| bytes <= most) {
                break;
            }
            if let Some(slot) = self.long_expired(now)
                && Some(slot) != found
            {
                self.remove(slot, RemovalCause::Expired);
                continue;
            }
            match self.victim() {
                // It makes way for its own successor, which starts anew in the policy.
                Some(slot) if Some(slot) == found => predecessor = Predecessor::Unknown,
                Some(slot) => self.leave(slot, RemovalCause::Evicted),
                None => {
                    if let Some(slot) = found
                        && known
                    {
                        // It was given up in vain.
                        let (policy, view) = self.books.split(&self.shard.slots);
                        policy.insert(slot, &view);
                    }
                    return None;
                }
            }
        }
        let books = &*self.books;
        let waiting = books.bytes.saturating_add(books.retired.bytes());
        if waiting.saturating_add(charge) > books.share.bytes && books.retired.has_bytes() {
            // What was retired counts until it is freed.
            self.reclaim_all(left);
        }
        Some(predecessor)
    }

    /// What can be stored under new keys without an eviction.
    pub(crate) fn room(&self) -> Room {
        let books = &*self.books;
        Room {
            entries: books.share.entries.saturating_sub(books.live.len()),
            bytes: books.share.target().saturating_sub(books.bytes),
        }
    }

    /// Removes at most `max` entries that have expired.
    pub(crate) fn expire(&mut self, now: Moment, max: usize) -> Expired {
        let mut entries = 0;
        while entries < max
            && let Some(slot) = self.expired(now)
        {
            self.remove(slot, RemovalCause::Expired);
            entries += 1;
        }
        Expired { entries, more: self.expired(now).is_some() }
    }

    /// Evicts what is over the bounds, at most `max` entries. Says whether there is more.
    pub(crate) fn trim(&mut self, max: usize) -> bool {
        for _ in 0..max {
            let books = &*self.books;
            if books.live.len() <= books.share.entries && books.bytes <= books.share.bytes {
                return false;
            }
            let Some(slot) = self.victim() else { return false };
            self.leave(slot, RemovalCause::Evicted);
        }
        true
    }

    /// Frees a few entries that have expired, but not the one in `found`: it had not when the
    /// operation began.
    pub(super) fn expire_some(&mut self, found: Option<u32>, now: impl Now) {
        for _ in 0..EXPIRED_PER_WRITE {
            let Some(slot) = self.long_expired(now).filter(|&slot| Some(slot) != found) else {
                break;
            };
            self.remove(slot, RemovalCause::Expired);
        }
    }

    /// An entry that expired a millisecond ago, if a few steps find one.
    #[inline]
    fn long_expired(&mut self, now: impl Now) -> Option<u32> {
        if self.books.wheel.len() == 0 {
            return None;
        }
        self.wheeled(now.now(), &mut { STEPS_PER_WRITE })
    }

    /// An entry that has expired, if there is one.
    fn expired(&mut self, now: Moment) -> Option<u32> {
        self.wheeled(now, &mut { usize::MAX }).or_else(|| {
            let books = &*self.books;
            let at = expiries(&self.shard.slots, &books.live, self.shard.idle);
            books.wheel.just_expired(now, at)
        })
    }

    /// An entry that expired before the millisecond of `now`, if so many steps find one.
    #[inline(never)]
    fn wheeled(&mut self, now: Moment, steps: &mut usize) -> Option<u32> {
        let books = &mut *self.books;
        let at = expiries(&self.shard.slots, &books.live, self.shard.idle);
        loop {
            let slot = books.wheel.expired(now, steps, &at)?;
            let last = at(slot);
            if last < now {
                return Some(slot);
            }
            // It was used since it was put in.
            books.wheel.remove(slot);
            books.wheel.insert(slot, last);
        }
    }

    /// Other bounds from now on. What is over them is for [`trim`](Self::trim). Constant, unless
    /// what the policy sees of the entries changes: then each of them is given to it anew.
    pub(crate) fn resize(&mut self, share: Share) {
        let old = self.books.share;
        let anew = (old.weighs, old.candidates) != (share.weighs, share.candidates);
        let queue = if anew { self.dequeue() } else { Vec::new() };
        self.books.share = share;
        self.books.policy.resize(share.capacity());
        for slot in queue {
            if self.is_candidate(slot) {
                let (policy, view) = self.books.split(&self.shard.slots);
                policy.insert(slot, &view);
            }
        }
        self.shard.sample.store(self.books.policy.sample(), Ordering::Relaxed);
        self.books.retired.resize(&share);
    }

    /// Takes all entries from the policy. Those that it didn't know are the first, and then come
    /// the others in the order in which it would have evicted them.
    fn dequeue(&mut self) -> Vec<u32> {
        let live = std::iter::successors(self.live_from(0), |slot| self.live_from(slot + 1));
        let mut queue: Vec<u32> = live.filter(|&slot| !self.is_candidate(slot)).collect();
        while let Some(slot) = self.victim() {
            queue.push(slot);
        }
        queue
    }
}

/// Tells the last moment at which the entry in a slot may be seen.
pub(super) fn expiries<K, V>(
    slots: &Slots<K, V>,
    live: &Live,
    idle: Option<Idle>,
) -> impl Fn(u32) -> Moment {
    move |slot| {
        assert!(live.contains(slot), "the wheel names slot {slot}, which holds nothing");
        let place = slots.place(slot);
        // SAFETY: the slot is live, and this runs under the lock.
        let extra = unsafe { slots.extra(place, slots.entry(place)) };
        extra.map_or(Moment::MAX, |extra| idle::last(extra, idle))
    }
}
