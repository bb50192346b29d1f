//! The timer wheel against a map, which knows everything at once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::wheel::Wheel;

const SLOTS: u32 = 40;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Puts into a slot, or takes out of it what is there.
    Toggle(u32, u64),
    /// Lets time go on.
    Wait(u64),
    /// Takes out what has expired, with so many steps at a time.
    Expired(usize),
    Shrink,
}

/// Times at which something happens in the wheels: near, at the edges of their places, and far.
fn moments() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..3 * TICK,
        4 => 0..200 * TICK,
        2 => (0..8_u32, 0..64_u64, 0..3_u64).prop_map(|(wheel, place, off)| {
            (place << (6 * wheel)).saturating_mul(TICK).saturating_add(off).saturating_sub(1)
        }),
        1 => any::<u64>(),
        1 => Just(u64::MAX - 1),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..SLOTS, moments()).prop_map(|(slot, after)| Step::Toggle(slot, after)),
        3 => moments().prop_map(|by| Step::Wait(by % (1 << 50))),
        1 => moments().prop_map(Step::Wait),
        4 => (1..20_usize).prop_map(Step::Expired),
        1 => Just(Step::Shrink),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn the_wheel_finds_what_a_map_finds(steps in steps()) {
        let (mut wheel, mut map, mut now) = (Wheel::default(), BTreeMap::new(), 0_u64);
        for step in steps {
            match step {
                Step::Toggle(slot, after) => {
                    wheel.remove(slot);
                    if map.remove(&slot).is_none() {
                        let at = Moment::from_nanos(now.saturating_add(after).min(u64::MAX - 1));
                        map.insert(slot, at);
                        wheel.insert(slot, at);
                    }
                }
                Step::Wait(by) => now = now.saturating_add(by),
                Step::Expired(steps) => expire(&mut wheel, &mut map, now, steps)?,
                Step::Shrink => {
                    wheel.shrink(map.last_key_value().map_or(0, |(slot, _)| slot + 1));
                }
            }
            prop_assert_eq!(wheel.len(), map.len());
            wheel.assert_invariants(|slot| map[&slot]);
        }
    }
}

/// Takes out everything that has expired, in both, and checks that nothing else goes.
fn expire(
    wheel: &mut Wheel,
    map: &mut BTreeMap<u32, Moment>,
    now: u64,
    steps: usize,
) -> Result<(), TestCaseError> {
    let now = Moment::from_nanos(now);
    let tick = |moment: Moment| moment.as_nanos() / TICK;
    // Some calls with few steps, and then what is left with many.
    for steps in std::iter::repeat_n(steps, 20).chain(std::iter::repeat(usize::MAX)) {
        let mut left = steps;
        let found = wheel.expired(now, &mut left, |slot| map[&slot]);
        prop_assert!(found.is_none() || left < steps);
        wheel.assert_invariants(|slot| map[&slot]);
        if let Some(slot) = found {
            prop_assert!(map[&slot] < now);
            wheel.remove(slot);
            map.remove(&slot);
        } else if steps == usize::MAX {
            break;
        }
    }
    while let Some(slot) = wheel.just_expired(now, |slot| map[&slot]) {
        prop_assert!(map[&slot] < now);
        wheel.remove(slot);
        map.remove(&slot);
    }
    let left = map.values().find(|&&at| at < now);
    prop_assert_eq!(left, None, "tick {} of {:?}", tick(now), map);
    Ok(())
}

/// An entry that expires within the tick in which a place of a higher wheel begins.
#[test]
fn what_has_just_expired_is_found_at_the_edge_of_a_place() {
    for edge in [64, 64 * 64, 64 * 64 * 64] {
        let mut wheel = Wheel::default();
        let expires_at = Moment::from_nanos(edge * TICK + 1);
        wheel.insert(3, expires_at);
        let now = Moment::from_nanos(edge * TICK + 5);
        assert_eq!(wheel.expired(now, &mut { usize::MAX }, |_| expires_at), None);
        assert_eq!(wheel.just_expired(now, |_| expires_at), Some(3));
    }
}

#[test]
fn a_call_takes_no_more_steps_than_it_may() {
    let mut wheel = Wheel::default();
    let at = |slot: u32| Moment::from_nanos((1000 + u64::from(slot)) * TICK);
    for slot in 0..100 {
        wheel.insert(slot, at(slot));
    }
    let now = Moment::from_nanos(2000 * TICK);
    let mut calls = 0;
    let mut found = Vec::new();
    while wheel.len() > 0 {
        let mut steps = 3;
        if let Some(slot) = wheel.expired(now, &mut steps, at) {
            wheel.remove(slot);
            found.push(slot);
        }
        calls += 1;
    }
    assert!((100..400).contains(&calls), "{calls}");
    assert!(found.is_sorted_by_key(|&slot| at(slot)), "{found:?}");
}
