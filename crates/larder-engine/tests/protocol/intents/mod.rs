//! A third model: writers who announce their intents before they commit, crash wherever they are,
//! and leave what they wrote. Changes count from their commits.

mod claims;
mod read;
mod state;
mod write;

use stateright::{Model, Property};

use crate::claims::Claim;
use crate::state::Age;
use state::{Kind, Reader, State, Tier, WRITERS, Writer};

/// How far a run goes and what may happen in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) window: u8,
    /// Writers with intents, and after them those who commit and then invalidate.
    pub(crate) guarded: usize,
    pub(crate) plain: usize,
    /// And those who commit behind larder's back. With them nothing vouches but age.
    pub(crate) outside: usize,
    /// Whether somebody reads, and not only the shared tier is looked at.
    pub(crate) reads: bool,
    /// Whether the first writer is in the process that is checked.
    pub(crate) writes_here: bool,
    /// Whether writers leave what they wrote, where they were alone.
    pub(crate) installs: bool,
    /// Whether another process fills the shared tier.
    pub(crate) filler: bool,
    /// Whether writers crash, at any step, each of them.
    pub(crate) crashes: bool,
    /// Whether writers give up on a commit that is still on its way.
    pub(crate) gives_up: bool,
    /// Whether writers are stopped for longer than their intents last.
    pub(crate) stalls: bool,
    /// Whether entries are evicted, and leases before they are used.
    pub(crate) evictions: bool,
    /// Whether the process that is checked can't reach the shared tier now and then.
    pub(crate) errors: bool,
    /// Whether the bus loses what is under way to it, which it notices as a gap.
    pub(crate) losses: bool,
    pub(crate) omit: Omit,
}

impl Bounds {
    pub(crate) const LEAST: Self = Self {
        window: 0,
        guarded: 1,
        plain: 0,
        outside: 0,
        reads: true,
        writes_here: false,
        installs: true,
        filler: false,
        crashes: false,
        gives_up: false,
        stalls: false,
        evictions: false,
        errors: false,
        losses: false,
        omit: Omit::Nothing,
    };
}

/// A protective step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Omit {
    Nothing,
    /// Nothing is announced before the commit.
    Intent,
    /// The shared tier knows one intent of a key, and forgets it with the end of any write.
    SetOfIntents,
    /// Who announced last may leave its value, whoever overlapped it.
    Uncontended,
    /// An invalidation leaves it to the writer to leave its value.
    OwnerCleared,
    /// What a writer leaves is as of the end of its write.
    AsOfBegin,
    /// The bus hears of an intent only when the write has ended.
    BusBeforeCommit,
    /// A process fills its memory whatever it has heard of writers.
    WriterAtFill,
    /// A writer whose time is over is forgotten, and what is being loaded is filled.
    RaiseAtForget,
    /// Who gives up on a commit takes its intent back.
    IntentOfUnknown,
    /// What was loaded without the shared tier's word is vouched for by later horizons.
    BriefWithoutTier,
    /// A fill of the shared tier doesn't need its lease any more, and intents don't void it.
    LeaseVoided,
    /// What the shared tier holds stays there when an intent is announced.
    DropAtIntent,
    /// What is held here stays when somebody else's intent is heard of.
    RaiseAtIntent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    // A writer.
    Begin(usize),
    Commit(usize),
    End(usize),
    Abort(usize),
    GiveUp(usize),
    Crash(usize),
    /// Its intent ends by time.
    Expire(usize),
    /// The process that is checked forgets it, as its time is over there too.
    Forget(usize),
    // Another process.
    FillerLease,
    FillerLoad,
    FillerFill,
    // The process that is checked.
    Start,
    Hit,
    Ask,
    GoWithout,
    Load,
    FillShared,
    Finish,
    SendToken,
    Deliver,
    Lose,
    NoticeGap,
    Evict,
    EndLease,
}

/// Intents within bounds.
#[derive(Debug)]
pub(crate) struct Intents {
    bounds: Bounds,
    claims: &'static [Claim],
    actions: Vec<Action>,
}

impl Intents {
    pub(crate) fn new(bounds: Bounds, claims: &'static [Claim]) -> Self {
        assert!(
            bounds.guarded + bounds.plain + bounds.outside <= WRITERS,
            "no room for so many writers"
        );
        Self { bounds, claims, actions: all(&bounds) }
    }

