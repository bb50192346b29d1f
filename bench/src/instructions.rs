//! Instructions per operation of the in-process tier: a guard that noise doesn't reach.
//!
//! Each workload runs twice under callgrind, once with more operations, and the difference is
//! what the operations cost: starting, filling and stopping are in both. A count has nothing to
//! say about misses of the CPU's caches or about waiting: times are for the area `memory`. The
//! seeds of hashes are random, so a count moves by a percent from run to run.

use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::memory::{Cache, Contender, Job, Key, Read, ReadJob, Shared, Value, key, text_key};

/// Entries of the cache that is worked on.
const ENTRIES: u64 = 10_000;
/// The operations of the two runs.
const RUNS: [u64; 2] = [20_000, 120_000];
/// By how much of what is kept a count may rise; and fall, before it has to be kept anew.
const TOLERANCE: f64 = 0.05;

/// One workload. None asks for the time: valgrind hides what the clock is read through. What makes
/// the next key of a number is part of its count: some ten instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Operation {
    /// `u64` to `u64`.
    GetHit,
    /// `&str` to a shared value.
    GetHitText,
    GetMiss,
    /// A new key each time, in a full cache.
    InsertEvicting,
    /// A new value for a key that is held.
    Replace,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::GetHit => "get_hit",
            Self::GetHitText => "get_hit_text",
            Self::GetMiss => "get_miss",
            Self::InsertEvicting => "insert_evicting",
            Self::Replace => "replace",
        }
    }
}

/// What is counted.
#[derive(Debug, Args)]
pub(crate) struct Operations {
    contender: Contender,
    operation: Operation,
    count: u64,
}

/// In the process that is counted: does the operations.
pub(crate) fn run(operations: &Operations) -> Result<(), String> {
    let &Operations { contender, operation, count } = operations;
    let done = match operation {
        Operation::GetHitText => {
            contender.read::<String, Shared, _>(Get { count });
            Some(())
        }
        _ => contender.cache::<u64, u64, _>(Do { operation, count }),
    };
    done.ok_or_else(|| format!("{} has no {}", contender.name(), operation.name()))
}

struct Get {
    count: u64,
}

impl ReadJob<u64, u64> for Get {
    type Out = ();

    fn run<C: Read<u64, u64> + 'static>(self) {
        let held = C::filled(ENTRIES as usize * 2, (0..ENTRIES).map(|id| (key(id), id)));
        for turn in 0..self.count {
            black_box(held.get(&key(turn % ENTRIES)));
        }
    }
}

impl ReadJob<String, Shared> for Get {
    type Out = ();

    fn run<C: Read<String, Shared> + 'static>(self) {
        let entries = (0..ENTRIES).map(|id| (text_key(id), Shared::of(id)));
        let held = C::filled(ENTRIES as usize * 2, entries);
        let keys: Vec<String> = (0..ENTRIES).map(String::numbered).collect();
        for turn in 0..self.count {
            let key = &keys[(turn % ENTRIES) as usize];
            black_box(held.get(key.as_str()).map(|value| value.byte()));
        }
    }
}

struct Do {
    operation: Operation,
    count: u64,
}

impl Job<u64, u64> for Do {
    type Out = ();

    fn run<C: Cache<u64, u64> + 'static>(self) {
        let capacity = match self.operation {
            Operation::InsertEvicting => ENTRIES,
            _ => ENTRIES * 2,
        };
        let cache = C::with_capacity(capacity as usize);
        (0..ENTRIES).for_each(|id| cache.insert(key(id), id));
        for turn in 0..self.count {
            match self.operation {
                Operation::InsertEvicting => cache.insert(key(ENTRIES + turn), turn),
                Operation::Replace => cache.insert(key(turn % ENTRIES), turn),
                Operation::GetMiss => drop(black_box(cache.get(&key(ENTRIES + turn)))),
                _ => drop(black_box(cache.get(&key(turn % ENTRIES)))),
            }
        }
    }
}

/// Counts, and holds larder's counts to those that are kept.
pub(crate) fn check() -> Result<(), String> {
    let path = kept_path();
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let kept = parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let counted = count_all()?;
    let wrong = compare(&kept, &counted);
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}\nif that is meant, `larder-bench instructions --update` keeps the new counts",
            wrong.join("\n")
        )),
    }
}

