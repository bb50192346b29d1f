//! Reads that outlast what they read, and the threads that make them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use super::*;
use crate::live::Live;

/// A value that knows whether it is intact, and counts how often it was dropped.
struct Mortal {
    number: u64,
    check: u64,
    drops: Arc<AtomicUsize>,
}

impl Mortal {
    fn new(number: u64, drops: &Arc<AtomicUsize>) -> Self {
        Self { number, check: !number, drops: Arc::clone(drops) }
    }

    fn number(&self) -> u64 {
        assert_eq!(self.number, !self.check, "the value is torn or freed");
        self.number
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        assert_eq!(self.number, !self.check, "dropped twice");
        self.check = self.number;
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

type Mortals = Memory<u64, Mortal, RandomState, Lru>;

fn put_mortal(memory: &Mortals, key: u64, drops: &Arc<AtomicUsize>) {
    let insert = memory.insert(key, Mortal::new(key, drops), 0, at(TICK), NOW);
    assert_eq!(insert, Insert::Stored);
}

#[test]
fn a_reference_keeps_its_value_through_every_way_out() {
    let ways: [fn(&Mortals, &Arc<AtomicUsize>); 6] = [
        |memory, drops| put_mortal(memory, 0, drops),
        |memory, _| memory.remove(&0, NOW, RemovalCause::Removed, |_| ()),
        |memory, drops| (1..1000).for_each(|key| put_mortal(memory, key, drops)),
        |memory, _| assert!(memory.expire(at(2 * TICK), 1000).entries > 0),
        |memory, _| memory.clear(RemovalCause::Removed),
        |memory, _| memory.resize(Bounds::entries(0)),
    ];
    for way in ways {
        let drops = Arc::default();
        let memory: Mortals = tier(Bounds::entries(50).shards(1));
        put_mortal(&memory, 0, &drops);
        let held = memory.get_ref(&0, NOW).unwrap();
        way(&memory, &drops);
        // The others come and go, and their slots are used again.
        for key in 0..500 {
            put_mortal_if_there_is_room(&memory, 100 + key, &drops);
        }
        memory.clear(RemovalCause::Removed);
        let all = usize::try_from(memory.stats().inserts).unwrap();
        let refused = usize::try_from(memory.stats().too_heavy).unwrap();
        until(|| memory.reclaim(), || drops.load(Ordering::Relaxed) == all - 1 + refused);
        assert_eq!(held.number(), 0);
        memory.assert_invariants();
        drop(held);
        until(|| memory.reclaim(), || drops.load(Ordering::Relaxed) == all + refused);
        drop(memory);
        assert_eq!(drops.load(Ordering::Relaxed), all + refused);
    }
}

fn put_mortal_if_there_is_room(memory: &Mortals, key: u64, drops: &Arc<AtomicUsize>) {
    let _ = memory.insert(key, Mortal::new(key, drops), 0, at(TICK), NOW);
}

#[test]
fn references_nest_deeper_than_a_thread_has_places() {
    fn nest(memory: &Mortals, key: u64) -> u64 {
        memory
            .get_with(&key, NOW, |value| {
                // Meanwhile it is replaced.
                put_mortal(memory, key, &value.drops);
                let below = if key == 0 { 0 } else { nest(memory, key - 1) };
                value.number() + below
            })
            .unwrap()
    }

    let drops = Arc::default();
    let memory: Mortals = tier(Bounds::entries(100));
    (0..40).for_each(|key| put_mortal(&memory, key, &drops));
    for _ in 0..3 {
        assert_eq!(nest(&memory, 39), 39 * 40 / 2);
    }
    let mut held: Vec<_> = (0..40).map(|key| memory.get_ref(&key, NOW).unwrap()).collect();
    memory.clear(RemovalCause::Removed);
    // They are let go in another order than that in which they were taken.
    while !held.is_empty() {
        let one = held.swap_remove(held.len() / 2);
        drop(one);
        memory.reclaim();
        assert!(held.iter().all(|held| held.number() < 40));
    }
    until(|| memory.reclaim(), || drops.load(Ordering::Relaxed) == 40 + 3 * 40);
    memory.assert_invariants();
}

#[test]
fn threads_come_and_go_and_what_they_read_is_freed() {
    let drops = Arc::default();
    let memory: Mortals = tier(Bounds::entries(10));
    for round in 0..50 {
        put_mortal(&memory, 1, &drops);
        thread::scope(|scope| {
            let readers = [(), (), ()].map(|()| {
                scope.spawn(|| {
                    let held: Vec<_> = (0..9).map(|_| memory.get_ref(&1, NOW)).collect();
                    held.iter().flatten().map(|held| held.number()).sum::<u64>()
                })
            });
            assert!(readers.into_iter().all(|reader| reader.join().unwrap() == 9));
        });
        until(|| memory.reclaim(), || drops.load(Ordering::Relaxed) == round);
    }
}

#[expect(unsafe_code, reason = "a tier for ever would be a leak in the eyes of a sanitizer")]
/// A reference in a thread-local value outlives what the tier keeps for the thread; others take
/// its records over while it still reads.
#[test]
fn a_reference_may_outlive_what_its_thread_has() {
    thread_local! {
        static KEPT: std::cell::RefCell<Vec<Ref<'static, Mortal>>> = const {
            std::cell::RefCell::new(Vec::new())
        };
    }

    let drops = Arc::default();
    let owned = Box::into_raw(Box::new(tier(Bounds::entries(100).shards(1))));
    // SAFETY: it lives until the end of this test, when all threads have ended.
    let memory: &'static Mortals = unsafe { &*owned };
    (0..10).for_each(|key| put_mortal(memory, key, &drops));
    for round in 0..20 {
        let read = Barrier::new(2);
        thread::scope(|scope| {
            let keeper = scope.spawn(|| {
                // Made before the thread reads, so it is dropped after what the reads made.
                KEPT.with_borrow(|kept| assert!(kept.is_empty()));
                for key in 0..(round % 10) {
                    let held = memory.get_ref(&key, NOW).unwrap();
                    KEPT.with_borrow_mut(|kept| kept.push(held));
                }
                // Those in the first record go, and those behind it stay.
                KEPT.with_borrow_mut(|kept| kept.drain(..kept.len().min(6)).for_each(drop));
                read.wait();
            });
            read.wait();
            for key in 0..10 {
                let held: Vec<_> = (0..8).map(|_| memory.get_ref(&key, NOW).unwrap()).collect();
                assert!(held.iter().all(|held| held.number() == key));
            }
            keeper.join().unwrap();
        });
    }
    memory.clear(RemovalCause::Removed);
    until(|| memory.reclaim(), || drops.load(Ordering::Relaxed) == 10);
    // SAFETY: it came from a box, and nobody has it any longer.
    drop(unsafe { Box::from_raw(owned) });
}

#[test]
fn a_reader_who_stays_costs_writers_nothing_but_its_entry() {
    let drops = Arc::default();
    let memory: Mortals = tier(Bounds::entries(100).shards(1));
    put_mortal(&memory, 0, &drops);
    let held = memory.get_ref(&0, NOW).unwrap();
    for key in 0..20_000 {
        put_mortal(&memory, key % 300, &drops);
    }
    until(|| memory.reclaim(), || drops.load(Ordering::Relaxed) == 20_001 - 101);
    assert!(memory.slots() < 1500, "{}", memory.slots());
    assert_eq!(held.number(), 0);
}

#[test]
fn live_slots_are_found_in_order() {
    let mut live = Live::default();
    let slots = [0, 1, 63, 64, 127, 128, 1000];
    assert_eq!((live.next(0), live.next(5000), live.end()), (None, None, 0));
    for slot in slots {
        live.insert(slot);
    }
    let all: Vec<_> = std::iter::successors(live.next(0), |slot| live.next(slot + 1)).collect();
    assert_eq!((all, live.len(), live.end()), (slots.to_vec(), slots.len(), 1001));
    assert!(slots.iter().all(|&slot| live.contains(slot)));
    assert!(!live.contains(2) && !live.contains(1_000_000));
    live.remove(1000);
    live.remove(64);
    assert_eq!((live.next(64), live.next(128), live.next(129)), (Some(127), Some(128), None));
    live.shrink(129);
    assert_eq!((live.end(), live.len(), live.contains(128)), (129, 5, true));
    live.insert(700);
    assert_eq!(live.next(129), Some(700));
}
