//! What the tier does, seen from outside, one behaviour each; and after each the books agree.

mod drops;
mod idle;
mod model;
mod pages;
mod panics;
mod reads;
mod threads;
mod wheel;

use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use larder_core::Moment;
use larder_policy::{Lru, Policy};

use super::*;

type Numbers = Memory<u64, u64, RandomState, Lru>;

/// What the wheel calls a tick: writes find what expired in an earlier one.
const TICK: u64 = 1 << 20;
const NOW: Moment = Moment::from_nanos(5 * TICK);
const OVERHEAD: usize = Numbers::ENTRY_OVERHEAD;

fn at(nanos: u64) -> Moment {
    Moment::from_nanos(NOW.as_nanos() + nanos)
}

/// A tier whose victims are known.
fn tier<K: std::hash::Hash + Eq, V>(bounds: Bounds) -> Memory<K, V, RandomState, Lru> {
    Builder::new(bounds).policy(Lru::new).build()
}

fn entries(entries: usize) -> Numbers {
    tier(Bounds::entries(entries).shards(1))
}

fn put(memory: &Numbers, key: u64, weight: usize) -> Insert {
    memory.insert(key, key * 10, weight, Moment::MAX, NOW)
}

fn put_until(memory: &Numbers, key: u64, expires_at: Moment) -> Insert {
    memory.insert(key, key * 10, 0, expires_at, NOW)
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

/// Does something again and again until it has had its effect: what is reclaimed waits for
/// searches of other threads, which other tests have.
fn until(act: impl Fn(), done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "it never has its effect");
        act();
        std::thread::yield_now();
    }
}

#[test]
fn the_entry_used_longest_ago_is_evicted() {
    let memory = entries(3);
    for key in 1..=3 {
        assert_eq!(put(&memory, key, 0), Insert::Stored);
    }
    assert_eq!(memory.get(&1, NOW), Some(10));
    assert_eq!(memory.peek(&2, NOW, |value| *value), Some(20));
    assert_eq!(put(&memory, 4, 0), Insert::Stored);
    assert_eq!(keys(&memory), [1, 3, 4]);
    assert_eq!(memory.stats().removals(RemovalCause::Evicted), 1);
}

#[test]
fn every_way_to_read_finds_what_is_held_under_a_borrowed_key() {
    let memory: Memory<String, String> = Memory::new(Bounds::entries(10));
    for name in ["a", "b"] {
        let stored = memory.insert(name.to_owned(), name.repeat(3), 4, Moment::MAX, NOW);
        assert_eq!(stored, Insert::Stored);
    }
    assert_eq!(memory.get("a", NOW).as_deref(), Some("aaa"));
    assert_eq!(memory.get_with("a", NOW, String::len), Some(3));
    assert_eq!(memory.get_ref("b", NOW).as_deref().map(String::as_str), Some("bbb"));
    assert_eq!(memory.peek("b", NOW, String::clone).as_deref(), Some("bbb"));
    let many = memory.get_many(["b", "c", "a"], NOW);
    assert_eq!(many, [Some("bbb".to_owned()), None, Some("aaa".to_owned())]);
    assert_eq!(format!("{:?}", memory.get_ref("a", NOW)), r#"Some("aaa")"#);
    assert!(memory.get_ref("c", NOW).is_none());
    memory.assert_invariants();
}

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
fn an_entry_is_seen_until_its_last_moment_and_not_after_it() {
    let memory: Memory<u64, u64> = Memory::new(Bounds::entries(10));
    assert_eq!(memory.insert(1, 10, 0, at(5), NOW), Insert::Stored);
    assert_eq!(memory.get(&1, at(5)), Some(10));
    assert_eq!(memory.get(&1, at(6)), None);
    assert!(memory.get_ref(&1, at(6)).is_none());
    assert_eq!(memory.peek(&1, at(6), |value| *value), None);
    // It is only not seen: who is earlier sees it.
    assert_eq!((memory.get(&1, at(5)), memory.entries()), (Some(10), 1));
    assert!(memory.remove(&1, at(6), RemovalCause::Removed, |seen| seen.is_none()));
    assert_eq!((memory.entries(), memory.bytes()), (0, 0));
    assert_eq!(memory.stats().removals(RemovalCause::Expired), 1);
    memory.assert_invariants();
}

#[test]
fn what_had_expired_when_it_was_stored_is_never_seen() {
    let memory = entries(10);
    assert_eq!(memory.insert(1, 10, 0, Moment::ZERO, NOW), Insert::Stored);
    assert_eq!(memory.get(&1, NOW), None);
    assert_eq!(put_until(&memory, 2, at(0)), Insert::Stored);
    assert_eq!(memory.expire(at(1), 9).entries, 1);
    memory.assert_invariants();
}

#[test]
fn what_expired_a_tick_ago_goes_before_what_is_cold() {
    let memory = entries(5);
    for key in 1..=3 {
        assert_eq!(put(&memory, key, 0), Insert::Stored);
    }
    assert_eq!(put_until(&memory, 4, at(1)), Insert::Stored);
    assert_eq!(put_until(&memory, 5, at(1)), Insert::Stored);
    assert_eq!(memory.insert(6, 60, 0, Moment::MAX, at(TICK)), Insert::Stored);
    assert_eq!(keys(&memory), [1, 2, 3, 6]);
}

#[test]
fn expired_entries_are_freed_a_few_at_a_time() {
    let memory = tier(Bounds::entries(100).shards(4));
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

/// A clock that jumps whenever it is asked.
#[derive(Clone, Copy)]
struct Jumping<'a>(&'a std::cell::Cell<u64>);

impl Now for Jumping<'_> {
    fn now(self) -> Moment {
        self.0.set(self.0.get() + 2 * TICK);
        Moment::from_nanos(self.0.get())
    }
}

