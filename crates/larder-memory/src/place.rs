//! What the table remembers of a slot: one number from which its address is quickly found.

use std::num::NonZeroU32;

/// A slot as the table knows it: its number and the length of the first chunk, and so never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(NonZeroU32);

impl Place {
    /// The place of a slot, where the first chunk has this length.
    #[inline]
    pub(crate) const fn of(slot: u32, first: NonZeroU32) -> Self {
        Self(first.saturating_add(slot))
    }

    /// The place of this number; none is zero.
    #[inline]
    pub(crate) fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    #[inline]
    pub(crate) const fn get(self) -> u32 {
        self.0.get()
    }

    /// Which chunk it is in.
    #[inline]
    pub(crate) const fn chunk(self) -> usize {
        self.0.ilog2() as usize
    }

    /// How many slots it is behind place zero, which no chunk has.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0.get() as usize
    }
}
