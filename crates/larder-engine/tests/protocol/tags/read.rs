//! The life of a read: flight, shared tier, source, fill, answer.

use super::state::{Entry, Flight, Held, Holder, Joiner, Reader, Stage, State};
use super::{Marks, Omit};
use crate::state::Age;

impl Marks {
    pub(super) fn begin(&self, state: &mut State) -> Option<()> {
        if state.reader.flight.is_some() || !state.reader.listens {
            return None;
        }
        state.reader.flight = Some(Flight {
            generation_holds: true,
            clock: state.reader.clock,
            lag: state.reader.horizon,
            as_of: state.reader.horizon,
            stage: Stage::Started,
            is_leased: false,
            promised: self.promised(state),
            own: state.reader.own,
            joiner: None,
        });
        Some(())
    }

    pub(super) fn join(&self, state: &mut State) -> Option<()> {
        let (promised, own) = (self.promised(state), state.reader.own);
        let mark = state.reader.mark;
        let flight = state.reader.flight.as_mut()?;
        if flight.joiner.is_some() || !flight.generation_holds {
            return None;
        }
        flight.joiner = Some(Joiner { lag: flight.as_of, mark, promised, own });
        Some(())
    }

    /// Whether a hit in the shared tier is taken, and its as-of.
    fn as_of_shared(&self, state: &State) -> Option<(Entry, Age)> {
        let (entry, reader) = (state.tier.entry?, &state.reader);
        let flight = reader.flight?;
        let is_of_this_run = !entry.is_of_old_run || self.omits(Omit::RunAtHit);
        let stands = reader.mark <= entry.clock || self.omits(Omit::MarksAtSharedHit);
        let is_recent =
            flight.lag.min(entry.age) <= self.bounds.window || self.omits(Omit::RuleAtSharedHit);
        let is_taken = is_of_this_run && stands && is_recent && reader.knows;
        is_taken.then(|| (entry, flight.as_of.min(entry.age)))
    }

    pub(super) fn hit_shared(&self, state: &mut State) -> Option<()> {
        let (entry, as_of) = self.as_of_shared(state)?;
        let flight = at(state, Stage::Started)?;
        (flight.stage, flight.as_of) = (Stage::Ready(entry.version), as_of);
        (flight.clock, flight.lag) = (entry.clock, 0);
        if let Some(joiner) = &mut flight.joiner {
            joiner.lag = joiner.lag.min(entry.age);
        }
        Some(())
    }

    pub(super) fn ask_lease(&self, state: &mut State) -> Option<()> {
        if state.tier.lease.is_some() || self.as_of_shared(state).is_some() {
            return None;
        }
        ask_source(at(state, Stage::Started)?, true);
        state.tier.lease = Some(Holder::Flight);
        Some(())
    }

    pub(super) fn load(&self, state: &mut State) -> Option<()> {
        let head = state.head;
        at(state, Stage::Loading)?.stage = Stage::Loaded(head);
        Some(())
    }

    pub(super) fn fill_shared(&self, state: &mut State) -> Option<()> {
        let known = state.reader.clock;
        let flight = state.reader.flight.as_mut()?;
        let Stage::Loaded(version) = flight.stage else { return None };
        if self.omits(Omit::ClockBeforeLoad) {
            flight.clock = known;
        }
        if flight.is_leased && state.tier.lease == Some(Holder::Flight) {
            let (clock, age) = (flight.clock, flight.as_of);
            state.tier.lease = None;
            state.tier.entry = Some(Entry { version, clock, age, is_of_old_run: false });
        }
        (flight.stage, flight.is_leased) = (Stage::Ready(version), false);
        Some(())
    }

    pub(super) fn finish(&self, state: &mut State) -> Option<()> {
        let reader = &mut state.reader;
        let flight = reader.flight?;
        let Stage::Ready(version) = flight.stage else { return None };
        let stands = reader.mark <= flight.clock || self.omits(Omit::MarksAtFill);
        let is_newer = reader.memory.is_none_or(|held| held.as_of >= flight.as_of);
        if flight.generation_holds && stands && is_newer {
            let (clock, as_of) = (flight.clock, flight.as_of);
            let verified = if self.bounds.counts { self.verified(reader) } else { 0 };
            reader.memory = Some(Held { version, clock, as_of, verified });
        }
        reader.flight = None;
        Some(())
    }

    /// What an entry remembers of the moment at which its tags were found to stand.
    pub(super) fn verified(&self, reader: &Reader) -> u8 {
        if self.omits(Omit::CountAtHit) { reader.clock } else { reader.events }
    }
}

/// The flight, if it has come as far as this.
pub(super) fn at(state: &mut State, stage: Stage) -> Option<&mut Flight> {
    state.reader.flight.as_mut().filter(|flight| flight.stage == stage)
}

pub(super) fn ask_source(flight: &mut Flight, is_leased: bool) {
    (flight.stage, flight.is_leased) = (Stage::Loading, is_leased);
    (flight.as_of, flight.lag) = (0, 0);
    if let Some(joiner) = &mut flight.joiner {
        joiner.lag = 0;
    }
}