#[test]
fn an_entry_that_expires_while_it_is_replaced_is_replaced() {
    let clock = std::cell::Cell::new(0);
    for expires in 0..12 {
        let memory = entries(2);
        let until = Moment::from_nanos(clock.get() + expires * TICK);
        let now = Moment::from_nanos(clock.get());
        assert_eq!(memory.insert(1, 10, 0, until, now), Insert::Stored);
        assert_eq!(memory.insert(2, 20, 0, Moment::MAX, now), Insert::Stored);
        assert_eq!(memory.insert(1, 10, 7, Moment::MAX, Jumping(&clock)), Insert::Stored);
        assert_eq!(keys(&memory), [1, 2]);
    }
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
fn what_reads_at_a_removal_runs_whether_or_not_anything_is_held() {
    let memory = entries(10);
    assert_eq!(put(&memory, 1, 0), Insert::Stored);
    assert_eq!(put_until(&memory, 2, at(0)), Insert::Stored);
    let mut epoch = 0;
    for (key, removed) in [(1, Some(10)), (1, None), (2, None)] {
        let held = memory.remove(&key, at(1), RemovalCause::Invalidated, |held| {
            epoch += 1;
            held.copied()
        });
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
    let unused = |_: &str| unreachable!("no key is needed");
    assert_eq!(memory.compute("sum", NOW, unused, |_| (Change::Keep, 'k')).0, Outcome::Kept);
    assert_eq!(memory.get("sum", NOW), Some(3));
    let remove = |_: Option<Held<'_, u64>>| (Change::Remove(RemovalCause::Removed), ());
    assert_eq!(memory.compute("sum", NOW, unused, remove), (Outcome::Removed, ()));
    assert_eq!(memory.compute("sum", NOW, unused, remove), (Outcome::Kept, ()));
    memory.assert_invariants();
    assert_eq!(memory.stats().removals(RemovalCause::Removed), 1);
}

#[test]
fn everything_is_cleared_and_counted() {
    let memory = tier(Bounds::entries(1000).shards(8));
    for key in 0..100 {
        assert_eq!(put(&memory, key, 1), Insert::Stored);
    }
    memory.clear(RemovalCause::Invalidated);
    assert_eq!((keys(&memory), memory.bytes()), (vec![], 0));
    assert_eq!(memory.stats().removals(RemovalCause::Invalidated), 100);
    assert_eq!(put(&memory, 1, 1), Insert::Stored);
    assert_eq!(keys(&memory), [1]);
}

#[test]
fn retain_removes_what_is_not_wanted_and_what_has_expired() {
    let memory = tier(Bounds::entries(1000).shards(4));
    for key in 0..300 {
        let expires_at = if key % 3 == 0 { at(0) } else { Moment::MAX };
        assert_eq!(put_until(&memory, key, expires_at), Insert::Stored);
    }
    memory.retain(at(1), RemovalCause::Removed, |key, held| {
        assert_eq!(*held.value, key * 10);
        key % 2 == 0
    });
    let kept: Vec<_> = (0..300).filter(|key| key % 3 != 0 && key % 2 == 0).collect();
    assert_eq!(keys(&memory), kept);
    let stats = memory.stats();
    assert_eq!(stats.removals(RemovalCause::Expired), 100);
    assert_eq!(stats.removals(RemovalCause::Removed), 100);
}

#[test]
fn only_what_expires_is_evicted_where_the_bounds_say_so() {
    let memory = tier(Bounds::entries(3).shards(1).candidates(Candidates::Expiring));
    assert_eq!(put(&memory, 1, 0), Insert::Stored);
    assert_eq!(put_until(&memory, 2, at(9)), Insert::Stored);
    assert_eq!(put(&memory, 3, 0), Insert::Stored);
    // The coldest is no candidate, and the next one is.
    assert_eq!(put(&memory, 4, 0), Insert::Stored);
    assert_eq!(keys(&memory), [1, 3, 4]);
    assert_eq!(put(&memory, 5, 0), Insert::NoRoom);
    assert_eq!(put_until(&memory, 5, at(9)), Insert::NoRoom);
    let put = || Change::Put { value: 50, weight: 0, expires_at: Moment::MAX };
    assert_eq!(memory.compute(&5, NOW, u64::clone, |_| (put(), ())).0, Outcome::NoRoom);
    // In the place of another value there is room.
    assert_eq!(memory.insert(4, 40, 9, at(9), NOW), Insert::Stored);
    assert_eq!(put_until(&memory, 6, at(9)), Insert::Stored);
    assert_eq!(keys(&memory), [1, 3, 6]);
    let stats = memory.stats();
    assert_eq!((stats.no_room, stats.expiring), (3, 1));
}

#[test]
fn a_value_that_finds_no_room_leaves_the_old_one_where_it_was() {
    let bytes = 3 * OVERHEAD + 30;
    let memory = tier(Bounds::bytes(bytes).shards(1).candidates(Candidates::Expiring));
    assert_eq!(put(&memory, 1, 20), Insert::Stored);
    assert_eq!(put_until(&memory, 2, at(9)), Insert::Stored);
    // The policy gives up the key itself, and then has no other.
    assert_eq!(memory.insert(2, 21, 2 * OVERHEAD, at(9), NOW), Insert::NoRoom);
    assert_eq!(keys(&memory), [1, 2]);
    assert_eq!(put(&memory, 3, 10), Insert::Stored);
    assert_eq!(keys(&memory), [1, 2, 3]);
    assert_eq!(put(&memory, 3, 11), Insert::Stored);
    assert_eq!(keys(&memory), [1, 3]);
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
fn every_policy_can_be_chosen_when_the_program_runs() {
    use larder_policy::{Chosen, PolicyKind};
    for kind in PolicyKind::ALL {
        let memory = Builder::new(Bounds::entries(100).shards(1))
            .policy(move |capacity| Chosen::of(kind, capacity))
            .build();
        for key in 0..1000_u64 {
            assert_eq!(memory.insert(key, key, 0, Moment::MAX, NOW), Insert::Stored);
            assert_eq!(memory.get(&key, NOW), Some(key), "{kind}: its own insert's victim");
        }
        memory.assert_invariants();
        assert_eq!(memory.entries(), 100, "{kind}");
    }
}

#[test]
fn values_that_are_dear_to_load_outlive_cheap_ones() {
    use larder_policy::{Chosen, PolicyKind};
    let memory: Memory<u64, u64, RandomState, Chosen> = Builder::new(Bounds::entries(64).shards(1))
        .policy(|capacity| Chosen::of(PolicyKind::CostAware, capacity))
        .costs(|_, &value| Duration::from_micros(value))
        .build();
    for key in 0..32 {
        assert_eq!(memory.insert(key, 1_000_000, 0, Moment::MAX, NOW), Insert::Stored);
    }
    for key in 100..2000 {
        assert_eq!(memory.insert(key, 100, 0, Moment::MAX, NOW), Insert::Stored);
    }
    memory.assert_invariants();
    let dear = (0..32).filter(|key| memory.get(key, NOW).is_some()).count();
    // Victims are drawn: now and then all eight are dear.
    assert!(dear > 20, "{dear} of 32 are left: cheap values drove out dear ones");
}

#[cfg(target_pointer_width = "64")]
#[test]
fn the_heaviest_entry_and_the_dearest_load_are_kept_beside_each_other() {
    let bounds = Bounds::entries(10).entry_bytes_max(usize::MAX).shards(1);
    let memory: Memory<u64, u64> = Builder::new(bounds).costs(|_, _| Duration::MAX).build();
    let heaviest = memory.weight_max();
    assert_eq!(heaviest + Memory::<u64, u64>::ENTRY_OVERHEAD, (1 << 38) - 1);
    assert_eq!(memory.insert(1, 10, heaviest, Moment::MAX, NOW), Insert::Stored);
    memory.assert_invariants();
    memory.for_each(NOW, |_, held| assert_eq!(held.weight, heaviest));
    assert_eq!(memory.insert(2, 20, heaviest + 1, Moment::MAX, NOW), Insert::TooHeavy);
    assert_eq!(memory.entries(), 1);
}

#[test]
fn costs_that_panic_change_nothing() {
    let memory: Memory<u64, u64> = Builder::new(Bounds::entries(64).shards(1))
        .costs(|_, &value| if value == 0 { panic!("no cost") } else { Duration::MAX })
        .build();
    assert_eq!(memory.insert(1, 10, 0, Moment::MAX, NOW), Insert::Stored);
    let insert = || memory.insert(1, 0, 0, Moment::MAX, NOW);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(insert)).is_err());
    memory.assert_invariants();
    assert_eq!(memory.get(&1, NOW), Some(10));
}

#[test]
fn hits_and_misses_are_counted_for_every_policy_and_thread() {
    use larder_policy::{Chosen, PolicyKind};
    for kind in PolicyKind::ALL {
        let memory = Builder::new(Bounds::entries(100))
            .policy(move |capacity| Chosen::of(kind, capacity))
            .build();
        assert_eq!(memory.insert(1, 10, 0, at(0), NOW), Insert::Stored);
        assert_eq!(memory.insert(2, 20, 0, Moment::MAX, NOW), Insert::Stored);
        // More threads than have a line of their own.
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    for key in 0..4 {
                        let _ = memory.get(&key, NOW);
                        let _ = memory.peek(&key, NOW, |_| ());
                    }
                    let _ = memory.get(&1, at(1));
                });
            }
        });
        let stats = memory.stats();
        let late = stats.misses - 200;
        // An exact policy frees what it finds expired, and later reads miss that too.
        assert_eq!(stats.hits + stats.misses, 500, "{kind}");
        assert!((100..=200).contains(&late), "{kind}: {late}");
    }
}

