//! Redis killed at full load: what readers of fresh values notice, what the database is asked
//! meanwhile, what errors there are, and how soon all is well again by itself.
//!
//! Each larder has a crowd that reads accounts, more than the database can give when nobody else
//! has them, writers that announce through it, and a few watchers who read what its memory holds,
//! one at a time, and measure that. Each round Redis is there for a while, is killed, stays away
//! as long, and comes back empty.
//!
//! The database counts for itself how many queries of a larder run at the same time
//! ([`concurrency`](crate::concurrency)). It has no opinion: a test asserts, a bench prints.

mod load;
mod report;
mod stage;

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use report::{Outage, Refusals, Round};

use load::{Load, Phase};
use stage::Stage;

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub binary: PathBuf,
    /// How many of them run.
    pub larders: u32,
    /// How many read accounts from each, on connections of their own. One waits for its answer at
    /// a time, so they should be more than load and wait at once.
    pub readers_each: usize,
    /// How long one of them rests between two reads.
    pub between_reads: Duration,
    /// How many read from each what its memory holds, and measure it.
    pub watchers_each: usize,
    /// How often Redis is killed.
    pub rounds: u32,
    /// How long it is there each time, and how long it is away. Longer than
    /// [`MAX_STALENESS`](super::MAX_STALENESS), after which the database must answer.
    pub lasts: Duration,
}

impl Plan {
    /// How many loads a larder may run at once.
    pub const LOADS_MAX: u64 = 8;
    /// How many may wait.
    pub const LOADS_WAITING_MAX: usize = 16;
    /// The deadline of reads.
    pub const DEADLINE: Duration = Duration::from_secs(1);

    /// Two larders with 40 readers each, three rounds. A back-off that doubles from 50 ms up to a
    /// second would have to wait for most of that second when Redis is back.
    #[must_use]
    pub fn new(binary: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            larders: 2,
            readers_each: 40,
            between_reads: Duration::from_millis(10),
            watchers_each: 1,
            rounds: 3,
            lasts: Duration::from_millis(2_600),
        }
    }
}

/// Runs a plan to its end, with a Redis, a Postgres and larders of its own.
///
/// ```no_run
/// use larder_test::fleet::outage::{self, Plan};
/// use std::path::Path;
///
/// let outage = outage::run(&Plan::new(Path::new("target/debug/larder")));
/// assert!(outage.queries_most.iter().all(|&most| most <= Plan::LOADS_MAX));
/// ```
///
/// # Panics
///
/// When a server isn't installed or doesn't come up, and when a larder doesn't use Redis again
/// within half a minute.
#[must_use]
pub fn run(plan: &Plan) -> Outage {
    let stage = Stage::set(plan);
    let load = Load::new(plan, &stage);
    let rounds = load.run(|| (0..plan.rounds).map(|_| round(plan, &stage, &load)).collect());
    Outage { rounds, queries_most: stage.queries_most(), ..load.outage() }
}

fn round(plan: &Plan, stage: &Stage, load: &Load<'_>) -> Round {
    stage.hold_everything();
    let missed = stage.hot_misses();
    for half in [Phase::There, Phase::StillThere] {
        load.enter(half);
        sleep(plan.lasts / 2);
    }
    load.enter(Phase::Away);
    stage.redis.kill();
    sleep(plan.lasts);
    load.enter(Phase::Unmeasured);
    let missed = stage.hot_misses() - missed;
    let before = stage.uses();
    stage.redis.restart();
    stage.await_pong();
    let back = Instant::now();
    let (used, heard) = stage.recover(&before, back);
    let [there, still_there, away] = load.take();
    Round { there, still_there, away, missed, used, heard }
}
