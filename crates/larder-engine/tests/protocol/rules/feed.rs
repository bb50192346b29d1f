//! The feed's owner: shared tier, bus, position; and the answers to tokens.

use crate::bounds::Omit;
use crate::model::Protocol;
use crate::owner::{Gap, Owner, Who};
use crate::queue::Message;
use crate::state::{State, Version};

impl Protocol {
    /// The next step of what the owner tells: of a gap, or of a commit.
    pub(crate) fn follow(&self, state: &mut State, who: Who) -> Option<()> {
        let before = *state.owner(who)?;
        if before.gap != Gap::None {
            return self.tell_gap(state, who, before);
        }
        // What isn't visible yet is held back.
        let told = if self.omits(Omit::Barrier) { state.head } else { state.visible };
        if before.position >= told.min(before.limit) {
            return None;
        }
        let is_told = if !before.covers {
            true
        } else if before.half == self.omits(Omit::SharedBeforeBus) {
            self.strike(state, ());
            before.half
        } else {
            self.publish_as(state, before)?;
            before.half
        };
        let owner = state.owner(who)?;
        owner.half = before.covers && !before.half;
        owner.position += u8::from(is_told);
        let position = owner.position;
        if self.omits(Omit::AnswerBeforeAcknowledge) && who == Who::Follows {
            state.acknowledged = state.acknowledged.max(position);
        }
        Some(())
    }

    /// Waits until what was missed is visible; then everything is forgotten, everywhere.
    fn tell_gap(&self, state: &mut State, who: Who, before: Owner) -> Option<()> {
        let gap = match before.gap {
            Gap::None => return None,
            Gap::Begins(begins)
                if state.visible < begins && !self.omits(Omit::VisibleBeforeGap) =>
            {
                return None;
            }
            Gap::Begins(begins) => Gap::Visible(begins),
            Gap::Visible(begins) if !self.omits(Omit::GapDrops) => {
                self.strike(state, Gap::Struck(begins))
            }
            Gap::Visible(_) => Gap::None,
            Gap::Struck(_) => {
                self.publish_as(state, before)?;
                Gap::None
            }
        };
        let owner = state.owner(who)?;
        owner.gap = gap;
        if let (Gap::None, Gap::Visible(begins) | Gap::Struck(begins)) = (gap, before.gap) {
            owner.position = owner.position.max(begins);
        }
        Some(())
    }

    /// Tells every process, its own among them.
    fn publish_as(&self, state: &mut State, owner: Owner) -> Option<()> {
        self.publish(state, owner.process, ())?;
        if owner.process < state.processes.len() && !self.omits(Omit::OwnerRaises) {
            self.raise_epoch(state, owner.process);
        }
        Some(())
    }

    /// The owner sees a token, and then asks where the log ends.
    pub(crate) fn see_token(&self, state: &mut State, who: Who, process: usize) -> Option<()> {
        let (head, reader) = (state.head, state.processes[process]);
        let owner = state.owner(who)?;
        if reader.token.is_none() || reader.queue.has_token() || owner.seen[process].is_some() {
            return None;
        }
        let end = match self.bounds.omit {
            Omit::PositionAfterToken => owner.position,
            // Places of two logs can't be compared; who compares them may find either.
            Omit::EndOfTheSameLog if owner.is_cut_off => 0,
            _ if owner.is_cut_off => return None,
            _ => head,
        };
        if owner.gap != Gap::None {
            return None;
        }
        owner.seen[process] = Some(end);
        // Who answers second says nothing new.
        let other = if who == Who::Follows { Who::Old } else { Who::Follows };
        if let Some(other) = state.owner(other) {
            other.seen[process] = None;
        }
        Some(())
    }

    pub(crate) fn answer_token(&self, state: &mut State, who: Who, process: usize) -> Option<()> {
        let owner = *state.owner(who)?;
        let early = match self.bounds.omit {
            Omit::AnswerAfterShared => 1,
            Omit::AnswerAfterBus => u8::from(owner.half),
            _ => 0,
        };
        let is_passed = owner.position + early >= owner.seen[process]?;
        let reader = &mut state.processes[process];
        let has_room = reader.queue.len() < self.bounds.queue || owner.process == process;
        if !is_passed || !has_room || owner.gap != Gap::None {
            return None;
        }
        if owner.process == process {
            // What it applied itself it needn't be told.
            reader.horizon = reader.horizon.min(reader.token.take()?);
        } else {
            let covers = owner.covers || self.omits(Omit::AnswerNamesCaches);
            reader.queue.push(Message::Token { position: owner.position, covers });
        }
        state.owner(who)?.seen[process] = None;
        self.answered(state, who, owner.position);
        Some(())
    }

    /// The owner answers the tokens of processes elsewhere, its own among them.
    pub(crate) fn answer_others(&self, state: &mut State, who: Who) -> Option<()> {
        let Owner { process, position, covers, gap, .. } = *state.owner(who)?;
        let listens = |&reader: &usize| reader != process;
        let has_room = |reader: usize| state.processes[reader].queue.len() < self.bounds.queue;
        let is_news = position > state.acknowledged;
        if !is_news || gap != Gap::None || !self.readers().filter(listens).all(has_room) {
            return None;
        }
        let covers = covers || self.omits(Omit::AnswerNamesCaches);
        let answer = Message::OfOther { position, covers };
        self.readers().filter(listens).for_each(|to| state.processes[to].queue.push(answer));
        self.answered(state, who, position);
        Some(())
    }

    /// What was announced is acknowledged. The connection of who followed before is gone.
    fn answered(&self, state: &mut State, who: Who, position: Version) {
        if self.bounds.feed.hand_overs > 0 {
            state.answered = position;
            if who == Who::Follows {
                state.acknowledged = state.acknowledged.max(position);
            }
        }
    }
}
