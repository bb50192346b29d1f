//! Journals on a real disk: a million records, many writers, two processes, and what was left.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::thread;
use std::time::Duration;

use common::wait;
use larder_core::{ErrorKind, Journal};
use larder_journal::{Durability, JournalOptions};

#[test]
fn a_million_records_take_no_more_memory_than_a_few() {
    const RECORDS: u64 = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let journal = JournalOptions::new(folder.path()).segment_bytes(4 << 20);
    let journal = journal.record_bytes_max(1 << 20).waiting_bytes_max(2 << 20).open().unwrap();
    for expected in 1..=RECORDS {
        // Who is faster than the disk is told so.
        let number = loop {
            match journal.append(&expected.to_be_bytes()) {
                Ok(number) => break number,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Shed);
                    let before = journal.standing().next - 1;
                    wait(journal.durable(before)).unwrap();
                }
            }
        };
        assert_eq!(number, expected);
    }
    wait(journal.durable(RECORDS)).unwrap();
    let mut read = 0_u64;
    let reading = allocation_counter::measure(|| {
        for record in journal.read_from(1).unwrap() {
            let record = record.unwrap();
            read += 1;
            assert_eq!((record.number, &*record.bytes), (read, &read.to_be_bytes()[..]));
        }
    });
    assert_eq!(read, RECORDS);
    assert!(reading.bytes_max < 256 << 10, "{}", reading.bytes_max);
    journal.close().unwrap();

    let mut reopened = None;
    let opening = allocation_counter::measure(|| {
        reopened = Some(JournalOptions::new(folder.path()).open().unwrap());
    });
    let journal = reopened.unwrap();
    assert_eq!((journal.recovery().records, journal.recovery().cut_bytes), (RECORDS, 0));
    assert!(opening.bytes_max < 16 << 20, "{}", opening.bytes_max);

    journal.truncate_below(RECORDS).unwrap();
    journal.close().unwrap();
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 3, "the lock, the mark, a segment");
}

#[test]
fn records_of_many_threads_are_all_there_once_and_in_each_threads_order() {
    let folder = tempfile::tempdir().unwrap();
    let journal = JournalOptions::new(folder.path()).open().unwrap();
    thread::scope(|scope| {
        for writer in 0..16_u8 {
            let journal = &journal;
            scope.spawn(move || {
                for count in 0..50_u8 {
                    let number = journal.append(&[writer, count]).unwrap();
                    wait(journal.durable(number)).unwrap();
                }
            });
        }
    });
    let mut counts = [0_u8; 16];
    for record in journal.read_from(1).unwrap() {
        let record = record.unwrap();
        let (writer, count) = (usize::from(record.bytes[0]), record.bytes[1]);
        assert_eq!(count, counts[writer]);
        counts[writer] += 1;
    }
    assert_eq!(counts, [50; 16]);
}

#[test]
fn a_folder_belongs_to_one_journal_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/for/it");
    let journal = JournalOptions::new(&path).open().unwrap();
    let error = JournalOptions::new(&path).open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let holder = format!("is open in process {}: end that one first", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    let id = journal.id().to_owned();
    assert_eq!(id.len(), 32);
    drop(journal);
    assert_eq!(JournalOptions::new(&path).open().unwrap().id(), id);
    let other = folder.path().join("other");
    assert_ne!(JournalOptions::new(other).open().unwrap().id(), id);
}

#[test]
fn what_is_dropped_is_written_first_in_every_mode() {
    for durability in
        [Durability::Fsync, Durability::Interval(Duration::from_secs(3600)), Durability::Memory]
    {
        let folder = tempfile::tempdir().unwrap();
        let options = JournalOptions::new(folder.path()).durability(durability);
        let journal = options.clone().open().unwrap();
        for number in 1..=100 {
            assert_eq!(journal.append(b"one").unwrap(), number);
        }
        drop(journal);
        assert_eq!(options.open().unwrap().recovery().records, 100);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = JournalOptions::new(file.join("journal")).open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("can't be made"), "{error}");
}
