//! The protocol as a model that a checker can explore: states, actions, rules, claims.

use stateright::{Model, Property};

use super::actions::{Action, all};
use super::bounds::{Bounds, Changes, Omit, Second};
use super::claims::Claim;
use super::owner::{ELSEWHERE, Owner};
use super::state::{Age, Entry, NEVER, Process, Shared, State, VERSIONS};

/// The protocol within bounds, and what is claimed of it.
pub(crate) struct Protocol {
    pub(crate) bounds: Bounds,
    properties: Vec<Property<Self>>,
    actions: Vec<Action>,
}

impl Protocol {
    pub(crate) fn new(bounds: Bounds, claims: &[Claim]) -> Self {
        Self::with(bounds, claims.iter().map(|claim| claim.property()).collect())
    }

    pub(crate) fn with(bounds: Bounds, properties: Vec<Property<Self>>) -> Self {
        assert!(usize::from(bounds.versions) <= VERSIONS, "no room for so many versions");
        assert!(bounds.crashes == 0 || bounds.feed.hand_overs == 0, "who follows doesn't crash");
        Self { bounds, properties, actions: all(&bounds) }
    }

    pub(crate) fn omits(&self, step: Omit) -> bool {
        self.bounds.omit == step
    }

    /// Whether a process has a memory tier and is checked.
    pub(crate) fn reads(&self, process: usize) -> bool {
        process == 0 || matches!(self.bounds.second, Second::Holds | Second::Reads)
    }

    pub(crate) fn readers(&self) -> impl Iterator<Item = usize> + use<> {
        0..if self.reads(1) { 2 } else { 1 }
    }

    /// The age of what is older than the window.
    pub(crate) fn oldest(&self) -> Age {
        self.bounds.window + 1
    }

    pub(crate) fn start(&self) -> State {
        // Somebody else has had the cache for long.
        let (age, is_stale, is_of_old_run) = (self.oldest(), false, false);
        let entry = Entry { version: 0, age, is_stale, is_of_old_run };
        State {
            head: 0,
            visible: 0,
            counts: [NEVER; VERSIONS + 1],
            shared: Shared { entry: self.bounds.feed.covers_late.then_some(entry), lease: None },
            processes: [self.started(); 2],
            writers: [None; VERSIONS + 1],
            owner: Owner::new(ELSEWHERE, 0, !self.bounds.feed.covers_late),
            old: None,
            acknowledged: 0,
            answered: 0,
            crashes: self.bounds.crashes,
            restarts: self.bounds.restarts,
            slots: self.bounds.feed.slots,
            hand_overs: self.bounds.feed.hand_overs,
        }
    }

    /// A process that has just started.
    pub(crate) fn started(&self) -> Process {
        let is_built = !self.bounds.feed.covers_late;
        Process::new(self.oldest(), !self.omits(Omit::SubscribeBeforeRead), is_built)
    }

    /// Whether a change counts as soon as it is committed.
    pub(crate) fn counts_from_commit(&self) -> bool {
        self.bounds.changes != Changes::Announced
    }

    /// What becomes of `state`; `None` where the action isn't possible.
    pub(crate) fn apply(&self, state: &mut State, action: Action) -> Option<()> {
        use Action as A;
        match action {
            A::Tick => self.tick(state),
            A::Commit(process) => self.commit(state, process)?,
            A::Announce(version) => self.announce(state, version)?,
            A::GiveUp(version) => self.give_up(state, version)?,
            A::Forget(version) => self.forget(state, version)?,
            A::Start(process) => self.begin(state, process)?,
            A::Hit(at) => self.hit_shared(state, at)?,
            A::CaptureLate(at) => self.capture_late(state, at)?,
            A::Lease(at) => self.ask_lease(state, at)?,
            A::GoWithout(at) => self.go_without(state, at)?,
            A::Load(at) => self.load(state, at)?,
            A::FillShared(at) => self.fill_shared(state, at)?,
            A::Finish(at) => self.finish(state, at)?,
            A::Join(at) => self.join(state, at)?,
            A::Look(process) => self.look(state, process)?,
            A::EndLook(process) => state.processes[process].hit = None,
            A::Subscribe(process) => state.processes[process].listens = true,
            A::SendToken(process) => self.send_token(state, process)?,
            A::Deliver(process) => self.deliver(state, process)?,
            A::DeliverTwice(process) => self.deliver_twice(state, process)?,
            A::Lose(process) => self.lose(state, process)?,
            A::NoticeGap(process) => self.notice_gap(state, process)?,
            A::Appear => self.appear(state)?,
            A::Follow(who) => self.follow(state, who)?,
            A::SeeToken(who, process) => self.see_token(state, who, process)?,
            A::AnswerToken(who, process) => self.answer_token(state, who, process)?,
            A::AnswerOthers(who) => self.answer_others(state, who)?,
            A::CrashOwner => self.crash_owner(state),
            A::LoseSlot => self.lose_slot(state)?,
            A::CutOff => self.cut_off(state)?,
            A::TakeOver(process) => self.take_over(state, process)?,
            A::Build(process) => self.build(state, process)?,
            A::Cover => self.cover(state)?,
            A::Evict => state.shared.entry = None,
            A::EndLease => self.void_lease(state),
            A::Crash(process) => self.crash(state, process)?,
            A::Restart(entry, lease) => self.restart(state, entry, lease)?,
        }
        Some(())
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        actions.extend_from_slice(&self.actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = *last;
        self.apply(&mut next, action)?;
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.properties.clone()
    }
}
