//! What a read returns when it is asked for the whole truth: the value, where it came from, how
//! old it is, how current it is known to be, and why it was served.

use std::time::Duration;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// This process's own memory.
    Memory,
    /// The tier that it shares with other processes.
    Shared,
    /// The system of record.
    Source,
}

impl Tier {
    /// The word for it in logs, metrics and protocols.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Shared => "shared",
            Self::Source => "source",
        }
    }
}

/// Whether an entry is served as it is, under a rule, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Served as it is.
    Fresh,
    /// Served under a rule: one refresh is running.
    Stale,
    /// Not served.
    Gone,
}

impl State {
    /// The word for it in logs, metrics and protocols.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Gone => "gone",
        }
    }
}

/// Why this answer, and not another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It was held and fresh.
    Held,
    /// It was held and stale; a refresh is running, or comes when the key has rested after a
    /// failure.
    Refreshing,
    /// This caller led the load.
    Loaded,
    /// This caller joined a load that another one led.
    Joined,
    /// It was loaded, but could not be kept: an invalidation overlapped the load, nothing of this
    /// cache may be kept, or its loader said so.
    Uncached,
    /// The source fails, or rests after it failed, and a held value stands in (`stale_on_error`).
    Failing,
    /// The load takes longer than this read waits, and a held value stands in.
    Slow,
    /// A filter knows that the source has no such key; nobody asked.
    Filtered,
}

impl Reason {
    /// The word for it in logs, metrics and protocols.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Refreshing => "refreshing",
            Self::Loaded => "loaded",
            Self::Joined => "joined",
            Self::Uncached => "uncached",
            Self::Failing => "failing",
            Self::Slow => "slow",
            Self::Filtered => "filtered",
        }
    }
}

/// A value, or the knowledge that there is none, with everything known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<V> {
    /// The value; `None` when the source has none.
    pub value: Option<V>,
    /// Where it came from.
    pub tier: Tier,
    /// How long ago its load began.
    pub age: Duration,
    /// How long ago it was last known to be the source's value. At most `age`, and never more
    /// than `max_staleness` before the read began, but where a value stands in under
    /// `stale_on_error`.
    pub current: Duration,
    /// Fresh or stale.
    pub state: State,
    /// Why it was served.
    pub reason: Reason,
}
