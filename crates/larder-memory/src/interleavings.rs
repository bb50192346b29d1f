//! The tier under a scheduler that explores the order in which threads run:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p larder-memory --lib`.
//!
//! The scheduler knows one order of all memory accesses, so it says nothing about weak memory.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::{UnwindSafe, catch_unwind};
use std::sync::Arc;

use larder_core::Moment;
use larder_core::sync::{AtomicBool, AtomicU64, Ordering};
use larder_policy::{Policy, Sieve};
use shuttle::thread;

use crate::hazard::explored::{OMIT, Omit};
use crate::{Bounds, Builder, Change, Held, Insert, Memory, RemovalCause};

type Tier<V> = Memory<u64, V, BuildHasherDefault<DefaultHasher>, Sieve>;

const NOW: Moment = Moment::ZERO;
const KEY: u64 = 1;
const ORDERS: usize = 2000;

/// A tier that frees what left as soon as it can.
fn tier<V: 'static>(bounds: Bounds) -> Arc<Tier<V>> {
    let builder = Builder::new(bounds)
        .hasher(BuildHasherDefault::default())
        .policy(Sieve::new)
        .on_removal(|_, _, _| ());
    Arc::new(builder.build())
}

fn put<V>(tier: &Tier<V>, key: u64, value: V) {
    assert_eq!(tier.insert(key, value, 0, Moment::MAX, NOW), Insert::Stored);
}

/// The values that were dropped, by their number.
#[derive(Default)]
struct Graves([AtomicBool; 8]);

/// A value that says when it is dropped. What is read of it are numbers, so a read of one that
/// was freed too early is noticed and does no harm.
struct Mortal {
    number: usize,
    graves: Arc<Graves>,
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.graves.0[self.number].store(true, Ordering::Release);
    }
}

fn verify(number: usize, graves: &Graves) {
    assert!(!graves.0[number].load(Ordering::Acquire), "value {number} is read after its end");
}

/// A reader of a key whose value is replaced.
fn a_reader_beside_a_writer() {
    let (tier, graves) = (tier(Bounds::entries(10).shards(1)), Arc::new(Graves::default()));
    let mortal = |number| Mortal { number, graves: Arc::clone(&graves) };
    put(&tier, KEY, mortal(0));
    let readers = [(), ()].map(|()| {
        let (tier, graves) = (Arc::clone(&tier), Arc::clone(&graves));
        thread::spawn(move || {
            let first = tier.get_ref(&KEY, NOW).expect("the key is held the whole time");
            let read = tier.get_with(&KEY, NOW, |value| {
                verify(value.number, &graves);
                assert!(value.number >= first.number);
                thread::yield_now();
                verify(value.number, &graves);
            });
            assert!(read.is_some(), "the key is held the whole time");
            verify(first.number, &graves);
        })
    });
    for number in 1..4 {
        put(&tier, KEY, mortal(number));
    }
    for reader in readers {
        reader.join().expect("it ends");
    }
    tier.reclaim();
    for (number, grave) in graves.0.iter().take(4).enumerate() {
        assert_eq!(grave.load(Ordering::Acquire), number < 3, "value {number}");
    }
    tier.assert_invariants();
}

/// Looks for an order in which it fails, for so long that a run that is merely unlucky doesn't
/// fail: it stops at the first.
fn must_fail(omit: Omit, scenario: impl Fn() + Send + Sync + UnwindSafe + 'static) {
    OMIT.set(omit);
    let found = catch_unwind(|| shuttle::check_random(scenario, 100 * ORDERS));
    assert!(found.is_err(), "without this step there must be an order that breaks the promise");
}

#[test]
fn what_is_read_is_neither_missed_nor_freed() {
    shuttle::check_random(a_reader_beside_a_writer, ORDERS);
}

#[test]
fn without_waiting_for_searches_it_is_freed() {
    must_fail(Omit::Sections, a_reader_beside_a_writer);
}

#[test]
fn without_looking_at_holds_it_is_freed() {
    must_fail(Omit::Holds, a_reader_beside_a_writer);
}

#[test]
fn a_key_is_found_while_its_table_is_rebuilt_and_its_neighbours_come_and_go() {
    shuttle::check_random(
        || {
            let tier = tier(Bounds::entries(100).shards(1));
            (0..26).for_each(|key| put(&tier, key, key));
            let reader = thread::spawn({
                let tier = Arc::clone(&tier);
                move || (0..3).for_each(|_| assert_eq!(tier.get(&KEY, NOW), Some(KEY)))
            });
            tier.remove(&2, NOW, RemovalCause::Removed, |_| ());
            (26..30).for_each(|key| put(&tier, key, key));
            tier.remove(&3, NOW, RemovalCause::Removed, |_| ());
            reader.join().expect("it ends");
            tier.assert_invariants();
        },
        ORDERS / 4,
    );
}