/// Counts, and keeps larder's counts.
pub(crate) fn update() -> Result<(), String> {
    let (counted, path) = (count_all()?, kept_path());
    let mut text = "operation,instructions\n".to_owned();
    for (name, count) in counted {
        writeln!(text, "{name},{count:.1}").expect("a text grows");
    }
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn kept_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.csv")
}

fn parse(text: &str) -> Result<Vec<(String, f64)>, String> {
    text.lines()
        .skip(1)
        .map(|line| {
            let (name, count) =
                line.split_once(',').ok_or_else(|| format!("not a pair: {line}"))?;
            let count = count.parse().map_err(|_| format!("not a number: {line}"))?;
            Ok((name.to_owned(), count))
        })
        .collect()
}

/// What is wrong with the counts, a line for each.
fn compare(kept: &[(String, f64)], counted: &[(String, f64)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, count) in counted {
        match kept.iter().find(|(one, _)| one == name) {
            None => wrong.push(format!("{name}: {count:.1} instructions, and none are kept")),
            Some((_, kept)) if (count - kept).abs() > kept * TOLERANCE => {
                wrong.push(format!("{name}: {count:.1} instructions, and {kept:.1} are kept"));
            }
            Some(_) => {}
        }
    }
    for (name, _) in kept {
        if !counted.iter().any(|(one, _)| one == name) {
            wrong.push(format!("{name} is kept, and not counted"));
        }
    }
    wrong
}

/// Counts for larder, and prints them with quick_cache's beside.
fn count_all() -> Result<Vec<(String, f64)>, String> {
    println!("instructions per operation");
    println!("  {:<18}{:>9}{:>13}", "", "larder", "quick_cache");
    let mut counted = Vec::new();
    for operation in Operation::value_variants() {
        let ours = count(Contender::Larder, *operation)?;
        let theirs = count(Contender::QuickCache, *operation)?;
        println!("  {:<18}{ours:>9.1}{theirs:>13.1}", operation.name());
        counted.push((operation.name().to_owned(), ours));
    }
    Ok(counted)
}

/// Instructions per operation.
fn count(contender: Contender, operation: Operation) -> Result<f64, String> {
    let [few, many] = RUNS;
    let fewer = instructions(contender, operation, few)?;
    let more = instructions(contender, operation, many)?;
    Ok((more as f64 - fewer as f64) / (many - few) as f64)
}

/// The instructions of a whole process.
fn instructions(contender: Contender, operation: Operation, count: u64) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let profile = folder.path().join("profile");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(own)
        .args(["operations", contender.name(), operation.name(), &count.to_string()])
        .output()
        .map_err(|error| {
            format!("valgrind can't be run, so nothing is counted; install valgrind: {error}")
        })?;
    if !output.status.success() {
        return Err(format!("valgrind said: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let profile = fs::read_to_string(&profile).map_err(|error| format!("no profile: {error}"))?;
    total(&profile).ok_or_else(|| "valgrind's profile has no total".to_owned())
}

/// The sum at the end of a profile.
fn total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, f64)]) -> Vec<(String, f64)> {
        counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn counts_within_the_tolerance_are_well_and_others_are_named() {
        let kept = counts(&[("get_hit", 100.0), ("replace", 200.0)]);
        assert!(compare(&kept, &counts(&[("get_hit", 104.9), ("replace", 191.0)])).is_empty());
        let wrong = compare(&kept, &counts(&[("get_hit", 106.0), ("get_miss", 1.0)]));
        assert_eq!(
            wrong,
            [
                "get_hit: 106.0 instructions, and 100.0 are kept",
                "get_miss: 1.0 instructions, and none are kept",
                "replace is kept, and not counted"
            ]
        );
    }

    #[test]
    fn the_kept_table_is_read() {
        let text = "operation,instructions\nget_hit,97.3\n";
        assert_eq!(parse(text), Ok(counts(&[("get_hit", 97.3)])));
        assert!(parse("operation,instructions\nget_hit\n").is_err());
    }

    #[test]
    fn the_total_of_a_profile_is_found() {
        assert_eq!(total("fn=(1) main\n7 12\n\ntotals: 4711\n"), Some(4711));
        assert_eq!(total("fn=(1) main\n"), None);
    }

    #[test]
    fn every_operation_can_be_done() {
        for operation in Operation::value_variants() {
            let value = operation.to_possible_value().expect("none is hidden");
            assert_eq!(value.get_name(), operation.name());
            let contender = Contender::Larder;
            assert_eq!(run(&Operations { contender, operation: *operation, count: 10 }), Ok(()));
        }
    }
}
