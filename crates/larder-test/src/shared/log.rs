//! The simulated bus's log: what was published last, in order, and where a reader of it stands.
//!
//! It knows no connections: who can't be reached right now doesn't ask.

use std::collections::VecDeque;

use bytes::Bytes;
use larder_core::bus::{BusEvent, Message, Position};
use larder_core::shared::MarkClock;

use super::random_unlike;

/// The last messages of one run of a bus.
#[derive(Debug)]
pub(super) struct Log {
    end: Position,
    messages: VecDeque<Message>,
    messages_max: usize,
}

impl Log {
    pub(super) fn new(messages_max: usize) -> Self {
        let end = Position { run: random_unlike(0), number: 0 };
        Self { end, messages: VecDeque::new(), messages_max }
    }

    /// Forgets everything and goes on behind `number`, as another run: what this one gave out says
    /// nothing about it.
    pub(super) fn restart(&mut self, number: u64) {
        self.end = Position { run: random_unlike(self.end.run), number };
        self.messages.clear();
    }

    pub(super) fn end(&self) -> Position {
        self.end
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn set_messages_max(&mut self, messages_max: usize) {
        self.messages_max = messages_max;
        self.trim();
    }

    pub(super) fn append(
        &mut self,
        announcement: Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> Position {
        self.end.number += 1;
        let position = self.end;
        self.messages.push_back(Message { position, announcement, marks });
        self.trim();
        position
    }

    /// What a reader at `cursor` gets next, and moves its cursor behind that.
    pub(super) fn next(&self, cursor: &mut Position) -> Option<BusEvent> {
        // Behind which the messages that are left stand.
        let start = Position { number: self.end.number - self.messages.len() as u64, ..self.end };
        if !cursor.reaches(start) {
            *cursor = start;
            return Some(BusEvent::Gap(Some(start)));
        }
        let at = usize::try_from(cursor.number - start.number).ok()?;
        let message = self.messages.get(at)?.clone();
        *cursor = message.position;
        Some(BusEvent::Message(message))
    }

    fn trim(&mut self) {
        let over = self.messages.len().saturating_sub(self.messages_max);
        self.messages.drain(..over);
    }
}
