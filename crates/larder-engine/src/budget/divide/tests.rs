//! What holds for every division, and where a load that doesn't change comes to rest.

use proptest::prelude::*;

use super::*;

const MIB: usize = 1 << 20;

/// How many bytes rounding may take from a floor while parts come and go.
const ROUNDING: usize = 32;

/// A part that is full, with so much time wanted.
fn full(bound: usize, wanting: f64) -> Standing {
    Standing { bound, bytes: bound, wanting, returns: 100.0 }
}

#[test]
fn room_goes_from_where_it_is_worth_least_to_where_it_is_worth_most() {
    let parts = [full(MIB, 50.0), full(MIB, 10.0), full(MIB, 20.0)];
    assert_eq!(step(3 * MIB, &parts), Some(Step { from: 1, to: 0, bytes: MIB / 8 }));
}

#[test]
fn worth_is_by_the_byte() {
    // The same in half the room is twice as dense.
    let parts = [full(2 * MIB, 10.0), full(MIB, 10.0)];
    assert_eq!(step(3 * MIB, &parts), Some(Step { from: 0, to: 1, bytes: MIB / 8 }));
}

#[test]
fn nothing_moves_for_a_small_difference() {
    assert_eq!(step(2 * MIB, &[full(MIB, 10.0), full(MIB, 10.0)]), None);
    assert_eq!(step(2 * MIB, &[full(MIB, 10.0), full(MIB, 15.0)]), None);
    assert!(step(2 * MIB, &[full(MIB, 10.0), full(MIB, 15.1)]).is_some());
}

#[test]
fn nothing_moves_to_who_wants_nothing() {
    assert_eq!(step(2 * MIB, &[full(MIB, 0.0), full(MIB, 0.0)]), None);
    assert_eq!(step(MIB, &[full(MIB, 10.0)]), None);
    assert_eq!(step(MIB, &[]), None);
}

#[test]
fn nothing_moves_for_too_few_returns() {
    let few = Standing { returns: RETURNS_MIN - 1.0, ..full(MIB, 1000.0) };
    assert_eq!(step(2 * MIB, &[full(MIB, 0.0), few]), None);
    let enough = Standing { returns: RETURNS_MIN, ..few };
    assert!(step(2 * MIB, &[full(MIB, 0.0), enough]).is_some());
}

#[test]
fn who_leaves_room_unused_gets_no_more_and_gives_first() {
    let slack = Standing { bytes: MIB / 2, ..full(MIB, 1000.0) };
    let idle = Standing { bytes: 0, ..full(MIB, 0.0) };
    let parts = [full(MIB, 0.0), full(MIB, 10.0), slack, idle];
    assert_eq!(step(4 * MIB, &parts), Some(Step { from: 3, to: 1, bytes: MIB / 8 }));
}

#[test]
fn nobody_gives_the_last_quarter_of_an_equal_share() {
    let least = floor(4 * MIB, 2);
    assert_eq!(least, MIB / 2);
    let parts = |cold| [full(cold, 0.0), full(4 * MIB - cold, 10.0)];
    assert_eq!(step(4 * MIB, &parts(least)), None);
    assert_eq!(step(4 * MIB, &parts(least + 1)).map(|step| step.bytes), Some(1));
}

#[test]
fn a_step_is_bounded() {
    let gib = 1 << 30;
    let moved = step(2 * gib, &[full(gib, 0.0), full(gib, 10.0)]).map(|step| step.bytes);
    assert_eq!(moved, Some(STEP_MAX));
}

#[test]
fn the_first_part_has_everything_and_the_second_half_of_it() {
    assert!(with_one_more(100, &[]).is_empty());
    assert_eq!(with_one_more(100, &[100]), [50]);
    assert_eq!(with_one_more(90, &[60, 30]), [40, 20]);
    assert_eq!(with_one_less(&[40, 20], 31), [56, 35]);
}

