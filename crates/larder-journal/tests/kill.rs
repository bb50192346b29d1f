//! Real processes that are killed: whatever they said was durable is there.
//!
//! The process that is killed is this test itself, started with a folder in its environment.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::wait;
use larder_core::Journal;
use larder_journal::{Durability, FileJournal, JournalOptions};

const FOLDER: &str = "LARDER_JOURNAL_OF_CHILD";
const MODE: &str = "LARDER_DURABILITY_OF_CHILD";
const WRITERS: usize = 4;

/// Durability by name: what a kill loses nothing of.
fn durability(name: &str) -> Durability {
    match name {
        "fsync" => Durability::Fsync,
        _ => Durability::Interval(Duration::from_millis(20)),
    }
}

fn open(folder: impl AsRef<Path>, mode: &str) -> FileJournal {
    let options = JournalOptions::new(folder.as_ref());
    let options = options.record_bytes_max(8 << 10).segment_bytes(64 << 10);
    options.durability(durability(mode)).open().unwrap()
}

/// Appends until it is killed, and says what is durable. Does nothing when it is a test.
#[test]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let journal = open(folder, &env::var(MODE).unwrap());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let journal = &journal;
            scope.spawn(move || {
                for count in 0_usize.. {
                    let length = count * 97 % 3000;
                    let payload = format!("{writer}-{count}-{}", "x".repeat(length));
                    let number = journal.append(payload.as_bytes()).unwrap();
                    wait(journal.durable(number)).unwrap();
                    let line = format!("\ndurable {number} {writer}-{count} {length}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    if count % 50 == 49 && writer == 0 {
                        journal.truncate_below(number.saturating_sub(100)).unwrap();
                    }
                }
            });
        }
    });
}

/// Kills a child when it has said so many lines, and returns all that it said.
fn killed_after(lines: usize, folder: &Path, mode: &str) -> BTreeMap<u64, (String, usize)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(MODE, mode)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BTreeMap::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut is_killed = false;
    while output.read_line(&mut line).unwrap() > 0 {
        // The last one may be broken off.
        if let [word, number, name, length] = line.split_whitespace().collect::<Vec<_>>()[..]
            && word == "durable"
            && line.ends_with('\n')
        {
            said.insert(number.parse().unwrap(), (name.to_owned(), length.parse().unwrap()));
        }
        line.clear();
        if said.len() >= lines && !is_killed {
            child.kill().unwrap();
            is_killed = true;
        }
    }
    child.wait().unwrap();
    said
}

fn check(mode: &str) {
    let folder = tempfile::tempdir().unwrap();
    let random = RandomState::new();
    let mut durable: BTreeMap<u64, (String, usize)> = BTreeMap::new();
    for round in 0..10_u64 {
        let lines = 20 + usize::try_from(random.hash_one(round) % 400).unwrap();
        let said = killed_after(lines, folder.path(), mode);
        assert!(said.len() >= lines);
        durable.extend(said);
        let journal = open(folder.path(), mode);
        let standing = journal.standing();
        assert!(journal.recovery().lost.is_none());
        let last = *durable.keys().next_back().unwrap();
        assert!(standing.next > last, "{standing:?}, but {last} was durable");
        // It never truncates the last hundred.
        assert!(standing.first <= last.saturating_sub(100).max(1), "{standing:?} of {last}");
        let mut expected = standing.first;
        for record in journal.read_from(0).unwrap() {
            let record = record.unwrap();
            assert_eq!(record.number, expected);
            expected += 1;
            let text = std::str::from_utf8(&record.bytes).unwrap();
            let (name, filler) = text.rsplit_once('-').unwrap();
            assert_eq!(filler, "x".repeat(filler.len()));
            if let Some(said) = durable.get(&record.number) {
                assert_eq!((name, filler.len()), (&*said.0, said.1));
            }
        }
        assert_eq!(expected, standing.next);
        // From here on they are other rounds' numbers.
        durable.retain(|number, _| *number >= standing.first);
    }
}

#[test]
fn what_was_durable_survives_a_kill() {
    check("fsync");
}

#[test]
fn what_was_durable_in_an_interval_survives_a_kill() {
    check("interval");
}
