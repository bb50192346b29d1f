//! What the tier does, seen from outside, one behaviour each; and after each the books agree.

mod drops;
mod model;
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};

use larder_core::Moment;

use super::*;

type Numbers = Memory<u64, u64>;

const NOW: Moment = Moment::from_nanos(1_000_000);
const OVERHEAD: usize = Numbers::ENTRY_OVERHEAD;

fn at(nanos: u64) -> Moment {
    Moment::from_nanos(NOW.as_nanos() + nanos)
}

fn entries(entries: usize) -> Numbers {
    Memory::new(Bounds::entries(entries).shards(1))
}

fn put(memory: &Numbers, key: u64, weight: usize) -> Insert {
    memory.insert_if(key, key * 10, weight, Moment::MAX, NOW, |_| true)
}

fn put_until(memory: &Numbers, key: u64, expires_at: Moment) -> Insert {
    memory.insert_if(key, key * 10, 0, expires_at, NOW, |_| true)
}

fn keys(memory: &Numbers) -> Vec<u64> {
    memory.assert_invariants();
    let mut keys = Vec::new();
    memory.for_each(NOW, |key, held| {
        assert_eq!(*held.value, key * 10);
        keys.push(*key);
    });
    keys.sort_unstable();
    keys
}

#[test]
fn the_entry_used_longest_ago_is_evicted() {
    let memory = entries(3);
    for key in 1..=3 {
        assert_eq!(put(&memory, key, 0), Insert::Stored);
    }
    assert_eq!(memory.get(&1, NOW, |value| *value), Some(10));
    assert_eq!(memory.peek(&2, NOW, |value| *value), Some(20));
    assert_eq!(put(&memory, 4, 0), Insert::Stored);
    assert_eq!(keys(&memory), [1, 3, 4]);
    assert_eq!(memory.stats().removals(RemovalCause::Evicted), 1);
}

#[test]
fn a_heavy_entry_evicts_as_many_others_as_it_takes_and_not_itself() {
    let bytes = 4 * (OVERHEAD + 100);
    let memory = Memory::new(Bounds::bytes(bytes).shards(1));
    for key in 1..=4 {
        assert_eq!(put(&memory, key, 100), Insert::Stored);
    }
    assert_eq!(memory.bytes(), bytes);
    assert_eq!(put(&memory, 5, 201), Insert::Stored);
    assert_eq!(keys(&memory), [3, 4, 5]);
    // Replacing the coldest by a heavier one evicts the others.
    assert_eq!(put(&memory, 3, bytes - OVERHEAD), Insert::Stored);
    assert_eq!((keys(&memory), memory.bytes()), (vec![3], bytes));
}

#[test]
fn the_heaviest_entry_is_held_and_a_heavier_one_takes_the_old_value_with_it() {
    let memory = Memory::new(Bounds::entries(10).entry_bytes_max(500));
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

    let memory = Memory::new(Bounds::bytes(OVERHEAD + 200));
    assert_eq!(put(&memory, 1, 200), Insert::Stored);
    assert_eq!(put(&memory, 2, 201), Insert::TooHeavy);
    assert_eq!(put(&memory, 2, usize::MAX), Insert::TooHeavy);
    assert_eq!(keys(&memory), [1]);
}

#[test]
fn bounds_of_zero_keep_nothing() {
    for bounds in [Bounds::entries(0), Bounds::bytes(0), Bounds::bytes(OVERHEAD - 1)] {
        let memory = Memory::new(bounds);
        assert_eq!(put(&memory, 1, 0), Insert::TooHeavy);
        assert_eq!(keys(&memory), []);
    }
}

#[test]
fn an_entry_is_seen_until_its_last_moment_and_not_after_it() {
    let memory = entries(10);
    assert_eq!(put_until(&memory, 1, at(5)), Insert::Stored);
    assert_eq!(memory.get(&1, at(5), |value| *value), Some(10));
    assert_eq!(memory.entries(), 1);
    assert_eq!(memory.peek(&1, at(6), |value| *value), None);
    assert_eq!((memory.entries(), memory.bytes()), (0, 0));
    assert_eq!(memory.stats().removals(RemovalCause::Expired), 1);
}

#[test]
fn what_expired_goes_before_what_is_cold() {
    let memory = entries(5);
    for key in 1..=3 {
        assert_eq!(put(&memory, key, 0), Insert::Stored);
    }
    assert_eq!(put_until(&memory, 4, at(1)), Insert::Stored);
    assert_eq!(put_until(&memory, 5, at(1)), Insert::Stored);
    assert_eq!(memory.insert_if(6, 60, 0, Moment::MAX, at(2), |_| true), Insert::Stored);
    assert_eq!(keys(&memory), [1, 2, 3, 6]);
}

#[test]
fn expired_entries_are_freed_a_few_at_a_time() {
    let memory = Memory::new(Bounds::entries(100).shards(4));
    for key in 0..40 {
        assert_eq!(put_until(&memory, key, at(key)), Insert::Stored);
    }
    assert_eq!(memory.expire(at(0), 3), Expired { entries: 0, more: false });
    let mut freed = 0;
    loop {
        let expired = memory.expire(at(30), 3);
        assert!(expired.entries <= 4 * 3);
        freed += expired.entries;
        memory.assert_invariants();
        if !expired.more {
            break;
        }
    }
    assert_eq!((freed, memory.entries()), (30, 10));
    assert_eq!(memory.expire(at(30), 3), Expired { entries: 0, more: false });
    assert_eq!(memory.expire(Moment::MAX, 0), Expired { entries: 0, more: true });
}

