//! Area `feed`: changes of Postgres on their way to being invalidated, beside the database's own
//! commits.
//!
//! `pgbench` commits as fast as it can, transactions of one row and of a hundred, over a table
//! whose rows a cache in this process holds and follows. Nothing is synced: the database commits as
//! fast as it ever does. When the load is over one more row is changed, and when that is no longer
//! held, everything before it was invalidated.
//!
//! - *live*: the time that the load took over the time until all of it was invalidated. One is a
//!   feed that keeps up, on processors that it shares with the database and its clients.
//! - *behind*: the log isn't sent while the load runs. Then it is, and the result is the load's
//!   time over the time in which everything was invalidated: above one, what was missed is caught
//!   up with faster than it was made.
//! - *bare*: the same log, received again by Postgres's own `pg_recvlogical`, which throws it away:
//!   its time over ours. A server sends its log by one process, a row at a time; what it can send
//!   is what anybody can follow. One is a feed that costs no time beside it.
//!
//! Beside them stands the time on processors that larder, the process of the server that sends the
//! log, and all others of the server have taken for a hundred thousand changes.
//!
//! How late a change is known is measured at a thousand changes a second: from the moment before
//! COMMIT is sent until the row isn't held any more, looked at ten thousand times a second at most.

mod lag;
mod place;
mod used;
mod writing;

use std::time::{Duration, Instant};

use clap::Args;

use crate::figures::{median, range, result};
use crate::shared::runtime;

use place::{Place, Tier};
use used::Used;
use writing::{Load, Shape};

/// How long the database is written to in each round.
const LASTS: Duration = Duration::from_secs(8);
/// The same in a hurry.
const LASTS_QUICK: Duration = Duration::from_secs(3);
/// How long lags are measured, and in a hurry.
const LAGS_FOR: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(8));

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Measure for about a minute, with more noise
    #[arg(long)]
    quick: bool,
}

/// Measures what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let (lasts, rounds) = if options.quick { (LASTS_QUICK, 1) } else { (LASTS, 3) };
    println!(
        "pgbench with {} clients for {lasts:?}, {rounds} rounds; fsync off; a cache of {} rows in \
         this process, which\na reader fills again, over Postgres's own log\n",
        writing::CLIENTS,
        writing::ROWS
    );
    println!(
        "tier    rows of a transaction  changes/s (database)  changes/s (known)   live  behind   \
         bare  s of larder, sender, server"
    );
    let runtime = runtime();
    let (mut lowest, mut lags, mut used) = (Vec::new(), [0.0; 2], [0.0; 3]);
    for tier in Tier::ALL {
        let place = runtime.block_on(Place::new(tier))?;
        let (mut live, mut behind, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for shape in Shape::ALL {
            let row = runtime.block_on(Row::measure(&place, shape, lasts, rounds))?;
            row.print(tier, shape);
            live.push(median(&row.live));
            behind.push(median(&row.behind));
            bare.push(median(&row.bare));
            if (tier, shape) == (Tier::Memory, Shape::Many) {
                used = row.used();
            }
        }
        lowest.push((tier, [live, behind, bare].map(|ratios| range(&ratios).0)));
        if tier == Tier::Memory {
            let lasts = if options.quick { LAGS_FOR.1 } else { LAGS_FOR.0 };
            lags = lag::measure(&runtime, &place, lasts)?;
        }
    }
    println!();
    for (tier, [live, behind, bare]) in lowest {
        result(&format!("feed_vs_commits{}", tier.suffix()), live);
        result(&format!("feed_catch_up_vs_commits{}", tier.suffix()), behind);
        result(&format!("feed_catch_up_vs_bare{}", tier.suffix()), bare);
    }
    for (of, used) in ["larder", "sender", "server"].into_iter().zip(used) {
        result(&format!("feed_cpu_s_per_100000_{of}"), used);
    }
    result("feed_lag_p50_ms", lags[0]);
    result("feed_lag_p99_ms", lags[1]);
    Ok(())
}

/// The rounds of one shape of transactions.
#[derive(Default)]
struct Row {
    commits: Vec<f64>,
    known: Vec<f64>,
    live: Vec<f64>,
    behind: Vec<f64>,
    bare: Vec<f64>,
    /// While it is followed live.
    used: [Vec<f64>; 3],
}

impl Row {
    async fn measure(
        place: &Place,
        shape: Shape,
        lasts: Duration,
        rounds: usize,
    ) -> Result<Self, String> {
        let mut row = Self::default();
        let write = |lasts| Ok((shape.write(&place.postgres, lasts)?, Instant::now()));
        // The first brings the table to where it stays.
        place.follow(|| write(lasts / 4)).await?;
        for _ in 0..rounds {
            let before = Used::now(&place.postgres)?;
            let (load, late) = place.follow(|| write(lasts)).await?;
            let used = Used::now(&place.postgres)? - before;
            for (all, used) in row.used.iter_mut().zip(used.per_100_000(load.changes)) {
                all.push(used);
            }
            let known_in = load.took + late;
            row.commits.push(load.changes_per_second());
            row.known.push(load.changes / known_in.as_secs_f64());
            row.live.push(ratio(&load, known_in));

            let again = place.record();
            let held_back = || {
                let (load, _) = place.postgres.senders_paused(|| write(lasts))?;
                Ok((load, Instant::now()))
            };
            let (load, drained_in) = place.follow(held_back).await?;
            row.behind.push(ratio(&load, drained_in));
            row.bare.push(again.receive()?.as_secs_f64() / drained_in.as_secs_f64());
        }
        Ok(row)
    }

    /// Of larder, who sends, and the rest of the server, in seconds for a hundred thousand changes.
    fn used(&self) -> [f64; 3] {
        self.used.each_ref().map(|used| median(used))
    }

    fn print(&self, tier: Tier, shape: Shape) {
        let [larder, sender, server] = self.used();
        println!(
            "{:<7} {:>21}  {:>20.0}  {:>17.0}  {:>5.3}  {:>6.2}  {:>5.2}  {larder:.3} {sender:.3} \
             {server:.3}",
            tier.name(),
            shape.rows(),
            median(&self.commits),
            median(&self.known),
            median(&self.live),
            median(&self.behind),
            median(&self.bare),
        );
    }
}

fn ratio(load: &Load, known_in: Duration) -> f64 {
    load.took.as_secs_f64() / known_in.as_secs_f64()
}
