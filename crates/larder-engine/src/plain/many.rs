//! Several plain keys at once: all of them or none.

use larder_core::{CacheKey, Moment, Result};
use larder_memory::{Change, Held, Outcome, RemovalCause};

use super::{Occupant, Plain, no_room, slot, too_heavy};
use crate::fence::Fence;
use crate::slot::Slot;

/// A key that was written, the fence after that, and what it had before.
struct Written<'k, K, V> {
    key: &'k K,
    fence: Fence,
    before: Option<(Slot<V>, Moment)>,
}

/// What came of one of them.
enum One<V> {
    Written(Fence, Option<(Slot<V>, Moment)>),
    Occupied,
    TooHeavy(usize),
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Plain<K, V> {
    /// Holds all these values, without an end and without tags, or none of them: when a key is
    /// held whose value is to stay, or one can't be kept. Returns whether they are held now. Each
    /// key is named once.
    ///
    /// The keys are written one after the other, so others may see a part of them for a moment;
    /// what was written is taken back when one of them fails, but for what somebody else has
    /// written since.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn put_all(&self, pairs: &[(K, V)], occupant: Occupant, now: Moment) -> Result<bool> {
        let stays = |key| self.memory.peek(key, now, |held| self.stands(held)) == Some(true);
        if occupant == Occupant::Stays && pairs.iter().any(|(key, _)| stays(key)) {
            return Ok(false);
        }
        let mut written = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let failed = match self.put_one(key, value, occupant, now) {
                (Outcome::NoRoom, _) => Err(no_room(key)),
                (_, One::Written(fence, before)) => {
                    written.push(Written { key, fence, before });
                    continue;
                }
                (_, One::Occupied) => Ok(false),
                (_, One::TooHeavy(weight)) => {
                    self.too_heavy.add(1);
                    Err(too_heavy(key, weight, self.memory.weight_max()))
                }
            };
            written.into_iter().rev().for_each(|written| self.take_back(written, now));
            return failed;
        }
        Ok(true)
    }

    fn put_one(&self, key: &K, value: &V, occupant: Occupant, now: Moment) -> (Outcome, One<V>) {
        let put = |held: Option<Held<'_, Slot<V>>>| {
            let before = held.filter(|held| self.stands(held.value));
            if occupant == Occupant::Stays && before.is_some() {
                return (Change::Keep, Err(One::Occupied));
            }
            let before = before.map(|held| (held.value.clone(), held.expires_at));
            match self.put(key, slot(value.clone(), now, Moment::MAX, None), Moment::MAX) {
                Ok(change) => (change, Ok(before)),
                Err(weight) => (Change::Keep, Err(One::TooHeavy(weight))),
            }
        };
        self.memory.compute_then(key, now, K::clone, put, |outcome, before| {
            (outcome, before.map_or_else(|failed| failed, |was| One::Written(self.void(key), was)))
        })
    }

    /// Voids all tokens of a key; returns the fence after that.
    fn void(&self, key: &K) -> Fence {
        self.engine.epochs().raise(self.scope, key);
        self.engine.epochs().capture(self.scope, key, 0)
    }

    /// Holds again what a key had before, if nobody has written it since. Where memory is full by
    /// now it has nothing.
    fn take_back(&self, written: Written<'_, K, V>, now: Moment) {
        let Written { key, fence, before } = written;
        let epochs = self.engine.epochs();
        let put = |held: Option<Held<'_, Slot<V>>>| {
            if !epochs.holds(fence) {
                return (Change::Keep, false);
            }
            let before = before.and_then(|(slot, until)| self.put(key, slot, until).ok());
            let change = match held {
                Some(_) => before.unwrap_or(Change::Remove(RemovalCause::Removed)),
                // It was evicted meanwhile.
                None => before.unwrap_or(Change::Keep),
            };
            (change, true)
        };
        let (outcome, fence) =
            self.memory.compute_then(key, now, K::clone, put, |outcome, stood| {
                (outcome, if stood { self.void(key) } else { fence })
            });
        if outcome == Outcome::NoRoom {
            let _ = self.memory.compute(key, now, K::clone, |_| match epochs.holds(fence) {
                true => (Change::Remove(RemovalCause::Removed), ()),
                false => (Change::Keep, ()),
            });
        }
    }
}