#[test]
fn an_insert_whose_condition_fails_changes_nothing() {
    let memory = entries(10);
    assert_eq!(put(&memory, 1, 7), Insert::Stored);
    let refused = memory.insert_if(1, 11, 0, Moment::MAX, NOW, |held| {
        assert_eq!(held, Some(&10));
        false
    });
    assert_eq!(refused, Insert::Refused);
    let refused = memory.insert_if(2, 22, usize::MAX, Moment::MAX, NOW, |held| held.is_some());
    assert_eq!(refused, Insert::Refused);
    assert_eq!((keys(&memory), memory.bytes()), (vec![1], OVERHEAD + 7));
    let stats = memory.stats();
    assert_eq!((stats.inserts, stats.refused, stats.too_heavy), (1, 2, 0));
}

#[test]
fn what_comes_before_a_removal_runs_whether_or_not_anything_is_held() {
    let memory = entries(10);
    assert_eq!(put(&memory, 1, 0), Insert::Stored);
    assert_eq!(put_until(&memory, 2, at(0)), Insert::Stored);
    let mut epoch = 0;
    for (key, removed) in [(1, Some(10)), (1, None), (2, None)] {
        let held = memory.remove(&key, at(1), RemovalCause::Invalidated, || epoch += 1);
        assert_eq!(held, removed, "{key}");
    }
    assert_eq!(epoch, 3);
    let stats = memory.stats();
    assert_eq!(stats.removals(RemovalCause::Invalidated), 1);
    assert_eq!(stats.removals(RemovalCause::Expired), 1);
}

#[test]
fn compute_reads_changes_and_removes_in_one_step() {
    let memory: Memory<String, u64> = Memory::new(Bounds::entries(10));
    let add = |held: Option<Held<'_, u64>>| {
        let sum = held.map_or(0, |held| *held.value) + 1;
        (Change::Put { value: sum, weight: 3, expires_at: Moment::MAX }, sum)
    };
    for sum in 1..=3 {
        assert_eq!(memory.compute("sum", NOW, str::to_owned, add), (Outcome::Stored, sum));
    }
    let unused = |_: &str| unreachable!("the key is held already, or not needed");
    assert_eq!(memory.compute("sum", NOW, unused, |_| (Change::Keep, 'k')).0, Outcome::Kept);
    assert_eq!(memory.compute("sum", NOW, unused, add), (Outcome::Stored, 4));
    let remove = |_: Option<Held<'_, u64>>| (Change::Remove(RemovalCause::Removed), ());
    assert_eq!(memory.compute("sum", NOW, unused, remove), (Outcome::Removed, ()));
    assert_eq!(memory.compute("sum", NOW, unused, remove), (Outcome::Kept, ()));
    memory.assert_invariants();
    assert_eq!(memory.stats().removals(RemovalCause::Removed), 1);
}

#[test]
fn everything_is_cleared_and_counted() {
    let memory = Memory::new(Bounds::entries(1000).shards(8));
    for key in 0..100 {
        assert_eq!(put(&memory, key, 1), Insert::Stored);
    }
    assert!(memory.shards().all(|shard| shard.lock().stats().entries > 0));
    memory.clear(RemovalCause::Invalidated);
    assert_eq!((keys(&memory), memory.bytes()), (vec![], 0));
    assert_eq!(memory.stats().removals(RemovalCause::Invalidated), 100);
    assert_eq!(put(&memory, 1, 1), Insert::Stored);
    assert_eq!(keys(&memory), [1]);
}

#[test]
fn a_shard_that_was_full_of_small_entries_gives_their_slots_back() {
    let bytes = 2000 * OVERHEAD;
    let memory = Memory::new(Bounds::bytes(bytes).shards(1));
    for key in 0..2000 {
        assert_eq!(put_until(&memory, key, at(key)), Insert::Stored);
    }
    let slots = || memory.shards().map(|shard| shard.lock().slots()).sum::<u32>();
    assert_eq!(slots(), 2000);
    // Each of these takes the room of ten of those.
    for key in 2000..4000 {
        assert_eq!(put(&memory, key, 9 * OVERHEAD), Insert::Stored);
    }
    assert_eq!(keys(&memory), (3800..4000).collect::<Vec<_>>());
    assert!(slots() <= 200 + 200 / 8 + 64, "{} slots", slots());
}

#[test]
fn a_panic_in_a_closure_leaves_the_tier_sound() {
    let memory = entries(10);
    assert_eq!(put(&memory, 1, 1), Insert::Stored);
    let put = || Change::Put { value: 20, weight: 1, expires_at: Moment::MAX };
    let insert_if = || memory.insert_if(2, 20, 1, Moment::MAX, NOW, |_| panic!("holds"));
    let remove = || memory.remove(&1, NOW, RemovalCause::Removed, || panic!("before"));
    let panics: [&dyn Fn() -> bool; 5] = [
        &|| memory.get(&1, NOW, |_| panic!("read")).unwrap(),
        &|| memory.compute(&2, NOW, u64::clone, |_| panic!("change")).1,
        &|| memory.compute(&2, NOW, |_| panic!("own"), |_| (put(), true)).1,
        &|| insert_if() == Insert::Stored,
        &|| remove().is_some(),
    ];
    for panics in panics {
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!((keys(&memory), memory.bytes()), (vec![1], OVERHEAD + 1));
    }
}
