//! The life of a read beside writers with intents, and what comes over the bus.

use super::state::{Entry, Filler, Flight, Held, Holder, Message, Queue, State, Step};
use super::{Intents, Omit};
use crate::state::{Age, Version};

impl Intents {
    /// What who asks now is promised at least: what was committed longer ago than the window, but
    /// by who commits behind everybody's back, and has not told.
    pub(super) fn promised(&self, state: &State) -> Version {
        let writers = state.writers.iter().flatten();
        let counts = writers.filter(|writer| self.counts(writer)).filter_map(|it| it.committed);
        let old = counts.filter(|(_, age)| *age >= self.oldest());
        old.map(|(version, _)| version).max().unwrap_or(0)
    }

    pub(super) fn as_of_held(&self, held: Held, horizon: Age) -> Age {
        if held.is_brief && !self.omits(Omit::BriefWithoutTier) {
            held.as_of
        } else {
            held.as_of.min(horizon)
        }
    }

    pub(super) fn filler_lease(&self, state: &mut State) -> Option<()> {
        let tier = &mut state.tier;
        if state.filler.is_some() || tier.lease.is_some() || tier.intents != 0 {
            return None;
        }
        tier.lease = Some(Holder::Filler);
        state.filler = Some(Filler { age: 0, version: None });
        Some(())
    }

    pub(super) fn filler_load(&self, state: &mut State) -> Option<()> {
        let head = state.head;
        let filler = state.filler.as_mut().filter(|filler| filler.version.is_none())?;
        filler.version = Some(head);
        Some(())
    }

    pub(super) fn filler_fill(&self, state: &mut State) -> Option<()> {
        let Filler { age, version } = state.filler?;
        let version = version?;
        state.filler = None;
        self.store(state, Holder::Filler, Entry { version, age });
        Some(())
    }

    /// What the shared tier does with a fill.
    fn store(&self, state: &mut State, holder: Holder, entry: Entry) {
        if state.tier.lease == Some(holder) {
            state.tier.lease = None;
            state.tier.entry = Some(entry);
        }
    }

    pub(super) fn start(&self, state: &mut State) -> Option<()> {
        let promised = self.promised(state);
        let reader = &mut state.reader;
        if reader.flight.is_some_and(|flight| flight.epoch_holds) {
            return None;
        }
        reader.flight = Some(Flight {
            epoch_holds: true,
            step: Step::Started,
            as_of: reader.horizon,
            keeps: true,
            is_brief: false,
            is_leased: false,
            promised,
            own: reader.own,
        });
        Some(())
    }

    /// Whether the process leaves the shared tier alone, because it heard of a writer.
    fn is_being_written(&self, state: &State) -> bool {
        state.reader.writers != 0 && !self.omits(Omit::WriterAtFill)
    }

    pub(super) fn hit(&self, state: &mut State) -> Option<()> {
        let entry = state.tier.entry?;
        let is_written = self.is_being_written(state);
        let flight = state.reader.flight.as_mut()?;
        let as_of = flight.as_of.min(entry.age);
        if flight.step != Step::Started || is_written || as_of > self.bounds.window {
            return None;
        }
        (flight.step, flight.as_of) = (Step::Ready(entry.version), as_of);
        Some(())
    }

    /// Asks for the lease, and goes to the source with it, or because there is a writer.
    pub(super) fn ask(&self, state: &mut State) -> Option<()> {
        let is_written = self.is_being_written(state);
        let tier = state.tier;
        let flight = state.reader.flight.as_mut().filter(|it| it.step == Step::Started)?;
        let usable = |entry: Entry| flight.as_of.min(entry.age) <= self.bounds.window;
        if is_written || tier.intents != 0 {
            flight.keeps = self.omits(Omit::WriterAtFill);
        } else if tier.entry.is_some_and(usable) || tier.lease.is_some() {
            return None;
        } else {
            state.tier.lease = Some(Holder::Flight);
            flight.is_leased = true;
        }
        (flight.step, flight.as_of) = (Step::Loading, 0);
        Some(())
    }

    /// Somebody else has the lease, or the tier can't be asked.
    pub(super) fn go_without(&self, state: &mut State) -> Option<()> {
        let (tier, errors) = (state.tier, self.bounds.errors);
        let is_busy = tier.lease.is_some() && tier.intents == 0;
        let is_written = self.is_being_written(state);
        let flight = state.reader.flight.as_mut().filter(|it| it.step == Step::Started)?;
        if !(is_busy || errors) || is_written {
            return None;
        }
        (flight.step, flight.as_of, flight.is_brief) = (Step::Loading, 0, errors);
        Some(())
    }

    pub(super) fn load(&self, state: &mut State) -> Option<()> {
        let head = state.head;
        let flight = state.reader.flight.as_mut().filter(|it| it.step == Step::Loading)?;
        flight.step = if flight.is_leased { Step::Loaded(head) } else { Step::Ready(head) };
        Some(())
    }

    pub(super) fn fill_shared(&self, state: &mut State) -> Option<()> {
        let flight = state.reader.flight.as_mut()?;
        let Step::Loaded(version) = flight.step else { return None };
        flight.step = Step::Ready(version);
        let age = flight.as_of;
        self.store(state, Holder::Flight, Entry { version, age });
        Some(())
    }

    pub(super) fn finish(&self, state: &mut State) -> Option<()> {
        let is_written = self.is_being_written(state);
        let flight = state.reader.flight?;
        let Step::Ready(version) = flight.step else { return None };
        state.reader.flight = None;
        if flight.epoch_holds && flight.keeps && !is_written {
            let (as_of, is_brief) = (flight.as_of, flight.is_brief);
            state.reader.memory = Some(Held { version, as_of, is_brief });
        }
        Some(())
    }

    pub(super) fn send_token(&self, state: &mut State) -> Option<()> {
        let reader = &mut state.reader;
        if reader.token.is_some() {
            return None;
        }
        reader.queue.push(Message::Token)?;
        reader.token = Some(0);
        Some(())
    }

    /// Everything that is under way is lost.
    pub(super) fn lose(&self, state: &mut State) -> Option<()> {
        let reader = &mut state.reader;
        if reader.queue == Queue::EMPTY {
            return None;
        }
        (reader.queue, reader.token, reader.missed) = (Queue::EMPTY, None, true);
        Some(())
    }

    pub(super) fn notice_gap(&self, state: &mut State) -> Option<()> {
        if !std::mem::take(&mut state.reader.missed) {
            return None;
        }
        state.reader.horizon = self.oldest();
        state.raise();
        Some(())
    }

    /// A gap is noticed before anything that comes after it.
    pub(super) fn deliver(&self, state: &mut State) -> Option<()> {
        if state.reader.missed {
            return None;
        }
        match state.reader.queue.pop()? {
            Message::Writing(writer) => {
                state.reader.writers |= 1 << writer;
                if !self.omits(Omit::RaiseAtIntent) {
                    state.raise();
                }
            }
            Message::Written(writer) => {
                state.raise();
                state.reader.writers &= !(1 << writer);
            }
            Message::Invalidation => state.raise(),
            Message::Token => {
                let sent = state.reader.token.take()?;
                state.reader.horizon = state.reader.horizon.min(sent);
            }
        }
        Some(())
    }
}
