//! The feed's owner: shared tier, bus, position; and the answers to tokens.

use crate::bounds::Omit;
use crate::model::Protocol;
use crate::state::{Message, Owner, State};

/// No process: the owner tells them all.
const OWNER: usize = usize::MAX;

impl Protocol {
    pub(crate) fn follow(&self, state: &mut State) -> Option<()> {
        let Owner { position, half, .. } = state.owner;
        if position == state.head {
            return None;
        }
        if half == self.omits(Omit::SharedBeforeBus) {
            self.strike(state, ());
        } else {
            self.publish(state, OWNER, ())?;
        }
        state.owner.half = !half;
        state.owner.position += u8::from(half);
        Some(())
    }

    /// The owner sees a token, and then asks for the position of the log.
    pub(crate) fn see_token(&self, state: &mut State, process: usize) -> Option<()> {
        let reader = &state.processes[process];
        let seen = &mut state.owner.seen[process];
        if reader.token.is_none() || reader.queue.has_token() || seen.is_some() {
            return None;
        }
        let is_old = self.omits(Omit::PositionAfterToken);
        *seen = Some(if is_old { state.owner.position } else { state.head });
        Some(())
    }

    pub(crate) fn answer_token(&self, state: &mut State, process: usize) -> Option<()> {
        let owner = &mut state.owner;
        let early = match self.bounds.omit {
            Omit::AnswerAfterShared => 1,
            Omit::AnswerAfterBus => u8::from(owner.half),
            _ => 0,
        };
        let queue = &mut state.processes[process].queue;
        if owner.position + early < owner.seen[process]? || queue.len() >= self.bounds.queue {
            return None;
        }
        owner.seen[process] = None;
        queue.push(Message::Token);
        Some(())
    }

    /// What comes after it begins where the last position was, and knows of no token.
    pub(crate) fn crash_owner(&self, state: &mut State) {
        state.owner = Owner { position: state.owner.position, ..Owner::default() };
    }
}
