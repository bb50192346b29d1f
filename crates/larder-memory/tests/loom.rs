//! The smallest pieces of reading without a lock, in every order of their steps and with every
//! value that the memory model lets a load see:
//! `RUSTFLAGS="--cfg loom" cargo test -p larder-memory --test loom`.
//!
//! Here a reader pays for his fence, as where the system doesn't let writers pay for all; how the
//! two halves of a barrier by the system meet is beyond the model.

#![cfg(loom)]
#![expect(dead_code, reason = "only a part of each piece is needed")]
#![expect(unsafe_code, reason = "what may be touched, and when, is what is tested")]

#[path = "../src/hazard.rs"]
mod hazard;
#[path = "../src/place.rs"]
mod place;
#[path = "../src/table.rs"]
mod table;

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use crate::atomics::{AtomicPtr, Ordering};
use crate::hazard::explored::{OMIT, Omit};
use crate::hazard::{Section, survey};
use crate::place::Place;
use crate::table::{Guess, Table};

mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
}

mod fence {
    pub(crate) fn readers_pay() -> bool {
        true
    }

    pub(crate) fn light(_readers_pay: bool) {
        loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
    }

    /// The writer's half.
    pub(crate) fn heavy() {
        light(true);
    }
}

/// An entry that is found until it is taken away, and then freed: which is to write it.
struct Shared {
    found: AtomicPtr<UnsafeCell<u32>>,
    entry: UnsafeCell<u32>,
}

// SAFETY: loom reports every access to the entry that isn't ordered with the others.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

fn shared() -> Arc<Shared> {
    let shared =
        Arc::new(Shared { found: AtomicPtr::new(ptr::null_mut()), entry: UnsafeCell::new(1) });
    shared.found.store(ptr::from_ref(&shared.entry).cast_mut(), Ordering::Release);
    shared
}

fn read(shared: &Shared, beyond_the_search: bool) {
    let section = Section::open();
    let entry = shared.found.load(Ordering::Acquire);
    if entry.is_null() {
        return;
    }
    let look = || {
        // SAFETY: the entry lives as long as what is shared; that it isn't freed is tested.
        let value = unsafe { &*entry }.with(|value| unsafe { *value });
        assert_eq!(value, 1, "the entry is read after its end");
    };
    if beyond_the_search {
        let hold = section.hold(entry);
        drop(section);
        look();
        drop(hold);
    } else {
        look();
    }
}

fn take_away_and_free(shared: &Shared) {
    let entry = shared.found.swap(ptr::null_mut(), Ordering::AcqRel);
    fence::heavy();
    let mut held = Vec::new();
    if survey(&mut held) && !held.contains(&entry.cast_const().cast()) {
        // SAFETY: as in `read`.
        unsafe { &*entry }.with_mut(|value| unsafe { *value = 2 });
    }
}

fn a_reader_beside_one_who_frees(beyond_the_search: bool) {
    loom::model(move || {
        let shared = shared();
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read(&shared, beyond_the_search))
        };
        take_away_and_free(&shared);
        assert!(reader.join().is_ok());
    });
}

/// Whether leaving out a step is found out.
fn is_needed(omit: Omit, beyond_the_search: bool) -> bool {
    OMIT.set(omit);
    let run = catch_unwind(AssertUnwindSafe(|| a_reader_beside_one_who_frees(beyond_the_search)));
    OMIT.set(Omit::Nothing);
    run.is_err()
}

#[test]
fn what_a_search_finds_is_not_freed_in_it() {
    a_reader_beside_one_who_frees(false);
}

#[test]
fn what_is_held_is_not_freed() {
    a_reader_beside_one_who_frees(true);
}

#[test]
fn both_steps_are_needed() {
    assert!(is_needed(Omit::Sections, false), "searches");
    assert!(is_needed(Omit::Holds, true), "holds");
}

/// Entries by slot, each written before the table leads to it.
struct Entries {
    table: Table,
    entries: [UnsafeCell<u32>; 3],
}

// SAFETY: as for what is shared above.
unsafe impl Send for Entries {}
// SAFETY: as above.
unsafe impl Sync for Entries {}

const HASH: u32 = 7;

impl Entries {
    fn place(slot: u32) -> Place {
        Place::of(slot, NonZeroU32::MIN)
    }

    fn write(&self, slot: u32) {
        // SAFETY: the table doesn't lead there yet.
        self.entries[slot as usize].with_mut(|entry| unsafe { *entry = 10 + slot });
    }

    /// The entry to which the table leads, if any.
    fn look(&self) -> Option<u32> {
        let found = |place: Place| {
            let slot = place.get() - 1;
            // SAFETY: the entry was written before, and stays.
            let entry = self.entries[slot as usize].with(|entry| unsafe { *entry });
            assert_eq!(entry, 10 + slot, "found before it was written");
            Some(slot)
        };
        match self.table.guess(HASH) {
            Guess::At(place) => found(place),
            Guess::Nowhere => None,
            Guess::Elsewhere => self.table.find(HASH, found),
        }
    }
}

#[test]
fn who_finds_a_slot_finds_what_was_written_there() {
    loom::model(|| {
        let entries = Arc::new(Entries {
            table: Table::new(2),
            entries: [UnsafeCell::new(0), UnsafeCell::new(0), UnsafeCell::new(0)],
        });
        let reader = {
            let entries = Arc::clone(&entries);
            thread::spawn(move || (entries.look(), entries.look()))
        };
        entries.write(0);
        entries.table.insert(HASH, Entries::place(0));
        entries.write(1);
        entries.table.redirect(HASH, Entries::place(0), Entries::place(1));
        let (first, second) = reader.join().unwrap();
        // What was found once is found again, or its successor is.
        assert!(second >= first, "{first:?}, then {second:?}");
        assert_eq!(entries.look(), Some(1));
    });
}

#[test]
fn a_lane_that_is_used_again_leads_to_its_new_entry() {
    loom::model(|| {
        let entries = Arc::new(Entries {
            table: Table::new(2),
            entries: [UnsafeCell::new(0), UnsafeCell::new(0), UnsafeCell::new(0)],
        });
        entries.write(0);
        entries.table.insert(HASH, Entries::place(0));
        let reader = {
            let entries = Arc::clone(&entries);
            thread::spawn(move || entries.look())
        };
        entries.table.remove(HASH, Entries::place(0));
        entries.write(2);
        entries.table.insert(HASH, Entries::place(2));
        assert!(matches!(reader.join().unwrap(), None | Some(0 | 2)));
    });
}
