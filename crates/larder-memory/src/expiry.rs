//! Which entry of a shard expires next.
//!
//! A binary heap over slots in which each slot knows its place, so that an entry can leave or
//! change its expiry without being searched for. Entries that never expire are not in it.

use larder_core::Moment;

/// No place: the slot is not in the heap.
const NONE: u32 = u32::MAX;

/// Slots in the order of their expiry. Putting one in and taking one out costs at most one step
/// per doubling of their number; one that expires later than most costs one or two.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    heap: Vec<(Moment, u32)>,
    /// Indexed by slot.
    places: Vec<u32>,
}

impl Expiries {
    /// How many slots expire at some time.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The slot that expires next, if that was before `now`: an entry's last moment is its own.
    pub(crate) fn expired(&self, now: Moment) -> Option<u32> {
        self.heap.first().filter(|(at, _)| *at < now).map(|&(_, slot)| slot)
    }

    /// The entry in `slot` expires at `at` and at no other time; never, if that is
    /// [`Moment::MAX`].
    pub(crate) fn set(&mut self, slot: u32, at: Moment) {
        self.make_room(slot);
        let place = match (self.places[slot as usize], at) {
            (NONE, Moment::MAX) => return,
            (_, Moment::MAX) => return self.remove(slot),
            (NONE, _) => {
                reserve(&mut self.heap, 1);
                self.heap.push((at, slot));
                self.heap.len() - 1
            }
            (place, _) => place as usize,
        };
        self.heap[place] = (at, slot);
        self.settle(place);
    }

    /// The entry in `slot` has left.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(place) = self.places.get_mut(slot as usize) else {
            return;
        };
        let place = std::mem::replace(place, NONE);
        if place != NONE {
            self.heap.swap_remove(place as usize);
            if (place as usize) < self.heap.len() {
                self.settle(place as usize);
            }
        }
    }

    /// The entry in `from` stands in `to` from now on.
    pub(crate) fn relocate(&mut self, from: u32, to: u32) {
        if let Some(place) = self.places.get_mut(from as usize) {
            let place = std::mem::replace(place, NONE);
            self.make_room(to);
            self.places[to as usize] = place;
            if place != NONE {
                let at = self.heap[place as usize].0;
                self.heap[place as usize] = (at, to);
                self.settle(place as usize);
            }
        }
    }

    /// Gives back what was allocated for slots from `slots` on, none of which is held, and for
    /// entries that have left.
    pub(crate) fn shrink(&mut self, slots: u32) {
        self.places.truncate(slots as usize);
        give_back(&mut self.places);
        give_back(&mut self.heap);
    }

    fn make_room(&mut self, slot: u32) {
        let missing = (slot as usize + 1).saturating_sub(self.places.len());
        reserve(&mut self.places, missing);
        self.places.extend(std::iter::repeat_n(NONE, missing));
    }

    /// Moves what stands at `place` up or down to where it belongs.
    fn settle(&mut self, mut place: usize) {
        while place > 0 && self.heap[place] < self.heap[(place - 1) / 2] {
            place = self.swap(place, (place - 1) / 2);
        }
        while let Some(child) = self.first_child(place)
            && self.heap[child] < self.heap[place]
        {
            place = self.swap(place, child);
        }
        self.note(place);
    }

    /// Which of the two below `place` expires first.
    fn first_child(&self, place: usize) -> Option<usize> {
        let children = 2 * place + 1..(2 * place + 3).min(self.heap.len());
        children.min_by_key(|&child| self.heap[child])
    }

    fn swap(&mut self, place: usize, with: usize) -> usize {
        self.heap.swap(place, with);
        self.note(place);
        with
    }

    fn note(&mut self, place: usize) {
        let slot = self.heap[place].1;
        // There are fewer entries than slots, whose numbers are 32 bits wide.
        self.places[slot as usize] = place as u32;
    }
}

/// Grows by an eighth: doubling would let half of the memory stand empty.
fn reserve<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more + vec.len() / 8);
    }
}

/// Shrinks what has more than a quarter to spare to an eighth to spare.
fn give_back<T>(vec: &mut Vec<T>) {
    if vec.capacity() > vec.len() + vec.len() / 4 {
        vec.shrink_to(vec.len() + vec.len() / 8);
    }
}

#[cfg(test)]
impl Expiries {
    pub(crate) fn assert_invariants(&self) {
        for (place, &(at, slot)) in self.heap.iter().enumerate() {
            assert_eq!(self.places[slot as usize] as usize, place);
            assert!(place == 0 || self.heap[(place - 1) / 2] <= (at, slot));
        }
        let placed = self.places.iter().filter(|&&place| place != NONE).count();
        assert_eq!(placed, self.heap.len());
    }

    /// The expiry of the entry in `slot`.
    pub(crate) fn get(&self, slot: u32) -> Moment {
        match self.places.get(slot as usize) {
            None | Some(&NONE) => Moment::MAX,
            Some(&place) => self.heap[place as usize].0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u64),
        Never(u32),
        Remove(u32),
        Relocate(u32, u32),
        Shrink,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let slot = || 0..40_u32;
        let step = prop_oneof![
            6 => (slot(), 0..30_u64).prop_map(|(slot, at)| Step::Set(slot, at)),
            1 => slot().prop_map(Step::Never),
            2 => slot().prop_map(Step::Remove),
            1 => (slot(), slot()).prop_map(|(from, to)| Step::Relocate(from, to)),
            1 => Just(Step::Shrink),
        ];
        prop::collection::vec(step, 0..200)
    }

    fn apply(step: &Step, model: &mut BTreeMap<u32, Moment>, expiries: &mut Expiries) {
        match *step {
            Step::Set(slot, nanos) => {
                model.insert(slot, Moment::from_nanos(nanos));
                expiries.set(slot, Moment::from_nanos(nanos));
            }
            Step::Never(slot) => {
                model.remove(&slot);
                expiries.set(slot, Moment::MAX);
            }
            Step::Remove(slot) => {
                model.remove(&slot);
                expiries.remove(slot);
            }
            Step::Relocate(from, to) => {
                if !model.contains_key(&to) && from != to {
                    if let Some(at) = model.remove(&from) {
                        model.insert(to, at);
                    }
                    expiries.relocate(from, to);
                }
            }
            Step::Shrink => expiries.shrink(model.keys().max().map_or(0, |last| last + 1)),
        }
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_set(steps in steps()) {
            let (mut model, mut expiries) = (BTreeMap::new(), Expiries::default());
            for step in &steps {
                apply(step, &mut model, &mut expiries);
                expiries.assert_invariants();
            }
            let order: BTreeSet<_> = model.iter().map(|(&slot, &at)| (at, slot)).collect();
            for (at, slot) in order {
                prop_assert_eq!(expiries.get(slot), at);
                prop_assert_eq!(expiries.expired(at), None);
                prop_assert_eq!(expiries.expired(Moment::MAX), Some(slot));
                expiries.remove(slot);
            }
            prop_assert_eq!(expiries.expired(Moment::MAX), None);
        }
    }
}
