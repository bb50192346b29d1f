//! The hand-off between those who append, those who wait, those who read and the thread that
//! writes, under a scheduler that explores the order in which threads run:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p larder-journal --lib`.
//!
//! A step that is left out must make it find an order that breaks the promise, or in which
//! somebody waits for ever.

use std::panic::catch_unwind;
use std::sync::Arc;

use larder_core::Journal;
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use crate::format::{Seed, segment_name};
use crate::omit::Omit;
use crate::options::Settings;
use crate::scan::scan;
use crate::tests::bench::{record, settings};
use crate::tests::simulated::{Faults, Machine};
use crate::{Durability, FileJournal};

const ORDERS: usize = 2_000;

/// A journal whose thread is one of the checker's.
struct Explored {
    machine: Machine,
    settings: Settings,
    journal: Arc<FileJournal>,
    writer: JoinHandle<()>,
}

impl Explored {
    fn new(settings: Settings) -> Self {
        let machine = Machine::new(7);
        let (journal, committer) =
            FileJournal::recover(machine.folder(), "a folder", settings).unwrap();
        let writer = thread::spawn(move || committer.run());
        Self { machine, settings, journal: Arc::new(journal), writer }
    }

    /// Somebody who appends, and looks at what the disk has when it is said to be durable.
    fn appends(&self, times: usize) -> JoinHandle<()> {
        let (machine, settings) = (self.machine.clone(), self.settings);
        let journal = self.journal.clone();
        thread::spawn(move || {
            for _ in 0..times {
                let number = journal.append(&record(1, 20)).unwrap();
                block_on(journal.durable(number)).unwrap();
                assert!(journal.durable_below() > number);
                let identity = journal.shared.identity;
                let bytes = machine.durable(&segment_name(1));
                let found = scan(&bytes, &Seed::new(&identity, 1, &settings), 1, u64::MAX);
                assert!(found.runs[0].first == 1 && found.runs[0].below > number, "not durable");
            }
        })
    }

    fn end(self) {
        self.journal.shared.close();
        self.writer.join().unwrap();
    }
}

fn omitting(omit: Option<Omit>) -> Settings {
    Settings { omit, ..settings() }
}

/// Three who append at once: each waits until its own record is on the disk, and no longer.
fn appending(omit: Option<Omit>) {
    let explored = Explored::new(omitting(omit));
    let users: Vec<_> = [2, 1, 1].map(|times| explored.appends(times)).into();
    for user in users {
        user.join().unwrap();
    }
    assert_eq!(explored.journal.standing().next, 5);
    explored.end();
}

fn must_fail(omit: Omit) {
    let outcome = catch_unwind(|| shuttle::check_random(move || appending(Some(omit)), ORDERS));
    assert!(outcome.is_err(), "{omit:?} can be left out");
}

#[test]
fn what_is_acknowledged_is_durable_and_nobody_waits_for_ever() {
    shuttle::check_random(|| appending(None), ORDERS);
    shuttle::check_pct(|| appending(None), ORDERS, 3);
}

#[test]
fn the_sync_comes_before_the_acknowledgement() {
    must_fail(Omit::SyncOfData);
}

#[test]
fn who_waits_is_woken() {
    must_fail(Omit::Wake);
}

#[test]
fn everybody_hears_of_a_failure() {
    let failing = || {
        let explored = Explored::new(settings());
        let faults = Faults { sync_fails_after: Some(1), ..Faults::default() };
        explored.machine.set(faults);
        let users: Vec<_> = (0..3)
            .map(|_| {
                let journal = explored.journal.clone();
                thread::spawn(move || {
                    let number = journal.append(b"one")?;
                    block_on(journal.durable(number))
                })
            })
            .collect();
        let outcomes: Vec<_> = users.into_iter().map(|user| user.join().unwrap()).collect();
        let durable = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        assert!(durable < explored.journal.durable_below());
        assert!(durable < 3, "the second sync failed: of the segment's name, or of its bytes");
        explored.end();
    };
    shuttle::check_random(failing, ORDERS);
}

#[test]
fn a_reader_beside_truncations_sees_records_in_order_and_misses_none_that_is_needed() {
    let reading = || {
        let explored = Explored::new(settings());
        let number = (1..=6).map(|_| explored.journal.append(&[7; 900]).unwrap()).last().unwrap();
        block_on(explored.journal.durable(number)).unwrap();
        let reader = {
            let journal = explored.journal.clone();
            thread::spawn(move || {
                let mut next = 1;
                for record in journal.read_from(1).unwrap() {
                    let record = record.unwrap();
                    let first = journal.standing().first;
                    assert!(record.number >= next && record.number <= next.max(first));
                    next = record.number + 1;
                }
                assert!(next == 7, "{next}");
            })
        };
        explored.journal.truncate_below(4).unwrap();
        explored.journal.truncate_below(6).unwrap();
        reader.join().unwrap();
        explored.end();
    };
    shuttle::check_random(reading, ORDERS);
}

#[test]
fn a_reader_of_what_is_not_written_yet_is_not_forgotten() {
    let reading = || {
        let settings = Settings { durability: Durability::Memory, ..settings() };
        let explored = Explored::new(settings);
        for _ in 0..3 {
            explored.journal.append(b"one").unwrap();
        }
        assert_eq!(explored.journal.read_from(1).unwrap().count(), 3);
        explored.end();
    };
    shuttle::check_random(reading, ORDERS);
}
