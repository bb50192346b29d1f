//! What each action does: time, writers, the filler, the bus, faults.

use super::read::{ask_source, at};
use super::state::{Clock, Entry, Filler, Holder, Message, Queue, Reader, Stage, State, Writer};
use super::{Action, Marks, Omit};
use crate::state::{Age, NEVER, Version};

impl Marks {
    pub(super) fn apply(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Tick => self.tick(state),
            Action::Commit => self.commit(state)?,
            Action::Announce(version) => self.announce(state, version)?,
            Action::StrikeOther => {
                state.noise = state.noise.then_some(false)?;
                let marked = Some(next_clock(state));
                state.writers[0] = Some(Writer { is_here: false, marked, is_published: false });
            }
            Action::FillerLease(clock) => self.filler_lease(state, clock)?,
            Action::FillerLoad => {
                let filler = state.filler.as_mut().filter(|filler| filler.version.is_none())?;
                filler.version = Some(state.head);
            }
            Action::FillerFill => self.filler_fill(state)?,
            Action::Start => self.begin(state)?,
            Action::Hit => self.hit_shared(state)?,
            Action::Lease => self.ask_lease(state)?,
            Action::GoWithout => {
                state.tier.lease?;
                ask_source(at(state, Stage::Started)?, false);
            }
            Action::Load => self.load(state)?,
            Action::FillShared => self.fill_shared(state)?,
            Action::Finish => self.finish(state)?,
            Action::Join => self.join(state)?,
            Action::Subscribe => self.subscribe(state)?,
            Action::ReadMarks => self.read_marks(state)?,
            Action::SendToken => self.send_token(state)?,
            Action::Deliver => self.deliver(state)?,
            Action::Lose => {
                let lost = state.reader.queue.pop()?;
                state.reader.token = state.reader.token.filter(|_| lost != Message::Token);
                state.reader.missed = true;
            }
            Action::NoticeGap => self.notice_gap(state)?,
            Action::EndLease => end_lease(state),
            Action::Restart(entry) => self.restart(state, entry)?,
        }
        Some(())
    }

    fn tick(&self, state: &mut State) {
        let oldest = self.oldest();
        let pass = |age: &mut Age| {
            if *age != NEVER {
                *age = (*age + 1).min(oldest);
            }
        };
        state.counts.iter_mut().for_each(pass);
        state.tier.entry.iter_mut().for_each(|entry| pass(&mut entry.age));
        state.filler.iter_mut().for_each(|filler| pass(&mut filler.age));
        pass(&mut state.reader.horizon);
        state.reader.token.iter_mut().for_each(pass);
        state.reader.memory.iter_mut().for_each(|held| pass(&mut held.as_of));
        state.reader.flight.iter_mut().for_each(|flight| pass(&mut flight.as_of));
    }

    fn commit(&self, state: &mut State) -> Option<()> {
        if state.head == self.bounds.versions {
            return None;
        }
        state.head += 1;
        state.writers[usize::from(state.head)] =
            Some(Writer { is_here: self.bounds.writes_here, marked: None, is_published: false });
        Some(())
    }

    /// Mark, bus, the own table, return.
    fn announce(&self, state: &mut State, version: Version) -> Option<()> {
        let writer = state.writers[usize::from(version)]?;
        let Some(clock) = writer.marked else {
            let clock = next_clock(state);
            state.tier.mark = clock;
            state.writers[usize::from(version)] = Some(Writer { marked: Some(clock), ..writer });
            if self.omits(Omit::BusBeforeReturn) {
                returns(state, version, writer);
            }
            return Some(());
        };
        if writer.is_here && writer.is_published {
            if !self.omits(Omit::OwnMarks) {
                self.learn(&mut state.reader, Some(clock), clock);
            }
        } else {
            let message = if version == 0 { Message::Noise(clock) } else { Message::Struck(clock) };
            if state.reader.listens {
                state.reader.queue.push(message)?;
            }
            if writer.is_here {
                state.writers[usize::from(version)] = Some(Writer { is_published: true, ..writer });
                return Some(());
            }
        }
        state.writers[usize::from(version)] = None;
        returns(state, version, writer);
        Some(())
    }

    /// The filler may know any moment up to the last one: it read all marks up to there.
    fn filler_lease(&self, state: &mut State, clock: Clock) -> Option<()> {
        if state.filler.is_some() || state.tier.lease.is_some() || clock > state.tier.clock {
            return None;
        }
        state.tier.lease = Some(Holder::Filler);
        state.filler = Some(Filler { clock, age: 0, version: None });
        Some(())
    }

    fn filler_fill(&self, state: &mut State) -> Option<()> {
        let filler = state.filler?;
        let version = filler.version?;
        if state.tier.lease == Some(Holder::Filler) {
            state.tier.lease = None;
            let Filler { clock, age, .. } = filler;
            state.tier.entry = Some(Entry { version, clock, age, is_of_old_run: false });
        }
        state.filler = None;
        Some(())
    }

    fn subscribe(&self, state: &mut State) -> Option<()> {
        let is_in_turn = state.reader.knows || !self.omits(Omit::SubscribeBeforeMarks);
        if state.reader.listens || !is_in_turn {
            return None;
        }
        state.reader.listens = true;
        Some(())
    }

    fn read_marks(&self, state: &mut State) -> Option<()> {
        let is_in_turn = state.reader.listens || self.omits(Omit::SubscribeBeforeMarks);
        if state.reader.knows || state.reader.missed || !is_in_turn {
            return None;
        }
        let (mark, clock) = (state.tier.mark, state.tier.clock);
        (state.reader.mark, state.reader.clock) = (mark, clock);
        state.reader.knows = true;
        Some(())
    }

    fn send_token(&self, state: &mut State) -> Option<()> {
        if state.reader.token.is_some() || !state.reader.listens {
            return None;
        }
        state.reader.queue.push(Message::Token)?;
        state.reader.token = Some(0);
        Some(())
    }

    fn deliver(&self, state: &mut State) -> Option<()> {
        let reader = &mut state.reader;
        if reader.missed {
            return None;
        }
        match reader.queue.pop()? {
            Message::Struck(clock) => self.learn(reader, Some(clock), clock),
            Message::Noise(clock) => self.learn(reader, None, clock),
            Message::Token => reader.horizon = reader.horizon.min(reader.token.take()?),
        }
        Some(())
    }

    /// A mark is applied: the table first, then the count.
    fn learn(&self, reader: &mut Reader, struck: Option<Clock>, clock: Clock) {
        reader.mark = reader.mark.max(struck.unwrap_or(0));
        reader.clock = reader.clock.max(clock);
        reader.events += u8::from(self.bounds.counts);
    }

    fn notice_gap(&self, state: &mut State) -> Option<()> {
        let reader = &mut state.reader;
        if !reader.missed {
            return None;
        }
        (reader.missed, reader.memory) = (false, None);
        reader.knows &= self.omits(Omit::MarksAfterGap);
        if let Some(flight) = &mut reader.flight {
            flight.generation_holds = false;
        }
        Some(())
    }

    /// The shared tier starts again with any entry and without the marks; the bus loses what was
    /// under way.
    fn restart(&self, state: &mut State, entry: Option<Version>) -> Option<()> {
        if entry.is_some_and(|version| version > state.head) {
            return None;
        }
        state.restarts = state.restarts.checked_sub(1)?;
        let age = self.oldest();
        state.tier.entry =
            entry.map(|version| Entry { version, clock: 0, age, is_of_old_run: true });
        state.tier.mark = 0;
        if self.omits(Omit::ClockGoesOn) {
            state.tier.clock = 0;
        }
        end_lease(state);
        let reader = &mut state.reader;
        reader.token = reader.token.filter(|_| !reader.queue.has_token());
        (reader.queue, reader.missed) = (Queue::default(), reader.listens);
        Some(())
    }
}

/// The tier gives out a moment that is later than all before.
fn next_clock(state: &mut State) -> Clock {
    state.tier.clock += 1;
    state.tier.clock
}

fn returns(state: &mut State, version: Version, writer: Writer) {
    if version > 0 {
        let since = &mut state.counts[usize::from(version)];
        if *since == NEVER {
            *since = 0;
        }
        if writer.is_here {
            state.reader.own = state.reader.own.max(version);
        }
    }
}

/// Whoever has the lease has it no more.
fn end_lease(state: &mut State) {
    state.tier.lease = None;
}
