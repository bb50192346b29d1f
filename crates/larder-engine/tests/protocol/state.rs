//! What there is at one moment: the source, the shared tier, the bus, two processes, the writers.
//!
//! Moments are kept as ages that stop at one tick more than the window: older ones can't be told
//! apart by any rule, so time is unbounded and the space of states still finite.

use super::owner::Owner;
use super::queue::Queue;

/// Ticks since a moment, at most one more than the window.
pub(crate) type Age = u8;
/// A version of the row, from 0.
pub(crate) type Version = u8;

/// The age of what hasn't happened.
pub(crate) const NEVER: Age = Age::MAX;
/// The most commits.
pub(crate) const VERSIONS: usize = 3;
/// The most flights of a process.
pub(crate) const FLIGHTS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// What the source's log has.
    pub(crate) head: Version,
    /// What who asks the source is given: the last commit may not be visible yet.
    pub(crate) visible: Version,
    /// Since when each version counts for the promise.
    pub(crate) counts: [Age; VERSIONS + 1],
    pub(crate) shared: Shared,
    pub(crate) processes: [Process; 2],
    /// Who announces each version, until it has returned.
    pub(crate) writers: [Option<Writer>; VERSIONS + 1],
    /// Who follows the source's log.
    pub(crate) owner: Owner,
    /// Who followed before, was taken for dead, and goes on.
    pub(crate) old: Option<Owner>,
    /// Where whoever follows next begins.
    pub(crate) acknowledged: Version,
    /// The position of the last answer.
    pub(crate) answered: Version,
    pub(crate) crashes: u8,
    pub(crate) restarts: u8,
    pub(crate) slots: u8,
    pub(crate) hand_overs: u8,
}

impl State {
    pub(crate) const fn flight(&mut self, At(process, place): At) -> Option<&mut Flight> {
        self.processes[process].flights[place].as_mut()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shared {
    pub(crate) entry: Option<Entry>,
    /// Who holds the lease.
    pub(crate) lease: Option<Holder>,
}

/// An entry of the shared tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    /// Since the grant of the lease under which it was filled.
    pub(crate) age: Age,
    pub(crate) is_stale: bool,
    /// Whether another run of the tier stored it.
    pub(crate) is_of_old_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Flight(At),
    /// A flight of a process that crashed.
    Crashed,
}

/// Where a flight stands: its process and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct At(pub(crate) usize, pub(crate) usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) memory: Option<Held>,
    pub(crate) horizon: Age,
    /// The token that is under way, and since when.
    pub(crate) token: Option<Age>,
    /// What the bus has for it.
    pub(crate) queue: Queue,
    /// Whether the bus has a queue for it.
    pub(crate) listens: bool,
    /// Whether it missed something, and hasn't noticed.
    pub(crate) missed: bool,
    pub(crate) flights: [Option<Flight>; FLIGHTS],
    /// A hit between its two steps.
    pub(crate) hit: Option<HalfHit>,
    /// The newest version that it wrote itself, once the write has returned in any way.
    pub(crate) own: Version,
    /// The position of the last answer that it took; [`NEVER`] without one.
    pub(crate) since: Version,
    /// Whether it has the cache. It may have a horizon before.
    pub(crate) is_built: bool,
    /// Whether an answer said that the owner covers it, too.
    pub(crate) is_vouched: bool,
}

impl Process {
    /// Just started: no horizon is the oldest one.
    pub(crate) const fn new(oldest: Age, listens: bool, is_built: bool) -> Self {
        Self {
            memory: None,
            horizon: oldest,
            token: None,
            queue: Queue::EMPTY,
            listens,
            missed: false,
            flights: [None; FLIGHTS],
            hit: None,
            own: 0,
            since: NEVER,
            is_built,
            is_vouched: false,
        }
    }
}

/// An entry of a memory tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) version: Version,
    /// Of `loaded_at`; of what is known of it when it was marked stale.
    pub(crate) as_of: Age,
    pub(crate) is_stale: bool,
}

/// What somebody who asks may not be given less than.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Least {
    /// By the promise.
    pub(crate) promised: Version,
    /// By what this process wrote.
    pub(crate) own: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HalfHit {
    pub(crate) least: Least,
    /// What the first step looked at: the horizon.
    pub(crate) horizon: Age,
    /// What the first step looks at where the order is wrong: the entry.
    pub(crate) entry: Option<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) epoch_holds: bool,
    pub(crate) generation_holds: bool,
    pub(crate) stage: Stage,
    /// How much older than the flight's start the captured horizon is.
    pub(crate) lag: Age,
    /// Of the captured horizon; as soon as a value is known, or its load has begun, of that.
    pub(crate) as_of: Age,
    pub(crate) lease: Lease,
    /// Of its first caller.
    pub(crate) least: Least,
    pub(crate) joiner: Option<Joiner>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// The fence and the horizon are captured.
    Started,
    /// The shared tier has answered, where the horizon is taken afterwards.
    Read(Version, Age),
    /// The source is being asked.
    Loading,
    /// The source has answered.
    Loaded(Version),
    /// Everybody is about to be answered.
    Ready(Version),
}

/// What a flight has of the permission to fill the shared tier; it doesn't know it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lease {
    None,
    Live,
    Void,
    OfOldRun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Joiner {
    /// How much older than the joiner's start the result is.
    pub(crate) lag: Age,
    pub(crate) least: Least,
}

/// Somebody who committed a version and announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) process: usize,
    pub(crate) step: Step,
    /// Whether the call has returned with an error, and is being repeated behind its back.
    pub(crate) gave_up: bool,
}

/// What is done of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    Committed,
    Raised,
    /// The first of shared tier and bus.
    Half,
    /// Both.
    Told,
}
