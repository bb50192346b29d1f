//! The dirty map: what was acknowledged and isn't applied yet, in order for each key.
//!
//! Of a key wait at most: one write that is being applied (it *flies*), and behind it the last one
//! that says what is to be held, and one difference behind that. What a further one says of the
//! same, it says in their place, so a key that is written a thousand times is applied once or
//! twice. A dead letter that is tried again stays what it is.
//!
//! A write gets its number and its place in one step, under the lock of its key's shard: two
//! writes of a key are never applied in another order than that in which they were acknowledged.
//! (Where the two are two steps, a write can get lost between them: hazelcast#18670.)
//!
//! What is seen of a key may rest on what is [beneath](Base): on what the source said when it was
//! read, with differences on top. Whoever changes that tells us ([`doubt`](Dirty::doubt)), and then
//! it is read again, as what was being read or applied meanwhile may be from before. What a write
//! that waits says as a whole rests on nothing.
//!
//! Nothing here waits, knows the journal or a sink.

mod shard;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use larder_core::sink::{Numbered, Sequence};
use larder_core::sync::{AtomicUsize, Mutex, Ordering};
use larder_core::{CacheKey, Error, ErrorKind, Moment, Result, Write, Written};

use super::base::Base;
use shard::{Place, Shard, Waiting};
pub use words::Fold;
pub(crate) use words::{Beneath, Coming, Found, Read, Seen, Settled};

/// Few where a checker explores what is done in them.
const SHARDS: usize = if cfg!(shuttle) { 2 } else { 16 };

/// What a key and its place cost beside its writes, in bytes, about.
pub(crate) const KEY_BYTES: usize = 160;

/// Writes of one cache.
pub(crate) struct Dirty<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    hasher: RandomState,
    keys: AtomicUsize,
    bytes: AtomicUsize,
    /// Which shard is taken from next.
    turn: AtomicUsize,
    fold: Option<Fold<V>>,
}

impl<K: CacheKey, V: Clone> Dirty<K, V> {
    pub(crate) fn new(fold: Option<Fold<V>>) -> Self {
        let shard = || Shard {
            keys: HashMap::default(),
            order: VecDeque::new(),
            firsts: BTreeSet::new(),
            replacing: HashSet::default(),
        };
        Self {
            shards: std::array::from_fn(|_| Mutex::new(shard())),
            hasher: RandomState::default(),
            keys: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            fold,
        }
    }

    /// How many keys have writes waiting.
    pub(crate) fn keys(&self) -> usize {
        self.keys.load(Ordering::Acquire)
    }

    /// What they take, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// The oldest record that is still needed, and since when it waits.
    pub(crate) fn oldest(&self) -> Option<(u64, Moment)> {
        self.shards.iter().filter_map(|shard| shard.lock().firsts.first().copied()).min()
    }

