//! Plain keys: no source stands behind them, and what was written is what is read.
//!
//! They live in a memory tier under a bound, which may be that of caches too. Every write
//! raises the key's epoch, so a [`Token`] given out on a miss fills only a key that nobody has
//! written since: cache-aside without the race, for clients that load for themselves.
//!
//! A plain key may have tags, and is forgotten when one of them is invalidated. Marked stale it is
//! forgotten, too: nothing could refresh it. The count of [events](crate::events) is taken before
//! the key is seen, and every look at it compares, as for entries of caches; so an invalidation
//! that begins when the write has returned is never missed.

mod many;
mod walk;

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use larder_core::sync::Counter;
use larder_core::{
    Answer, CacheKey, Error, ErrorKind, KeyText, Moment, Reason, Result, State, Tier, Times,
};
use larder_memory::{Change, Held, Insert, Outcome, RemovalCause};

use crate::engine::Engine;
use crate::events::tag_hash;
use crate::fill::Fill;
use crate::ledger::{NOBODY, Weigh};
use crate::memory::MemoryTier;
use crate::slot::{Rider, Slot};
use crate::ticket::Permit;
use crate::token::Token;

pub use walk::{Moved, Moving, Occupant};

/// The plain keys of a server.
pub struct Plain<K, V> {
    engine: Engine,
    memory: Arc<MemoryTier<K, V>>,
    scope: u64,
    weigh: Weigh<K, V>,
    hits: Counter,
    misses: Counter,
    too_heavy: Counter,
}

/// What is held of a plain key.
#[derive(Debug)]
pub struct PlainHeld<'a, V> {
    /// The value.
    pub value: &'a V,
    /// When it expires; [`Moment::MAX`] is never.
    pub expires_at: Moment,
}

/// What an [`update`](Plain::update) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlainChange<V> {
    /// Nothing.
    Keep,
    /// Holds this value from now on, without tags.
    Put {
        /// The value.
        value: V,
        /// When it expires; [`Moment::MAX`] is never.
        expires_at: Moment,
    },
    /// Holds this value from now on, until one of these tags is invalidated.
    PutTagged {
        /// The value.
        value: V,
        /// When it expires; [`Moment::MAX`] is never.
        expires_at: Moment,
        /// The tags: at most [`TAGS_MAX`](larder_core::terms::TAGS_MAX), which whoever takes them
        /// from a client checks.
        tags: Vec<Box<str>>,
    },
    /// Holds this value from now on, with the tags that the key has.
    Revise {
        /// The value.
        value: V,
        /// When it expires; [`Moment::MAX`] is never.
        expires_at: Moment,
    },
    /// Forgets the key.
    Remove,
}

