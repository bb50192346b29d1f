//! What there is at one moment, for a key whose entries have the tag `T`. Another tag, `U`, is
//! struck too: it changes nothing, but it is in everybody's way.

use crate::state::{Age, Version};

/// A moment of the tier's clock.
pub(crate) type Clock = u8;

/// The most commits.
pub(crate) const VERSIONS: usize = 2;
/// The most messages that are under way.
const MESSAGES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) head: Version,
    /// Since when each version counts for the promise.
    pub(crate) counts: [Age; VERSIONS + 1],
    pub(crate) tier: Tier,
    /// Who announces each version; at 0, who strikes `U`.
    pub(crate) writers: [Option<Writer>; VERSIONS + 1],
    /// A flight of another process, which fills the shared tier only.
    pub(crate) filler: Option<Filler>,
    pub(crate) reader: Reader,
    pub(crate) restarts: u8,
    /// Whether `U` is still to be struck.
    pub(crate) noise: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tier {
    /// The last moment that was given out.
    pub(crate) clock: Clock,
    /// When `T` was last struck.
    pub(crate) mark: Clock,
    pub(crate) entry: Option<Entry>,
    pub(crate) lease: Option<Holder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    /// What its filler knew of the marks before it loaded.
    pub(crate) clock: Clock,
    /// Since the grant of the lease.
    pub(crate) age: Age,
    pub(crate) is_of_old_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Filler,
    Flight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Filler {
    pub(crate) clock: Clock,
    pub(crate) age: Age,
    pub(crate) version: Option<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) is_here: bool,
    /// When its mark was set, once it is.
    pub(crate) marked: Option<Clock>,
    pub(crate) is_published: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    pub(crate) memory: Option<Held>,
    pub(crate) horizon: Age,
    pub(crate) token: Option<Age>,
    pub(crate) queue: Queue,
    pub(crate) missed: bool,
    /// Whether the bus has a queue for it.
    pub(crate) listens: bool,
    /// Whether it read the marks since it began to listen, and since it missed something.
    pub(crate) knows: bool,
    /// When `T` was last struck, as far as it knows.
    pub(crate) mark: Clock,
    /// The latest moment that it knows.
    pub(crate) clock: Clock,
    /// How many marks it applied.
    pub(crate) events: u8,
    pub(crate) flight: Option<Flight>,
    /// The newest version that it wrote itself.
    pub(crate) own: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) version: Version,
    pub(crate) clock: Clock,
    pub(crate) as_of: Age,
    /// The count of marks at which its tags were found to stand.
    pub(crate) verified: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) generation_holds: bool,
    pub(crate) clock: Clock,
    /// How much older than the flight's start the captured horizon is.
    pub(crate) lag: Age,
    pub(crate) as_of: Age,
    pub(crate) stage: Stage,
    pub(crate) is_leased: bool,
    pub(crate) promised: Version,
    pub(crate) own: Version,
    pub(crate) joiner: Option<Joiner>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Started,
    Loading,
    Loaded(Version),
    Ready(Version),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Joiner {
    pub(crate) lag: Age,
    /// When `T` was last struck, as far as was known when it joined.
    pub(crate) mark: Clock,
    pub(crate) promised: Version,
    pub(crate) own: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    /// `T` was struck.
    Struck(Clock),
    /// `U` was.
    Noise(Clock),
    Token,
}

/// What the bus still has for the reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Queue([Option<Message>; MESSAGES]);

impl Queue {
    /// `None` where there is no room.
    pub(crate) fn push(&mut self, message: Message) -> Option<()> {
        *self.0.iter_mut().find(|place| place.is_none())? = Some(message);
        Some(())
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let first = self.0[0].take();
        self.0.rotate_left(1);
        first
    }

    pub(crate) fn has_token(&self) -> bool {
        self.0.contains(&Some(Message::Token))
    }
}
