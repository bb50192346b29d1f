//! Power cuts, kills, failing writes and syncs, full disks: what each leaves.

use larder_core::{ErrorKind, Journal};

use super::bench::{Bench, poll, record, settings};
use super::simulated::{Faults, Machine};
use crate::format::segment_name;

#[test]
fn what_is_durable_survives_a_power_cut() {
    let mut bench = Bench::new();
    bench.commit(&[10, 0, 700]);
    bench.commit(&[5; 40]);
    let id = bench.journal.id().to_owned();
    let bench = bench.cut_power().unwrap();
    assert_eq!(bench.numbers(), (1..=43).collect::<Vec<_>>());
    assert_eq!((bench.journal.id(), bench.journal.durable_below()), (&*id, 44));
    assert_eq!(bench.journal.recovery().records, 43);
}

#[test]
fn many_records_become_durable_with_one_write_and_one_sync() {
    let mut bench = Bench::new();
    bench.commit(&[1]);
    let mut waiting: Vec<_> = (2..50)
        .map(|number| {
            assert_eq!(bench.journal.append(&record(number, 4)).unwrap(), number);
            bench.journal.durable(number)
        })
        .collect();
    assert!(waiting.iter_mut().all(|future| poll(future).is_none()));
    let (writes, syncs) = (bench.machine.writes(), bench.machine.file_syncs());
    bench.committer.turn();
    // The other write is that of the mark, which nothing waits for.
    assert_eq!(bench.machine.writes() - writes, 2);
    assert_eq!(bench.machine.file_syncs() - syncs, 1);
    assert!(waiting.iter_mut().all(|future| matches!(poll(future), Some(Ok(())))));
}

#[test]
fn a_torn_tail_is_cut_off_and_reported() {
    for keep in 0..8 {
        let machine = Machine::new(keep);
        let mut bench = Bench::open(&machine, settings()).unwrap();
        bench.commit(&[100; 5]);
        for number in 6..9 {
            bench.journal.append(&record(number, 600)).unwrap();
        }
        // Power is cut instead of the sync.
        machine.set(Faults { cut_after: Some(1), ..Faults::default() });
        bench.committer.turn();
        assert_eq!(bench.journal.durable_below(), 6);
        let mut bench = bench.reopen().unwrap();
        let next = bench.journal.standing().next;
        assert!((6..9).contains(&next));
        assert_eq!(bench.numbers(), (1..next).collect::<Vec<_>>());
        // Nothing of what was cut off is ever taken for what comes after.
        bench.commit(&[600]);
        let bench = bench.cut_power().unwrap();
        assert_eq!(bench.numbers(), (1..=next).collect::<Vec<_>>());
        assert_eq!(bench.journal.recovery().cut_bytes, 0);
    }
}

#[test]
fn garbage_behind_the_last_record_is_cut_off() {
    let mut bench = Bench::new();
    bench.commit(&[100; 2]);
    let machine = bench.machine.clone();
    let settings = bench.settings;
    bench.close().unwrap();
    machine.tamper(&segment_name(1), |bytes| {
        let end = 64 + 2 * 128;
        bytes.truncate(end);
        bytes.extend_from_slice(&[0x5a; 333]);
    });
    let bench = Bench::open(&machine, settings).unwrap();
    assert_eq!(bench.journal.recovery().cut_bytes, 333);
    assert_eq!(bench.numbers(), [1, 2]);
    assert_eq!(machine.durable(&segment_name(1)).len(), 64 + 2 * 128);
}

#[test]
fn a_sync_that_fails_ends_everything_until_it_is_opened_anew() {
    let mut bench = Bench::new();
    bench.commit(&[9; 3]);
    bench.journal.append(&record(4, 9)).unwrap();
    let mut waiting = bench.journal.durable(4);
    assert!(poll(&mut waiting).is_none());
    bench.machine.set(Faults { sync_fails_after: Some(0), ..Faults::default() });
    bench.committer.turn();
    let error = poll(&mut waiting).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.chain().contains("opened anew: the file can't be synced"), "{}", error.chain());
    // Nothing is tried again.
    let syncs = bench.machine.file_syncs();
    let refused = bench.journal.append(b"more").unwrap_err();
    assert_eq!((refused.kind(), refused.chain()), (ErrorKind::Internal, error.chain()));
    bench.committer.turn();
    bench.committer.sync();
    assert_eq!(bench.machine.file_syncs(), syncs);
    assert_eq!(bench.journal.durable_below(), 4);
    assert!(poll(&mut bench.journal.durable(3)).unwrap().is_ok());
    assert_eq!(bench.numbers(), [1, 2, 3]);
    let (machine, settings) = (bench.machine.clone(), bench.settings);
    assert_eq!(bench.close().unwrap_err().kind(), ErrorKind::Internal);

    let mut bench = Bench::open(&machine, settings).unwrap();
    // It could still be read, so it is there, and durable now.
    assert_eq!(bench.numbers(), [1, 2, 3, 4]);
    bench.commit(&[9]);
    assert_eq!(bench.cut_power().unwrap().numbers(), [1, 2, 3, 4, 5]);
}

