//! Each bound, at the bound.

use std::time::Duration;

use larder_core::{ErrorKind, Journal};

use super::bench::{Bench, poll, record, settings};
use super::simulated::Machine;
use crate::format::{FRAME_BYTES, HEADER_BYTES};
use crate::options::Settings;
use crate::{Durability, JournalOptions, RECORD_BYTES_MAX};

#[test]
fn the_longest_record_is_taken_and_a_longer_one_refused() {
    let mut bench = Bench::new();
    bench.commit(&[1500]);
    let error = bench.journal.append(&[0; 1501]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("1501 bytes"), "{error}");
    assert_eq!(bench.cut_power().unwrap().numbers(), [1]);
}

#[test]
fn a_record_of_8_mib_has_a_segment_to_itself() {
    let settings = Settings { segment_bytes: 1000, ..Settings::default() };
    let mut bench = Bench::open(&Machine::new(7), settings).unwrap();
    bench.commit(&[5, RECORD_BYTES_MAX, 5, 900, 5]);
    let names = bench.machine.names();
    assert_eq!(names.len(), 6, "{names:?}");
    assert!(bench.journal.append(&vec![0; RECORD_BYTES_MAX + 1]).is_err());
    assert_eq!(bench.cut_power().unwrap().numbers(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_full_journal_sheds_until_a_segment_is_given_back() {
    let mut bench = Bench::new();
    let mut appended = 0;
    let shed = loop {
        match bench.journal.append(&record(appended + 1, 900)) {
            Ok(number) => appended = number,
            Err(error) => break error,
        }
        bench.committer.turn();
    };
    assert_eq!(shed.kind(), ErrorKind::Shed);
    assert_eq!(shed.to_string(), "the journal is full: 65536 bytes");
    assert!(shed.retry_delay().is_some());
    // Two records fit into a segment.
    let segments = 65536_usize.div_ceil(HEADER_BYTES + 2 * (FRAME_BYTES + 900));
    let bytes = bench.journal.standing().bytes;
    assert!(bytes <= 65536 && bytes + (HEADER_BYTES + FRAME_BYTES + 900) as u64 > 65536);
    assert!(appended + 2 >= 2 * segments as u64);

    // A record of a segment isn't a segment.
    bench.journal.truncate_below(2).unwrap();
    bench.committer.turn();
    assert_eq!(bench.journal.append(&[0; 900]).unwrap_err().kind(), ErrorKind::Shed);
    bench.journal.truncate_below(3).unwrap();
    bench.committer.turn();
    bench.commit(&[900]);
    assert_eq!(bench.numbers()[0], 3);
}

#[test]
fn a_journal_of_which_nothing_is_needed_always_has_room_for_the_longest_record() {
    let settings = Settings { bytes_max: 4096, ..settings() };
    let mut bench = Bench::open(&Machine::new(7), settings).unwrap();
    for length in [1, 1500, 1500, 700, 800, 300, 1500, 1, 1, 1500] {
        bench.commit(&[length]);
        bench.journal.truncate_below(u64::MAX).unwrap();
        bench.committer.turn();
        let standing = bench.journal.standing();
        assert_eq!(standing.first, standing.next);
    }
}

#[test]
fn too_much_that_waits_is_shed() {
    let mut bench = Bench::new();
    let mut appended = 0;
    let shed = loop {
        match bench.journal.append(&record(appended + 1, 1000)) {
            Ok(number) => appended = number,
            Err(error) => break error,
        }
    };
    assert_eq!((shed.kind(), appended), (ErrorKind::Shed, 15));
    assert_eq!(bench.journal.standing().next, 16, "nothing was appended");
    bench.committer.turn();
    bench.commit(&[1000]);
    assert_eq!(bench.numbers(), (1..=16).collect::<Vec<_>>());
}

#[test]
fn too_many_who_wait_are_shed() {
    let mut bench = Bench::new();
    bench.journal.append(b"one").unwrap();
    let mut waiting: Vec<_> = (0..100).map(|_| bench.journal.durable(1)).collect();
    assert!(waiting.iter_mut().all(|future| poll(future).is_none()));
    assert!(waiting.iter_mut().all(|future| poll(future).is_none()));
    let mut another = bench.journal.durable(1);
    assert_eq!(poll(&mut another).unwrap().unwrap_err().kind(), ErrorKind::Shed);
    // One who goes makes room.
    drop(waiting.pop());
    assert!(poll(&mut bench.journal.durable(1)).is_none());
    bench.committer.turn();
    assert!(waiting.iter_mut().all(|future| matches!(poll(future), Some(Ok(())))));
}

#[test]
fn nobody_waits_for_a_record_that_was_never_appended() {
    let bench = Bench::new();
    let error = poll(&mut bench.journal.durable(1)).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[test]
fn what_is_not_durable_is_not_truncated() {
    let mut bench = Bench::new();
    bench.commit(&[9; 3]);
    bench.journal.append(&record(4, 9)).unwrap();
    bench.journal.truncate_below(5).unwrap();
    assert_eq!(bench.journal.standing().first, 4);
    bench.journal.truncate_below(2).unwrap();
    assert_eq!(bench.journal.standing().first, 4);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let check = |options: JournalOptions, says: &str| {
        let error = options.open().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(says), "{error}");
    };
    let options = || JournalOptions::new("/nowhere/that/is");
    check(options().bytes_max(20 << 20), "too small for segments of 16777216");
    let says = "a segment has at least 65536 and at most 67108864 bytes";
    check(options().segment_bytes(65 << 20), says);
    check(options().segment_bytes((64 << 10) - 1), says);
    check(options().record_bytes_max(RECORD_BYTES_MAX + 1), "a record has at most 8388608");
    check(options().waiting_bytes_max(1000), "8388636 bytes must be allowed to wait");
    check(options().durability(Durability::Interval(Duration::ZERO)), "an interval of nothing");
}
