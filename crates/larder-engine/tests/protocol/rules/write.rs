//! The life of a write: commit, then announce, in an order that every step of has its reason.

use crate::bounds::{Changes, Omit, Strike};
use crate::model::Protocol;
use crate::queue::Message;
use crate::state::{Holder, Lease, NEVER, State, Step, Version, Writer};

impl Protocol {
    pub(crate) fn commit(&self, state: &mut State, process: usize) -> Option<()> {
        // Who writes a row waits for who wrote it before.
        if state.head == self.bounds.versions || state.visible < state.head {
            return None;
        }
        state.head += 1;
        let version = state.head;
        if !self.bounds.feed.lags {
            state.visible = version;
            if self.counts_from_commit() {
                self.count(state, version);
            }
        }
        if !matches!(self.bounds.changes, Changes::Unknown | Changes::Feed) {
            // Who has no memory has no epoch to raise.
            let step = if self.reads(process) { Step::Committed } else { Step::Raised };
            state.writers[usize::from(version)] = Some(Writer { process, step, gave_up: false });
            self.return_early(state, version, step);
        }
        Some(())
    }

    pub(crate) fn announce(&self, state: &mut State, version: Version) -> Option<()> {
        let writer = state.writers[usize::from(version)]?;
        if writer.gave_up && (self.omits(Omit::Repeat) || self.omits(Omit::RepeatBeforeTrust)) {
            return None;
        }
        let is_turned = self.omits(Omit::SharedBeforeBus);
        let step = match writer.step {
            Step::Committed => {
                if !self.omits(Omit::RaiseBefore) {
                    self.raise_epoch(state, writer.process);
                }
                Step::Raised
            }
            Step::Raised if is_turned => self.publish(state, writer.process, Step::Half)?,
            Step::Raised => self.strike(state, Step::Half),
            Step::Half if is_turned => self.strike(state, Step::Told),
            Step::Half => self.publish(state, writer.process, Step::Told)?,
            Step::Told => {
                if !self.omits(Omit::RaiseAfter) {
                    self.raise_epoch(state, writer.process);
                }
                return self.end(state, version);
            }
        };
        if step == Step::Told && !self.reads(writer.process) {
            return self.end(state, version);
        }
        state.writers[usize::from(version)] = Some(Writer { step, ..writer });
        self.return_early(state, version, step);
        Some(())
    }

    /// The call returns, because everything is done.
    fn end(&self, state: &mut State, version: Version) -> Option<()> {
        let process = state.writers[usize::from(version)].take()?.process;
        self.call_returns(state, process, version);
        self.count(state, version);
        Some(())
    }

    /// The call returns where it shouldn't yet.
    fn return_early(&self, state: &mut State, version: Version, step: Step) {
        let is_early = match self.bounds.omit {
            Omit::SharedBeforeReturn => step == Step::Raised,
            Omit::BusBeforeReturn => step == Step::Half,
            _ => false,
        };
        if let Some(writer) = state.writers[usize::from(version)].filter(|_| is_early) {
            self.call_returns(state, writer.process, version);
            self.count(state, version);
        }
    }

    pub(crate) fn give_up(&self, state: &mut State, version: Version) -> Option<()> {
        let writer = state.writers[usize::from(version)]?;
        let is_telling = matches!(writer.step, Step::Raised | Step::Half);
        if writer.gave_up || !is_telling || !self.reads(writer.process) {
            return None;
        }
        state.writers[usize::from(version)] = Some(Writer { gave_up: true, ..writer });
        self.raise_epoch(state, writer.process);
        self.call_returns(state, writer.process, version);
        Some(())
    }

    pub(crate) fn forget(&self, state: &mut State, version: Version) -> Option<()> {
        state.writers[usize::from(version)].take_if(|writer| writer.gave_up).map(drop)
    }

    fn call_returns(&self, state: &mut State, process: usize, version: Version) {
        if self.reads(process) {
            let own = &mut state.processes[process].own;
            *own = (*own).max(version);
        }
    }

    pub(crate) fn count(&self, state: &mut State, version: Version) {
        let since = &mut state.counts[usize::from(version)];
        if *since == NEVER {
            *since = 0;
        }
    }

    /// Raises an epoch, and drops the entry or marks it stale, under one lock.
    pub(crate) fn raise_epoch(&self, state: &mut State, process: usize) {
        let tells_apart = self.omits(Omit::EpochInKey) || self.omits(Omit::GenerationInKey);
        let reader = &mut state.processes[process];
        for flight in reader.flights.iter_mut().flatten() {
            flight.epoch_holds = false;
            flight.generation_holds &= tells_apart;
        }
        match self.bounds.strike {
            Strike::Drop => reader.memory = None,
            Strike::MarkStale => {
                if let Some(held) = reader.memory.as_mut().filter(|held| !held.is_stale) {
                    held.is_stale = true;
                    held.as_of = held.as_of.min(reader.horizon);
                }
            }
        }
    }

    /// Invalidates in the shared tier.
    pub(crate) fn strike<S>(&self, state: &mut State, step: S) -> S {
        match (self.bounds.strike, &mut state.shared.entry) {
            (Strike::MarkStale, Some(entry)) => entry.is_stale = true,
            (_, entry) => *entry = None,
        }
        if !self.omits(Omit::LeaseVoided) {
            self.void_lease(state);
        }
        step
    }

    pub(crate) fn void_lease(&self, state: &mut State) {
        if let Some(Holder::Flight(at)) = state.shared.lease.take()
            && let Some(flight) = state.flight(at)
            && flight.lease == Lease::Live
        {
            flight.lease = Lease::Void;
        }
    }

    /// Publishes to all but who announces, who has done it already. Waits where there is no room.
    pub(crate) fn publish<S>(&self, state: &mut State, from: usize, step: S) -> Option<S> {
        let listens = [0, 1].map(|process| state.processes[process].listens);
        let others = || self.readers().filter(|&process| process != from && listens[process]);
        if others().any(|process| state.processes[process].queue.len() >= self.bounds.queue) {
            return None;
        }
        others().for_each(|process| state.processes[process].queue.push(Message::Invalidation));
        Some(step)
    }
}
