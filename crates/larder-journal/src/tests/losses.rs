//! Disks that lose what was durable: what is noticed, what is said, and what can be saved.
#![allow(clippy::single_range_in_vec_init)] // One loss is a list of one.

use std::ops::Range;

use larder_core::{ErrorKind, Journal};

use super::bench::{Bench, damage, settings};
use super::simulated::{Faults, Machine};
use crate::format::{FRAME_BYTES, HEADER_BYTES, segment_name};
use crate::options::Settings;

const LIE: Faults = Faults {
    cut_after: None,
    sync_fails_after: None,
    write_fails_after: None,
    syncs_lie: true,
    capacity: None,
};

fn accepting() -> Settings {
    Settings { accept_loss: true, ..settings() }
}

/// A journal of six records, two to a segment and each of them in a sector of its own, closed.
fn six() -> Machine {
    let mut bench = Bench::new();
    bench.commit(&[900; 6]);
    let machine = bench.machine.clone();
    bench.close().unwrap();
    machine
}

/// Where the second record of a segment of [`six`] begins.
const SECOND: usize = HEADER_BYTES + FRAME_BYTES + 900;

/// It isn't opened, and says what is lost; when that is accepted, everything else is there, and
/// nobody complains again.
fn check(machine: &Machine, lost: &[Range<u64>], left: &[u64]) {
    let refused = Bench::open(machine, settings());
    assert_eq!(refused.as_ref().err().unwrap().kind(), ErrorKind::Refused);
    assert_eq!(damage(refused).lost, lost);
    assert_eq!(damage(Bench::open(machine, settings())).lost, lost, "to ask changes nothing");
    let bench = Bench::open(machine, accepting()).unwrap();
    assert_eq!(bench.numbers(), left);
    let accepted = bench.journal.recovery().lost.clone().unwrap();
    assert_eq!(accepted.lost, lost);
    drop(bench);
    let next = lost.last().unwrap().end.max(left.last().map_or(1, |last| last + 1));
    let mut bench = Bench::open(machine, settings()).unwrap();
    assert_eq!((bench.journal.recovery().lost.clone(), bench.numbers()), (None, left.to_vec()));
    assert_eq!(bench.journal.standing().next, next);
    bench.commit(&[900; 3]);
    let bench = bench.cut_power().unwrap();
    let all: Vec<_> = left.iter().copied().chain(next..next + 3).collect();
    assert_eq!(bench.numbers(), all);
    let bench = bench.kill().unwrap();
    for from in 1..next + 3 {
        let records = bench.journal.read_from(from).unwrap();
        let numbers: Vec<_> = records.map(|record| record.unwrap().number).collect();
        assert_eq!(numbers, all.iter().copied().filter(|&n| n >= from).collect::<Vec<_>>());
    }
}

#[test]
fn a_sync_that_lied_is_found_out_by_a_later_record() {
    let mut bench = Bench::new();
    bench.commit(&[300; 2]);
    bench.machine.set(LIE);
    bench.commit(&[300; 2]);
    bench.machine.set(Faults::default());
    bench.commit(&[300; 1]);
    let machine = bench.machine.clone();
    machine.cut_power();
    drop(bench);
    check(&machine, &[3..5], &[1, 2, 5]);
}

#[test]
fn a_sync_that_lied_at_the_end_is_found_out_by_the_mark() {
    let mut bench = Bench::new();
    bench.commit(&[300; 2]);
    bench.machine.set(LIE);
    bench.commit(&[300; 2]);
    bench.machine.set(Faults::default());
    let machine = bench.machine.clone();
    bench.close().unwrap();
    machine.cut_power();
    check(&machine, &[3..5], &[1, 2]);
}

