//! A journal on a real disk, seen from outside while its owner appends and truncates.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use common::wait;
use larder_core::{ErrorKind, Journal};
use larder_journal::{JournalOptions, JournalView};

fn payload(number: u64) -> Vec<u8> {
    number.to_be_bytes().into_iter().cycle().take(8 + number as usize * 37 % 900).collect()
}

/// Ends the owner, also when a look has failed.
struct Over<'a>(&'a AtomicU64);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Relaxed);
    }
}

#[test]
fn beside_its_owner_nothing_looks_lost_and_nothing_durable_is_missed() {
    const LOOKS: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let options = JournalOptions::new(folder.path()).record_bytes_max(4 << 10);
    let journal = options.segment_bytes(64 << 10).open().unwrap();
    let (asked, kept) = (AtomicU64::new(1), AtomicU64::new(1));
    let is_over = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while is_over.load(Ordering::Relaxed) == 0 {
                match journal.append(&payload(number + 1)) {
                    Ok(appended) => number = appended,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Shed),
                }
                if number % 64 == 0 {
                    wait(journal.durable(number)).unwrap();
                    let first = number.saturating_sub(500);
                    // What is asked for may be truncated from now on.
                    asked.fetch_max(first, Ordering::SeqCst);
                    journal.truncate_below(first).unwrap();
                    kept.store(first.max(1), Ordering::SeqCst);
                }
            }
        });
        let view = JournalView::of(folder.path());
        let looking = || {
            let mut seen = 0;
            for look in 0..LOOKS {
                let durable = journal.durable_below();
                let numbers: Vec<_> = if look % 2 == 0 {
                    let status = view.status().unwrap();
                    assert_eq!(status.damage, None);
                    assert_eq!(status.pending, status.next - status.first);
                    assert!(status.durable_below <= status.next, "{status:?}");
                    (status.first..status.next).collect()
                } else {
                    let records = view.records().unwrap().map(|found| {
                        let found = found.unwrap();
                        assert_eq!(found.bytes, payload(found.number));
                        found.number
                    });
                    records.collect()
                };
                // What may have been truncated by now may be missing, and nothing else.
                let needed = asked.load(Ordering::SeqCst);
                let last = numbers.last().copied().unwrap_or(durable);
                assert!(last + 1 >= durable || durable <= needed, "{last} of {durable}");
                let rest: Vec<_> = numbers.into_iter().filter(|&it| it >= needed).collect();
                let first = rest.first().copied().unwrap_or(needed);
                assert!(first <= needed.max(1) || rest.is_empty(), "{first} of {needed}");
                assert!(rest.windows(2).all(|two| two[0] + 1 == two[1]));
                seen += rest.len();
            }
            seen
        };
        let _over = Over(&is_over);
        let seen = looking();
        assert!(seen > LOOKS, "{seen}");
    });
    // It was truncated meanwhile, or nothing was tried here.
    assert!(kept.load(Ordering::SeqCst) > 1_000);
}

/// Every file, what is in it, and when it was written to.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let file = |entry: fs::DirEntry| {
        let written = entry.metadata().unwrap().modified().unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, (fs::read(entry.path()).unwrap(), written))
    };
    fs::read_dir(folder).unwrap().map(|entry| file(entry.unwrap())).collect()
}

#[test]
fn a_torn_tail_is_told_and_left_for_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let began = SystemTime::now();
    let journal = JournalOptions::new(folder.path()).open().unwrap();
    for number in 1..=3 {
        assert_eq!(journal.append(&payload(number)).unwrap(), number);
    }
    wait(journal.durable(3)).unwrap();
    journal.close().unwrap();
    // The beginning of a fourth record, as a kill in the middle of a write leaves it.
    let segment = folder.path().join("00000000000000000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    let end = 64 + (1..=3).map(|number| 28 + payload(number).len()).sum::<usize>();
    bytes[end..end + 9].copy_from_slice(b"half of i");
    fs::write(&segment, &bytes).unwrap();
    fs::write(folder.path().join("mark.new"), "left over").unwrap();

    let before = files(folder.path());
    let view = JournalView::of(folder.path());
    let status = view.status().unwrap();
    assert_eq!((status.pending, status.first, status.next), (3, 1, 4));
    assert_eq!((status.tail_bytes, status.damage), (9, None));
    assert_eq!(status.opened_by, format!("process {}", std::process::id()));
    let oldest = status.oldest.unwrap();
    assert!(oldest.not_after >= oldest.not_before.unwrap_or(began));
    let numbers: Vec<_> = view.records().unwrap().map(|record| record.unwrap().number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(files(folder.path()), before);

    let journal = JournalOptions::new(folder.path()).open().unwrap();
    assert_eq!((journal.recovery().records, journal.recovery().cut_bytes), (3, 9));
}
