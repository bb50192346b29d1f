//! Area `faults`: several larders over one Redis and one Postgres while something fails, and how
//! stale what they answer is.
//!
//! Three larders with thirty readers each run for a minute under each fault, which strikes again
//! and again. What is done and how it is judged is [`larder_test::fleet`]. There is no peer: the
//! result is how many reads broke the promise of two seconds, how many were looked at, and in how
//! many runs a larder that breaks it would not have been found.

use std::time::Duration;

use clap::Args;
use larder_test::fleet::{self, Fault, Plan, Report};

use crate::figures::result;
use crate::resp::binary;

/// How long there is load under each fault, at least.
const LASTS: Duration = Duration::from_secs(60);
/// The same in a hurry.
const LASTS_QUICK: Duration = Duration::from_secs(5);
/// Longer than anybody waits; not for those in a hurry.
const LONG_PAUSE: Fault = Fault::RedisPaused(Duration::from_secs(30));

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Five seconds for each fault instead of a minute
    #[arg(long)]
    quick: bool,
    /// Only these faults, by their names
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Runs what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let faults = options.faults()?;
    let binary = binary()?;
    let mut total = Total::default();
    for fault in faults {
        let report = fleet::run(&Plan {
            readers_each: 30,
            writers: 4,
            keys: 500,
            between_reads: Duration::from_millis(10),
            lasts: if options.quick { LASTS_QUICK } else { LASTS },
            ..Plan::new(&binary, fault)
        });
        println!("{report}\n");
        total.add(&report);
    }
    total.print();
    Ok(())
}

impl Options {
    fn faults(&self) -> Result<Vec<Fault>, String> {
        let mut all = Fault::ALL.to_vec();
        if !self.quick {
            all.push(LONG_PAUSE);
        }
        let names: Vec<String> = all.iter().map(ToString::to_string).collect();
        if let Some(unknown) = self.only.iter().find(|name| !names.contains(name)) {
            return Err(format!("no fault is called {unknown}; there are {}", names.join(", ")));
        }
        all.retain(|fault| self.only.is_empty() || self.only.contains(&fault.to_string()));
        Ok(all)
    }
}

/// The sum over all faults.
#[derive(Default)]
struct Total {
    reads: usize,
    violations: usize,
    uncontrolled: usize,
    worst: Duration,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.reads += report.reads.reads;
        self.violations += report.violations();
        self.uncontrolled += usize::from(!report.is_controlled());
        let worst = report.reads.staleness.worst.map(|(worst, _)| worst);
        self.worst = self.worst.max(worst.unwrap_or_default());
    }

    fn print(&self) {
        result("staleness_reads", self.reads as f64);
        result("staleness_worst_ms", self.worst.as_secs_f64() * 1e3);
        result("staleness_violations", self.violations as f64);
        result("staleness_runs_without_control", self.uncontrolled as f64);
    }
}
