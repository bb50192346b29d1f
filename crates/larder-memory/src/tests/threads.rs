//! Many threads at once: the bounds hold at every instant, and nothing is lost from the books.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const KEYS: u64 = 4000;
const THREADS: u64 = 4;
const STEPS: u64 = 20_000;

/// A step of the generator of Knuth's MMIX, whose high bits are good enough here.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn hammer(memory: &Memory<u64, u64>, seed: u64) {
    let mut state = seed;
    for step in 0..STEPS {
        let key = next(&mut state) % KEYS;
        let (now, weight) = (at(step), next(&mut state) as usize % 3000);
        match next(&mut state) % 10 {
            0..4 => {
                let value = memory.get(&key, now);
                assert!(value.is_none_or(|value| value == key * 10));
            }
            4..7 => {
                let expires_at = at(step + next(&mut state) % 2000);
                let _ = memory.insert(key, key * 10, weight, expires_at, now);
            }
            7 => {
                let put = Change::Put { value: key * 10, weight, expires_at: Moment::MAX };
                let _ = memory.compute(&key, now, u64::clone, |_| (put, ()));
            }
            8 => memory.remove(&key, now, RemovalCause::Invalidated, |_| ()),
            _ if step % 100 == 0 => drop(memory.expire(now, 5)),
            _ => assert!(memory.peek(&key, now, |value| *value == key * 10) != Some(false)),
        }
    }
}

fn check(bounds: Bounds, entries: usize, bytes: usize) {
    let memory: Memory<u64, u64> = Memory::new(bounds);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let stats = memory.stats();
                assert!(stats.entries <= entries && stats.bytes <= bytes, "{stats:?}");
            }
        });
        let memory = &memory;
        let hammers: Vec<_> =
            (1..=THREADS).map(|seed| scope.spawn(move || hammer(memory, seed))).collect();
        let ended = hammers.into_iter().map(thread::ScopedJoinHandle::join);
        let sound = ended.fold(true, |sound, end| sound & end.is_ok());
        done.store(true, Ordering::Relaxed);
        let sound = watch.join().is_ok() && sound;
        assert!(sound, "a thread found the tier broken");
    });
    memory.assert_invariants();
    let stats = memory.stats();
    assert!(stats.removals(RemovalCause::Evicted) > 0, "{stats:?}");
    // The bounds are not kept by keeping next to nothing.
    assert!(stats.entries > entries / 10 * 8 || stats.bytes > bytes / 10 * 8, "{stats:?}");
}

#[test]
fn the_bounds_hold_at_every_instant() {
    check(Bounds::entries(100).shards(8), 100, usize::MAX);
    let bytes = 200 * (OVERHEAD + 1500);
    check(Bounds::bytes(bytes).entry_bytes_max(2500).shards(8), usize::MAX, bytes);
    check(Bounds::bytes(bytes).and_entries(150).entry_bytes_max(2500).shards(8), 150, bytes);
}
