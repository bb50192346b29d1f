//! Area `shared`: a cache with a Redis behind its memory, beside the same program asking Redis
//! itself.
//!
//! Both sides run in this process, over one Redis on this machine and one table, with as many
//! tasks on two workers. What is asked for follows Zipf's law. Redis holds all rows before the
//! first round, for both sides, and larder has read each once; the first round isn't counted. A
//! result is the direct side's time per read over larder's: above one, larder reads more in the
//! same time.
//!
//! Redis takes its time from the same processors, and no network lies before it. On a machine of
//! its own it would answer later, and leave more to the readers.

mod direct;
mod larder;
mod round;
mod situation;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use larder_test::Redis;
use tokio::runtime::{Builder, Runtime};

use crate::figures::{median, range, result};
use crate::memory::{Cell, Entrant, Figures, Popularity, in_turn};

use direct::Direct;
use larder::Larder;
use round::{Round, Sample};
use situation::Situation;
use table::{Row, Table};

/// How many rows there are.
const ROWS: u64 = 100_000;
/// How many tasks ask, each one thing after the other.
const TASKS: usize = 64;
/// The stream of requests, which every task begins elsewhere.
const REQUESTS: usize = 1 << 20;
/// How long Redis keeps a row, on both sides.
const KEPT: Duration = Duration::from_secs(3600);
/// How old an answer of larder may be. The other side promises nothing.
const MAX_STALENESS: Duration = Duration::from_secs(2);

/// What of the area is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure for about a minute, with more noise
    #[arg(long)]
    quick: bool,
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Larder,
    Redis,
}

impl Entrant for Side {
    const LARDER: Self = Self::Larder;

    fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Redis => "redis",
        }
    }

    fn is_peer(self) -> bool {
        self == Self::Redis
    }
}

/// A way to read rows and to change them.
trait Reads: Send + Sync + 'static {
    /// The row, wherever it comes from.
    fn read(&self, id: u64) -> impl Future<Output = Result<Row, String>> + Send;

    /// The row has changed.
    fn changed(&self, id: u64) -> impl Future<Output = Result<(), String>> + Send;

    /// How many reads were served from memory so far.
    fn hits(&self) -> u64;

    /// How many questions Redis failed to answer so far, or answered too late.
    fn errors(&self) -> u64;
}

/// Measures what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let (rounds, window) = match options.quick {
        true => (5, Duration::from_millis(1500)),
        false => (9, Duration::from_secs(4)),
    };
    println!(
        "In one process, {rounds} rounds of {window:?} in turn; {TASKS} tasks on two workers, one \
         Redis on this machine\n{ROWS} rows of about 200 bytes as MessagePack, keys by Zipf's law \
         with exponent 0.99; a load takes {:?}\n  larder  Cache::get over RedisTier; all rows in \
         Redis; max_staleness {MAX_STALENESS:?}\n  redis   the redis crate, one multiplexed \
         connection: GET and decode; on a miss a load, and SET with EX;\n          after a change \
         DEL. No staleness is promised\n",
        table::LOAD_TAKES
    );
    let requests: Arc<[u64]> = Popularity::Zipf.draw(ROWS, REQUESTS, 11).into();
    let runtime = runtime();
    let mut cells = Vec::new();
    for situation in Situation::ALL {
        cells.push(measure_one(&runtime, situation, &requests, rounds, window)?);
    }
    for cell in cells {
        if let Some(ratio) = cell.ratio(Side::Redis) {
            result(&cell.name, ratio);
        }
    }
    Ok(())
}

/// Measures one situation, and prints it.
fn measure_one(
    runtime: &Runtime,
    situation: Situation,
    requests: &Arc<[u64]>,
    rounds: usize,
    window: Duration,
) -> Result<Cell<Side>, String> {
    let redis = Redis::start();
    let table = Arc::new(Table::new(ROWS));
    let (ours, theirs) = runtime.block_on(async {
        let ours = Arc::new(Larder::new(&redis.url(), &table, situation.held()).await?);
        let theirs = Arc::new(Direct::new(&redis.url(), &table).await?);
        Larder::fill(&redis.url(), &table, ROWS).await?;
        theirs.fill(ROWS).await?;
        ours.warm(ROWS).await?;
        Ok::<_, String>((ours, theirs))
    })?;
    let mut samples: Vec<(Side, Sample)> = Vec::new();
    let mut failed = None;
    let reads_per_change = situation.reads_per_change();
    let figures = in_turn(
        &[Side::Larder, Side::Redis],
        |side| *side,
        rounds,
        |&side, number| {
            let round = Round { table: &table, requests, reads_per_change, number, window };
            let measured = runtime.block_on(async {
                match side {
                    Side::Larder => round.run(&ours).await,
                    Side::Redis => round.run(&theirs).await,
                }
            });
            match measured {
                Ok(sample) => {
                    if number > 0 {
                        samples.push((side, sample));
                    }
                    sample.nanos_per_read()
                }
                Err(reason) => {
                    failed.get_or_insert(format!("{}: {reason}", side.name()));
                    f64::NAN
                }
            }
        },
    );
    if let Some(reason) = failed {
        return Err(format!("{}: {reason}", situation.name()));
    }
    Ok(print(situation, figures, &samples))
}

fn print(
    situation: Situation,
    figures: Vec<Figures<Side>>,
    samples: &[(Side, Sample)],
) -> Cell<Side> {
    let cell = Cell { name: format!("shared_read_vs_redis{}", situation.suffix()), figures };
    let what = format!("ns per read, all tasks together; {}", situation.what());
    cell.print(&what, |side| {
        let of = samples.iter().filter(|(one, _)| *one == side).map(|(_, sample)| sample);
        let per_second: Vec<f64> = of.clone().map(|one| 1e9 / one.nanos_per_read()).collect();
        let sum = |count: fn(&Sample) -> u64| of.clone().map(count).sum::<u64>() as f64;
        let reads = sum(|one| one.reads);
        let (low, high) = range(&per_second);
        format!(
            "{:.0} reads/s ({low:.0} to {high:.0}), {:.2} % from memory, {:.2} % loaded, {} errors",
            median(&per_second),
            sum(|one| one.hits) / reads * 100.0,
            sum(|one| one.loads) / reads * 100.0,
            sum(|one| one.errors)
        )
    });
    cell
}

pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("two threads can be had")
}
