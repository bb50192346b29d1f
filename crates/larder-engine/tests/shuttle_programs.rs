//! Small random programs under a checker that explores interleavings: everything that users do,
//! at once, on few keys, and the history of it is judged.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p larder-engine --test 'shuttle*'`. Both the
//! program and the order of its steps are drawn anew each time.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

mod explored;

use std::time::Duration;

use explored::{Explored, KEYS, MINUTE, WAYS, draw, must_fail, pause};
use larder_engine::{Invalidation, Omit};
use larder_memory::Bounds;
use shuttle::future::{block_on, spawn};

const PROGRAMS: usize = 10_000;
const USERS: usize = 3;
const STEPS_MAX: usize = 4;

/// One step of a user.
async fn step(explored: &Explored) {
    let key = KEYS[draw(KEYS.len())];
    match draw(10) {
        0..=2 => drop(explored.get(key).await),
        3 => explored.get_many(&KEYS[draw(KEYS.len())..]).await,
        4 => explored.aside(key).await,
        8 | 9 => explored.put(key).await,
        5 | 6 => explored.write(key, WAYS[draw(WAYS.len())], Invalidation::Drop).await,
        _ => explored.write(key, WAYS[draw(WAYS.len())], Invalidation::MarkStale).await,
    }
}

/// Users with random programs. Most caches keep what they load; some have room for less than
/// there is, some keep nothing.
fn a_random_program(omit: Omit) {
    block_on(async {
        let max_staleness = if draw(4) == 0 { Duration::ZERO } else { MINUTE };
        let entries = if draw(4) == 0 { 1 } else { 16 };
        let explored = Explored::with(omit, max_staleness, Bounds::entries(entries).shards(1));
        let users: Vec<_> = (0..USERS)
            .map(|_| {
                let explored = explored.clone();
                spawn(async move {
                    for _ in 0..=draw(STEPS_MAX) {
                        step(&explored).await;
                        pause().await;
                    }
                })
            })
            .collect();
        for user in users {
            user.await.unwrap();
        }
        explored.end().await;
    });
}

#[test]
fn whatever_users_do_the_history_keeps_the_promise() {
    shuttle::check_random(|| a_random_program(Omit::Nothing), PROGRAMS);
}

/// That the programs are not too tame. What takes a narrower gap is left to the scenarios made for
/// it.
#[test]
fn without_a_step_of_many_some_program_breaks_it() {
    for step in [
        Omit::FateAtHit,
        Omit::FenceAtFill,
        Omit::CountBeforeLoad,
        Omit::SweepAtFill,
        Omit::EpochUnderLock,
        Omit::FenceAtInstall,
    ] {
        must_fail(move || a_random_program(step));
    }
}