#[test]
fn many_keys_at_once_are_found_in_their_order() {
    let memory = Memory::new(Bounds::entries(10_000));
    for key in (0..1000_u64).step_by(3) {
        assert_eq!(memory.insert(key, key.to_string(), 4, Moment::MAX, NOW), Insert::Stored);
    }
    for count in [0, 1, 15, 16, 17, 100] {
        let keys: Vec<u64> = (500..500 + count).collect();
        let found = memory.get_many(&keys, NOW);
        let expected = keys.iter().map(|key| (key % 3 == 0).then(|| key.to_string()));
        assert!(found.into_iter().eq(expected), "{count} keys");
    }
    assert_eq!(memory.stats().hits + memory.stats().misses, 149);
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

/// Hashes a number to itself, shifted.
#[derive(Clone, Copy, Default)]
struct Shifted(u32, u64);

impl std::hash::Hasher for Shifted {
    fn write(&mut self, _: &[u8]) {
        panic!("only numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.1 = number << self.0;
    }

    fn finish(&self) -> u64 {
        self.1
    }
}

impl std::hash::BuildHasher for Shifted {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

#[test]
fn keys_spread_over_all_shards_whichever_bits_a_hasher_fills() {
    fn check(hasher: impl std::hash::BuildHasher, what: &str) {
        let memory = Builder::new(Bounds::entries(5000).shards(8)).hasher(hasher).build();
        for key in 0..4000_u64 {
            assert_eq!(memory.insert(key, key, 0, Moment::MAX, NOW), Insert::Stored);
        }
        memory.assert_invariants();
        assert_eq!(memory.entries(), 4000, "{what}: some shard was full");
    }
    for shift in [0, 8, 20, 32, 40, 48] {
        check(Shifted(shift, 0), &format!("shifted by {shift}"));
    }
    for seed in 0..300 {
        check(foldhash::fast::FixedState::with_seed(seed * 0x1234_5678_9ABC), &seed.to_string());
    }
}
