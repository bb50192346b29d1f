//! What the bus still has for a process, in a number: states are many, and kept.

use super::state::Version;

/// So many bits are a message.
const BITS: u32 = 5;

/// The messages, the first one first, behind a leading one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Queue(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Invalidation,
    /// Its token comes back, or is answered: everything before this position was announced, for
    /// who covers no more than the owner does.
    Token {
        position: Version,
        covers: bool,
    },
    /// The token of another process was answered.
    OfOther {
        position: Version,
        covers: bool,
    },
}

impl Message {
    const fn code(self) -> u32 {
        match self {
            Self::Invalidation => 0,
            Self::Token { position, covers } => 1 + 4 * position as u32 + covers as u32,
            Self::OfOther { position, covers } => 3 + 4 * position as u32 + covers as u32,
        }
    }

    const fn of(code: u32) -> Self {
        let Some(code) = code.checked_sub(1) else { return Self::Invalidation };
        let (position, covers) = ((code / 4) as u8, code % 2 == 1);
        if code % 4 < 2 {
            Self::Token { position, covers }
        } else {
            Self::OfOther { position, covers }
        }
    }
}

impl Queue {
    pub(crate) const EMPTY: Self = Self(1);

    pub(crate) const fn len(self) -> u32 {
        self.0.ilog2() / BITS
    }

    pub(crate) const fn push(&mut self, message: Message) {
        self.0 = self.0 << BITS | message.code();
    }

    pub(crate) const fn first(self) -> Option<Message> {
        let Some(at) = self.len().checked_sub(1) else { return None };
        Some(Message::of(self.0 >> (BITS * at) & ((1 << BITS) - 1)))
    }

    pub(crate) const fn pop(&mut self) {
        let left = BITS * self.len().saturating_sub(1);
        self.0 = self.0 & ((1 << left) - 1) | 1 << left;
    }

    /// Whether its token is under way.
    pub(crate) fn has_token(self) -> bool {
        self.messages().any(|message| matches!(message, Message::Token { .. }))
    }

    /// Whether an invalidation is under way.
    pub(crate) fn invalidates(self) -> bool {
        self.messages().any(|message| message == Message::Invalidation)
    }

    fn messages(mut self) -> impl Iterator<Item = Message> {
        std::iter::from_fn(move || self.first().inspect(|_| self.pop()))
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.messages()).finish()
    }
}
