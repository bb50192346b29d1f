//! Readers, beside those who append and truncate.

use larder_core::Journal;

use super::bench::{Bench, record};
use crate::format::segment_name;

#[test]
fn a_reader_ends_where_the_journal_ended_when_it_was_asked_for() {
    let mut bench = Bench::new();
    bench.commit(&[300; 20]);
    let mut records = bench.journal.read_from(1).unwrap();
    assert_eq!(records.next().unwrap().unwrap().number, 1);
    bench.commit(&[300; 20]);
    assert_eq!(records.by_ref().count(), 19);
    assert!(records.next().is_none());
    assert_eq!(bench.numbers().len(), 40);
}

#[test]
fn what_is_not_durable_is_not_read() {
    let mut bench = Bench::new();
    assert_eq!(bench.numbers(), []);
    bench.commit(&[9]);
    bench.journal.append(&record(2, 9)).unwrap();
    assert_eq!(bench.numbers(), [1]);
}

#[test]
fn a_reader_begins_at_any_number() {
    let mut bench = Bench::new();
    bench.commit(&[300; 40]);
    for number in 0..45 {
        let records = bench.journal.read_from(number).unwrap();
        let numbers: Vec<_> = records.map(|record| record.unwrap().number).collect();
        assert_eq!(numbers, (number.max(1)..=40).collect::<Vec<_>>());
    }
}

#[test]
fn a_reader_finishes_its_segment_and_goes_on_with_what_is_needed() {
    let mut bench = Bench::new();
    bench.commit(&[900; 20]);
    let mut records = bench.journal.read_from(1).unwrap();
    assert_eq!(records.next().unwrap().unwrap().number, 1);
    bench.journal.truncate_below(12).unwrap();
    bench.committer.turn();
    assert!(!bench.machine.names().contains(&segment_name(1)));
    let numbers: Vec<_> = records.map(|record| record.unwrap().number).collect();
    assert_eq!(numbers, [2, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
}

#[test]
fn a_reader_of_what_nobody_needs_any_more_ends() {
    let mut bench = Bench::new();
    bench.commit(&[900; 20]);
    let records = bench.journal.read_from(1).unwrap();
    bench.commit(&[900; 2]);
    bench.journal.truncate_below(22).unwrap();
    bench.committer.turn();
    assert_eq!(records.count(), 0);
}

#[test]
fn a_reader_of_what_was_damaged_meanwhile_says_so_once() {
    let mut bench = Bench::new();
    bench.commit(&[300; 20]);
    bench.machine.tamper(&segment_name(1), |bytes| bytes[64 + 328 + 100] ^= 1);
    let mut records = bench.journal.read_from(1).unwrap();
    assert_eq!(records.next().unwrap().unwrap().number, 1);
    let error = records.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "record 2 of the journal can't be read");
    assert!(records.next().is_none());

    bench.machine.lose(&segment_name(7));
    let records: Vec<_> = bench.journal.read_from(7).unwrap().collect();
    assert_eq!(records.len(), 1);
    assert!(records[0].is_err());
}
