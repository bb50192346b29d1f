//! Time, crashes, and a shared tier that starts again with old data. A process, a writer, the
//! owner or the shared tier that is stopped or cut off is one that does nothing for a while: that
//! needs no rule.

use crate::bounds::Changes;
use crate::model::Protocol;
use crate::queue::Queue;
use crate::state::{Age, At, Entry, Holder, Lease, NEVER, Stage, State, Version};

impl Protocol {
    pub(crate) fn tick(&self, state: &mut State) {
        let oldest = self.oldest();
        let pass = |age: &mut Age| {
            if *age != NEVER {
                *age = (*age + 1).min(oldest);
            }
        };
        state.counts.iter_mut().for_each(pass);
        if let Some(entry) = &mut state.shared.entry {
            pass(&mut entry.age);
        }
        for process in &mut state.processes {
            pass(&mut process.horizon);
            process.token.iter_mut().for_each(pass);
            process.memory.iter_mut().for_each(|held| pass(&mut held.as_of));
            for flight in process.flights.iter_mut().flatten() {
                pass(&mut flight.as_of);
                if let Stage::Read(_, age) = &mut flight.stage {
                    pass(age);
                }
            }
            if let Some(hit) = &mut process.hit {
                pass(&mut hit.horizon);
                hit.entry.iter_mut().for_each(|held| pass(&mut held.as_of));
            }
        }
    }

    /// A process loses its memory and what it had begun: what it hasn't announced will never be.
    pub(crate) fn crash(&self, state: &mut State, process: usize) -> Option<()> {
        state.crashes = state.crashes.checked_sub(1)?;
        state.processes[process] = self.started();
        state.owner.seen[process] = None;
        for writer in &mut state.writers {
            writer.take_if(|writer| writer.process == process);
        }
        if matches!(state.shared.lease, Some(Holder::Flight(At(of, _))) if of == process) {
            state.shared.lease = Some(Holder::Crashed);
        }
        Some(())
    }

    /// The shared tier starts again with an entry of any version that ever was, or with none, and
    /// with one of the leases that it had granted, or with none.
    pub(crate) fn restart(
        &self,
        state: &mut State,
        entry: Option<Version>,
        lease: Option<At>,
    ) -> Option<()> {
        if entry.is_some_and(|version| version > state.head) {
            return None;
        }
        if let Some(at) = lease
            && matches!(state.flight(at)?.lease, Lease::None | Lease::OfOldRun)
        {
            return None;
        }
        state.restarts = state.restarts.checked_sub(1)?;
        let age = self.oldest();
        state.shared.entry =
            entry.map(|version| Entry { version, age, is_stale: false, is_of_old_run: true });
        state.shared.lease = lease.map(Holder::Flight);
        for process in &mut state.processes {
            for flight in process.flights.iter_mut().flatten() {
                if flight.lease != Lease::None {
                    flight.lease = Lease::OfOldRun;
                }
            }
        }
        if self.bounds.bus_restarts && self.bounds.changes != Changes::Unknown {
            for process in self.readers() {
                let reader = &mut state.processes[process];
                reader.token = reader.token.filter(|_| !reader.queue.has_token());
                (reader.queue, reader.missed) = (Queue::EMPTY, true);
            }
        }
        Some(())
    }
}
