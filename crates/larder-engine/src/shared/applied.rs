//! How far the bus has been applied here, for who insists on a position.

use std::collections::VecDeque;

use larder_core::bus::Position;
use larder_core::sync::Mutex;

use crate::runtime::Notify;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    has_begun: bool,
    position: Option<Position>,
    /// Where this process's own announcements stand that it has applied before it read them.
    own: VecDeque<Position>,
}

/// So many of those are remembered. What is forgotten is applied a second time, which costs a
/// refused fill now and then.
const OWN_MAX: usize = 1024;

impl Applied {
    /// The bus is being read, from here on; or there is none.
    pub(super) fn begin(&self, position: Option<Position>) {
        *self.state.lock() = State { has_begun: true, position, own: VecDeque::new() };
        self.moved.notify_waiters();
    }

    /// Everything up to here has been applied.
    pub(super) fn reach(&self, position: Position) {
        self.state.lock().position = Some(position);
        self.moved.notify_waiters();
    }

    /// Whether the bus has been read at all. Nothing may be trusted before that was shared.
    pub(super) fn has_begun(&self) -> bool {
        self.state.lock().has_begun
    }

    /// This process announced something there, and has applied it.
    pub(super) fn own(&self, position: Option<Position>) {
        let Some(position) = position else { return };
        let mut state = self.state.lock();
        // What was read already needn't be remembered.
        if state.position.is_some_and(|applied| applied.reaches(position)) {
            return;
        }
        if state.own.len() == OWN_MAX {
            state.own.pop_front();
        }
        state.own.push_back(position);
    }

    /// Whether this process has applied already what stands there.
    pub(super) fn is_own(&self, position: Position) -> bool {
        let mut state = self.state.lock();
        let Some(at) = state.own.iter().position(|own| *own == position) else { return false };
        // They are read in their order.
        state.own.drain(..=at);
        true
    }

    /// How far it was applied.
    pub(crate) fn position(&self) -> Option<Position> {
        self.state.lock().position
    }

    /// Waits until everything up to `position` has been applied. For ever, if it stands on another
    /// run of the bus.
    pub(crate) async fn reached(&self, position: Position) {
        loop {
            // Before the look, so that no move in between is missed.
            let moved = self.moved.notified();
            if self.position().is_some_and(|applied| applied.reaches(position)) {
                return;
            }
            moved.await;
        }
    }
}
