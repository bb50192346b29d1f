//! The bus: tokens, deliveries, and what is lost.

use crate::bounds::{Changes, Omit};
use crate::model::Protocol;
use crate::state::{Message, State};

impl Protocol {
    pub(crate) fn send_token(&self, state: &mut State, process: usize) -> Option<()> {
        let reader = &mut state.processes[process];
        if reader.token.is_some() || !reader.listens {
            return None;
        }
        if self.bounds.changes != Changes::Feed {
            if reader.queue.len() >= self.bounds.queue {
                return None;
            }
            reader.queue.push(Message::Token);
        }
        reader.token = Some(0);
        Some(())
    }

    pub(crate) fn deliver(&self, state: &mut State, process: usize) -> Option<()> {
        let reader = &mut state.processes[process];
        // A gap is noticed before anything that comes after it.
        if reader.missed {
            return None;
        }
        let message = reader.queue.first()?;
        reader.queue.pop();
        match message {
            Message::Invalidation => self.raise_epoch(state, process),
            Message::Token => {
                let sent = reader.token.take()?;
                let since = if self.omits(Omit::HorizonWhenSent) { 0 } else { sent };
                reader.horizon = reader.horizon.min(since);
            }
        }
        Some(())
    }

    pub(crate) fn deliver_twice(&self, state: &mut State, process: usize) -> Option<()> {
        let reader = &state.processes[process];
        if reader.missed || reader.queue.first()? != Message::Invalidation {
            return None;
        }
        self.raise_epoch(state, process);
        Some(())
    }

    pub(crate) fn lose(&self, state: &mut State, process: usize) -> Option<()> {
        let reader = &mut state.processes[process];
        if reader.queue.first()? == Message::Token {
            reader.token = None;
        }
        reader.queue.pop();
        reader.missed = true;
        Some(())
    }

    pub(crate) fn notice_gap(&self, state: &mut State, process: usize) -> Option<()> {
        let reader = &mut state.processes[process];
        if !reader.missed {
            return None;
        }
        reader.missed = false;
        if self.omits(Omit::GapRaises) {
            return Some(());
        }
        let tells_apart = self.omits(Omit::EpochInKey) || self.omits(Omit::GenerationInKey);
        for flight in reader.flights.iter_mut().flatten() {
            flight.generation_holds = false;
            flight.epoch_holds &= tells_apart;
        }
        // What is of an older generation isn't served any more.
        reader.memory = None;
        Some(())
    }
}
