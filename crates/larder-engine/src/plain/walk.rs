//! More than one plain key: pages of all of them, one by chance, and one that becomes another.
//!
//! They may share their memory tier with caches, whose entries are passed over here.

use larder_core::{CacheKey, Moment, Result};
use larder_memory::{Change, Cursor, Held, Outcome, RemovalCause};

use super::{Plain, no_room, too_heavy};
use crate::slot::Slot;

/// What becomes of the key that another one takes its value from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moving {
    /// It is forgotten.
    Rename,
    /// It stays.
    Copy,
}

/// What becomes of a value that stands where another one is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// It gives way.
    Replaced,
    /// It stays, and the other one doesn't come.
    Stays,
}

/// What came of [`Plain::relocate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved<V> {
    /// The other key has the value now.
    Done {
        /// The value.
        value: V,
        /// When it expires; [`Moment::MAX`] is never.
        expires_at: Moment,
    },
    /// There was no value.
    Missing,
    /// The other key was held, and was to be left as it is.
    Occupied,
}

/// So many entries are looked at under one call when one is drawn.
const DRAWN: usize = 16;

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Plain<K, V> {
    /// Shows plain keys to `visit`, from `from` on, and returns where to go on; `None` behind the
    /// last one. Looks at about `max` entries of the memory tier, those of caches counted.
    ///
    /// A key that is held from the start of a walk to its end is shown exactly once, whatever is
    /// written meanwhile: see [`Memory::page`](larder_memory::Memory::page). `visit` runs under a
    /// lock of the tier, which it must not use.
    pub fn page(
        &self,
        from: Cursor,
        max: usize,
        now: Moment,
        mut visit: impl FnMut(&K, &V),
    ) -> Option<Cursor> {
        self.memory.page(from, max, now, |key, held| {
            if let Some(value) = held.value.value.as_ref().filter(|_| self.is_ours(held.value)) {
                visit(key, value);
            }
        })
    }

    /// A plain key that is held, by chance; `None` when there is none. Where entries of caches
    /// are many and plain keys few, it looks at many entries.
    pub fn random(&self, now: Moment) -> Option<K> {
        let drawn = u64::from(self.engine.draw()) << 32 | u64::from(self.engine.draw());
        let start = self.memory.place_of(drawn);
        let mut around = [start, Cursor::START].into_iter();
        let mut at = around.next();
        while let Some(from) = at {
            let mut found = Vec::new();
            let next = self.page(from, DRAWN, now, |key, _| found.push(key.clone()));
            if !found.is_empty() {
                let drawn = self.engine.draw() as usize % found.len();
                return Some(found.swap_remove(drawn));
            }
            at = next.or_else(|| around.next());
        }
        None
    }

    /// Gives the value of `from`, with its expiry and its tags, to `to`. The two are different
    /// keys.
    ///
    /// It is two steps, not one: who looks between them finds a key that is renamed under neither
    /// name, and what is written to `from` meanwhile stays.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update). `from` is then as it was, unless it was written meanwhile, or
    /// memory was full and somebody took its place.
    pub fn relocate(
        &self,
        (from, to): (&K, &K),
        moving: Moving,
        occupant: Occupant,
        now: Moment,
    ) -> Result<Moved<V>> {
        if occupant == Occupant::Stays
            && self.memory.peek(to, now, |held| self.stands(held)) == Some(true)
        {
            let held = self.memory.peek(from, now, |held| self.stands(held)) == Some(true);
            return Ok(if held { Moved::Occupied } else { Moved::Missing });
        }
        let take = |held: Option<Held<'_, Slot<V>>>| {
            let Some(held) = held.filter(|held| self.stands(held.value)) else {
                return (Change::Keep, None);
            };
            let taken = (held.value.clone(), held.expires_at);
            if moving == Moving::Copy {
                return (Change::Keep, Some(taken));
            }
            (Change::Remove(RemovalCause::Removed), Some(taken))
        };
        let taken = self.memory.compute_then(from, now, K::clone, take, |outcome, taken| {
            if outcome == Outcome::Removed {
                self.engine.epochs().raise(self.scope, from);
            }
            taken
        });
        let Some(taken) = taken else { return Ok(Moved::Missing) };
        let moved = self.settle(to, taken.clone(), occupant, now);
        if moving == Moving::Rename && !matches!(moved, Ok(Moved::Done { .. })) {
            // Where it stood there was room for it a moment ago; what came meanwhile is newer.
            let _ = self.settle(from, taken, Occupant::Stays, now);
        }
        moved
    }

    /// Holds a slot under another key.
    fn settle(
        &self,
        key: &K,
        (taken, expires_at): (Slot<V>, Moment),
        occupant: Occupant,
        now: Moment,
    ) -> Result<Moved<V>> {
        let max = self.memory.weight_max();
        let put = |held: Option<Held<'_, Slot<V>>>| {
            let stands = held.is_some_and(|held: Held<'_, Slot<V>>| self.stands(held.value));
            if stands && occupant == Occupant::Stays {
                return (Change::Keep, Ok(Moved::Occupied));
            }
            let value = taken.value.clone();
            match (self.put(key, taken, expires_at), value) {
                (Ok(change), Some(value)) => (change, Ok(Moved::Done { value, expires_at })),
                (Ok(_), None) => (Change::Keep, Ok(Moved::Missing)),
                (Err(weight), _) => {
                    self.too_heavy.add(1);
                    (Change::Keep, Err(too_heavy(key, weight, max)))
                }
            }
        };
        let done = |outcome, moved| {
            if matches!(moved, Ok(Moved::Done { .. })) {
                self.engine.epochs().raise(self.scope, key);
            }
            (outcome, moved)
        };
        let (outcome, moved) = self.memory.compute_then(key, now, K::clone, put, done);
        if outcome == Outcome::NoRoom { Err(no_room(key)) } else { moved }
    }

    /// Whether it is a plain key, and stands.
    fn is_ours(&self, held: &Slot<V>) -> bool {
        held.born == Slot::<V>::BORN_PLAIN && self.stands(held)
    }
}
