//! A second, smaller model: marks. Who changes a row strikes its tag: the tier notes the moment,
//! leases and entries stay, and every reader compares an entry's clock with the marks that it
//! knows.

mod claims;
mod read;
mod rules;
mod state;

use stateright::{Model, Property};

use crate::claims::Claim;
use crate::state::{Age, NEVER, Version};
use state::{Clock, Queue, Reader, State, Tier, VERSIONS};

/// How far a run goes and what may happen in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) versions: u8,
    pub(crate) window: u8,
    /// Whether the process that is checked writes, and not another one.
    pub(crate) writes_here: bool,
    /// Whether another tag is struck, too.
    pub(crate) noise: bool,
    /// Whether another process fills the shared tier, and leases end before they are used.
    pub(crate) filler: bool,
    pub(crate) joiners: bool,
    /// Whether the run begins when the process does, which then subscribes and reads the marks.
    pub(crate) starts: bool,
    /// Whether a hit in memory compares the count of marks, before it looks at them.
    pub(crate) counts: bool,
    pub(crate) losses: bool,
    /// Restarts of the shared tier and the bus, with old data.
    pub(crate) restarts: u8,
    pub(crate) omit: Omit,
}

impl Bounds {
    pub(crate) const LEAST: Self = Self {
        versions: 1,
        window: 1,
        writes_here: false,
        noise: false,
        filler: false,
        joiners: false,
        starts: false,
        counts: false,
        losses: false,
        restarts: 0,
        omit: Omit::Nothing,
    };
}

/// A protective step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Omit {
    Nothing,
    /// The clock is taken when the load is done.
    ClockBeforeLoad,
    /// A hit in the shared tier isn't compared with the marks.
    MarksAtSharedHit,
    /// A hit in the shared tier is taken because no known mark struck it.
    RuleAtSharedHit,
    /// A fill of memory isn't compared with the marks.
    MarksAtFill,
    /// A hit in memory compares the latest clock instead of the count of marks.
    CountAtHit,
    /// Who joins doesn't compare the result with the marks that it knows.
    MarksOfJoiner,
    /// A result is lifted by the horizon that is held when it is handed on.
    ResultKeepsAsOf,
    /// The marks aren't read after a gap.
    MarksAfterGap,
    /// The marks are read, and then the bus is subscribed to.
    SubscribeBeforeMarks,
    /// The announcement returns before it is published.
    BusBeforeReturn,
    /// The own marks are known only when the bus has them.
    OwnMarks,
    /// The tier's clock goes back when it starts again with old data.
    ClockGoesOn,
    /// What another run of the shared tier stored is a hit.
    RunAtHit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    Commit,
    /// The next step of the announcement of a version.
    Announce(Version),
    StrikeOther,
    /// The filler takes the lease, knowing this much of the marks.
    FillerLease(Clock),
    FillerLoad,
    FillerFill,
    Start,
    Hit,
    Lease,
    GoWithout,
    Load,
    FillShared,
    Finish,
    Join,
    Subscribe,
    ReadMarks,
    SendToken,
    Deliver,
    Lose,
    NoticeGap,
    EndLease,
    /// The shared tier and the bus start again, with an old entry or with none.
    Restart(Option<Version>),
}

/// Marks within bounds.
#[derive(Debug)]
pub(crate) struct Marks {
    bounds: Bounds,
    claims: &'static [Claim],
    actions: Vec<Action>,
}

impl Marks {
    pub(crate) fn new(bounds: Bounds, claims: &'static [Claim]) -> Self {
        assert!(usize::from(bounds.versions) <= VERSIONS, "no room for so many versions");
        let actions = all(&bounds);
        Self { bounds, claims, actions }
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
    let mut all = vec![A::Tick, A::Commit, A::Start, A::Hit, A::Lease, A::Load];
    all.extend([A::FillShared, A::Finish, A::SendToken, A::Deliver]);
    all.extend([A::Subscribe, A::ReadMarks]);
    all.extend((0..=bounds.versions).map(A::Announce));
    all.extend(bounds.noise.then_some(A::StrikeOther));
    all.extend(bounds.joiners.then_some(A::Join));
    all.extend(bounds.losses.then_some(A::Lose));
    all.extend((bounds.losses || bounds.restarts > 0).then_some(A::NoticeGap));
    if bounds.filler {
        let latest = bounds.versions + u8::from(bounds.noise);
        all.extend([A::FillerLoad, A::FillerFill, A::GoWithout, A::EndLease]);
        all.extend((0..=latest).map(A::FillerLease));
    }
    if bounds.restarts > 0 {
        all.push(A::Restart(None));
        all.extend((0..=bounds.versions).map(|version| A::Restart(Some(version))));
    }
    all
}

impl Model for Marks {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let reader = Reader {
            memory: None,
            horizon: self.oldest(),
            token: None,
            queue: Queue::default(),
            missed: false,
            listens: !self.bounds.starts,
            knows: !self.bounds.starts,
            mark: 0,
            clock: 0,
            events: 0,
            flight: None,
            own: 0,
        };
        vec![State {
            head: 0,
            counts: [NEVER; VERSIONS + 1],
            tier: Tier::default(),
            writers: [None; VERSIONS + 1],
            filler: None,
            reader,
            restarts: self.bounds.restarts,
            noise: self.bounds.noise,
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