#[test]
fn what_was_removed_is_not_seen_afterwards() {
    shuttle::check_random(
        || {
            let (tier, gone) =
                (tier(Bounds::entries(10).shards(1)), Arc::new(AtomicBool::new(false)));
            put(&tier, KEY, 0);
            let reader = thread::spawn({
                let (tier, gone) = (Arc::clone(&tier), Arc::clone(&gone));
                move || {
                    let gone = gone.load(Ordering::Acquire);
                    let read = tier.get(&KEY, NOW);
                    assert!(!gone || read.is_none(), "seen after its removal");
                }
            });
            tier.remove(&KEY, NOW, RemovalCause::Removed, |_| ());
            gone.store(true, Ordering::Release);
            // Its slot is used again, by another key.
            put(&tier, KEY + 1, 7);
            reader.join().expect("it ends");
        },
        ORDERS,
    );
}

#[derive(Default)]
struct World {
    row: AtomicU64,
    epoch: AtomicU64,
}

/// Reads the row and fills the tier, unless the fence that it took before was raised.
fn fill(tier: &Tier<u64>, world: &World) -> Insert {
    let fence = world.epoch.load(Ordering::Acquire);
    let row = world.row.load(Ordering::Acquire);
    let holds = |_: Option<&u64>| world.epoch.load(Ordering::Acquire) == fence;
    tier.insert_if(KEY, row, 0, Moment::MAX, NOW, holds)
}

/// Removes what is held, and raises a fence under the same lock.
fn invalidate(tier: &Tier<u64>, raise: impl FnOnce()) {
    let removes = |_: Option<Held<'_, u64>>| (Change::Remove(RemovalCause::Invalidated), ());
    tier.compute_then(&KEY, NOW, u64::clone, removes, |_, ()| raise());
}

/// Somebody who sees the fence raised, and reads, while an invalidation is under way.
fn a_reader_within_an_invalidation(invalidate: impl FnOnce(&Tier<u64>, &AtomicU64)) {
    let (tier, epoch) = (tier(Bounds::entries(10).shards(1)), Arc::new(AtomicU64::new(0)));
    put(&tier, KEY, 0);
    let reader = thread::spawn({
        let (tier, epoch) = (Arc::clone(&tier), Arc::clone(&epoch));
        move || {
            let is_raised = epoch.load(Ordering::Acquire) == 1;
            let read = tier.get(&KEY, NOW);
            assert!(!is_raised || read.is_none(), "what is held outlives the fence");
        }
    });
    invalidate(&tier, &epoch);
    reader.join().expect("it ends");
}

#[test]
fn whoever_sees_a_fence_raised_sees_nothing_of_before() {
    shuttle::check_random(
        || {
            a_reader_within_an_invalidation(|tier, epoch| {
                invalidate(tier, || epoch.store(1, Ordering::Release));
            });
        },
        ORDERS,
    );
}

#[test]
fn with_the_fence_raised_first_somebody_sees_what_was_before() {
    must_fail(Omit::Nothing, || {
        a_reader_within_an_invalidation(|tier, epoch| {
            tier.remove(&KEY, NOW, RemovalCause::Invalidated, |_| {
                epoch.store(1, Ordering::Release);
            });
        });
    });
}

#[test]
fn a_fill_that_an_invalidation_overlaps_is_never_seen() {
    shuttle::check_random(
        || {
            let bounds = Bounds::entries(10).shards(2);
            let (tier, world) = (tier(bounds), Arc::new(World::default()));
            let fillers = [(), ()].map(|()| {
                let (tier, world) = (Arc::clone(&tier), Arc::clone(&world));
                thread::spawn(move || fill(&tier, &world))
            });
            world.row.store(1, Ordering::Release);
            invalidate(&tier, || {
                world.epoch.fetch_add(1, Ordering::AcqRel);
            });
            assert_ne!(tier.get(&KEY, NOW), Some(0));
            let fills = fillers.map(|filler| filler.join().expect("it ends"));
            assert_ne!(tier.get(&KEY, NOW), Some(0), "{fills:?}");
            tier.assert_invariants();
        },
        ORDERS,
    );
}

#[test]
fn the_bounds_hold_in_every_order() {
    shuttle::check_random(
        || {
            let tier = tier(Bounds::entries(4).shards(2));
            let threads = [0, 10, 20].map(|first| {
                let tier = Arc::clone(&tier);
                thread::spawn(move || {
                    for key in first..first + 4 {
                        put(&tier, key, key);
                        assert!(tier.entries() <= 4);
                    }
                })
            });
            for thread in threads {
                thread.join().expect("it ends");
            }
            tier.assert_invariants();
        },
        ORDERS,
    );
}