#[test]
fn a_record_that_rots_is_named_and_all_others_are_saved() {
    for number in 1..=6_u64 {
        let machine = six();
        let segment = segment_name((number - 1) / 2 * 2 + 1);
        let at = if number % 2 == 1 { HEADER_BYTES } else { SECOND };
        // Somewhere in the payload, or in the header before it.
        for byte in [FRAME_BYTES + 500, 2] {
            machine.tamper(&segment, |bytes| bytes[at + byte] ^= 0x10);
        }
        let left: Vec<_> = (1..=6).filter(|&left| left != number).collect();
        check(&machine, &[number..number + 1], &left);
    }
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let machine = six();
    machine.lose(&segment_name(3));
    check(&machine, &[3..5], &[1, 2, 5, 6]);
    let machine = six();
    machine.lose(&segment_name(1));
    check(&machine, &[1..3], &[3, 4, 5, 6]);
    let machine = six();
    machine.lose(&segment_name(5));
    check(&machine, &[5..7], &[1, 2, 3, 4]);
    let machine = six();
    for first in [1, 3, 5] {
        machine.lose(&segment_name(first));
    }
    check(&machine, &[1..7], &[]);
}

#[test]
fn a_segment_that_was_cut_short_or_emptied_is_named() {
    let machine = six();
    machine.tamper(&segment_name(3), |bytes| bytes.truncate(SECOND + 300));
    check(&machine, &[4..5], &[1, 2, 3, 5, 6]);
    let machine = six();
    machine.tamper(&segment_name(3), |bytes| bytes.fill(0));
    check(&machine, &[3..5], &[1, 2, 5, 6]);
    let machine = six();
    machine.tamper(&segment_name(5), Vec::clear);
    check(&machine, &[5..7], &[1, 2, 3, 4]);
}

#[test]
fn several_losses_are_all_named() {
    let mut bench = Bench::new();
    bench.commit(&[100; 15]);
    let machine = bench.machine.clone();
    bench.close().unwrap();
    let at = |number: usize| HEADER_BYTES + (number - 1) * (FRAME_BYTES + 100);
    machine.tamper(&segment_name(1), |bytes| {
        for number in [2, 3, 7, 11] {
            bytes[at(number) + 50] ^= 1;
        }
    });
    check(&machine, &[2..4, 7..8, 11..12], &[1, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15]);
}

#[test]
fn a_header_that_rots_loses_nothing() {
    let machine = six();
    machine.tamper(&segment_name(3), |bytes| bytes[20] ^= 1);
    let bench = Bench::open(&machine, settings()).unwrap();
    assert_eq!(bench.numbers(), [1, 2, 3, 4, 5, 6]);
    assert!(machine.durable(&segment_name(3)).starts_with(b"LARDERJS"));
}

#[test]
fn without_the_mark_everything_left_is_needed_once_that_is_accepted() {
    for lose in [Machine::lose, |machine: &Machine, name: &str| {
        machine.tamper(name, |bytes| bytes.fill(7));
    }] {
        let mut bench = Bench::new();
        bench.commit(&[900; 6]);
        bench.journal.truncate_below(4).unwrap();
        bench.committer.turn();
        let (machine, id) = (bench.machine.clone(), bench.journal.id().to_owned());
        bench.close().unwrap();
        lose(&machine, "mark");
        let found = damage(Bench::open(&machine, settings()));
        assert!(found.is_mark_lost && found.lost.is_empty());
        assert_eq!(found.to_string(), "the mark of what is needed is lost");
        let bench = Bench::open(&machine, accepting()).unwrap();
        assert_eq!((bench.journal.id(), bench.numbers()), (&*id, vec![3, 4, 5, 6]));
        let mut bench = bench.kill().unwrap();
        bench.settings = settings();
        bench.commit(&[900]);
        assert_eq!(bench.cut_power().unwrap().numbers(), [3, 4, 5, 6, 7]);
    }
}

