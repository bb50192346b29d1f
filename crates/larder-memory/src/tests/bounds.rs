//! What fits: bounds, weights, other bounds, and entries that keep their places.

use super::*;

#[test]
fn a_heavy_entry_evicts_as_many_others_as_it_takes_and_not_itself() {
    let bytes = 4 * (OVERHEAD + 100);
    let memory = tier(Bounds::bytes(bytes).shards(1));
    for key in 1..=4 {
        assert_eq!(put(&memory, key, 100), Insert::Stored);
    }
    assert_eq!(memory.bytes(), bytes);
    assert_eq!(put(&memory, 5, 201), Insert::Stored);
    assert_eq!(keys(&memory), [3, 4, 5]);
    // Replacing the coldest by a heavier one evicts the others.
    assert_eq!(put(&memory, 3, bytes - OVERHEAD), Insert::Stored);
    assert_eq!((keys(&memory), memory.bytes()), (vec![3], bytes));
    assert_eq!(memory.stats().removals(RemovalCause::Replaced), 1);
}

#[test]
fn the_heaviest_entry_is_held_and_a_heavier_one_takes_the_old_value_with_it() {
    let memory = tier(Bounds::entries(10).entry_bytes_max(500));
    assert_eq!(memory.weight_max(), 500);
    assert_eq!(put(&memory, 1, 500), Insert::Stored);
    assert_eq!(put(&memory, 2, 501), Insert::TooHeavy);
    assert_eq!(keys(&memory), [1]);
    let heavier = Change::Put { value: 11, weight: 501, expires_at: Moment::MAX };
    let (outcome, seen) = memory.compute(&1, NOW, u64::clone, |held| {
        let held = held.map(|held| (*held.value, held.weight, held.expires_at));
        (heavier, held)
    });
    assert_eq!((outcome, seen), (Outcome::TooHeavy, Some((10, 500, Moment::MAX))));
    assert_eq!(keys(&memory), []);
    let stats = memory.stats();
    assert_eq!((stats.too_heavy, stats.removals(RemovalCause::Replaced)), (2, 1));

    let memory = tier(Bounds::bytes(OVERHEAD + 200));
    assert_eq!(memory.weight_max(), 200);
    assert_eq!(put(&memory, 1, 200), Insert::Stored);
    assert_eq!(put(&memory, 2, 201), Insert::TooHeavy);
    assert_eq!(put(&memory, 2, usize::MAX), Insert::TooHeavy);
    assert_eq!(keys(&memory), [1]);
}

#[test]
fn weights_of_half_the_address_space_are_added_up_without_overflow() {
    let bounds = [Bounds::entries(10), Bounds::bytes(usize::MAX)];
    for bounds in bounds.map(|bounds| bounds.entry_bytes_max(usize::MAX).shards(1)) {
        let memory = tier(bounds);
        for weight in [usize::MAX / 2, usize::MAX / 5, usize::MAX / 5, usize::MAX - OVERHEAD] {
            for key in 0..4 {
                let _ = put(&memory, key, weight);
                memory.assert_invariants();
            }
        }
        assert_eq!(put(&memory, 9, 9), Insert::Stored);
        assert_eq!(memory.get(&9, NOW), Some(90));
    }
}

#[test]
fn bounds_of_zero_keep_nothing() {
    for bounds in [Bounds::entries(0), Bounds::bytes(0), Bounds::bytes(OVERHEAD - 1)] {
        let memory = tier(bounds);
        assert_eq!(put(&memory, 1, 0), Insert::TooHeavy);
        assert_eq!(keys(&memory), []);
    }
}

#[test]
fn other_bounds_hold_at_once_and_the_coldest_leave() {
    let memory = tier(Bounds::entries(200).shards(2));
    for key in 0..200 {
        assert_eq!(put(&memory, key, 10), Insert::Stored);
    }
    let held = memory.entries();
    memory.resize(Bounds::entries(400));
    assert_eq!(memory.entries(), held);
    memory.resize(Bounds::entries(20));
    assert_eq!((keys(&memory).len(), memory.bounds()), (20, Bounds::entries(20)));
    // Ten of the youngest of each of two shards.
    assert!(keys(&memory).iter().all(|&key| key > 100), "{:?}", keys(&memory));
    // From entries to bytes and to other candidates: what the policy sees changes.
    memory.resize(Bounds::bytes(10 * (OVERHEAD + 10)));
    assert_eq!(keys(&memory).len(), 10);
    memory.resize(Bounds::entries(4).candidates(Candidates::Expiring));
    // Nothing may be evicted.
    assert_eq!(memory.stats().entries, 10);
    assert_eq!(put(&memory, 1000, 0), Insert::NoRoom);
    memory.resize(Bounds::entries(4));
    assert_eq!(keys(&memory).len(), 4);
    memory.resize(Bounds::entries(0));
    assert_eq!(keys(&memory), []);
    assert_eq!(put(&memory, 1, 0), Insert::TooHeavy);
}

#[test]
fn a_resize_keeps_the_order_in_which_entries_would_leave() {
    let memory = tier(Bounds::entries(10).shards(1));
    for key in 0..10 {
        assert_eq!(put(&memory, key, 0), Insert::Stored);
    }
    assert_eq!(memory.get(&0, NOW), Some(0));
    memory.resize(Bounds::bytes(5 * OVERHEAD));
    assert_eq!(keys(&memory), [0, 6, 7, 8, 9]);
}

#[test]
fn a_shard_that_was_full_of_small_entries_gives_their_slots_back() {
    let memory = tier(Bounds::bytes(40_000 * OVERHEAD).shards(1));
    let fill = || {
        for key in 0..40_000 {
            assert_eq!(put_until(&memory, key, at(key)), Insert::Stored);
        }
        memory.assert_invariants();
        assert!(memory.slots() > 39_000);
    };
    fill();
    // Each of these takes the room of a hundred of those.
    for key in 40_000..41_000 {
        assert_eq!(put(&memory, key, 99 * OVERHEAD), Insert::Stored);
    }
    assert!(keys(&memory).len() > 390);
    until(|| memory.reclaim(), || memory.slots() < 20_000);
    memory.assert_invariants();
    fill();
    memory.clear(RemovalCause::Removed);
    until(|| memory.reclaim(), || memory.slots() == 0);
    fill();
}

#[test]
fn the_overhead_is_what_the_documentation_says() {
    assert_eq!(Memory::<u64, u64>::ENTRY_OVERHEAD, 8 + 8 + 8 + 24 + 32);
    assert_eq!(Memory::<String, u64>::ENTRY_OVERHEAD, 24 + 8 + 8 + 24 + 32 + 16);
}

#[test]
fn a_table_that_was_outgrown_is_freed_though_no_entry_leaves() {
    let memory = entries(100_000);
    let key = std::cell::Cell::new(0);
    let put_some = || {
        for _ in 0..100 {
            key.set(key.get() + 1);
            assert_eq!(put(&memory, key.get(), 0), Insert::Stored);
        }
    };
    (0..20).for_each(|_| put_some());
    until(put_some, || memory.old_tables() == 0);
    assert_eq!(memory.stats().removals(RemovalCause::Evicted), 0);
}
