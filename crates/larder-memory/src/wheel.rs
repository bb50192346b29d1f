//! Which entries of a shard have expired.
//!
//! A hierarchical timer wheel (G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels",
//! SOSP 1987): eight wheels of 64 places, each place of one as wide as the whole wheel below it,
//! the lowest a millisecond wide. An entry stands in the list of the place in which it expires,
//! in the lowest wheel that reaches so far. Putting in and taking out are constant. When the time
//! reaches a place of a higher wheel, its entries move down, one for each step: an entry moves at
//! most seven times, and mostly less than twice.

use larder_core::Moment;

/// The end of a list, and no place.
const NONE: u32 = u32::MAX;

/// The slot is in no list.
const FREE: u32 = u32::MAX - 1;

/// A tick is 2^20 nanoseconds, about a millisecond.
const TICK_BITS: u32 = 20;

/// Places of one wheel, as a power of two.
const PLACE_BITS: u32 = 6;
const PLACES: usize = 1 << PLACE_BITS;

/// Eight wheels of six bits and the twenty of a tick reach beyond the 64 bits of a moment.
const WHEELS: usize = 8;

/// The neighbours of a slot in the list of its place.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// Or, with [`HEAD`], the place that the slot stands first in.
    before: u32,
    after: u32,
}

/// Marks a link that leads back to a place.
const HEAD: u32 = 1 << 31;

/// Entries by the time of their expiry. Who holds them tells their times when asked.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// All ticks before this one are over, and nothing stands in them.
    tick: u64,
    /// The first slot of each place of each wheel.
    places: Box<[u32]>,
    /// Which places of each wheel have slots.
    filled: [u64; WHEELS],
    links: Vec<Link>,
    len: usize,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { tick: 0, places: Box::default(), filled: [0; WHEELS], links: Vec::new(), len: 0 }
    }
}

impl Wheel {
    /// How many slots expire at some time.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The entry in `slot`, which is in no list, expires at `at`, and that is not never.
    pub(crate) fn insert(&mut self, slot: u32, at: Moment) {
        if self.places.is_empty() {
            self.places = vec![NONE; WHEELS * PLACES].into_boxed_slice();
        }
        let missing = (slot as usize + 1).saturating_sub(self.links.len());
        if missing > self.links.capacity() - self.links.len() {
            // Growing by doubling would let half of the memory stand empty.
            self.links.reserve_exact(missing + self.links.len() / 8);
        }
        self.links.extend(std::iter::repeat_n(Link { before: NONE, after: FREE }, missing));
        self.push(slot, at);
        self.len += 1;
    }

    /// The entry in `slot` leaves, if it is in a list.
    pub(crate) fn remove(&mut self, slot: u32) {
        if self.links.get(slot as usize).is_some_and(|link| link.after != FREE) {
            self.take(slot);
            self.len -= 1;
        }
    }

    /// A slot whose entry's last moment was before `now`, if at most `steps` steps find one; each
    /// step is counted off. Entries that expired within the millisecond of `now` may not be found
    /// before the next one, except by [`just_expired`](Self::just_expired).
    pub(crate) fn expired(
        &mut self,
        now: Moment,
        steps: &mut usize,
        at: impl Fn(u32) -> Moment,
    ) -> Option<u32> {
        let last = now.as_nanos() >> TICK_BITS;
        while self.len > 0 && self.tick <= last && *steps > 0 {
            *steps -= 1;
            let place = self.tick as usize % PLACES;
            if self.tick < last && self.places[place] != NONE {
                return Some(self.places[place]);
            }
            if !self.cascade(&at) {
                if self.tick == last {
                    break;
                }
                self.advance(last);
            }
        }
        if self.len == 0 {
            self.tick = self.tick.max(last);
        }
        None
    }

    /// A slot among those of the current millisecond whose entry's last moment was before `now`.
    /// Costs a step for each of them.
    pub(crate) fn just_expired(&self, now: Moment, at: impl Fn(u32) -> Moment) -> Option<u32> {
        let first = match self.len {
            0 => NONE,
            _ => self.places[self.tick as usize % PLACES],
        };
        let some = |slot| (slot != NONE).then_some(slot);
        std::iter::successors(some(first), |&slot| some(self.links[slot as usize].after))
            .find(|&slot| at(slot) < now)
    }

