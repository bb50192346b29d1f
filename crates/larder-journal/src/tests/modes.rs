//! Durability that promises less: what it promises, and what it loses.

use std::time::Duration;

use larder_core::Journal;

use super::bench::{Bench, poll, record, settings};
use super::simulated::{Faults, Machine};
use crate::options::Settings;
use crate::{Durability, FileJournal};

fn open(machine: &Machine, durability: Durability) -> Bench {
    Bench::open(machine, Settings { durability, ..settings() }).unwrap()
}

const HOUR: Durability = Durability::Interval(Duration::from_secs(3600));

#[test]
fn in_an_interval_a_record_counts_when_it_is_written() {
    let machine = Machine::new(7);
    let mut bench = open(&machine, HOUR);
    bench.journal.append(&record(1, 9)).unwrap();
    let mut waiting = bench.journal.durable(1);
    assert!(poll(&mut waiting).is_none());
    let syncs = machine.file_syncs();
    bench.committer.turn();
    assert!(poll(&mut waiting).unwrap().is_ok());
    assert_eq!(machine.file_syncs(), syncs);
    // A kill loses nothing of that.
    let mut bench = bench.kill().unwrap();
    assert_eq!(bench.numbers(), [1]);
    bench.commit(&[9]);
    bench.committer.sync();
    assert_eq!(machine.file_syncs(), syncs + 3, "two of them when it was opened anew");
    bench.commit(&[9]);
    // A power cut may lose what came after the last sync, and is no damage.
    let bench = bench.cut_power().unwrap();
    assert!(matches!(bench.numbers()[..], [1, 2] | [1, 2, 3]));
}

#[test]
fn an_interval_ends_with_a_sync() {
    let machine = Machine::new(7);
    let durability = Durability::Interval(Duration::from_millis(1));
    let settings = Settings { durability, ..settings() };
    let journal = FileJournal::start(machine.folder(), "a folder", settings).unwrap();
    let syncs = machine.file_syncs();
    journal.append(b"one").unwrap();
    while machine.file_syncs() == syncs {
        std::thread::yield_now();
    }
    journal.close().unwrap();
}

#[test]
fn in_memory_a_record_counts_at_once_and_is_written_when_somebody_gets_to_it() {
    let machine = Machine::new(7);
    let mut bench = open(&machine, Durability::Memory);
    bench.commit(&[9]);
    bench.journal.append(&record(2, 9)).unwrap();
    assert!(poll(&mut bench.journal.durable(2)).unwrap().is_ok());
    assert_eq!(bench.journal.durable_below(), 3);
    // A kill loses what wasn't written yet.
    let mut bench = bench.kill().unwrap();
    assert_eq!(bench.numbers(), [1]);
    bench.commit(&[9]);
    let settings = bench.settings;
    bench.close().unwrap();
    machine.cut_power();
    assert_eq!(Bench::open(&machine, settings).unwrap().numbers(), [1, 2], "all of it at the end");
}

#[test]
fn a_reader_waits_for_what_is_not_written_yet() {
    let machine = Machine::new(7);
    let settings = Settings { durability: Durability::Memory, ..settings() };
    let journal = FileJournal::start(machine.folder(), "a folder", settings).unwrap();
    for number in 1..20 {
        journal.append(&record(number, 9)).unwrap();
    }
    let numbers = journal.read_from(1).unwrap().map(|record| record.unwrap().number);
    assert_eq!(numbers.collect::<Vec<_>>(), (1..20).collect::<Vec<_>>());
}

#[test]
fn in_memory_nothing_pretends_either() {
    let machine = Machine::new(7);
    let mut bench = open(&machine, Durability::Memory);
    bench.commit(&[9]);
    bench.journal.append(&record(2, 9)).unwrap();
    let records = bench.journal.read_from(1).unwrap();
    machine.set(Faults { write_fails_after: Some(0), ..Faults::default() });
    bench.committer.turn();
    assert!(bench.journal.append(b"more").is_err());
    assert_eq!(bench.journal.durable_below(), 2);
    assert!(poll(&mut bench.journal.durable(2)).unwrap().is_err());
    assert!(records.last().unwrap().is_err());
    assert_eq!(bench.numbers(), [1]);
}

#[test]
fn a_full_segment_is_synced_in_every_mode() {
    for durability in [HOUR, Durability::Memory] {
        for luck in 0..8 {
            let machine = Machine::new(luck);
            let mut bench = open(&machine, durability);
            bench.commit(&[900; 5]);
            let numbers = bench.cut_power().unwrap().numbers();
            assert_eq!(numbers[..4], [1, 2, 3, 4], "the fifth is in the third segment");
        }
    }
}

#[test]
fn numbers_go_on_behind_what_was_truncated_and_then_lost() {
    for luck in 0..8 {
        let machine = Machine::new(luck);
        let mut bench = open(&machine, HOUR);
        bench.commit(&[300; 3]);
        bench.committer.sync();
        bench.commit(&[300; 2]);
        bench.journal.truncate_below(6).unwrap();
        bench.committer.turn();
        let mut bench = bench.cut_power().unwrap();
        let standing = bench.journal.standing();
        assert!(standing.first <= 6 && standing.next >= standing.first.max(4), "{standing:?}");
        assert_eq!(bench.numbers(), (standing.first..standing.next).collect::<Vec<_>>());
        bench.commit(&[300; 3]);
        bench.committer.sync();
        assert_eq!(bench.numbers().len() as u64, standing.next + 3 - standing.first);
    }
}