impl<V> PlainChange<V> {
    fn is_write(&self) -> bool {
        !matches!(self, Self::Keep)
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Plain<K, V> {
    /// Plain keys in this memory tier; `weigh` as for
    /// [`CacheBuilder::weigher`](crate::CacheBuilder::weigher).
    pub fn new(
        engine: &Engine,
        memory: Arc<MemoryTier<K, V>>,
        weigh: impl Fn(&K, Option<&V>) -> usize + Send + Sync + 'static,
    ) -> Self {
        Self {
            engine: engine.clone(),
            memory,
            scope: engine.new_scope(),
            weigh: Box::new(weigh),
            hits: Counter::default(),
            misses: Counter::default(),
            too_heavy: Counter::default(),
        }
    }

    /// Reads what is held of `key` at `now`, the time of the engine's clock; reads that start
    /// together may share it. The moment is when it expires.
    pub fn get<Q, R>(&self, key: &Q, now: Moment, read: impl FnOnce(&V, Moment) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let result = self.memory.get_with(key, now, |slot| {
            let value = slot.value.as_ref().filter(|_| self.stands(slot));
            value.map(|value| read(value, slot.times.fresh_until()))
        });
        let result = result.flatten();
        let counter = if result.is_some() { &self.hits } else { &self.misses };
        counter.add(1);
        result
    }

    /// Changes `key` by what is held of it, with no other access in between. `now` is the time
    /// by which expiries in the change are counted.
    ///
    /// # Errors
    ///
    /// `Refused` when the new value is heavier than the memory tier takes; `NoRoom` when memory is
    /// full of entries that may not be evicted. What was held is then still held.
    pub fn update<R>(
        &self,
        key: &K,
        now: Moment,
        change: impl FnOnce(Option<PlainHeld<'_, V>>) -> (PlainChange<V>, R),
    ) -> Result<R> {
        let epochs = self.engine.epochs();
        let weight_max = self.memory.weight_max();
        let change = |held: Option<Held<'_, Slot<V>>>| {
            let standing = held.as_ref().filter(|held| self.stands(held.value));
            let (change, result) = change(standing.and_then(plain));
            // Forgetting what isn't held voids tokens too: somebody may be loading it.
            let voids = change.is_write();
            let rider = standing.and_then(|held| held.value.rider.clone());
            let change = match change {
                PlainChange::Keep => Ok(Change::Keep),
                PlainChange::Remove if held.is_none() => Ok(Change::Keep),
                PlainChange::Remove => Ok(Change::Remove(RemovalCause::Removed)),
                PlainChange::Put { value, expires_at } => {
                    self.put(key, slot(value, now, expires_at, None), expires_at)
                }
                PlainChange::PutTagged { value, expires_at, tags } => {
                    let rider = self.rider(&tags);
                    self.put(key, slot(value, now, expires_at, rider), expires_at)
                }
                PlainChange::Revise { value, expires_at } => {
                    self.put(key, slot(value, now, expires_at, rider), expires_at)
                }
            };
            let change = match change {
                Ok(change) => change,
                // What can't be kept must not drive out what is held.
                Err(weight) => {
                    self.too_heavy.add(1);
                    return (Change::Keep, (false, Err(too_heavy(key, weight, weight_max))));
                }
            };
            (change, (voids, Ok(result)))
        };
        let done = |outcome, (voids, result)| {
            if voids {
                epochs.raise(self.scope, key);
            }
            (outcome, result)
        };
        let (outcome, result) = self.memory.compute_then(key, now, K::clone, change, done);
        match outcome {
            Outcome::NoRoom => Err(no_room(key)),
            Outcome::Kept | Outcome::Stored | Outcome::Removed | Outcome::TooHeavy => result,
        }
    }

    /// The change that holds this slot; an error is its weight, which is too much.
    fn put(
        &self,
        key: &K,
        slot: Slot<V>,
        expires_at: Moment,
    ) -> std::result::Result<Change<Slot<V>>, usize> {
        let rider = slot.rider.as_ref().map_or(0, |rider| rider.heap_bytes());
        let weight = (self.weigh)(key, slot.value.as_ref()).saturating_add(rider);
        if weight > self.memory.weight_max() {
            return Err(weight);
        }
        Ok(Change::Put { value: slot, weight, expires_at })
    }

    /// What stands beside a value with these tags. To be made before the value can be seen.
    fn rider(&self, tags: &[Box<str>]) -> Option<Arc<Rider>> {
        let written = self.engine.events().count();
        let hashes = tags.iter().map(|tag| tag_hash(tag)).collect();
        (!tags.is_empty()).then(|| Arc::new(Rider::of_plain(hashes, written)))
    }

    /// Whether no tag of a slot was struck since it was written.
    #[inline]
    fn stands(&self, slot: &Slot<V>) -> bool {
        slot.rider.as_ref().is_none_or(|rider| rider.stands_for_plain(self.engine.events()))
    }

    /// What is held of `key`, or the token to fill it with.
    ///
    /// # Errors
    ///
    /// The token, on a miss.
    pub fn lookup(&self, key: &K) -> Result<Answer<V>, Token> {
        let taken_at = self.engine.now();
        let fence = self.engine.epochs().capture(self.scope, key, 0);
        let held = self
            .memory
            .get_with(key, taken_at, |slot| self.stands(slot).then(|| answer(slot, taken_at)));
        let held = held.flatten();
        let counter = if held.is_some() { &self.hits } else { &self.misses };
        counter.add(1);
        held.ok_or_else(|| Token::new(&self.engine, Permit { fence, taken_at }))
    }

    /// Fills `key` with what its client loaded, unless the key was written since the token was
    /// given out. `None` when the token is of another key or another run of the program.
    #[must_use]
    pub fn fill(&self, key: &K, token: Token, value: V, expires_at: Moment) -> Option<Fill> {
        let permit = token.redeem(&self.engine, self.scope, key)?;
        let now = self.engine.now();
        let weight = (self.weigh)(key, Some(&value));
        let slot = slot(value, permit.taken_at, expires_at, None);
        let holds = |held: Option<&Slot<V>>| {
            held.is_none_or(|held| !self.stands(held)) && self.engine.epochs().holds(permit.fence)
        };
        Some(match self.memory.insert_if(key.clone(), slot, weight, expires_at, now, holds) {
            Insert::Stored => Fill::Stored,
            Insert::Refused => Fill::Refused,
            Insert::TooHeavy | Insert::NoRoom => Fill::NotKept,
        })
    }

    /// The heaviest that a key with its value may be, in the measure of the weigher.
    pub fn weight_max(&self) -> usize {
        self.memory.weight_max()
    }

    /// The engine, by whose clock expiries are counted.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Reads that found something, so far.
    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// Reads that found nothing, so far.
    pub fn misses(&self) -> u64 {
        self.misses.get()
    }

    /// Whether they are held in this memory tier.
    pub fn is_in(&self, memory: &Arc<MemoryTier<K, V>>) -> bool {
        Arc::ptr_eq(&self.memory, memory)
    }

    /// Values that were refused as too heavy before the memory tier saw them, so far; it counts
    /// only its own.
    pub fn too_heavy(&self) -> u64 {
        self.too_heavy.get()
    }
}

/// The entry as its user sees it.
fn plain<'a, V>(held: &Held<'a, Slot<V>>) -> Option<PlainHeld<'a, V>> {
    let value = held.value.value.as_ref()?;
    Some(PlainHeld { value, expires_at: held.expires_at })
}

