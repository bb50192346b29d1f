//! What there is at one moment: the source's version, the shared tier with its intents, writers,
//! another process that fills, and the process that is checked.

use crate::state::{Age, Version};

/// The most writers.
pub(crate) const WRITERS: usize = 3;
/// The most messages that are under way; who publishes waits.
const MESSAGES: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) head: Version,
    pub(crate) tier: Tier,
    pub(crate) writers: [Option<Writer>; WRITERS],
    /// A flight of another process, which fills the shared tier only.
    pub(crate) filler: Option<Filler>,
    pub(crate) reader: Reader,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tier {
    pub(crate) entry: Option<Entry>,
    pub(crate) lease: Option<Holder>,
    /// The writers whose intents live: a bit each.
    pub(crate) intents: u8,
    /// The writer that was alone.
    pub(crate) owner: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    /// Since the grant of the lease, or the beginning of the write.
    pub(crate) age: Age,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Filler,
    Flight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Filler {
    pub(crate) age: Age,
    pub(crate) version: Option<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Guarded,
    Plain,
    Outside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Idle,
    Begun,
    Committed,
    /// It has returned, and its commit is still on its way.
    GivenUp,
    Ended,
    Crashed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
    /// Since it began.
    pub(crate) begun: Age,
    /// What it committed, and since when.
    pub(crate) committed: Option<(Version, Age)>,
    /// Whether nothing struck the key in its process since it began.
    pub(crate) fence_holds: bool,
}

impl Writer {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, stage: Stage::Idle, begun: 0, committed: None, fence_holds: false }
    }
}

/// The process that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    pub(crate) memory: Option<Held>,
    pub(crate) horizon: Age,
    pub(crate) token: Option<Age>,
    pub(crate) queue: Queue,
    /// Whether it missed something, and hasn't noticed.
    pub(crate) missed: bool,
    /// The writers that it has heard of, and not of their end: a bit each.
    pub(crate) writers: u8,
    pub(crate) flight: Option<Flight>,
    /// The newest version that it wrote itself.
    pub(crate) own: Version,
}

impl Reader {
    pub(crate) const fn new(oldest: Age) -> Self {
        Self {
            memory: None,
            horizon: oldest,
            token: None,
            queue: Queue::EMPTY,
            missed: false,
            writers: 0,
            flight: None,
            own: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) version: Version,
    pub(crate) as_of: Age,
    /// Whether no horizon vouches for it.
    pub(crate) is_brief: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) epoch_holds: bool,
    pub(crate) step: Step,
    /// Of the captured horizon; as soon as a value is known, or its load has begun, of that.
    pub(crate) as_of: Age,
    pub(crate) keeps: bool,
    pub(crate) is_brief: bool,
    /// Whether it asked for a lease, and was given one. It doesn't know whether it is void.
    pub(crate) is_leased: bool,
    /// What its caller was promised at least, and what it wrote.
    pub(crate) promised: Version,
    pub(crate) own: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Started,
    Loading,
    Loaded(Version),
    Ready(Version),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Writing(u8),
    Written(u8),
    Invalidation,
    Token,
}

/// What the bus still has for the process, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Queue([Option<Message>; MESSAGES]);

impl Queue {
    pub(crate) const EMPTY: Self = Self([None; MESSAGES]);

    pub(crate) fn push(&mut self, message: Message) -> Option<()> {
        let free = self.0.iter_mut().find(|place| place.is_none())?;
        *free = Some(message);
        Some(())
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let first = self.0[0].take()?;
        self.0.rotate_left(1);
        Some(first)
    }

    /// Whether nothing but its token is under way.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.iter().flatten().all(|message| *message == Message::Token)
    }
}

impl State {
    pub(crate) fn void_lease(&mut self) {
        self.tier.lease = None;
    }

    /// Raises the epoch of the process that is checked, and drops.
    pub(crate) fn raise(&mut self) {
        self.reader.memory = None;
        if let Some(flight) = &mut self.reader.flight {
            flight.epoch_holds = false;
        }
        for writer in self.writers.iter_mut().flatten() {
            writer.fence_holds = false;
        }
    }
}
