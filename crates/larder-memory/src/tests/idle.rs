//! Entries that expire because nobody uses them.

use std::thread;

use larder_policy::{Chosen, Fifo, PolicyKind};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn idle(kind: PolicyKind) -> Memory<u64, u64, RandomState, Chosen> {
    Builder::new(Bounds::entries(100).shards(1))
        .policy(move |capacity| Chosen::of(kind, capacity))
        .idle_for(32 * MINUTE)
        .build()
}

#[test]
fn an_entry_stays_as_long_as_it_is_used_and_a_32nd_longer_than_said() {
    for kind in PolicyKind::ALL {
        let memory = idle(kind);
        assert_eq!(memory.insert(1, 10, 0, Moment::MAX, NOW), Insert::Stored);
        let mut now = NOW;
        for _ in 0..10 {
            now = now + 32 * MINUTE;
            assert_eq!(memory.get(&1, now), Some(10), "{kind}");
            memory.assert_invariants();
        }
        // A use that comes soon after a note isn't noted.
        assert_eq!(memory.get(&1, now + MINUTE), Some(10));
        let last = now + 33 * MINUTE;
        assert_eq!(memory.peek(&1, last, |value| *value), Some(10));
        let late = last + Duration::from_nanos(1);
        assert_eq!(memory.peek(&1, late, |value| *value), None);
        assert_eq!(memory.get(&1, late), None, "{kind}");
    }
}

#[test]
fn a_look_is_no_use_and_neither_is_a_read_that_comes_too_late() {
    let memory = idle(PolicyKind::Fifo);
    assert_eq!(memory.insert(1, 10, 0, Moment::MAX, NOW), Insert::Stored);
    assert_eq!(memory.peek(&1, NOW + 30 * MINUTE, |value| *value), Some(10));
    memory.for_each(NOW + 33 * MINUTE, |_, held| assert_eq!(held.expires_at, Moment::MAX));
    assert_eq!(memory.get(&1, NOW + 34 * MINUTE), None);
    assert_eq!(memory.get(&1, NOW + 33 * MINUTE), Some(10), "an earlier time is an earlier state");
    assert_eq!((memory.stats().hits, memory.stats().misses), (1, 1));
}

#[test]
fn its_own_time_ends_an_entry_that_is_used_all_the_time() {
    let memory = idle(PolicyKind::default());
    assert_eq!(memory.insert(1, 10, 0, NOW + 90 * MINUTE, NOW), Insert::Stored);
    for minutes in (0..=90).step_by(10) {
        assert_eq!(memory.get(&1, NOW + minutes * MINUTE), Some(10));
    }
    assert_eq!(memory.get(&1, NOW + 91 * MINUTE), None);
}

#[test]
fn what_nobody_used_is_freed_by_writes_and_what_was_used_is_not() {
    let memory = idle(PolicyKind::default());
    for key in 0..40 {
        assert_eq!(memory.insert(key, key * 10, 0, Moment::MAX, NOW), Insert::Stored);
    }
    assert_eq!(memory.stats().expiring, 40);
    for key in (0..40).step_by(2) {
        assert_eq!(memory.get(&key, NOW + 20 * MINUTE), Some(key * 10));
    }
    let later = NOW + 40 * MINUTE;
    for key in 100..140 {
        assert_eq!(memory.insert(key, key * 10, 0, Moment::MAX, later), Insert::Stored);
        memory.assert_invariants();
    }
    assert_eq!(memory.stats().removals(RemovalCause::Expired), 20);
    assert_eq!(memory.entries(), 60);
    let expired = memory.expire(later + 60 * MINUTE, usize::MAX);
    assert_eq!(expired, Expired { entries: 60, more: false });
}

#[test]
fn the_longest_idle_time_is_for_ever() {
    let memory: Memory<u64, u64> =
        Builder::new(Bounds::entries(10)).idle_for(Duration::MAX).build();
    assert_eq!(memory.insert(1, 10, 0, Moment::MAX, NOW), Insert::Stored);
    assert_eq!(memory.get(&1, Moment::MAX), Some(10));
    memory.assert_invariants();
}

#[test]
fn no_idle_time_ends_an_entry_with_the_moment_in_which_it_was_stored() {
    let memory: Memory<u64, u64> =
        Builder::new(Bounds::entries(10)).idle_for(Duration::ZERO).build();
    assert_eq!(memory.insert(1, 10, 0, Moment::MAX, NOW), Insert::Stored);
    assert_eq!(memory.get(&1, NOW), Some(10));
    assert_eq!(memory.get(&1, at(1)), None);
}

#[test]
fn reads_of_many_threads_keep_an_entry() {
    let memory: Memory<u64, u64, RandomState, Fifo> =
        Builder::new(Bounds::entries(10)).policy(Fifo::new).idle_for(MINUTE).build();
    assert_eq!(memory.insert(1, 10, 0, Moment::MAX, NOW), Insert::Stored);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for second in 0..=60 {
                    assert_eq!(memory.get(&1, NOW + Duration::from_secs(second)), Some(10));
                }
            });
        }
    });
    assert_eq!(memory.get(&1, NOW + 2 * MINUTE), Some(10));
    assert_eq!(memory.stats().hits, 4 * 61 + 1);
}
