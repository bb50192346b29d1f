//! The life of a read: memory, flight, shared tier, source, fill, answer.

use crate::bounds::Omit;
use crate::model::Protocol;
use crate::state::{
    Age, At, Entry, Flight, HalfHit, Held, Holder, Joiner, Lease, Least, Stage, State,
};

impl Protocol {
    /// What who asks now may not be given less than.
    pub(crate) fn least(&self, state: &State, process: usize) -> Least {
        let too_old = |&version: &usize| state.counts[version] == self.oldest();
        let promised = (1..state.counts.len()).rev().find(too_old).unwrap_or(0);
        Least { promised: promised as u8, own: state.processes[process].own }
    }

    /// As-of of what memory holds; `horizon` was loaded before the entry was.
    pub(crate) fn as_of_held(&self, held: Held, horizon: Age) -> Age {
        let is_frozen = held.is_stale && !self.omits(Omit::FrozenInMemory);
        if is_frozen { held.as_of } else { held.as_of.min(horizon) }
    }

    /// As-of of a hit in the shared tier, if it is one for this horizon. A flight takes what its
    /// horizon vouched for at its start, or what was loaded recently enough.
    pub(crate) fn as_of_shared(&self, entry: Entry, flight: &Flight) -> Option<Age> {
        if entry.is_stale || entry.is_of_old_run && !self.omits(Omit::RunAtHit) {
            return None;
        }
        if self.omits(Omit::AsOfOfSharedHit) {
            return Some(0);
        }
        let is_taken = flight.lag.min(entry.age) <= self.bounds.window;
        (is_taken || self.omits(Omit::RuleAtSharedHit)).then(|| flight.as_of.min(entry.age))
    }

    /// Whether a key is left alone, because an announcement is owed.
    fn is_quarantined(&self, state: &State, process: usize) -> bool {
        let owes = |writer: &crate::state::Writer| writer.gave_up && writer.process == process;
        !self.omits(Omit::Quarantine) && state.writers.iter().flatten().any(owes)
    }

    /// Whether who comes now joins this flight: whether they have the same key.
    fn is_joined(&self, flight: &Flight) -> bool {
        (flight.epoch_holds || self.omits(Omit::EpochInKey))
            && (flight.generation_holds || self.omits(Omit::GenerationInKey))
    }

    pub(crate) fn begin(&self, state: &mut State, process: usize) -> Option<()> {
        let least = self.least(state, process);
        let reader = &mut state.processes[process];
        if !reader.is_built || reader.flights.iter().flatten().any(|flight| self.is_joined(flight))
        {
            return None;
        }
        let horizon = reader.horizon;
        let free =
            reader.flights[..self.bounds.flights].iter_mut().find(|place| place.is_none())?;
        *free = Some(Flight {
            epoch_holds: true,
            generation_holds: true,
            stage: Stage::Started,
            lag: horizon,
            as_of: horizon,
            lease: Lease::None,
            least,
            joiner: None,
        });
        Some(())
    }

    pub(crate) fn join(&self, state: &mut State, at: At) -> Option<()> {
        let least = self.least(state, at.0);
        let flight = state.flight(at)?;
        if flight.joiner.is_some() || !self.is_joined(flight) {
            return None;
        }
        flight.joiner = Some(Joiner { lag: flight.as_of, least });
        Some(())
    }

    pub(crate) fn hit_shared(&self, state: &mut State, At(process, place): At) -> Option<()> {
        if self.is_quarantined(state, process) {
            return None;
        }
        let entry = state.shared.entry?;
        let flight = state.flight(At(process, place))?;
        if flight.stage != Stage::Started {
            return None;
        }
        if self.omits(Omit::HorizonBeforeRead) {
            if entry.is_stale || entry.is_of_old_run {
                return None;
            }
            flight.stage = Stage::Read(entry.version, entry.age);
            return Some(());
        }
        let as_of = self.as_of_shared(entry, flight)?;
        flight.stage = Stage::Ready(entry.version);
        (flight.as_of, flight.lag) = (as_of, 0);
        if let Some(joiner) = &mut flight.joiner {
            joiner.lag = joiner.lag.min(entry.age);
        }
        if self.omits(Omit::FenceBeforeRead) {
            flight.stage = Stage::Read(entry.version, as_of);
        }
        Some(())
    }

    /// Captures, after the shared tier was read, what should have been captured before.
    pub(crate) fn capture_late(&self, state: &mut State, at: At) -> Option<()> {
        let horizon = state.processes[at.0].horizon;
        let flight = state.flight(at)?;
        let Stage::Read(version, age) = flight.stage else { return None };
        if self.omits(Omit::FenceBeforeRead) {
            flight.stage = Stage::Ready(version);
            (flight.epoch_holds, flight.generation_holds) = (true, true);
            return Some(());
        }
        let as_of = horizon.min(age);
        if as_of > self.bounds.window {
            return None;
        }
        flight.stage = Stage::Ready(version);
        (flight.as_of, flight.lag) = (as_of, 0);
        if let Some(joiner) = &mut flight.joiner {
            joiner.lag = as_of;
        }
        Some(())
    }

