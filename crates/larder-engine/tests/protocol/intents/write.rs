//! The life of a write with an intent: announce, commit, end. And of one without.

use super::state::{Entry, Held, Kind, Message, Stage, State};
use super::{Intents, Omit};

const fn bit(writer: usize) -> u8 {
    1 << writer
}

impl Intents {
    /// Whether a writer is in the process that is checked.
    fn is_here(&self, writer: usize) -> bool {
        self.bounds.writes_here && writer == 0
    }

    /// The intent, in one step with its announcement.
    pub(super) fn begin(&self, state: &mut State, at: usize) -> Option<()> {
        state.writers[at]
            .filter(|writer| (writer.kind, writer.stage) == (Kind::Guarded, Stage::Idle))?;
        if !self.omits(Omit::Intent) {
            if self.is_here(at) {
                state.reader.writers |= bit(at);
                state.raise();
            } else if !self.omits(Omit::BusBeforeCommit) {
                self.tell(state, Message::Writing(at as u8))?;
            }
            let tier = &mut state.tier;
            let is_alone = tier.intents == 0 || self.omits(Omit::Uncontended);
            tier.owner = is_alone.then_some(at as u8);
            if self.omits(Omit::SetOfIntents) {
                tier.intents = 0;
            }
            tier.intents |= bit(at);
            if !self.omits(Omit::DropAtIntent) {
                tier.entry = None;
            }
            if !self.omits(Omit::LeaseVoided) {
                state.void_lease();
            }
        }
        let writer = state.writers[at].as_mut()?;
        (writer.stage, writer.begun, writer.fence_holds) = (Stage::Begun, 0, true);
        Some(())
    }

    pub(super) fn commit(&self, state: &mut State, at: usize) -> Option<()> {
        let writer = state.writers[at].filter(|writer| writer.committed.is_none())?;
        let may = match (writer.kind, writer.stage) {
            (Kind::Plain | Kind::Outside, Stage::Idle) => true,
            // Who isn't stopped for longer than the intent lasts commits before its end.
            (Kind::Guarded, Stage::Begun | Stage::GivenUp) => {
                self.bounds.stalls
                    || self.omits(Omit::Intent)
                    || self.omits(Omit::SetOfIntents)
                    || self.omits(Omit::IntentOfUnknown)
                    || state.tier.intents & bit(at) != 0
            }
            _ => false,
        };
        if !may {
            return None;
        }
        state.head += 1;
        let committed = Some((state.head, 0));
        let writer = state.writers[at].as_mut()?;
        writer.committed = committed;
        if writer.stage != Stage::GivenUp {
            writer.stage = Stage::Committed;
        }
        Some(())
    }

    /// The end of a write that was committed, in one step with its announcement.
    pub(super) fn end(&self, state: &mut State, at: usize) -> Option<()> {
        let writer = state.writers[at]
            .filter(|writer| writer.stage == Stage::Committed && writer.kind != Kind::Outside)?;
        let (version, _) = writer.committed?;
        if writer.kind == Kind::Plain {
            self.invalidate(state)?;
            // It counts from here.
            state.writers[at].as_mut()?.committed = Some((version, 0));
        } else {
            let is_alone = self.take_back(state, at);
            let age = if self.omits(Omit::AsOfBegin) { 0 } else { writer.begun };
            let leaves = is_alone && self.bounds.installs;
            state.tier.entry = leaves.then_some(Entry { version, age });
            if self.is_here(at) {
                let held = Held { version, as_of: age, is_brief: false };
                let is_left = leaves && writer.fence_holds;
                state.raise();
                state.reader.memory = is_left.then_some(held);
                state.reader.writers &= !bit(at);
                state.reader.own = state.reader.own.max(version);
            } else {
                self.tell(state, Message::Written(at as u8))?;
            }
        }
        state.writers[at].as_mut()?.stage = Stage::Ended;
        Some(())
    }

    pub(super) fn abort(&self, state: &mut State, at: usize) -> Option<()> {
        state.writers[at].filter(|writer| writer.stage == Stage::Begun)?;
        self.take_back(state, at);
        if self.is_here(at) {
            state.raise();
            state.reader.writers &= !bit(at);
        } else {
            self.tell(state, Message::Written(at as u8))?;
        }
        state.writers[at].as_mut()?.stage = Stage::Ended;
        Some(())
    }

    /// The writer returns without knowing whether its commit will come: what is held goes, and
    /// the intent stays for its time.
    pub(super) fn give_up(&self, state: &mut State, at: usize) -> Option<()> {
        state.writers[at].filter(|writer| writer.stage == Stage::Begun)?;
        if self.omits(Omit::IntentOfUnknown) {
            self.take_back(state, at);
            self.tell(state, Message::Written(at as u8))?;
        } else {
            self.invalidate(state)?;
        }
        state.writers[at].as_mut()?.stage = Stage::GivenUp;
        Some(())
    }

    pub(super) fn crash(&self, state: &mut State, at: usize) -> Option<()> {
        let writer = state.writers[at].as_mut()?;
        let is_under_way = matches!(writer.stage, Stage::Begun | Stage::Committed);
        // The process that is checked lives on.
        if !is_under_way || self.is_here(at) {
            return None;
        }
        writer.stage = Stage::Crashed;
        Some(())
    }

    /// The intent ends by time: only who doesn't live, or is stopped, lets it come to that.
    pub(super) fn expire(&self, state: &mut State, at: usize) -> Option<()> {
        let writer = state.writers[at]?;
        let is_late = matches!(writer.stage, Stage::Crashed | Stage::GivenUp)
            || self.bounds.stalls && matches!(writer.stage, Stage::Begun | Stage::Committed);
        if state.tier.intents & bit(at) == 0 || !is_late {
            return None;
        }
        state.tier.intents &= !bit(at);
        if state.tier.owner == Some(at as u8) {
            state.tier.owner = None;
        }
        Some(())
    }

    /// The process counts from when it heard of it, which is later than the tier does.
    pub(super) fn forget(&self, state: &mut State, at: usize) -> Option<()> {
        if state.reader.writers & bit(at) == 0 || state.tier.intents & bit(at) != 0 {
            return None;
        }
        if !self.omits(Omit::RaiseAtForget) {
            state.raise();
        }
        state.reader.writers &= !bit(at);
        Some(())
    }

    /// Publishes to the process that is checked.
    fn tell(&self, state: &mut State, message: Message) -> Option<()> {
        if !self.bounds.reads {
            return Some(());
        }
        state.reader.queue.push(message)
    }

    /// Takes an intent back. Returns whether no other one overlapped it.
    fn take_back(&self, state: &mut State, at: usize) -> bool {
        let tier = &mut state.tier;
        let had = tier.intents & bit(at) != 0;
        tier.intents &= !bit(at);
        if self.omits(Omit::SetOfIntents) {
            tier.intents = 0;
        }
        let is_alone = had && tier.intents == 0 && tier.owner == Some(at as u8);
        tier.owner = None;
        if !self.omits(Omit::LeaseVoided) {
            state.void_lease();
        }
        is_alone
    }

    /// An invalidation without an intent.
    fn invalidate(&self, state: &mut State) -> Option<()> {
        self.tell(state, Message::Invalidation)?;
        state.tier.entry = None;
        if !self.omits(Omit::OwnerCleared) {
            state.tier.owner = None;
        }
        state.void_lease();
        Some(())
    }
}
