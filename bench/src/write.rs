//! Area `write`: writes behind a journal, beside the same writes sent straight to the database.
//!
//! Both sides run in this process, with as many writers, the same statements, prepared, and as many
//! connections, over one real Postgres and one SQLite file; everything is synced, and lies on one
//! disk. The clock stops when the last write is *in the database*: a journal that is only filled
//! would be measured by the journal. After each run the database must hold exactly what was
//! written, or there is no figure.
//!
//! A result is the direct side's time over larder's. It doesn't say that the database got faster:
//! counters are few and written often, so most of their writes are joined before they reach it;
//! rows are written once or twice, and what they gain is the commits that they share.

mod batches;
mod database;
mod direct;
mod larder;
mod run;
mod workload;

use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;

use crate::figures::{median, range, result};
use crate::memory::{Cell, Entrant, in_turn};
use crate::shared::runtime;

use database::Database;
use direct::Direct;
use larder::Larder;
use run::{Sample, run};
use workload::{KEYS, WRITERS, Workload};

/// How many connections write at once at most, on either side; SQLite has one writer.
const CONNECTIONS: u32 = 16;

/// How long each size of batches is measured.
const BATCHES_FOR: Duration = Duration::from_secs(2);

/// What of the area is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure for some minutes, with more noise
    #[arg(long)]
    quick: bool,
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Larder,
    Direct,
}

impl Entrant for Side {
    const LARDER: Self = Self::Larder;

    fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Direct => "direct",
        }
    }

    fn is_peer(self) -> bool {
        self == Self::Direct
    }
}

/// Measures what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let rounds = if options.quick { 3 } else { 5 };
    println!(
        "In one process, {rounds} rounds in turn; {WRITERS} writers on two workers, each writes \
         one thing\nafter the other\n  counters  increments of {KEYS} keys, by Zipf's law with \
         exponent 0.99\n  rows      values of 100 bytes in rows of their own, every third of \
         them written once more\n  larder    put and increment of caches written behind, with the \
         default bounds, and a journal\n            that syncs before it acknowledges; at the end \
         it is stopped, and has applied everything\n  direct    sqlx, {CONNECTIONS} connections \
         (SQLite: 1, it has one writer), prepared statements, single commits\nPostgres with fsync \
         and synchronous_commit on, SQLite with a write-ahead log and synchronous FULL"
    );
    let runtime = runtime();
    let databases = runtime.block_on(async {
        Ok::<_, String>([Database::postgres().await?, Database::sqlite().await?])
    })?;
    println!("one disk for all of it, which syncs {:.0} times a second\n", databases[1].syncs());
    let mut cells = Vec::new();
    for database in &databases {
        for workload in Workload::both(database.writes(options.quick)) {
            cells.push(measure_one(&runtime, database, &workload, rounds)?);
        }
    }
    if !options.quick {
        runtime.block_on(batches::print(&databases, BATCHES_FOR))?;
    }
    for cell in cells {
        if let Some(ratio) = cell.ratio(Side::Direct) {
            result(&cell.name, ratio);
        }
    }
    Ok(())
}

/// Measures one workload on one database, and prints it.
fn measure_one(
    runtime: &Runtime,
    database: &Database,
    workload: &Workload,
    rounds: usize,
) -> Result<Cell<Side>, String> {
    let name = format!("write_{}_{}", workload.kind.name(), database.name());
    let mut samples: Vec<(Side, Sample)> = Vec::new();
    let mut failed = None;
    let figures = in_turn(
        &[Side::Larder, Side::Direct],
        |side| *side,
        rounds,
        |&side, number| {
            if failed.is_some() {
                return f64::NAN;
            }
            let measured = runtime.block_on(async {
                database.empty(workload.kind).await?;
                let sample = match side {
                    Side::Larder => run(Larder::new(database, workload).await?, workload).await?,
                    Side::Direct => run(Direct::new(database, workload).await?, workload).await?,
                };
                database.check(workload).await?;
                Ok::<_, String>(sample)
            });
            match measured {
                Ok(sample) => {
                    if number > 0 {
                        samples.push((side, sample));
                    }
                    sample.applied.as_secs_f64() * 1e3
                }
                Err(reason) => {
                    failed = Some(format!("{name}: {}: {reason}", side.name()));
                    f64::NAN
                }
            }
        },
    );
    if let Some(reason) = failed {
        return Err(reason);
    }
    let cell = Cell { name, figures };
    let count = workload.count();
    cell.print(&format!("ms for {count} writes to be in the database"), |side| {
        let of = samples.iter().filter(|(one, _)| *one == side);
        let rate = |time: fn(&Sample) -> f64| {
            let rates: Vec<f64> =
                of.clone().map(|(_, sample)| count as f64 / time(sample)).collect();
            let (low, high) = range(&rates);
            format!("{:.0}/s ({low:.0} to {high:.0})", median(&rates))
        };
        format!(
            "applied {}, acknowledged {}",
            rate(|sample| sample.applied.as_secs_f64()),
            rate(|sample| sample.acknowledged.as_secs_f64())
        )
    });
    Ok(cell)
}