/// A written value is the truth: it is fresh until it expires.
fn slot<V>(value: V, written_at: Moment, expires_at: Moment, rider: Option<Arc<Rider>>) -> Slot<V> {
    let times = Times::of_truth(written_at, expires_at);
    let born = Slot::<V>::BORN_PLAIN;
    Slot { value: Some(value), times, born, cost_micros: 0, ledger: NOBODY, rider }
}

/// What is held of a plain key, with its age since it was written.
fn answer<V: Clone>(slot: &Slot<V>, now: Moment) -> Answer<V> {
    let age = now - slot.times.loaded_at();
    Answer {
        value: slot.value.clone(),
        tier: Tier::Memory,
        age,
        current: age,
        state: State::Fresh,
        reason: Reason::Held,
    }
}

fn too_heavy<K: CacheKey>(key: &K, weight: usize, max: usize) -> Error {
    let message = format!("key and value take {weight} bytes; an entry may take {max}");
    Error::new(ErrorKind::Refused, message).for_key(KeyText::lossy(key))
}

fn no_room<K: CacheKey>(key: &K) -> Error {
    let message = "memory is full of keys that never expire, and these may not be evicted: \
                   delete some, give them an expiry, or raise the limit";
    Error::new(ErrorKind::NoRoom, message).for_key(KeyText::lossy(key))
}

impl<K, V> std::fmt::Debug for Plain<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain").finish_non_exhaustive()
    }
}
