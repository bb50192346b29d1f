//! What a cache promises across processes.

/// What is promised while processes can't hear of each other, or a writer crashes.
///
/// | level | while the bus is cut | when a writer crashes between commit and announcement |
/// |---|---|---|
/// | eventual | what is held is served for its lifetime | stale for its lifetime |
/// | bounded | served for `max_staleness`, then the source is asked | stale for its lifetime |
///
/// Where changes are [unknown](larder_core::Changes::Unknown) both mean the same: only age bounds
/// what is served.
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
}