    fn omits(&self, step: Omit) -> bool {
        self.bounds.omit == step
    }

    fn oldest(&self) -> Age {
        self.bounds.window + 1
    }
}

fn all(bounds: &Bounds) -> Vec<Action> {
    use Action as A;
    let mut all = vec![A::Tick];
    if bounds.reads {
        all.extend([A::Start, A::Hit, A::Ask, A::Load, A::FillShared, A::Finish, A::Deliver]);
        all.extend((bounds.outside == 0).then_some(A::SendToken));
    }
    for writer in 0..bounds.guarded + bounds.plain + bounds.outside {
        all.extend([A::Commit(writer), A::End(writer)]);
        if writer < bounds.guarded {
            all.extend([A::Begin(writer), A::Abort(writer), A::Expire(writer)]);
            all.extend(bounds.reads.then_some(A::Forget(writer)));
            all.extend(bounds.gives_up.then_some(A::GiveUp(writer)));
            all.extend(bounds.crashes.then_some(A::Crash(writer)));
        }
    }
    if bounds.filler {
        all.extend([A::FillerLease, A::FillerLoad, A::FillerFill]);
    }
    all.extend((bounds.errors || bounds.filler).then_some(A::GoWithout));
    if bounds.losses {
        all.extend([A::Lose, A::NoticeGap]);
    }
    if bounds.evictions {
        all.extend([A::Evict, A::EndLease]);
    }
    all
}

impl Model for Intents {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut writers = [None; WRITERS];
        for (at, writer) in writers.iter_mut().enumerate() {
            *writer = if at < self.bounds.guarded {
                Some(Writer::new(Kind::Guarded))
            } else if at < self.bounds.guarded + self.bounds.plain {
                Some(Writer::new(Kind::Plain))
            } else if at < self.bounds.guarded + self.bounds.plain + self.bounds.outside {
                Some(Writer::new(Kind::Outside))
            } else {
                None
            };
        }
        vec![State {
            head: 0,
            tier: Tier::default(),
            writers,
            filler: None,
            reader: Reader::new(self.oldest()),
        }]
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
        self.claims.iter().map(|&claim| claims::property(claim)).collect()
    }
}

impl Intents {
    fn apply(&self, state: &mut State, action: Action) -> Option<()> {
        use Action as A;
        match action {
            A::Tick => self.tick(state),
            A::Begin(writer) => self.begin(state, writer)?,
            A::Commit(writer) => self.commit(state, writer)?,
            A::End(writer) => self.end(state, writer)?,
            A::Abort(writer) => self.abort(state, writer)?,
            A::GiveUp(writer) => self.give_up(state, writer)?,
            A::Crash(writer) => self.crash(state, writer)?,
            A::Expire(writer) => self.expire(state, writer)?,
            A::Forget(writer) => self.forget(state, writer)?,
            A::FillerLease => self.filler_lease(state)?,
            A::FillerLoad => self.filler_load(state)?,
            A::FillerFill => self.filler_fill(state)?,
            A::Start => self.start(state)?,
            A::Hit => self.hit(state)?,
            A::Ask => self.ask(state)?,
            A::GoWithout => self.go_without(state)?,
            A::Load => self.load(state)?,
            A::FillShared => self.fill_shared(state)?,
            A::Finish => self.finish(state)?,
            A::SendToken => self.send_token(state)?,
            A::Deliver => self.deliver(state)?,
            A::Lose => self.lose(state)?,
            A::NoticeGap => self.notice_gap(state)?,
            A::Evict => state.tier.entry = None,
            A::EndLease => state.void_lease(),
        }
        Some(())
    }

    fn tick(&self, state: &mut State) {
        let oldest = self.oldest();
        let older = |age: &mut Age| *age = (*age + 1).min(oldest);
        state.tier.entry.iter_mut().for_each(|entry| older(&mut entry.age));
        for writer in state.writers.iter_mut().flatten() {
            older(&mut writer.begun);
            writer.committed.iter_mut().for_each(|(_, age)| older(age));
        }
        state.filler.iter_mut().for_each(|filler| older(&mut filler.age));
        let reader = &mut state.reader;
        older(&mut reader.horizon);
        reader.token.iter_mut().for_each(older);
        reader.memory.iter_mut().for_each(|held| older(&mut held.as_of));
        if let Some(flight) = &mut reader.flight {
            older(&mut flight.as_of);
        }
    }
}
