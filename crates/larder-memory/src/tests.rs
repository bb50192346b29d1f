//! What the tier does, seen from outside, one behaviour each; and after each the books agree.

mod bounds;
mod drops;
mod eviction;
mod expiry;
mod hashing;
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
