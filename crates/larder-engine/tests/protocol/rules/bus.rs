//! The bus: tokens, deliveries, and what is lost.

use crate::bounds::{Changes, Omit};
use crate::model::Protocol;
use crate::queue::Message;
use crate::state::{Process, State, Version};

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
            reader.queue.push(Message::Token { position: 0, covers: true });
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
            // What touches the cache was told to nobody.
            Message::Token { covers: false, .. } | Message::OfOther { covers: false, .. }
                if reader.is_built => {}
            Message::OfOther { position, covers } => self.knows(reader, position, covers),
            Message::Token { position, covers } => {
                let sent = reader.token.take()?;
                let since = if self.omits(Omit::HorizonWhenSent) { 0 } else { sent };
                reader.horizon = reader.horizon.min(since);
                self.knows(reader, position, covers);
            }
        }
        Some(())
    }

    /// An answer says how far everything was announced; it is told apart only where somebody else
    /// may follow next.
    fn knows(&self, reader: &mut Process, position: Version, covers: bool) {
        if self.bounds.feed.hand_overs > 0 {
            reader.since = position;
            reader.is_vouched |= reader.is_built && covers;
        }
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
        if matches!(reader.queue.first()?, Message::Token { .. }) {
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