    pub(crate) fn ask_lease(&self, state: &mut State, at: At) -> Option<()> {
        let is_leased = state.shared.lease.is_some();
        if is_leased || self.reads(at.0) && self.is_quarantined(state, at.0) {
            return None;
        }
        let entry = state.shared.entry;
        if self.reads(at.0) {
            let flight = state.flight(at)?;
            let is_hit = entry.is_some_and(|entry| self.as_of_shared(entry, flight).is_some());
            if flight.stage != Stage::Started || is_hit {
                return None;
            }
            ask_source(flight, Lease::Live);
        } else {
            let place = &mut state.processes[at.0].flights[at.1];
            if place.is_some() {
                return None;
            }
            *place = Some(filler());
        }
        state.shared.lease = Some(Holder::Flight(at));
        Some(())
    }

    pub(crate) fn go_without(&self, state: &mut State, at: At) -> Option<()> {
        let is_busy = state.shared.lease.is_some() || self.bounds.errors;
        if !is_busy && !self.is_quarantined(state, at.0) {
            return None;
        }
        let flight = state.flight(at)?;
        if flight.stage != Stage::Started {
            return None;
        }
        ask_source(flight, Lease::None);
        Some(())
    }

    pub(crate) fn load(&self, state: &mut State, at: At) -> Option<()> {
        let visible = state.visible;
        let is_late = self.omits(Omit::LoadedAtBefore);
        let flight = state.flight(at)?;
        if flight.stage != Stage::Loading {
            return None;
        }
        flight.stage = match flight.lease {
            Lease::None if !is_late => Stage::Ready(visible),
            _ => Stage::Loaded(visible),
        };
        Some(())
    }

    /// Whether the shared tier, as it is now, would store what a flight has.
    pub(crate) fn is_stored(&self, state: &State, at: At, flight: &Flight) -> bool {
        let is_of_this_run = flight.lease != Lease::OfOldRun || self.omits(Omit::RunOfLease);
        let is_held = state.shared.lease == Some(Holder::Flight(at)) && is_of_this_run;
        is_held || self.omits(Omit::LeaseAtFill)
    }

    pub(crate) fn fill_shared(&self, state: &mut State, at: At) -> Option<()> {
        let mut flight = *state.flight(at)?;
        if self.omits(Omit::LoadedAtBefore) {
            flight.as_of = 0;
        }
        let Stage::Loaded(version) = flight.stage else { return None };
        if self.is_stored(state, at, &flight) {
            let age = if self.omits(Omit::AgeFromGrant) { 0 } else { flight.as_of };
            let entry = Entry { version, age, is_stale: false, is_of_old_run: false };
            state.shared.entry = Some(entry);
            state.shared.lease = state.shared.lease.filter(|&by| by != Holder::Flight(at));
        }
        let place = &mut state.processes[at.0].flights[at.1];
        let left = Flight { stage: Stage::Ready(version), lease: Lease::None, ..flight };
        *place = self.reads(at.0).then_some(left);
        Some(())
    }

    pub(crate) fn finish(&self, state: &mut State, at: At) -> Option<()> {
        let flight = *state.flight(at)?;
        let Stage::Ready(version) = flight.stage else { return None };
        let holds = flight.epoch_holds && flight.generation_holds;
        let is_fenced = !holds && !self.omits(Omit::FenceAtFill);
        let is_quarantined = self.is_quarantined(state, at.0);
        let reader = &mut state.processes[at.0];
        // Of two fills the one loaded later stays.
        let is_newer = reader.memory.is_none_or(|held| held.is_stale || held.as_of >= flight.as_of);
        if !is_fenced && !is_quarantined && is_newer {
            reader.memory = Some(Held { version, as_of: flight.as_of, is_stale: false });
        }
        reader.flights[at.1] = None;
        Some(())
    }

    pub(crate) fn look(&self, state: &mut State, process: usize) -> Option<()> {
        let least = self.least(state, process);
        let reader = &mut state.processes[process];
        if reader.hit.is_some() {
            return None;
        }
        reader.hit = Some(if self.omits(Omit::HorizonBeforeEntry) {
            HalfHit { least, horizon: self.oldest(), entry: Some(reader.memory?) }
        } else {
            HalfHit { least, horizon: reader.horizon, entry: None }
        });
        Some(())
    }
}

/// `loaded_at` is now, and so is the grant of the lease.
fn ask_source(flight: &mut Flight, lease: Lease) {
    flight.stage = Stage::Loading;
    (flight.lease, flight.as_of, flight.lag) = (lease, 0, 0);
    if let Some(joiner) = &mut flight.joiner {
        joiner.lag = 0;
    }
}

/// A flight of a process that only fills the shared tier.
fn filler() -> Flight {
    Flight {
        epoch_holds: true,
        generation_holds: true,
        stage: Stage::Loading,
        lag: 0,
        as_of: 0,
        lease: Lease::Live,
        least: Least::default(),
        joiner: None,
    }
}
