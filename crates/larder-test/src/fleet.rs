//! Several larders over one Redis and one Postgres, read and written while something fails, and
//! the judgement of what was read.
//!
//! Writers update accounts and announce each commit through one of the larders, again and again
//! until one has said that it is done. Readers ask each larder for accounts all the time. Meanwhile
//! a [`Fault`] strikes. The [`checker`](crate::checker) judges every read by the clock, and when
//! all is quiet a sweep compares every larder and Redis with the database.
//!
//! # The control
//!
//! That nothing was found proves nothing where nothing can be found. So in every run one more
//! writer breaks the promise on purpose: it updates [`FORGOTTEN`] further accounts and claims to
//! have announced that, without a word to anybody. The same readers read them on the same
//! connections, the same rule judges them, and each larder must be caught: after the last strike,
//! when whatever the fault has left behind is there to be served. A run in which a larder isn't
//! caught has checked nothing, and [fails](Report::assert_kept). It also shows that a larder is
//! itself again: what isn't announced stays fresh only where announcements are heard.
//!
//! It knows the binary by its path, its configuration and its Redis protocol, how entries are named
//! and made in Redis, and nothing of the program's insides. Both the tests of the binary and the
//! bench run it.

mod fault;
mod load;
pub mod outage;
mod report;
mod stage;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checker::Checker;

pub use fault::Fault;
pub use report::{Errors, Report, Sweep};

use load::Load;
use stage::Stage;

/// The staleness that the reads are held to, and that larders promise if the plan says nothing
/// else.
pub const MAX_STALENESS: Duration = Duration::from_secs(2);
/// How many accounts there are whose writer forgets to announce.
pub const FORGOTTEN: u64 = 8;
/// How long they are read after the last strike: longer than the promise.
const WATCHED: Duration = Duration::from_secs(4);

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub binary: PathBuf,
    /// How many of them run, at least two. The first reaches Redis through a proxy; the last is
    /// the one that is paused or killed.
    pub larders: usize,
    /// How many readers each has, each with a connection of its own.
    pub readers_each: usize,
    /// How many writers there are.
    pub writers: usize,
    /// How many accounts are read and written.
    pub keys: u64,
    /// How long a reader rests between two reads.
    pub between_reads: Duration,
    /// How long a writer rests between two commits.
    pub between_writes: Duration,
    /// How long there is load at least. A fault that has struck is seen to its end.
    pub lasts: Duration,
    /// What the caches promise, as lines of their section. The reads are held to
    /// [`MAX_STALENESS`] whatever stands there.
    pub promise: String,
    /// What fails.
    pub fault: Fault,
}

impl Plan {
    /// Three larders with four readers each, four writers and 200 accounts, for three seconds.
    #[must_use]
    pub fn new(binary: &Path, fault: Fault) -> Self {
        Self {
            binary: binary.to_owned(),
            larders: 3,
            readers_each: 4,
            writers: 4,
            keys: 200,
            between_reads: Duration::from_millis(3),
            between_writes: Duration::from_millis(5),
            lasts: Duration::from_secs(3),
            promise: format!("max_staleness = \"{} ms\"\n", MAX_STALENESS.as_millis()),
            fault,
        }
    }
}

/// Runs a plan to its end, with a Redis, a Postgres and larders of its own.
///
/// The reads of a run are judged together, so it may have no more of them than a [`Checker`]
/// [takes](Checker::OPERATIONS_MAX).
///
/// ```no_run
/// use larder_test::fleet::{self, Fault, Plan};
/// use std::path::Path;
///
/// let report = fleet::run(&Plan::new(Path::new("target/debug/larder"), Fault::RedisLost));
/// println!("{report}");
/// report.assert_kept();
/// ```
///
/// # Panics
///
/// When a server isn't installed or doesn't come up, when there are fewer than two larders or no
/// keys, and when the checker takes no more. A promise that was broken is only reported.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    assert!(plan.larders > 1 && plan.keys > 0, "a fleet is two larders or more, and has keys");
    let stage = Stage::set(plan);
    let checker = Checker::new();
    let load = Load::new(plan, &stage, &checker);
    let (strikes, queries) = load.run(|| {
        let strikes = plan.fault.strike_for(plan.lasts, &stage);
        let queries = stage.queries();
        load.watch_for(WATCHED);
        (strikes, queries)
    });
    let mut report = Report {
        fault: plan.fault,
        strikes,
        queries,
        sweep: sweep::sweep(plan, &stage),
        ..load.report()
    };
    report.reads = checker.check(MAX_STALENESS);
    report
}
