//! A simulated server and its connections: what reaches it, when, and whether the reply comes
//! back.
//!
//! It knows neither what is asked nor what the answers mean; that the store and the log know.

use std::collections::VecDeque;
use std::sync::Arc;

use larder_core::bus::{BusEvent, Position};
use larder_core::shared::Abilities;
use larder_core::{Clock, Moment};

use super::calls::{Call, Calls};
use super::log::Log;
use super::store::Store;

/// The most questions that wait while a server or a connection is paused; a further one fails.
pub(super) const WAITING_MAX: usize = 10_000;

/// A server and everybody who is connected to it.
pub(super) struct Server {
    pub(super) data: Data,
    /// Of the server itself, and of each connection.
    pub(super) is_down: bool,
    pub(super) is_paused: bool,
    pub(super) connections: Vec<Connection>,
    /// What was sent to a server that doesn't run or over a connection that carries nothing, in
    /// order.
    waiting: VecDeque<Waiting>,
}

/// What questions are about.
pub(super) struct Data {
    clock: Arc<dyn Clock>,
    pub(super) store: Store,
    pub(super) log: Log,
    pub(super) abilities: Abilities,
}

/// One client's connection and its faults.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) calls: Calls,
    pub(super) is_down: bool,
    pub(super) is_paused: bool,
    pub(super) bus_is_held: bool,
    /// While the bus is cut off; nothing published then is ever read.
    pub(super) bus_is_cut: bool,
    /// How often it was cut off and healed, and the end at the last time.
    pub(super) healed: (u64, Option<Position>),
    /// How many messages will come twice.
    pub(super) repeats: usize,
    /// While what it asks takes effect, and no reply arrives.
    pub(super) replies_are_held: bool,
    /// How many replies will be lost, and of which question; none is any.
    pub(super) losses: Vec<(Option<Call>, usize)>,
}

/// What becomes of a question.
pub(super) enum Fate<'a> {
    Answered(&'a mut Data),
    /// It takes effect, and nobody is told.
    ReplyLost(&'a mut Data),
    /// It never arrives.
    Failed,
}

/// A question that was sent. What is asked and where the answer goes is inside.
pub(super) type Question = Box<dyn FnOnce(Fate<'_>) + Send>;

struct Waiting {
    connection: usize,
    call: Call,
    question: Question,
}

/// Where a subscription stands.
#[derive(Debug)]
pub(super) struct Cursor {
    position: Position,
    heals_seen: u64,
    repeated: Option<BusEvent>,
}

impl Data {
    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }
}

impl Server {
    pub(super) fn new(clock: Arc<dyn Clock>, store: Store, log: Log, abilities: Abilities) -> Self {
        Self {
            data: Data { clock, store, log, abilities },
            is_down: false,
            is_paused: false,
            connections: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Counts a question and answers it, lets it wait, or fails it.
    pub(super) fn send(&mut self, connection: usize, call: Call, keys: usize, question: Question) {
        let sender = &mut self.connections[connection];
        sender.calls.count(call, keys);
        let is_paused = self.is_paused || sender.is_paused;
        if self.is_down || sender.is_down || is_paused && self.waiting.len() >= WAITING_MAX {
            question(Fate::Failed);
        } else if is_paused {
            self.waiting.push_back(Waiting { connection, call, question });
        } else {
            self.answer(Waiting { connection, call, question });
        }
    }

    /// Answers what waits no longer, in the order in which it was sent.
    pub(super) fn resume(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            if self.is_paused || self.connections[waiting.connection].is_paused {
                self.waiting.push_back(waiting);
            } else {
                self.answer(waiting);
            }
        }
    }

    /// Fails what was sent over broken connections and hasn't arrived.
    pub(super) fn break_off(&mut self, is_broken: impl Fn(usize) -> bool) {
        for waiting in std::mem::take(&mut self.waiting) {
            if is_broken(waiting.connection) {
                (waiting.question)(Fate::Failed);
            } else {
                self.waiting.push_back(waiting);
            }
        }
    }

    /// Where the subscription of a connection begins.
    pub(super) fn cursor(&self, connection: usize, position: Position) -> Cursor {
        let heals_seen = self.connections[connection].healed.0;
        Cursor { position, heals_seen, repeated: None }
    }

    /// What arrives next over a connection.
    pub(super) fn next_event(
        &mut self,
        connection: usize,
        cursor: &mut Cursor,
    ) -> Option<BusEvent> {
        let reader = &mut self.connections[connection];
        let silent = self.is_down || self.is_paused || reader.is_down || reader.is_paused;
        if silent || reader.bus_is_held || reader.bus_is_cut {
            return None;
        }
        if let (heals, Some(end)) = reader.healed
            && heals != cursor.heals_seen
        {
            *cursor = Cursor { position: end, heals_seen: heals, repeated: None };
            return Some(BusEvent::Gap(Some(end)));
        }
        if let Some(again) = cursor.repeated.take() {
            return Some(again);
        }
        let event = self.data.log.next(&mut cursor.position)?;
        if matches!(event, BusEvent::Message(_)) && reader.repeats > 0 {
            reader.repeats -= 1;
            cursor.repeated = Some(event.clone());
        }
        Some(event)
    }

    fn answer(&mut self, Waiting { connection, call, question }: Waiting) {
        let losses = &mut self.connections[connection].losses;
        let lost = losses.iter().position(|(of, _)| of.is_none_or(|of| of == call));
        match lost {
            Some(at) => {
                losses[at].1 -= 1;
                losses.retain(|(_, left)| *left > 0);
                question(Fate::ReplyLost(&mut self.data));
            }
            None => question(Fate::Answered(&mut self.data)),
        }
    }
}
