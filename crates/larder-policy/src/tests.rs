//! Every policy against a holder that checks what it is told, and the exact ones against models.

mod holder;
mod models;

use proptest::prelude::*;

use self::holder::{Holder, Step, steps};
use self::models::{FifoModel, LfuModel, LruModel, S3FifoModel, SieveModel};
use crate::{Adaptive, Chosen, Fifo, Lfu, Lru, Policy, PolicyKind, S3Fifo, SLOTS_MAX, Sieve};

/// A hash with every bit mixed, as holders give them.
pub(crate) fn hash(key: u32) -> u32 {
    let mixed = (key ^ key >> 16).wrapping_mul(0x7FEB_352D);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x846C_A68B);
    mixed ^ mixed >> 16
}

/// Runs the steps through a policy and its model, which must evict the same.
fn agree<P: Policy, M: Policy>(steps: &[Step]) {
    let mut holder = Holder::new(P::new(20), 20);
    let mut model = Holder::new(M::new(20), 20);
    for step in steps {
        holder.apply(step);
        model.apply(step);
        assert_eq!(holder.evicted, model.evicted, "after {step:?}");
    }
    holder.drain();
    model.drain();
    assert_eq!(holder.evicted, model.evicted);
}

/// The steps after which a queue with lazy removal is still exact.
fn only_fills_and_uses(steps: Vec<Step>) -> Vec<Step> {
    let exact = |step: &Step| !matches!(step, Step::Remove(_) | Step::Relocate(_));
    steps.into_iter().filter(exact).collect()
}

proptest! {
    #[test]
    fn every_policy_evicts_each_entry_once_and_nothing_else(steps in steps()) {
        for kind in PolicyKind::ALL {
            let mut holder = Holder::new(Chosen::of(kind, 20), 20);
            for step in &steps {
                holder.apply(step);
            }
            holder.drain();
        }
    }

    #[test]
    fn lru_is_a_queue_of_uses(steps in steps()) {
        agree::<Lru, LruModel>(&steps);
    }

    #[test]
    fn fifo_is_a_queue_of_fills(steps in steps()) {
        agree::<Fifo, FifoModel>(&steps);
    }

    #[test]
    fn lfu_evicts_the_fewest_uses(steps in steps()) {
        agree::<Lfu, LfuModel>(&steps);
    }

    #[test]
    fn sieve_is_a_hand_on_a_queue(steps in steps()) {
        agree::<Sieve, SieveModel>(&steps);
    }

    #[test]
    fn s3fifo_is_two_queues_and_a_ghost(steps in steps().prop_map(only_fills_and_uses)) {
        agree::<S3Fifo, S3FifoModel>(&steps);
    }
}

fn every_policy(capacity: u64, check: impl Fn(Holder<Chosen>)) {
    for kind in PolicyKind::ALL {
        check(Holder::new(Chosen::of(kind, capacity), capacity));
    }
}

#[test]
fn an_empty_policy_has_no_victim() {
    every_policy(0, |mut holder| {
        assert_eq!(holder.policy.evict(&holder.table), None);
        assert!(holder.policy.is_empty());
    });
}

#[test]
fn weightless_entries_are_evicted_like_others() {
    every_policy(10, |mut holder| {
        for key in 0..100 {
            holder.fill(key, 0);
        }
        assert_eq!(holder.policy.len(), 100);
        holder.drain();
    });
}

#[test]
fn one_heavy_entry_makes_all_others_leave_and_leaves_for_the_next() {
    every_policy(u64::MAX, |mut holder| {
        for key in 0..50 {
            holder.fill(key, 1);
        }
        holder.fill(50, u64::MAX);
        assert_eq!(holder.policy.len(), 1);
        holder.fill(51, 1);
        assert_eq!(holder.policy.len(), 1);
        holder.drain();
    });
}

#[test]
fn entries_that_readers_mark_all_the_time_are_evicted_all_the_same() {
    every_policy(300, |mut holder| {
        for key in 0..1000 {
            holder.fill(key, 1);
            holder.mark_all();
        }
        assert_eq!(holder.policy.len(), 300);
        holder.drain();
    });
}

