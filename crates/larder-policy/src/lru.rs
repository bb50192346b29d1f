//! Least recently used: the entry that was used longest ago leaves first.

use crate::{Policy, SLOTS_MAX};

/// No slot: the end of the list.
const NONE: u32 = u32::MAX;

/// Evicts the entry that was used longest ago.
///
/// A doubly linked list whose links stand in one vector, indexed by slot: every operation writes
/// the slot's own link and those of its two neighbours, however many slots there are. Eight bytes
/// per slot up to the highest one in use, and at most a quarter of that in reserve.
#[derive(Clone, Debug)]
pub struct Lru {
    links: Vec<Link>,
    coldest: u32,
    warmest: u32,
}

/// The neighbours of a slot in the order of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    colder: u32,
    warmer: u32,
}

impl Link {
    /// The link of a slot that isn't held.
    const FREE: Self = Self { colder: SLOTS_MAX, warmer: SLOTS_MAX };
}

impl Lru {
    /// The held slots, the next victim first.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let slot = |slot| (slot != NONE).then_some(slot);
        std::iter::successors(slot(self.coldest), move |&at| slot(self.links[at as usize].warmer))
    }

    /// The link of a slot that must be held.
    fn held(&self, slot: u32) -> Link {
        match self.links.get(slot as usize) {
            Some(&link) if link != Link::FREE => link,
            _ => panic!("slot {slot} is not held by the policy"),
        }
    }

    /// Makes the link of `slot` exist.
    fn make_room(&mut self, slot: u32) {
        assert!(slot < SLOTS_MAX, "slot {slot} is beyond the last one");
        let length = slot as usize + 1;
        if length > self.links.capacity() {
            // Growing by doubling would let half of the memory stand empty.
            self.links.reserve_exact(length + length / 8 - self.links.len());
        }
        if length > self.links.len() {
            self.links.resize(length, Link::FREE);
        }
    }

    /// Puts `slot` at the warm end.
    fn push(&mut self, slot: u32) {
        self.put(slot, Link { colder: self.warmest, warmer: NONE });
    }

    /// Gives `slot` this link and makes its neighbours, or the ends, point at it.
    fn put(&mut self, slot: u32, link: Link) {
        self.links[slot as usize] = link;
        self.join(link.colder, slot);
        self.join_back(slot, link.warmer);
    }

    /// Takes `slot` out of the list and joins its neighbours.
    fn take(&mut self, slot: u32) -> Link {
        let link = self.held(slot);
        self.links[slot as usize] = Link::FREE;
        self.join(link.colder, link.warmer);
        self.join_back(link.colder, link.warmer);
        link
    }

    /// Makes `colder` know that `warmer` follows it.
    fn join(&mut self, colder: u32, warmer: u32) {
        match colder {
            NONE => self.coldest = warmer,
            _ => self.links[colder as usize].warmer = warmer,
        }
    }

    /// Makes `warmer` know that `colder` stands before it.
    fn join_back(&mut self, colder: u32, warmer: u32) {
        match warmer {
            NONE => self.warmest = colder,
            _ => self.links[warmer as usize].colder = colder,
        }
    }
}

impl Default for Lru {
    fn default() -> Self {
        Self { links: Vec::new(), coldest: NONE, warmest: NONE }
    }
}

impl Policy for Lru {
    fn insert(&mut self, slot: u32) {
        self.make_room(slot);
        assert!(self.links[slot as usize] == Link::FREE, "slot {slot} is held by the policy");
        self.push(slot);
    }