#[derive(Clone, Debug)]
enum Event {
    Join,
    Leave(prop::sample::Index),
    Step(Vec<(f64, f64, f64)>),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let measured = (0.0..1.0_f64, 0.0..1e9_f64, 0.0..100.0_f64);
    let event = prop_oneof![
        1 => Just(Event::Join),
        1 => any::<prop::sample::Index>().prop_map(Event::Leave),
        4 => proptest::collection::vec(measured, 16).prop_map(Event::Step),
    ];
    proptest::collection::vec(event, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parts_are_the_budget_and_none_is_below_the_floor(
        budget in prop_oneof![0_usize..200, 0_usize..1 << 30, Just(usize::MAX)],
        events in events(),
    ) {
        let mut bounds: Vec<usize> = Vec::new();
        for event in events {
            match event {
                Event::Join if bounds.len() < 16 => {
                    let shrunk = with_one_more(budget, &bounds);
                    prop_assert!(shrunk.iter().zip(&bounds).all(|(new, old)| new <= old));
                    let taken: usize = shrunk.iter().sum();
                    bounds = shrunk;
                    bounds.push(budget - taken);
                }
                Event::Join => {}
                Event::Leave(index) => {
                    if !bounds.is_empty() {
                        let freed = bounds.remove(index.index(bounds.len()));
                        if !bounds.is_empty() {
                            bounds = with_one_less(&bounds, freed);
                        }
                    }
                }
                Event::Step(measured) => {
                    let parts: Vec<Standing> = bounds.iter().zip(measured).map(
                        |(&bound, (used, wanting, returns))| {
                            Standing { bound, bytes: (bound as f64 * used) as usize, wanting, returns }
                        },
                    ).collect();
                    if let Some(Step { from, to, bytes }) = step(budget, &parts) {
                        prop_assert!(from != to && bytes > 0 && bytes <= STEP_MAX);
                        bounds[from] -= bytes;
                        bounds[to] += bytes;
                    }
                }
            }
            if !bounds.is_empty() {
                prop_assert_eq!(bounds.iter().sum::<usize>(), budget);
            }
            let least = floor(budget, bounds.len());
            prop_assert!(bounds.iter().all(|&bound| bound >= least.saturating_sub(ROUNDING)), "{bounds:?}, {least}");
        }
    }

    #[test]
    fn a_load_that_does_not_change_comes_to_rest(
        parts in proptest::collection::vec((1.0..1e6_f64, 0.2..1.5_f64), 2..8),
        start in proptest::collection::vec(1_usize..100, 8),
    ) {
        let budget = 64 * MIB;
        let least = floor(budget, parts.len());
        let shares: usize = start[..parts.len()].iter().sum();
        let spare = budget - least * parts.len();
        let mut bounds: Vec<usize> = start[..parts.len()]
            .iter()
            .map(|share| least + (spare as u128 * *share as u128 / shares as u128) as usize)
            .collect();
        // The worth of a byte falls with a power of the room.
        let worth = |part: usize, bound: usize| {
            let (height, fall) = parts[part];
            height * (bound as f64 / MIB as f64).powf(-fall)
        };
        let look = |bounds: &[usize]| {
            let standing = |(part, &bound): (usize, &usize)| full(bound, worth(part, bound) * bound as f64);
            let standings: Vec<Standing> = bounds.iter().enumerate().map(standing).collect();
            step(budget, &standings)
        };
        let mut steps = 0;
        while let Some(Step { from, to, bytes }) = look(&bounds) {
            let moved = |bounds: &[usize]| worth(to, bounds[to]) - worth(from, bounds[from]);
            bounds[from] -= bytes;
            bounds[to] += bytes;
            // No step goes beyond the point where both are worth the same.
            prop_assert!(moved(&bounds) >= 0.0, "{bounds:?}");
            steps += 1;
            prop_assert!(steps < 1000, "still moving: {bounds:?}");
        }
        let most = (0..bounds.len()).map(|part| worth(part, bounds[part])).fold(0.0, f64::max);
        for (part, &bound) in bounds.iter().enumerate() {
            prop_assert!(
                bound == least || worth(part, bound) * MARGIN >= most * 0.999,
                "part {part} of {bounds:?} could still give",
            );
        }
    }
}
