//! Doubly linked lists over slots: any number of them share one vector of links.
//!
//! The policies that keep an exact order use them. A slot stands in at most one list, and only
//! the policy knows in which.

use crate::slots::Slots;

/// No slot: the end of a list.
const NONE: u32 = u32::MAX;

/// The links of all lists: eight bytes per slot.
#[derive(Clone, Debug)]
pub(crate) struct Links(Slots<Link>);

/// One list, by its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    oldest: u32,
    newest: u32,
}

/// The neighbours of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    older: u32,
    newer: u32,
}

impl Link {
    /// The link of a slot that isn't held: no slot is its own neighbour's place-holder, as
    /// [`SLOTS_MAX`](crate::SLOTS_MAX) itself is never in use.
    const FREE: Self = Self { older: crate::SLOTS_MAX, newer: crate::SLOTS_MAX };
}

impl List {
    pub(crate) const EMPTY: Self = Self { oldest: NONE, newest: NONE };

    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    pub(crate) fn newest(&self) -> Option<u32> {
        (self.newest != NONE).then_some(self.newest)
    }
}

impl Links {
    pub(crate) fn new() -> Self {
        Self(Slots::new(Link::FREE))
    }

    pub(crate) fn is_held(&self, slot: u32) -> bool {
        self.0.get(slot) != Link::FREE
    }

    /// The next newer slot of the same list.
    pub(crate) fn newer(&self, slot: u32) -> Option<u32> {
        let newer = self.held(slot).newer;
        (newer != NONE).then_some(newer)
    }

    /// Puts `slot` at the newer end of `list`.
    ///
    /// # Panics
    ///
    /// When it is held, or beyond the last slot.
    pub(crate) fn push(&mut self, list: &mut List, slot: u32) {
        let link = Link { older: list.newest, newer: NONE };
        self.put(list, slot, link);
    }

    /// Takes `slot` out of `list`, in which it stands.
    ///
    /// # Panics
    ///
    /// When it isn't held.
    pub(crate) fn take(&mut self, list: &mut List, slot: u32) {
        let link = self.held(slot);
        self.0[slot] = Link::FREE;
        self.join(list, link.older, link.newer);
        self.join_back(list, link.older, link.newer);
    }

    /// Puts `to` in the place of `from`, which stands in `list`.
    ///
    /// # Panics
    ///
    /// When `from` isn't held or `to` is.
    pub(crate) fn replace(&mut self, list: &mut List, from: u32, to: u32) {
        let link = self.held(from);
        self.0[from] = Link::FREE;
        self.put(list, to, link);
    }

    /// The slots of `list`, the oldest first.
    pub(crate) fn iter(&self, list: List) -> impl Iterator<Item = u32> {
        std::iter::successors(list.oldest(), |&slot| self.newer(slot))
    }

    pub(crate) fn shrink(&mut self, slots: u32) {
        debug_assert!(
            self.0.iter().all(|(slot, link)| slot < slots || link == Link::FREE),
            "a slot that is given back is held"
        );
        self.0.shrink(slots);
    }

    pub(crate) fn allocated(&self) -> usize {
        self.0.allocated()
    }

    /// Checks that `list` reads the same in both directions, and counts it.
    pub(crate) fn assert_list(&self, list: List) -> usize {
        let (mut older, mut length) = (NONE, 0);
        for slot in self.iter(list) {
            assert_eq!(self.held(slot).older, older, "the neighbours of slot {slot} disagree");
            (older, length) = (slot, length + 1);
        }
        assert_eq!(list.newest, older, "the list ends elsewhere");
        length
    }

    /// How many slots stand in any list.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().filter(|&(_, link)| link != Link::FREE).count()
    }

    /// The link of a slot that must be held.
    fn held(&self, slot: u32) -> Link {
        let link = self.0.get(slot);
        assert!(link != Link::FREE, "slot {slot} is not held by the policy");
        link
    }

    /// Gives `slot` this link and makes its neighbours, or the ends, point at it.
    fn put(&mut self, list: &mut List, slot: u32, link: Link) {
        self.0.make_room(slot);
        assert!(self.0[slot] == Link::FREE, "slot {slot} is held by the policy");
        self.0[slot] = link;
        self.join(list, link.older, slot);
        self.join_back(list, slot, link.newer);
    }

    /// Makes `older` know that `newer` follows it.
    fn join(&mut self, list: &mut List, older: u32, newer: u32) {
        match older {
            NONE => list.oldest = newer,
            _ => self.0[older].newer = newer,
        }
    }

    /// Makes `newer` know that `older` stands before it.
    fn join_back(&mut self, list: &mut List, older: u32, newer: u32) {
        match newer {
            NONE => list.newest = older,
            _ => self.0[newer].older = older,
        }
    }
}