    fn touch(&mut self, slot: u32) {
        // The warmest stays where it is: a hot entry's reads write nothing.
        if slot != self.warmest || slot == NONE {
            self.take(slot);
            self.push(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        self.take(slot);
    }

    fn relocate(&mut self, from: u32, to: u32) {
        self.make_room(to);
        assert!(self.links[to as usize] == Link::FREE, "slot {to} is held by the policy");
        let link = self.held(from);
        self.links[from as usize] = Link::FREE;
        self.put(to, link);
    }

    fn victim(&mut self) -> Option<u32> {
        (self.coldest != NONE).then_some(self.coldest)
    }

    fn shrink(&mut self, slots: u32) {
        let slots = slots as usize;
        debug_assert!(
            self.links.iter().skip(slots).all(|&link| link == Link::FREE),
            "a slot that is given back is held"
        );
        self.links.truncate(slots);
        if self.links.capacity() > slots + slots / 4 {
            self.links.shrink_to(slots + slots / 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const SLOTS: u32 = 24;

    #[derive(Clone, Debug)]
    enum Step {
        /// Touches the slot if it is held, inserts it otherwise.
        Use(u32),
        Remove(u32),
        Relocate(u32, u32),
        Evict,
        Shrink,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let slot = || 0..SLOTS;
        let step = prop_oneof![
            5 => slot().prop_map(Step::Use),
            2 => slot().prop_map(Step::Remove),
            1 => (slot(), slot()).prop_map(|(from, to)| Step::Relocate(from, to)),
            1 => Just(Step::Evict),
            1 => Just(Step::Shrink),
        ];
        prop::collection::vec(step, 0..200)
    }

    /// The same policy as a queue that is searched from end to end.
    fn apply(step: &Step, model: &mut VecDeque<u32>, lru: &mut Lru) {
        let place = |model: &VecDeque<u32>, slot| model.iter().position(|&held| held == slot);
        match *step {
            Step::Use(slot) => match place(model, slot) {
                Some(at) => {
                    model.remove(at);
                    model.push_back(slot);
                    lru.touch(slot);
                }
                None => {
                    model.push_back(slot);
                    lru.insert(slot);
                }
            },
            Step::Remove(slot) => {
                if let Some(at) = place(model, slot) {
                    model.remove(at);
                    lru.remove(slot);
                }
            }
            Step::Relocate(from, to) => {
                if let (Some(at), None) = (place(model, from), place(model, to)) {
                    model[at] = to;
                    lru.relocate(from, to);
                }
            }
            Step::Evict => {
                assert_eq!(lru.victim(), model.front().copied());
                if let Some(slot) = model.pop_front() {
                    lru.remove(slot);
                }
            }
            Step::Shrink => lru.shrink(model.iter().max().map_or(0, |last| last + 1)),
        }
    }

    fn check(lru: &mut Lru, model: &VecDeque<u32>) {
        assert!(lru.iter().eq(model.iter().copied()), "{lru:?} is not {model:?}");
        assert_eq!(lru.victim(), model.front().copied());
        let mut colder = NONE;
        for slot in lru.iter() {
            assert_eq!(lru.links[slot as usize].colder, colder);
            colder = slot;
        }
        assert_eq!(lru.warmest, colder);
        let free = lru.links.iter().filter(|&&link| link == Link::FREE).count();
        assert_eq!(lru.links.len() - free, model.len());
    }

    proptest! {
        #[test]
        fn it_is_a_queue_of_uses(steps in steps()) {
            let (mut lru, mut model) = (Lru::default(), VecDeque::new());
            for step in &steps {
                apply(step, &mut model, &mut lru);
                check(&mut lru, &model);
            }
        }
    }

    #[test]
    fn what_is_given_back_is_freed_and_can_be_used_again() {
        let mut lru = Lru::default();
        for slot in 0..1000 {
            lru.insert(slot);
        }
        assert!(lru.links.capacity() <= 1000 + 1000 / 8 + 1, "{}", lru.links.capacity());
        for slot in 10..1000 {
            lru.remove(slot);
        }
        lru.shrink(10);
        assert!(lru.links.capacity() < 20, "{}", lru.links.capacity());
        lru.insert(10);
        assert!(lru.iter().eq(0..=10));
    }

    #[test]
    #[should_panic(expected = "slot 1 is not held")]
    fn touching_what_is_not_held_is_a_defect() {
        let mut lru = Lru::default();
        lru.insert(0);
        lru.touch(1);
    }

    #[test]
    #[should_panic(expected = "slot 0 is held")]
    fn inserting_twice_is_a_defect() {
        let mut lru = Lru::default();
        lru.insert(0);
        lru.insert(0);
    }

    #[test]
    #[should_panic(expected = "beyond the last one")]
    fn there_is_a_last_slot() {
        Lru::default().insert(SLOTS_MAX);
    }
}
