//! What a run may do: how far it goes, what may fail, and which protective step is left out.

/// Who may change the data, and so from when on a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// Anyone, behind our back: from the commit. Nothing is announced.
    Unknown,
    /// Writers commit and then announce: from the return of the announcement.
    Announced,
    /// As `Announced`, but as if a change counted from its commit, which a bus alone can't keep.
    AnnouncedTooLate,
    /// An owner reads the source's log, announces what it finds and answers tokens: from the
    /// commit.
    Feed,
}

/// What an invalidation leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    Drop,
    MarkStale,
}

/// What the second process does, besides writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Second {
    Nothing,
    /// It takes leases whenever it can, loads and fills, at any speed. What it holds in memory
    /// can't be seen from outside, so this stands for whatever it might do with it.
    Fills,
    /// It has memory, and reads and is checked as the first one, but sends no token: it lives on
    /// what it loads.
    Holds,
    /// It is as the first one.
    Reads,
}

/// What may happen to the feed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    /// Whether a commit is in the log before it is visible.
    pub(crate) lags: bool,
    /// How often the slot is lost, and made again.
    pub(crate) slots: u8,
    /// How often another process follows instead of the one that did.
    pub(crate) hand_overs: u8,
    /// Whether who followed was only taken for dead, and goes on.
    pub(crate) pauses: bool,
    /// Whether another server answers under the same address, while the connection to the first
    /// one stays.
    pub(crate) is_replaced: bool,
    /// Whether the cache is built in the run: by the process that is checked, and by the owner.
    pub(crate) covers_late: bool,
}

impl Log {
    pub(crate) const LEAST: Self = Self {
        lags: false,
        slots: 0,
        hand_overs: 0,
        pauses: false,
        is_replaced: false,
        covers_late: false,
    };
}

/// How far a run goes and what may happen in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Commits.
    pub(crate) versions: u8,
    /// `max_staleness`, in ticks.
    pub(crate) window: u8,
    pub(crate) changes: Changes,
    pub(crate) strike: Strike,
    pub(crate) second: Second,
    /// Whether the first and the second process commit.
    pub(crate) writers: [bool; 2],
    /// Flights at once in a process.
    pub(crate) flights: usize,
    /// Whether somebody joins a flight.
    pub(crate) joiners: bool,
    /// Whether a hit in memory takes two steps.
    pub(crate) split_hits: bool,
    /// Messages that a queue holds; who publishes waits.
    pub(crate) queue: u32,
    /// Whether the bus loses messages.
    pub(crate) losses: bool,
    /// Whether the bus delivers messages twice.
    pub(crate) repeats: bool,
    /// Whether values are evicted.
    pub(crate) evictions: bool,
    /// Whether the shared tier can't be reached.
    pub(crate) errors: bool,
    /// Crashes of a process that reads.
    pub(crate) crashes: u8,
    /// Restarts of the shared tier, with old data.
    pub(crate) restarts: u8,
    /// Whether the bus is a part of the shared tier, and loses messages with it.
    pub(crate) bus_restarts: bool,
    /// Whether the feed's owner crashes, any number of times.
    pub(crate) owner_crashes: bool,
    pub(crate) feed: Log,
    pub(crate) omit: Omit,
}

impl Bounds {
    /// One process that reads, writers elsewhere, one commit, no faults but leases that end.
    pub(crate) const LEAST: Self = Self {
        versions: 1,
        window: 1,
        changes: Changes::Announced,
        strike: Strike::Drop,
        second: Second::Nothing,
        writers: [false, true],
        flights: 1,
        joiners: false,
        split_hits: false,
        queue: 3,
        losses: false,
        repeats: false,
        evictions: false,
        errors: false,
        crashes: 0,
        restarts: 0,
        bus_restarts: true,
        owner_crashes: false,
        feed: Log::LEAST,
        omit: Omit::Nothing,
    };
}

/// A protective step that is left out, to show that the step is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Omit {
    Nothing,
    // The reader's.
    /// The fence is captured after the shared tier was read.
    FenceBeforeRead,
    /// A fill of memory doesn't look at the fence.
    FenceAtFill,
    /// The horizon is taken when the shared tier has answered.
    HorizonBeforeRead,
    /// A hit in memory looks at the entry and then at the horizon.
    HorizonBeforeEntry,
    /// A hit in the shared tier is taken because it is there.
    RuleAtSharedHit,
    /// A hit in the shared tier is taken as loaded now.
    AsOfOfSharedHit,
    /// The age in the shared tier counts from the fill.
    AgeFromGrant,
    /// `loaded_at` is taken when the load is done.
    LoadedAtBefore,
    /// The shared tier is filled without a lease.
    LeaseAtFill,
    /// What another run of the shared tier stored is a hit.
    RunAtHit,
    /// A lease of another run of the shared tier is accepted.
    RunOfLease,
    /// Who joins takes the result whatever its age.
    JoinerAge,
    /// A result is lifted by the horizon that is held when it is handed on.
    ResultKeepsAsOf,
    /// A flight is joined whatever was invalidated since it began.
    EpochInKey,
    /// A flight is joined whatever was missed since it began.
    GenerationInKey,
    /// What is marked stale in memory is lifted by later horizons.
    FrozenInMemory,
    /// What is marked stale in the shared tier is given the horizon.
    FrozenInShared,
    // The writer's.
    /// An invalidation leaves the lease.
    LeaseVoided,
    /// What is announced is published before the shared tier is done.
    SharedBeforeBus,
    /// The announcement returns before the shared tier is done.
    SharedBeforeReturn,
    /// The announcement returns before it is published.
    BusBeforeReturn,
    /// The own epoch is raised only after shared tier and bus.
    RaiseBefore,
    /// The own epoch is raised only before shared tier and bus.
    RaiseAfter,
    /// A key whose announcement failed is read as if nothing were.
    Quarantine,
    /// The quarantine ends without the announcement's being repeated.
    RepeatBeforeTrust,
    // The bus's and the feed's.
    /// A process reads the shared tier before it has subscribed.
    SubscribeBeforeRead,
    /// A gap is noticed and nothing is done about it.
    GapRaises,
    /// The horizon is the moment at which the token came back.
    HorizonWhenSent,
    /// The owner answers by a position that it read before it saw the token.
    PositionAfterToken,
    /// The owner answers before the shared tier is done.
    AnswerAfterShared,
    /// The owner answers before what it found is published.
    AnswerAfterBus,
    /// A commit is told as soon as the log has it.
    Barrier,
    /// A gap is told before everything in front of it is visible.
    VisibleBeforeGap,
    /// Only who makes a slot waits for that, and not who finds one.
    EveryGapWaits,
    /// A gap drops nothing.
    GapDrops,
    /// Who follows next goes on from the slot, whatever he knows of before.
    GapBehindWhatIsKnown,
    /// What was told is acknowledged before it was answered.
    AnswerBeforeAcknowledge,
    /// Who follows tells the others, and not himself.
    OwnerRaises,
    /// The end of another server's log counts as the end of the one that is followed.
    EndOfTheSameLog,
    /// An answer doesn't say for which caches it is.
    AnswerNamesCaches,
    /// Who builds a cache goes on with the horizon that he has.
    CoveredClears,
    /// Who follows and covers one more cache leaves what the shared tier has of it.
    CoveredIsSwept,
    // What keeps it going.
    /// Leases don't end.
    LeaseEnds,
    /// An announcement that failed isn't repeated.
    Repeat,
}
