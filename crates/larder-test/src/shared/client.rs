//! One process's connection to a simulated server, and the faults of that connection alone.

mod bus;
mod tier;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use larder_core::{Error, ErrorKind, Result};

use super::calls::{Call, Calls};
use super::server::{Connection, Data, Fate, Server};
use crate::watched::Watched;

/// A [`SharedTier`](larder_core::SharedTier) and [`Bus`](larder_core::Bus): the connection of one
/// process to a [`SimShared`](super::SimShared). Clones are the same connection.
///
/// A question is sent when its future is first polled, and answered in that poll unless something
/// is paused. What was sent and dropped takes effect all the same, as over a real connection.
#[derive(Clone)]
pub struct SimClient {
    pub(super) server: Watched<Server>,
    pub(super) connection: usize,
    name: Arc<str>,
}

impl SimClient {
    pub(super) fn new(server: Watched<Server>) -> Self {
        let connection = server.change(|server| {
            server.connections.push(Connection::default());
            server.connections.len() - 1
        });
        let name = format!("simulated, connection {connection}").into();
        Self { server, connection, name }
    }

    /// What this process has asked.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.server.read(|server| server.connections[self.connection].calls)
    }

    /// Cuts this process off: everything it asks fails at once, what it has sent and what hasn't
    /// arrived is lost, and its subscriptions are silent. They go on where they stood.
    pub fn down(&self) {
        let connection = self.connection;
        self.server.change(|server| {
            server.connections[connection].is_down = true;
            server.break_off(|broken| broken == connection);
        });
    }

    /// Ends [`down`](Self::down).
    pub fn up(&self) {
        self.fault(|connection| connection.is_down = false);
    }

    /// Lets everything that this process asks wait, at most 10,000 questions of all processes, and
    /// its subscriptions be silent. What it has sent takes effect when this ends, even if nobody
    /// waits for it any more.
    pub fn pause(&self) {
        self.fault(|connection| connection.is_paused = true);
    }

    /// Ends [`pause`](Self::pause).
    pub fn resume(&self) {
        let connection = self.connection;
        self.server.change(|server| {
            server.connections[connection].is_paused = false;
            server.resume();
        });
    }

    /// Of the next `count` questions of this process, whatever they are, each takes effect and
    /// fails all the same.
    pub fn lose_reply_of_next(&self, count: usize) {
        self.lose(None, count);
    }

    /// Of the next `count` questions of one kind, each takes effect and fails all the same.
    pub fn lose_reply_of_next_call(&self, call: Call, count: usize) {
        self.lose(Some(call), count);
    }

    /// Holds up the replies to this process; what it asks takes effect at once.
    pub fn hold_replies(&self) {
        self.fault(|connection| connection.replies_are_held = true);
    }

    /// Ends [`hold_replies`](Self::hold_replies): they arrive.
    pub fn release_replies(&self) {
        self.fault(|connection| connection.replies_are_held = false);
    }

    /// Holds up what is published on its way to this process; everything else works.
    pub fn hold_bus(&self) {
        self.fault(|connection| connection.bus_is_held = true);
    }

    /// Ends [`hold_bus`](Self::hold_bus): what was held up arrives, in order.
    pub fn release_bus(&self) {
        self.fault(|connection| connection.bus_is_held = false);
    }

    /// Cuts this process off from the bus. What is published meanwhile it never reads.
    pub fn cut_bus(&self) {
        self.fault(|connection| connection.bus_is_cut = true);
    }

    /// Ends [`cut_bus`](Self::cut_bus): its subscriptions are told of a gap and go on at the end.
    pub fn heal_bus(&self) {
        let connection = self.connection;
        self.server.change(|server| {
            let end = server.data.log.end();
            let connection = &mut server.connections[connection];
            if std::mem::take(&mut connection.bus_is_cut) {
                connection.healed = (connection.healed.0 + 1, Some(end));
            }
        });
    }

    /// Of the next messages that this process reads, `count` come twice.
    pub fn repeat_next_messages(&self, count: usize) {
        self.fault(|connection| connection.repeats = count);
    }

    fn lose(&self, call: Option<Call>, count: usize) {
        self.fault(|connection| {
            connection.losses.retain(|(of, _)| *of != call);
            connection.losses.extend((count > 0).then_some((call, count)));
        });
    }

    fn fault(&self, change: impl FnOnce(&mut Connection)) {
        self.server.change(|server| change(&mut server.connections[self.connection]));
    }

    /// Sends a question about `keys` keys and waits for its answer.
    async fn ask<T: Send + 'static>(
        &self,
        call: Call,
        keys: usize,
        run: impl FnOnce(&mut Data) -> T + Send + 'static,
    ) -> Result<T> {
        let answer = Arc::new(Mutex::new(None));
        let place = Arc::clone(&answer);
        let question = Box::new(move |fate: Fate<'_>| {
            let result = match fate {
                Fate::Answered(data) => Ok(run(data)),
                Fate::ReplyLost(data) => {
                    run(data);
                    Err(Error::new(ErrorKind::SharedDown, "the reply was lost"))
                }
                Fate::Failed => Err(Error::new(ErrorKind::SharedDown, "the shared tier is down")),
            };
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        });
        self.server.change(|server| server.send(self.connection, call, keys, question));
        let mut taken = None;
        self.server
            .until(|server| {
                if server.connections[self.connection].replies_are_held {
                    return false;
                }
                taken = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                taken.is_some()
            })
            .await;
        taken.expect("the wait ended because the answer was there")
    }
}

impl fmt::Debug for SimClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimClient").field(&self.name).finish()
    }
}
