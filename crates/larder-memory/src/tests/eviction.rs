//! Who leaves when it is full.

use super::*;

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