#[test]
fn what_is_found_after_a_failed_sync_is_durable_before_it_is_told() {
    for keep in 0..8 {
        let machine = Machine::new(keep);
        let mut bench = Bench::open(&machine, settings()).unwrap();
        bench.commit(&[9; 3]);
        bench.journal.append(&record(4, 1200)).unwrap();
        machine.set(Faults { sync_fails_after: Some(0), ..Faults::default() });
        bench.committer.turn();
        let bench = bench.kill().unwrap();
        assert_eq!(bench.journal.durable_below(), 5);
        assert_eq!(bench.cut_power().unwrap().numbers(), [1, 2, 3, 4]);
    }
}

#[test]
fn a_write_that_fails_ends_everything_until_it_is_opened_anew() {
    let mut bench = Bench::new();
    bench.commit(&[9; 3]);
    bench.machine.set(Faults { write_fails_after: Some(0), ..Faults::default() });
    bench.journal.append(&record(4, 1000)).unwrap();
    bench.committer.turn();
    let error = poll(&mut bench.journal.durable(4)).unwrap().unwrap_err();
    assert!(error.chain().ends_with("opened anew: the disk can't write"), "{}", error.chain());
    let mut bench = bench.reopen().unwrap();
    let numbers = bench.numbers();
    assert!(matches!(numbers[..], [1, 2, 3] | [1, 2, 3, 4]), "as much as was written");
    bench.commit(&[1000]);
    assert_eq!(bench.cut_power().unwrap().numbers().len(), numbers.len() + 1);
}

#[test]
fn a_full_disk_is_refused_clearly_and_truncating_makes_room() {
    let mut bench = Bench::new();
    // The mark, a segment, and a bit of the next one.
    let capacity = Some(8192 + 2048 + 1000);
    bench.machine.set(Faults { capacity, ..Faults::default() });
    bench.commit(&[900, 900]);
    bench.journal.append(&record(3, 900)).unwrap();
    bench.journal.append(&record(4, 900)).unwrap();
    bench.committer.turn();
    let error = bench.journal.append(b"more").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().starts_with("the disk is full, "), "{error}");
    assert!(poll(&mut bench.journal.durable(4)).unwrap().is_err());

    // On a disk as full as before it can be opened; what was torn was cut off.
    let mut bench = bench.reopen().unwrap();
    assert_eq!(bench.numbers(), [1, 2, 3]);
    bench.journal.append(&record(4, 900)).unwrap();
    bench.committer.turn();
    assert!(bench.journal.append(b"more").is_err());
    // Even now that nothing is taken, what isn't needed can be given up, and that makes room.
    bench.journal.truncate_below(3).unwrap();
    bench.committer.turn();
    assert_eq!(bench.machine.names(), ["00000000000000000003.log", "mark"]);
    let mut bench = bench.cut_power().unwrap();
    assert_eq!(bench.numbers(), [3]);
    bench.commit(&[900]);
    assert_eq!(bench.cut_power().unwrap().numbers(), [3, 4]);
}

#[test]
fn a_mark_that_cannot_be_synced_removes_nothing() {
    let mut bench = Bench::new();
    bench.commit(&[900; 6]);
    bench.machine.set(Faults { sync_fails_after: Some(0), ..Faults::default() });
    let names = bench.machine.names();
    bench.journal.truncate_below(5).unwrap();
    bench.committer.turn();
    assert_eq!(bench.machine.names(), names);
    assert_eq!(bench.journal.truncate_below(6).unwrap_err().kind(), ErrorKind::Internal);
    assert!(bench.journal.append(b"more").is_err());
    let bench = bench.cut_power().unwrap();
    assert_eq!(*bench.numbers().last().unwrap(), 6);
}

#[test]
fn a_second_process_is_told_who_has_it() {
    let bench = Bench::new();
    let error = Bench::open(&bench.machine, settings()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("is open in process 7: end that one"), "{error}");
    bench.reopen().unwrap();
}

#[test]
fn a_future_that_is_dropped_takes_nothing_back() {
    let mut bench = Bench::new();
    bench.journal.append(&record(1, 9)).unwrap();
    let mut waiting = bench.journal.durable(1);
    assert!(poll(&mut waiting).is_none());
    drop(waiting);
    bench.committer.turn();
    assert_eq!(bench.cut_power().unwrap().numbers(), [1]);
}
