//! Area `promise`: Postgres is changed by `pgbench`, which never heard of larder, and read through
//! two larders over one Redis that follow its log, while everything fails.
//!
//! The larders promise a second and keep entries for an hour. Every answer is judged by when the
//! database committed what: a trigger numbers the versions of each account and notes which
//! transaction made them, and Postgres says when that was committed. Beside it, in the same run,
//! under the same load, are the two lifetimes between which one has to choose without a feed: a
//! second, and an hour. The reads of the latter must break the promise: where they don't, nothing
//! would have been found.
//!
//! # What is stale
//!
//! A commit's own time is taken before anybody sees it, so it is the earliest moment at which what
//! was before can be called stale, and staleness is counted from there. A read that breaks the
//! promise by that isn't a lie yet: a violation is what is too old by the moment at which somebody
//! else had *seen* the commit. That is looked at some hundred times a second, and the longest time
//! between two looks is printed; it is how much a violation may be missed by.

mod fault;
mod reading;
mod round;
mod snapshot;
mod stage;
mod writing;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::figures::result;
use crate::resp::binary;

use fault::Fault;
use round::{Judged, Round};
use stage::{Mode, Stage};
use writing::Bank;

/// How old an answer may be.
const MAX_STALENESS: Duration = Duration::from_secs(1);
/// How long a feed is watched with nothing else going on, each of the other two, and each fault.
const WHOLE: [Duration; 3] =
    [Duration::from_secs(120), Duration::from_secs(40), Duration::from_secs(30)];
/// The same in a hurry.
const QUICK: [Duration; 3] =
    [Duration::from_secs(15), Duration::from_secs(8), Duration::from_secs(6)];

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Less than three minutes instead of ten
    #[arg(long)]
    quick: bool,
    /// Only these, by their names: short-ttl, long-ttl, feed, or a fault
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// This program instead of one that is built now
    #[arg(long, value_name = "PATH")]
    larder: Option<PathBuf>,
}

/// Runs what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let plan = options.plan()?;
    let binary = match &options.larder {
        // It is started in other folders.
        Some(path) => {
            path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => binary()?,
    };
    let bank = Bank::open();
    println!(
        "Two larders over one Redis, {} readers each of {} accounts; pgbench changes {} of them a \
         second,\nand others; max_staleness {MAX_STALENESS:?}\n",
        reading::READERS_EACH,
        writing::KEYS,
        writing::CHANGES_PER_SECOND
    );
    let (rounds, changes) = bank.changed_while(|| {
        plan.iter().map(|plan| plan.run(&binary, &bank)).collect::<Result<Vec<Round>, String>>()
    })?;
    println!("{changes}\n");
    println!("{}", Judged::HEAD);
    let judged: Vec<Judged> = rounds?.into_iter().map(|round| round.judge(&changes)).collect();
    judged.iter().for_each(|judged| println!("{judged}"));
    let of = |name: &str| judged.iter().find(|judged| judged.name == name);
    if let Some(feed) = of("feed") {
        println!("\nfeed, {}", feed.by_commits.staleness);
    }
    for broken in judged.iter().filter(|judged| judged.promises() && judged.violations() > 0) {
        println!("\n{}: {}", broken.name, broken.by_looks);
    }
    println!();
    print_results(&judged);
    let is_blind = of("long-ttl").is_some_and(|control| control.violations() == 0);
    if is_blind { Err("a broken promise wouldn't have been found".to_owned()) } else { Ok(()) }
}

fn print_results(judged: &[Judged]) {
    let promised = judged.iter().filter(|judged| judged.promises());
    let sum = |count: fn(&Judged) -> usize| promised.clone().map(count).sum::<usize>() as f64;
    result("promise_reads", sum(|judged| judged.by_looks.reads));
    result("promise_violations", sum(Judged::violations));
    let worst = promised.clone().map(Judged::worst).max().unwrap_or_default();
    result("promise_staleness_worst_ms", worst.as_secs_f64() * 1e3);
    for judged in judged {
        match judged.name.as_str() {
            "feed" => {
                result("hit_ratio_feed", judged.hit_ratio());
                result("loads_per_1000_reads_feed", judged.load_ratio() * 1e3);
                let p99 = judged.by_commits.staleness.p99;
                result("staleness_p99_ms", p99.as_secs_f64() * 1e3);
                let stale = judged.stale_percentile(0.99);
                result("staleness_of_stale_p99_ms", stale.as_secs_f64() * 1e3);
            }
            "short-ttl" => {
                result("hit_ratio_short_ttl", judged.hit_ratio());
                result("loads_per_1000_reads_short_ttl", judged.load_ratio() * 1e3);
            }
            "long-ttl" => {
                result("hit_ratio_long_ttl", judged.hit_ratio());
                result("promise_control_violations", judged.violations() as f64);
            }
            _ => {}
        }
    }
}

/// One round that is to be run.
struct Plan {
    mode: Mode,
    fault: Option<Fault>,
    lasts: Duration,
}

impl Options {
    fn plan(&self) -> Result<Vec<Plan>, String> {
        let [feed, ttl, fault] = if self.quick { QUICK } else { WHOLE };
        let plain = |mode, lasts| Plan { mode, fault: None, lasts };
        let mut all =
            vec![plain(Mode::ShortTtl, ttl), plain(Mode::LongTtl, ttl), plain(Mode::Feed, feed)];
        all.extend(Fault::ALL.map(|one| Plan { mode: Mode::Feed, fault: Some(one), lasts: fault }));
        let names: Vec<String> = all.iter().map(Plan::name).collect();
        if let Some(unknown) = self.only.iter().find(|name| !names.contains(name)) {
            return Err(format!("no round is called {unknown}; there are {}", names.join(", ")));
        }
        all.retain(|plan| self.only.is_empty() || self.only.contains(&plan.name()));
        Ok(all)
    }
}

impl Plan {
    fn name(&self) -> String {
        self.fault.map_or_else(|| self.mode.name().to_owned(), |fault| fault.to_string())
    }

    fn run(&self, binary: &std::path::Path, bank: &Bank) -> Result<Round, String> {
        let stage = Stage::set(binary, self.mode, &bank.postgres)?;
        let lasts = self.lasts;
        Ok(Round::run(self.name(), self.mode, &stage, || match self.fault {
            None => std::thread::sleep(lasts),
            Some(fault) => fault.strike_for(lasts, &stage),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_chosen_by_their_names() {
        let options = |only: &[&str]| Options {
            quick: true,
            only: only.iter().map(ToString::to_string).collect(),
            larder: None,
        };
        let names = |only| -> Result<Vec<String>, String> {
            Ok(options(only).plan()?.iter().map(Plan::name).collect())
        };
        assert_eq!(names(&["feed", "redis-killed"]).unwrap(), ["feed", "redis-killed"]);
        assert_eq!(names(&[]).unwrap().len(), 3 + Fault::ALL.len());
        assert!(names(&["nothing"]).unwrap_err().contains("slot-dropped"));
    }
}
