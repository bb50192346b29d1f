//! What the memory tier holds for the engine: a value or an absence, and the times by which it
//! is judged.
//!
//! The memory tier itself knows only when an entry is gone; fresh and stale live here.

use larder_core::{Answer, Moment, Reason, State, Tier, Times, Window};

/// An entry of a cache, as the memory tier holds it.
#[derive(Clone, Debug)]
pub struct Slot<V> {
    pub(crate) value: Option<V>,
    pub(crate) times: Times,
    /// How long its load took, in microseconds; zero where none was measured.
    pub(crate) cost_micros: u32,
}

/// Without a feed nothing vouches for an entry after its load began.
pub(crate) const HORIZON: Moment = Moment::ZERO;

impl<V> Slot<V> {
    /// What it is worth to a read that starts at `now`.
    pub(crate) fn state(&self, window: &Window, now: Moment) -> State {
        window.state(&self.times, HORIZON, now)
    }
}

impl<V: Clone> Slot<V> {
    /// The answer that it gives at `now`, if it may be given at all.
    pub(crate) fn answer(&self, window: &Window, now: Moment) -> Option<Answer<V>> {
        let state = self.state(window, now);
        let reason = match state {
            State::Fresh => Reason::Held,
            State::Stale => Reason::Refreshing,
            State::Gone => return None,
        };
        Some(Answer {
            value: self.value.clone(),
            tier: Tier::Memory,
            age: now - self.times.loaded_at,
            current: now - self.times.as_of(HORIZON),
            state,
            reason,
        })
    }
}