    /// What is below this number is durable: what took the place of others needs their records no
    /// more.
    pub(crate) fn durable_below(&self, number: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let Shard { keys, firsts, replacing, .. } = &mut *shard;
            replacing.retain(|key| {
                let Some(place) = keys.get_mut(key) else { return false };
                let mut is_open = false;
                for waiting in &mut place.waiting {
                    let own = waiting.sequence.number;
                    if !waiting.write.is_absolute() || waiting.first.0 == own {
                        continue;
                    }
                    if own >= number {
                        is_open = true;
                        continue;
                    }
                    firsts.remove(&waiting.first);
                    waiting.first.0 = own;
                    firsts.insert(waiting.first);
                }
                is_open
            });
        }
    }

    /// Puts a write at the end. `append` gives it its number: it is called under the lock of the
    /// key, with the number of the last write that waits there, and where it fails nothing has
    /// happened. Returns the number, and what is seen now.
    pub(crate) fn push(
        &self,
        key: &K,
        coming: Coming<V>,
        append: impl FnOnce(Option<u64>) -> Result<u64>,
    ) -> Result<Read<V>> {
        self.push_then(key, coming, append, || ())
    }

    /// The same, and `then` is called under the lock of the key as well, when it waits: whoever
    /// sees its number from then on sees what was done there.
    pub(crate) fn push_then(
        &self,
        key: &K,
        coming: Coming<V>,
        append: impl FnOnce(Option<u64>) -> Result<u64>,
        then: impl FnOnce(),
    ) -> Result<Read<V>> {
        let mut shard = self.shard(key).lock();
        let Shard { keys, order, firsts, replacing } = &mut *shard;
        let place = keys.get(key);
        let seen = self.seen_after(place.map(|place| &place.seen), &coming.write)?;
        let sum = match (&coming.write, place.and_then(Place::joinable)) {
            (&Write::Add(more), Some(Waiting { write: Write::Add(before), .. }))
                if coming.letter.is_none() =>
            {
                Some(before.checked_add(more).ok_or_else(overflow)?)
            }
            _ => None,
        };
        let number = append(place.map(|place| place.last))?;
        let place = keys.entry(key.clone()).or_insert_with(|| {
            self.keys.fetch_add(1, Ordering::AcqRel);
            self.bytes.fetch_add(KEY_BYTES, Ordering::AcqRel);
            Place {
                waiting: VecDeque::new(),
                flies: false,
                stands: false,
                pins: 0,
                seen: Seen::Beneath,
                base: None,
                doubts: 0,
                doubts_at_take: 0,
                last: 0,
                is_wanted: false,
            }
        });
        let sequence = Sequence { epoch: coming.epoch, number };
        place.seen = seen;
        place.last = number;
        if coming.write.is_absolute() {
            place.base = None;
        }
        let read = place.read();
        if let Some(sum) = sum
            && let Some(last) = place.waiting.back_mut()
        {
            last.write = Write::Add(sum);
            last.sequence = sequence;
            then();
            return Ok(read);
        }
        let mut first = (number, coming.now);
        if coming.write.is_absolute() && coming.letter.is_none() {
            while place.joinable().is_some()
                && let Some(over) = place.waiting.pop_back()
            {
                firsts.remove(&over.first);
                self.bytes.fetch_sub(over.weight, Ordering::AcqRel);
                // It waits for as long as they did, and until it is durable itself, theirs are the
                // records that an end would leave.
                first = over.first;
            }
            if first.0 != number {
                replacing.insert(key.clone());
            }
        }
        firsts.insert(first);
        self.bytes.fetch_add(coming.weight, Ordering::AcqRel);
        let Coming { write, letter, weight, .. } = coming;
        place.waiting.push_back(Waiting { write, first, sequence, letter, weight });
        if !place.stands && !place.flies {
            place.stands = true;
            order.push_back(key.clone());
        }
        then();
        Ok(read)
    }

    /// What a read of `key` sees, if something waits.
    pub(crate) fn read(&self, key: &K) -> Option<Read<V>> {
        if self.keys() == 0 {
            return None;
        }
        let mut shard = self.shard(key).lock();
        let place = shard.keys.get_mut(key)?;
        place.is_wanted = true;
        Some(place.read())
    }

    /// Somebody may have changed what is beneath: what is seen of the key doesn't rest on what was
    /// read or returned before.
    pub(crate) fn doubt(&self, key: &K) {
        self.doubt_unless(key, |_| false);
    }

    /// The same where what is seen rests on something that doesn't stand any more.
    pub(crate) fn doubt_unless(&self, key: &K, stands: impl FnOnce(Option<&Base>) -> bool) {
        if self.keys() == 0 {
            return;
        }
        let mut shard = self.shard(key).lock();
        let Some(place) = shard.keys.get_mut(key) else { return };
        if stands(place.base.as_deref()) {
            return;
        }
        place.doubts += 1;
        if place.base.take().is_some() {
            place.seen = self.seen_of(&place.waiting);
        }
    }

    /// Memory held it when it was written.
    pub(crate) fn want(&self, key: &K) {
        if let Some(place) = self.shard(key).lock().keys.get_mut(key) {
            place.is_wanted = true;
        }
    }

    /// Whether somebody may read it again: what nobody reads needs no room in memory.
    pub(crate) fn is_wanted(&self, key: &K) -> bool {
        self.shard(key).lock().keys.get(key).is_some_and(|place| place.is_wanted)
    }

    /// Whether nothing of it waits or flies.
    pub(crate) fn is_idle(&self, key: &K) -> bool {
        self.shard(key).lock().keys.get(key).is_none_or(|place| place.waiting.is_empty())
    }

    /// Takes what has waited longest, at most `max` keys and about `bytes` bytes, but at least one:
    /// it flies until it is [settled](Self::settle).
    pub(crate) fn take(&self, max: usize, bytes: usize) -> Vec<Numbered<K, V>> {
        let mut taken = Vec::new();
        let mut weight = 0;
        let mut empty = 0;
        while empty < SHARDS && taken.len() < max && weight < bytes {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let mut shard = self.shards[turn].lock();
            match shard.take() {
                Some((numbered, its_weight)) => {
                    weight += its_weight;
                    taken.push(numbered);
                    empty = 0;
                }
                None => empty += 1,
            }
        }
        taken
    }

    /// What flew is done with. Returns whether nothing waits behind it: then the caller strikes
    /// what the tiers hold of the key, and [closes](Self::close) it.
    pub(crate) fn settle(&self, key: &K, settled: Settled<V>) -> bool {
        let mut shard = self.shard(key).lock();
        let Shard { keys, order, firsts, .. } = &mut *shard;
        let Some(place) = keys.get_mut(key) else { return false };
        let Some(done) = place.waiting.pop_front() else { return false };
        place.flies = false;
        firsts.remove(&done.first);
        self.bytes.fetch_sub(done.weight, Ordering::AcqRel);
        match settled {
            Settled::Applied(written, base) if place.doubts == place.doubts_at_take => {
                self.rest_on(place, written, base);
            }
            // What it returned may be from before.
            Settled::Applied(..) | Settled::Buried => {
                place.base = None;
                place.seen = self.seen_of(&place.waiting);
            }
        }
        if place.waiting.is_empty() {
            return true;
        }
        if !place.stands {
            place.stands = true;
            order.push_back(key.clone());
        }
        false
    }

    /// What is seen rests on what a write returned that was applied.
    fn rest_on(&self, place: &mut Place<V>, written: Written<V>, base: Option<Arc<Base>>) {
        if place.waiting.iter().any(|waiting| waiting.write.is_absolute()) {
            return;
        }
        let beneath = match written {
            Written::Value(value) => Some(Some(value)),
            Written::Absent => Some(None),
            Written::Unsaid => None,
        };
        match (beneath, base) {
            (Some(beneath), Some(base)) => match self.on_top(beneath, &place.waiting) {
                Some(seen) => (place.seen, place.base) = (Seen::Value(seen), Some(base)),
                None => (place.seen, place.base) = (Seen::Beneath, None),
            },
            // It was said as a whole by what is applied by now, and holds from then.
            (None, Some(base)) if place.base.is_none() && place.seen.is_known() => {
                place.base = Some(base);
            }
            (None, Some(_)) => {}
            (_, None) => (place.seen, place.base) = (self.seen_of(&place.waiting), None),
        }
    }

    /// What was taken of a key is known not to be applied, and waits again, before all others.
    pub(crate) fn give_back(&self, key: &K) {
        let mut shard = self.shard(key).lock();
        let Shard { keys, order, .. } = &mut *shard;
        let Some(place) = keys.get_mut(key) else { return };
        place.flies = false;
        if !place.stands {
            place.stands = true;
            order.push_front(key.clone());
        }
    }

    /// Forgets a key, if nothing new waits. What a read sees is from now on what the tiers say.
    pub(crate) fn close(&self, key: &K) {
        let mut shard = self.shard(key).lock();
        if shard.keys.get(key).is_some_and(|place| place.waiting.is_empty() && place.pins == 0) {
            shard.keys.remove(key);
            self.bytes.fetch_sub(KEY_BYTES, Ordering::AcqRel);
            self.keys.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Keeps what waits of `key` from being applied, so that what is beneath can be read.
    pub(crate) fn pin(&self, key: &K) -> Beneath<V> {
        let mut shard = self.shard(key).lock();
        match shard.keys.get_mut(key) {
            None => Beneath::Clean,
            Some(Place { seen: Seen::Value(value), base, last, .. }) => {
                Beneath::Known(value.clone(), base.clone(), *last)
            }
            // With nothing waiting it is about to be closed.
            Some(place) if place.flies || place.waiting.is_empty() => Beneath::Flies,
            Some(place) => {
                place.pins += 1;
                Beneath::Pinned(place.doubts)
            }
        }
    }

    /// Ends a [`pin`](Self::pin). `found` is what was read there, if it could be. Where it was
    /// doubted meanwhile it is good for who has read it, and not kept.
    pub(crate) fn unpin(&self, key: &K, found: Option<Found<V>>) -> Option<Read<V>> {
        let mut shard = self.shard(key).lock();
        let Shard { keys, order, .. } = &mut *shard;
        let place = keys.get_mut(key)?;
        place.pins -= 1;
        let mut read = place.read();
        if let (Seen::Beneath, Some(Found { value, base, doubts })) = (&place.seen, found)
            && let Some(seen) = self.on_top(value, &place.waiting)
        {
            (read.seen, read.base) = (Seen::Value(seen), Some(base));
            if place.doubts == doubts {
                (place.seen, place.base) = (read.seen.clone(), read.base.clone());
            }
        }
        if place.pins == 0 && !place.stands && !place.waiting.is_empty() {
            place.stands = true;
            order.push_back(key.clone());
        }
        Some(read)
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K, V>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// What is seen behind this write.
    fn seen_after(&self, before: Option<&Seen<V>>, write: &Write<V>) -> Result<Seen<V>> {
        Ok(match (write, before) {
            (Write::Store(value), _) => Seen::Value(Some(value.clone())),
            (Write::Delete, _) => Seen::Value(None),
            (&Write::Add(difference), Some(Seen::Value(value))) => match &self.fold {
                Some(fold) => Seen::Value(Some(fold(value.as_ref(), difference)?)),
                None => Seen::Beneath,
            },
            (Write::Add(_), _) => Seen::Beneath,
        })
    }

    /// What is seen with these writes on top of what nobody knows.
    fn seen_of(&self, waiting: &VecDeque<Waiting<V>>) -> Seen<V> {
        let after = |seen: Seen<V>, waiting: &Waiting<V>| {
            self.seen_after(Some(&seen), &waiting.write).unwrap_or(Seen::Beneath)
        };
        waiting.iter().fold(Seen::Beneath, after)
    }

    /// What is seen with these writes on top of what is beneath; `None` if it can't be said.
    fn on_top(&self, beneath: Option<V>, waiting: &VecDeque<Waiting<V>>) -> Option<Option<V>> {
        let mut seen = Seen::Value(beneath);
        for Waiting { write, .. } in waiting {
            seen = self.seen_after(Some(&seen), write).ok()?;
        }
        match seen {
            Seen::Value(value) => Some(value),
            Seen::Beneath => None,
        }
    }
}

fn overflow() -> Error {
    let message = "the differences that wait to be added are more than a number can hold";
    Error::new(ErrorKind::Refused, message)
}