    /// Gives back what was allocated for slots from `slots` on, none of which is in a list.
    pub(crate) fn shrink(&mut self, slots: u32) {
        self.links.truncate(slots as usize);
        if self.links.capacity() > self.links.len() + self.links.len() / 4 {
            self.links.shrink_to(self.links.len() + self.links.len() / 8);
        }
    }

    /// Moves one entry of the places that the current tick begins down to a lower wheel. False if
    /// there is none.
    fn cascade(&mut self, at: impl Fn(u32) -> Moment) -> bool {
        for wheel in 1..WHEELS {
            let place = self.place_of(wheel, self.tick);
            if self.places[place] != NONE {
                let slot = self.places[place];
                self.take(slot);
                self.push(slot, at(slot));
                return true;
            }
            if !self.tick.is_multiple_of(1 << (PLACE_BITS as usize * (wheel + 1))) {
                // Higher wheels' places begin only where all lower ones do; looking one wheel
                // beyond costs less than keeping count.
                return false;
            }
        }
        false
    }

    /// Goes on to the next tick at which something stands, or to `last`.
    fn advance(&mut self, last: u64) {
        let mut next = last;
        for wheel in 0..WHEELS {
            let shift = PLACE_BITS as usize * wheel;
            let current = self.tick >> shift;
            // Places of this wheel after the current one, before the wheel above turns.
            let at = (current as usize) % PLACES;
            let later = self.filled[wheel] & (!1_u64 << at);
            if later != 0 {
                let place = later.trailing_zeros() as u64;
                let begins = (current - at as u64 + place) << shift;
                next = next.min(begins);
            }
        }
        self.tick = next.max(self.tick + 1).min(last);
    }

    fn push(&mut self, slot: u32, at: Moment) {
        let tick = (at.as_nanos() >> TICK_BITS).max(self.tick);
        let wheel = match tick ^ self.tick {
            0 => 0,
            differs => (differs.ilog2() / PLACE_BITS) as usize,
        };
        let place = self.place_of(wheel, tick);
        let after = std::mem::replace(&mut self.places[place], slot);
        self.links[slot as usize] = Link { before: HEAD | place as u32, after };
        if after != NONE {
            self.links[after as usize].before = slot;
        }
        self.filled[wheel] |= 1 << (place % PLACES);
    }

    fn take(&mut self, slot: u32) {
        let free = Link { before: NONE, after: FREE };
        let Link { before, after } = std::mem::replace(&mut self.links[slot as usize], free);
        if before & HEAD == 0 {
            self.links[before as usize].after = after;
        } else {
            let place = (before & !HEAD) as usize;
            self.places[place] = after;
            if after == NONE {
                self.filled[place / PLACES] &= !(1 << (place % PLACES));
            }
        }
        if after != NONE {
            self.links[after as usize].before = before;
        }
    }

    const fn place_of(&self, wheel: usize, tick: u64) -> usize {
        wheel * PLACES + (tick >> (PLACE_BITS as usize * wheel)) as usize % PLACES
    }
}

#[cfg(test)]
impl Wheel {
    /// Checks the lists against the moments at which the entries in them expire.
    pub(crate) fn assert_invariants(&self, at: impl Fn(u32) -> Moment) {
        let mut len = 0;
        for (place, &first) in self.places.iter().enumerate() {
            let (wheel, mut slot, mut before) = (place / PLACES, first, HEAD | place as u32);
            assert_eq!(self.filled[wheel] >> (place % PLACES) & 1 == 1, first != NONE);
            while slot != NONE {
                let link = self.links[slot as usize];
                assert_eq!(link.before, before);
                let tick = (at(slot).as_nanos() >> TICK_BITS).max(self.tick);
                assert_eq!(self.place_of(wheel, tick), place, "slot {slot}");
                assert!(
                    wheel == 0
                        || tick >> (PLACE_BITS as usize * wheel)
                            >= self.tick >> (PLACE_BITS as usize * wheel)
                );
                (len, before, slot) = (len + 1, slot, link.after);
            }
        }
        assert_eq!(len, self.len);
        let free = self.links.iter().filter(|link| link.after == FREE).count();
        assert_eq!(self.links.len() - free, len);
    }
}
