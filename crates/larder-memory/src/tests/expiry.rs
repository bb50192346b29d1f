//! How long an entry is seen, and when its memory is freed.

use super::*;

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