#[test]
fn a_slot_filled_and_removed_over_and_over_leaves_nothing_behind() {
    every_policy(100, |mut holder| {
        for key in 0..50 {
            holder.fill(key, 1);
        }
        let before = holder.policy.allocated();
        for round in 0..5000 {
            let (one, other) = (holder.fill(1000 + round, 1), holder.fill(9000 + round, 1));
            holder.remove(one);
            holder.relocate(other);
            holder.remove_key(9000 + round);
        }
        let after = holder.policy.allocated();
        assert!(after <= before + before / 4 + 60_000, "{before} bytes became {after}");
        holder.drain();
    });
}

#[test]
fn memory_is_given_back_with_the_slots() {
    every_policy(20_000, |mut holder| {
        for key in 0..20_000 {
            holder.fill(key, 1);
        }
        let full = holder.policy.allocated();
        holder.resize(100);
        holder.drain();
        holder.policy.shrink(0);
        let kept = holder.policy.allocated();
        assert!(kept < full / 4 + 60_000, "{kept} of {full} bytes are kept");
        holder.fill(1, 1);
        holder.drain();
    });
}

#[test]
fn the_default_takes_twelve_and_a_half_bytes_for_an_entry() {
    let mut holder = Holder::new(Adaptive::new(100_000), 100_000);
    for key in 0..150_000 {
        holder.fill_quietly(key, 1);
    }
    let bytes = holder.policy.allocated();
    assert!(bytes < 1_250_000, "{bytes} bytes for 100,000 entries");
}

#[test]
fn a_loop_is_hit_where_the_order_of_use_never_hits() {
    let hits = |kind| {
        let mut holder = Holder::new(Chosen::of(kind, 500), 500);
        (0..50_000).filter(|request| holder.get_or_fill(request % 1000)).count()
    };
    assert_eq!(hits(PolicyKind::Lru), 0);
    assert!(hits(PolicyKind::Adaptive) > 20_000, "{}", hits(PolicyKind::Adaptive));
}

#[test]
fn a_scan_leaves_what_is_used_often() {
    let hits = |kind| {
        let mut holder = Holder::new(Chosen::of(kind, 200), 200);
        let request = |at: u32| if at.is_multiple_of(2) { at / 2 % 150 } else { 1000 + at };
        (0..60_000).filter(|&at| holder.get_or_fill(request(at))).count()
    };
    assert_eq!(hits(PolicyKind::Fifo), 0);
    assert!(hits(PolicyKind::Adaptive) > 25_000, "{}", hits(PolicyKind::Adaptive));
}

#[test]
fn what_is_dear_to_load_stays() {
    let mut holder = Holder::new(Chosen::of(PolicyKind::CostAware, 100), 100);
    for key in 0..5000 {
        holder.fill(key, 1);
    }
    let dear = holder.held().filter(|&slot| holder.table.is_dear(slot)).count();
    assert!(dear > 50, "{dear} of 100 held entries are dear to load");
}

#[test]
#[should_panic(expected = "slot 1 is not held")]
fn using_what_is_not_held_is_a_defect() {
    let mut holder = Holder::new(Lru::new(10), 10);
    holder.fill(0, 1);
    holder.policy.hit(1, &holder.table);
}

#[test]
fn inserting_twice_is_a_defect() {
    every_policy(10, |mut holder| {
        let slot = holder.fill(0, 1);
        let twice = std::panic::AssertUnwindSafe(|| holder.policy.insert(slot, &holder.table));
        assert!(std::panic::catch_unwind(twice).is_err());
    });
}

#[test]
fn removing_what_is_not_held_is_a_defect() {
    every_policy(10, |mut holder| {
        let slot = holder.fill(0, 1);
        let gone = std::panic::AssertUnwindSafe(|| holder.policy.remove(slot + 1, &holder.table));
        assert!(std::panic::catch_unwind(gone).is_err());
    });
}

#[test]
#[should_panic(expected = "beyond the last one")]
fn there_is_a_last_slot() {
    let mut holder = Holder::new(Lru::new(10), 10);
    holder.fill(0, 1);
    holder.policy.insert(SLOTS_MAX, &holder.table);
}
