//! The format does not change unnoticed: files that were written by another program, from the
//! description alone.

use std::sync::Arc;

use larder_core::Journal;

use super::bench::{Bench, settings};
use super::simulated::Machine;
use crate::files::Folder;
use crate::format::segment_name;
use crate::mark::{Mark, Slot};

/// Segment 1: its header, then three records.
const SEGMENT: &[&str] = &[
    // The header.
    "4c41524445524a530000000111b62fb1a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
    "0000000000000001000000000000000100000000000000000000000000000000",
    // Record 1, "paid 7".
    "bc838e0a00000006000000000000000100000000000000017ce1223a70616964",
    "2037",
    // Record 2, of no bytes.
    "d0c14e1a000000000000000000000002000000000000000100000000",
    // Record 3, "paid 8".
    "33bdaa09000000060000000000000003000000000000000322f21e1e70616964",
    "2038",
];

/// The first slot of the mark: record 2 is the oldest that is needed, and everything below 3 was
/// durable.
const SLOT: &[&str] = &[
    "4c41524445524a4d000000014d71cf33a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
    "0000000000000007000000000000000200000000000000030000000000000000",
];

const IDENTITY: [u8; 16] = [
    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
];

fn bytes(rows: &[&str]) -> Vec<u8> {
    let text = rows.concat();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn put(folder: &Arc<dyn Folder>, name: &str, bytes: &[u8]) {
    let file = folder.create(name).unwrap();
    file.write(bytes, 0).unwrap();
    file.sync().unwrap();
    folder.sync().unwrap();
}

#[test]
fn files_of_this_format_are_read() {
    let machine = Machine::new(7);
    let folder = machine.folder();
    put(&folder, &segment_name(1), &bytes(SEGMENT));
    let mut mark = bytes(SLOT);
    mark.resize(8192, 0);
    put(&folder, "mark", &mark);
    let bench = Bench::open(&machine, settings()).unwrap();
    assert_eq!(bench.journal.id(), "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
    let records: Vec<_> =
        bench.journal.read_from(1).unwrap().map(|record| record.unwrap()).collect();
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((&*records[0].bytes, &*records[1].bytes), (&b""[..], &b"paid 8"[..]));
    assert_eq!(bench.journal.recovery().records, 2);
}

#[test]
fn files_of_this_format_are_written() {
    let machine = Machine::new(7);
    let folder = machine.folder();
    let slot = Slot { identity: IDENTITY, turn: 1, first: 1, witness: 1 };
    Mark::make(&*folder, slot).unwrap();
    let mut bench = Bench::open(&machine, settings()).unwrap();
    bench.journal.append(b"paid 7").unwrap();
    bench.journal.append(b"").unwrap();
    bench.committer.turn();
    bench.journal.append(b"paid 8").unwrap();
    bench.committer.turn();
    let mut expected = bytes(SEGMENT);
    // Written ahead with zeros, to a multiple of 700 bytes here.
    expected.resize(700, 0);
    assert_eq!(machine.durable(&segment_name(1)), expected);
    assert_eq!(segment_name(1), "00000000000000000001.log");

    let slot = Slot { identity: IDENTITY, turn: 7, first: 2, witness: 3 };
    assert_eq!(slot.encode().to_vec(), bytes(SLOT));
}
