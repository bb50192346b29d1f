//! Small pseudo-random numbers for sampling. They decide what leaves and guard nothing, so the
//! seed is fixed: the same operations always evict the same entries, and no entropy is asked for.

/// Marsaglia's xorshift (Journal of Statistical Software 2003), with 64 bits of state.
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// A number below `bound`, which is above zero. Which numbers come slightly more often is
    /// below one in four billion.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(bound)) >> 32) as u32
    }
}
