//! What a cache promises across processes.

/// What is promised while processes can't hear of each other, or a writer crashes.
///
/// | level | while the bus is cut | when a writer crashes between commit and announcement |
/// |---|---|---|
/// | eventual | what is held is served for its lifetime | stale for its lifetime |
/// | bounded | served for `max_staleness`, then the source is asked | stale for its lifetime |
/// | guarded | as bounded | nobody keeps what is old |
/// | strict | without a recent horizon memory serves nothing | nobody keeps what is old |
///
/// Where changes are [unknown](larder_core::Changes::Unknown) the first two mean the same: only age
/// bounds what is served.
///
/// The levels are about the writes of [`Cache::put`](crate::Cache::put) and its siblings. Who
/// commits by himself and then invalidates is at most bounded, whatever the cache is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consistency {
    /// Announcements are applied when they arrive, and nothing waits for them: `max_staleness`
    /// counts from the load.
    Eventual,
    /// An entry may be fresh for longer than `max_staleness`, as long as this process knows that it
    /// has applied everything that was announced: `max_staleness` counts from there.
    #[default]
    Bounded,
    /// A write is announced before it is committed, and ended after it: until then nobody keeps
    /// what may be from before. So the promise counts from the commit, and a writer may die
    /// anywhere, unless it was stopped for longer than its intent lasts. It takes one round trip
    /// more than `Bounded`. Written [behind](crate::behind), a key is announced before the first
    /// write of it is acknowledged, until the last is applied. While the shared tier doesn't
    /// answer, writes go on as with `Bounded`.
    Guarded,
    /// As `Guarded`, but what can't be announced is refused, and nothing is served from memory
    /// while nobody knows what was announced.
    Strict,
}

impl Consistency {
    /// Whether writes are announced before they are committed.
    pub(crate) const fn is_guarded(self) -> bool {
        matches!(self, Self::Guarded | Self::Strict)
    }
}
