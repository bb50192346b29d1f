//! Whether a state gets well: one fair schedule without faults, of bounded length. (The checker's
//! own `eventually` takes no notice of circles, so it isn't used.)

use super::actions::Action;
use super::bounds::Omit;
use super::model::Protocol;
use super::owner::Who;
use super::state::{At, FLIGHTS, State, VERSIONS};

/// More steps than any schedule needs.
const ROUNDS: usize = 16;

impl Protocol {
    /// Everybody who can do something does it; then leases end, and somebody asks for the key in
    /// the first process.
    pub(crate) fn recovers(&self, state: &State) -> bool {
        let mut state = *state;
        self.settle(&mut state);
        if !self.omits(Omit::LeaseEnds) {
            self.void_lease(&mut state);
        }
        self.try_all(&mut state, &[Action::Start(0)]);
        self.settle(&mut state);
        let head = state.head;
        let is_head = |entry: super::state::Entry| {
            entry.version == head && !entry.is_stale && !entry.is_of_old_run
        };
        state.shared.entry.is_some_and(is_head)
    }

    /// Writers, the owner, the bus and flights go on until nothing is left to do.
    fn settle(&self, state: &mut State) {
        for _ in 0..ROUNDS {
            let before = *state;
            for process in self.readers() {
                self.try_all(state, &[Action::NoticeGap(process), Action::Deliver(process)]);
            }
            for version in 1..=VERSIONS as u8 {
                self.try_all(state, &[Action::Announce(version)]);
            }
            self.try_all(state, &[Action::Follow(Who::Follows)]);
            for at in (0..2).flat_map(|process| (0..FLIGHTS).map(move |place| At(process, place))) {
                if !self.reads(at.0) {
                    self.try_all(state, &[Action::Load(at), Action::FillShared(at)]);
                    continue;
                }
                let read = [Action::Hit(at), Action::Lease(at), Action::GoWithout(at)];
                let fill = [Action::Load(at), Action::FillShared(at), Action::Finish(at)];
                self.try_all(state, &read);
                self.try_all(state, &fill);
            }
            if *state == before {
                return;
            }
        }
    }

    fn try_all(&self, state: &mut State, actions: &[Action]) {
        for &action in actions {
            let mut next = *state;
            if self.apply(&mut next, action).is_some() {
                *state = next;
            }
        }
    }
}
