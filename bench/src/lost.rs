//! Area `lost`: Redis is killed at full load and comes back, again and again, and what readers of
//! fresh values notice of that.
//!
//! What is done is [`larder_test::fleet::outage`]. Hits are measured before each kill and from it
//! on, in turn, so that a disturbance strikes both; the ratio of the two halves of the time before
//! says how much of any ratio is noise. There is no peer: the ratio should be one, the recovery
//! below a second, and everything else none. It is measured on the client's side, and the clients
//! are many: on few cores the database's own work while Redis is away shows in the ratio, too.

use std::time::Duration;

use clap::Args;
use larder_test::fleet::outage::{self, Outage, Plan, Refusals, Round};

use crate::figures::{median, range, result};
use crate::memory::Latencies;
use crate::resp::binary;

/// How often Redis is killed, and how long each phase lasts.
const WHOLE: (u32, Duration) = (10, Duration::from_millis(10_600));
/// The same in a hurry.
const QUICK: (u32, Duration) = (3, Duration::from_millis(5_600));

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Three short outages instead of ten
    #[arg(long)]
    quick: bool,
}

/// Runs what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let (rounds, lasts) = if options.quick { QUICK } else { WHOLE };
    let outage = outage::run(&Plan { rounds, lasts, watchers_each: 2, ..Plan::new(&binary()?) });
    println!("{outage}");
    println!("hits, us:    p50 there   away   p99 there   away   ratio of p99   noise of it");
    let rows: Vec<Row> = outage.rounds.iter().map(Row::of).collect();
    rows.iter().for_each(Row::print);
    println!();
    let of = |value: fn(&Row) -> f64| rows.iter().map(value).collect::<Vec<f64>>();
    let (ratios, noise) = (of(Row::ratio), of(Row::noise));
    let ((low, high), (noise_low, noise_high)) = (range(&ratios), range(&noise));
    println!(
        "p99 of a hit while Redis is away, to before: {low:.2} to {high:.2}; of two halves of the \
         time before: {noise_low:.2} to {noise_high:.2}\n"
    );
    result("lost_hit_p99_ratio", median(&ratios));
    result("lost_hit_p99_noise", median(&noise));
    result("lost_hit_p50_ratio", median(&of(|row| row.away[0] / row.there[0])));
    result("lost_hits_missed", outage.rounds.iter().map(|round| round.missed as f64).sum());
    result("lost_recovery_ms", worst_ms(&outage.used_again()));
    result("lost_bus_recovery_ms", worst_ms(&outage.heard_again()));
    let most = outage.queries_most.iter().max().copied().unwrap_or_default();
    result("lost_queries_most", most as f64);
    result("lost_queries_over_bulkhead", most.saturating_sub(Plan::LOADS_MAX) as f64);
    result("lost_errors_unclear", unclear(&outage) as f64);
    result("lost_slowest_reply_ms", outage.slowest.as_secs_f64() * 1e3);
    Ok(())
}

fn worst_ms(times: &[Duration]) -> f64 {
    times.iter().max().copied().unwrap_or_default().as_secs_f64() * 1e3
}

/// How many replies were no value, and no error that says when to come back.
fn unclear(outage: &Outage) -> u64 {
    let refused = outage.refused.values().chain(outage.unannounced.values());
    outage.odd + refused.map(|Refusals { without_time, .. }| without_time).sum::<u64>()
}

/// The hits of one round: the median and the 99th percentile, in nanoseconds.
struct Row {
    there: [f64; 2],
    halves: [f64; 2],
    away: [f64; 2],
}

impl Row {
    fn of(round: &Round) -> Self {
        let there = [&round.there[..], &round.still_there].concat();
        let p99 = |waits: &[u64]| percentiles(waits)[1];
        Self {
            there: percentiles(&there),
            halves: [p99(&round.there), p99(&round.still_there)],
            away: percentiles(&round.away),
        }
    }

    fn ratio(&self) -> f64 {
        self.away[1] / self.there[1]
    }

    fn noise(&self) -> f64 {
        self.halves[1] / self.halves[0]
    }

    fn print(&self) {
        let us = |nanos: f64| nanos / 1e3;
        println!(
            "{:>21.0} {:>6.0} {:>11.0} {:>6.0} {:>14.2} {:>13.2}",
            us(self.there[0]),
            us(self.away[0]),
            us(self.there[1]),
            us(self.away[1]),
            self.ratio(),
            self.noise(),
        );
    }
}

fn percentiles(waits: &[u64]) -> [f64; 2] {
    let mut latencies = Latencies::new();
    waits.iter().for_each(|&wait| latencies.add(wait));
    [0.5, 0.99].map(|share| latencies.percentile(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_put_into_ratios_of_the_99th_percentile() {
        let of = |nanos: u64| vec![nanos; 1_000];
        let round = Round {
            there: of(32),
            still_there: of(48),
            away: of(60),
            missed: 0,
            used: Vec::new(),
            heard: Vec::new(),
        };
        let row = Row::of(&round);
        assert_eq!((row.ratio(), row.noise()), (60.0 / 48.0, 1.5));
        assert_eq!((row.there, row.away), ([32.0, 48.0], [60.0, 60.0]));
    }
}