#[test]
fn a_slot_of_the_mark_that_rots_is_made_up_for_by_the_other() {
    let machine = six();
    // The older one says less, and that does no harm here.
    machine.tamper("mark", |bytes| {
        let newer = if bytes[39] > bytes[4096 + 39] { 0 } else { 4096 };
        bytes[newer + 40] ^= 1;
    });
    assert_eq!(Bench::open(&machine, settings()).unwrap().numbers().len(), 6);
}

#[test]
fn segments_of_another_journal_and_of_a_later_version_are_left_alone() {
    let (machine, other) = (six(), six());
    let foreign = other.durable(&segment_name(3));
    machine.tamper(&segment_name(3), |bytes| *bytes = foreign);
    for settings in [settings(), accepting()] {
        let error = Bench::open(&machine, settings).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("belongs to another journal"), "{error}");
    }
    let machine = six();
    machine.tamper(&segment_name(5), |bytes| {
        bytes[11] = 2;
        let block = bytes.first_chunk().unwrap();
        let checksum = crate::format::checksum_around(block);
        bytes[12..16].copy_from_slice(&checksum.to_be_bytes());
    });
    let error = Bench::open(&machine, accepting()).err().unwrap();
    assert!(error.to_string().contains("later version of larder (format 2)"), "{error}");
}

#[test]
fn a_repair_may_be_broken_off_anywhere() {
    let damaged = || {
        let mut bench = Bench::new();
        bench.commit(&[100; 15]);
        bench.commit(&[900; 4]);
        let machine = bench.machine.clone();
        bench.close().unwrap();
        let at = |number: usize| HEADER_BYTES + (number - 1) * (FRAME_BYTES + 100);
        machine.tamper(&segment_name(1), |bytes| {
            for number in [2, 7, 8] {
                bytes[at(number) + 50] ^= 1;
            }
        });
        machine.lose(&segment_name(18));
        machine
    };
    let left: Vec<u64> = (1..=17).filter(|number| ![2, 7, 8].contains(number)).collect();
    let mut steps = 0;
    loop {
        let machine = damaged();
        machine.set(Faults { cut_after: Some(steps), ..Faults::default() });
        let opened = Bench::open(&machine, accepting());
        let was_broken_off = opened.is_err();
        drop(opened);
        machine.kill();
        machine.set(Faults::default());
        let bench = Bench::open(&machine, accepting()).unwrap();
        assert_eq!(bench.numbers(), left, "broken off after {steps} steps");
        let mut bench = bench.kill().unwrap();
        assert_eq!(bench.journal.standing().next, 20);
        bench.commit(&[5]);
        assert_eq!(*bench.cut_power().unwrap().numbers().last().unwrap(), 20);
        if !was_broken_off {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
}

#[test]
fn what_was_lost_is_said_in_one_line() {
    let mut damage = crate::Damage::default();
    damage.add(3..4);
    damage.add(4..4);
    damage.add(7..9);
    damage.add(9..12);
    assert_eq!(damage.to_string(), "lost are the records 3, 7 to 11");
    damage.is_mark_lost = true;
    (20..40).step_by(2).for_each(|number| damage.add(number..number + 1));
    let text = damage.to_string();
    assert!(text.starts_with("the mark of what is needed is lost, and the records 3, 7 to 11, 20"));
    assert!(text.ends_with(", 30, and 4 more ranges"), "{text}");
}

#[test]
fn a_payload_that_looks_like_a_record_is_none() {
    let mut bench = Bench::new();
    bench.commit(&[300; 3]);
    // What is in the file is put into a record: the header and the records 1 to 3, as they are.
    let copy = bench.machine.durable(&segment_name(1))[..1056].to_vec();
    bench.journal.append(&copy).unwrap();
    bench.committer.turn();
    let machine = bench.machine.clone();
    bench.close().unwrap();
    // Its header rots: what is in it is looked at.
    let segment = machine.names()[1].clone();
    machine.tamper(&segment, |bytes| bytes[HEADER_BYTES + 1] ^= 1);
    assert_eq!(damage(Bench::open(&machine, settings())).lost, [4..5]);
}
