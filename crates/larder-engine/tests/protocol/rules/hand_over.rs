//! Who follows next, and what he knows: slots that are lost, owners that are taken for dead,
//! servers that are replaced, caches that are covered late.

use crate::bounds::Omit;
use crate::model::Protocol;
use crate::owner::{ALL, ELSEWHERE, Gap, Owner};
use crate::state::{NEVER, State, Version};

impl Protocol {
    /// The last commit becomes visible.
    pub(crate) fn appear(&self, state: &mut State) -> Option<()> {
        if state.visible == state.head {
            return None;
        }
        state.visible = state.head;
        self.count(state, state.visible);
        Some(())
    }

    /// What comes after it begins where the last position was, and knows of no token.
    pub(crate) fn crash_owner(&self, state: &mut State) {
        let Owner { process, position, covers, .. } = state.owner;
        state.owner = Owner::new(process, position, covers);
    }

    /// The slot is gone, and made again where the log ends by now. Who follows may be a server's
    /// successor by then.
    pub(crate) fn lose_slot(&self, state: &mut State) -> Option<()> {
        state.slots = state.slots.checked_sub(1)?;
        let Owner { process, position, covers, .. } = state.owner;
        state.owner = Owner::new(process, position, covers);
        state.owner.gap = Gap::Begins(state.head);
        state.acknowledged = state.head;
        Some(())
    }

    /// Another server answers under the same address, and the connection to the first one stays.
    pub(crate) fn cut_off(&self, state: &mut State) -> Option<()> {
        if state.owner.is_cut_off || state.owner.limit != ALL {
            return None;
        }
        (state.owner.limit, state.owner.is_cut_off) = (state.head, true);
        Some(())
    }

    /// Somebody else follows: a process that is checked, or one elsewhere. Who followed has
    /// received what was in the log, and may go on with it.
    pub(crate) fn take_over(&self, state: &mut State, process: usize) -> Option<()> {
        if state.owner.process == process && process != ELSEWHERE {
            return None;
        }
        state.hand_overs = state.hand_overs.checked_sub(1)?;
        let old = Owner { limit: state.owner.limit.min(state.head), ..state.owner };
        state.old = self.bounds.feed.pauses.then_some(old);
        let (since, covers, is_vouched) = match state.processes.get(process) {
            Some(reader) => (reader.since, reader.is_built, reader.is_vouched),
            None => (state.answered, !self.bounds.feed.covers_late, true),
        };
        let begins = state.acknowledged;
        let is_behind = since == NEVER || since < begins;
        let gap = if is_behind && !self.omits(Omit::GapBehindWhatIsKnown) {
            self.gap(begins)
        } else if covers && !is_vouched && !self.omits(Omit::CoveredIsSwept) {
            Gap::Visible(begins)
        } else {
            Gap::None
        };
        // Behind a gap nothing counts as announced.
        let position = if gap == Gap::None { begins } else { 0 };
        state.owner = Owner { gap, ..Owner::new(process, position, covers) };
        Some(())
    }

    /// A gap in front of a slot that was there before.
    fn gap(&self, begins: Version) -> Gap {
        // Nobody knows whether who made it has waited.
        let is_believed = self.omits(Omit::EveryGapWaits);
        if is_believed { Gap::Visible(begins) } else { Gap::Begins(begins) }
    }

    /// A process builds the cache.
    pub(crate) fn build(&self, state: &mut State, process: usize) -> Option<()> {
        let reader = &mut state.processes[process];
        if reader.is_built {
            return None;
        }
        reader.is_built = true;
        if !self.omits(Omit::CoveredClears) {
            reader.horizon = self.oldest();
        }
        if state.owner.process == process {
            self.begin_to_cover(state);
        }
        Some(())
    }

    /// The owner builds it, which is elsewhere.
    pub(crate) fn cover(&self, state: &mut State) -> Option<()> {
        if state.owner.covers || state.owner.process != ELSEWHERE {
            return None;
        }
        self.begin_to_cover(state);
        Some(())
    }

    /// What was changed before touched nothing that it knew of.
    fn begin_to_cover(&self, state: &mut State) {
        let owner = &mut state.owner;
        owner.covers = true;
        if owner.gap == Gap::None && !self.omits(Omit::CoveredIsSwept) {
            owner.gap = Gap::Visible(owner.position);
        }
    }
}
