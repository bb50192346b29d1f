//! A queue of slot numbers from which the middle is removed lazily.
//!
//! It holds numbers and nothing else: which of them still stand for something is for
//! [`Queues`](crate::queues::Queues) to know.

/// A first-in first-out queue in one allocation, which grows by an eighth.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    of: Box<[u32]>,
    /// Where the oldest stands.
    head: usize,
    length: usize,
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self { of: Box::default(), head: 0, length: 0 }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.length == self.of.len()
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<u32> {
        (self.length > 0).then(|| self.of[self.head])
    }

    pub(crate) fn back(&self) -> Option<u32> {
        (self.length > 0).then(|| self.of[self.at(self.length - 1)])
    }

    /// Puts `slot` at the young end, and grows when it is full.
    #[inline]
    pub(crate) fn push(&mut self, slot: u32) {
        if self.is_full() {
            self.reallocate(self.length + self.length / 8 + 8);
        }
        let at = self.at(self.length);
        self.of[at] = slot;
        self.length += 1;
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = self.front()?;
        self.head = self.at(1);
        self.length -= 1;
        Some(slot)
    }

    pub(crate) fn pop_back(&mut self) -> Option<u32> {
        let slot = self.back()?;
        self.length -= 1;
        Some(slot)
    }

    /// Leaves out what `keep` doesn't want; the order stays.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        let mut kept = 0;
        for place in 0..self.length {
            let slot = self.of[self.at(place)];
            if keep(slot) {
                let at = self.at(kept);
                self.of[at] = slot;
                kept += 1;
            }
        }
        self.length = kept;
    }

    /// Gives back what more than a quarter of its length would fill.
    pub(crate) fn shrink(&mut self) {
        if self.of.len() > self.length + self.length / 4 + 16 {
            self.reallocate(self.length + self.length / 8);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.length).map(|place| self.of[self.at(place)])
    }

    pub(crate) fn allocated(&self) -> usize {
        size_of_val(&*self.of)
    }

    /// Where the `place`-th oldest stands.
    fn at(&self, place: usize) -> usize {
        let at = self.head + place;
        if at >= self.of.len() { at - self.of.len() } else { at }
    }

    fn reallocate(&mut self, room: usize) {
        let mut of = Vec::with_capacity(room);
        of.extend(self.iter());
        of.resize(room, 0);
        (self.of, self.head) = (of.into_boxed_slice(), 0);
    }
}
