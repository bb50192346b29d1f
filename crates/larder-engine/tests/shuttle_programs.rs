//! Small random programs under a checker that explores interleavings: everything that users do,
//! at once, on few keys, and the history of it is judged.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p larder-engine --test 'shuttle*'`. Both the
//! program and the order of its steps are drawn anew each time.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

mod explored;
#[path = "explored/journal.rs"]
mod journal;

use std::sync::Arc;
use std::time::Duration;

use explored::{ABSENT, Explored, KEYS, MINUTE, WAYS, draw, must_fail, pause, random};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::{Invalidation, Omit};
use larder_memory::Bounds;
use shuttle::future::{block_on, spawn};

const PROGRAMS: usize = 6_000;
const USERS: usize = 3;
const STEPS_MAX: usize = 4;

/// One step of a user.
async fn step(explored: &Explored) {
    let key = any();
    match draw(16) {
        0..=2 => drop(explored.get(key).await),
        3 => explored.get_many(&[any(), ABSENT, key]).await,
        4 => explored.aside(key).await,
        5 => explored.aside_slowly(key, any()).await,
        6 => explored.get_or_load(key).await,
        7 | 8 => explored.put(key).await,
        9 | 10 => explored.update(key).await,
        11 => explored.time.turn(MINUTE * 2 / 5),
        12..=14 => explored.write(key, WAYS[draw(WAYS.len())], Invalidation::Drop).await,
        _ => explored.write(key, WAYS[draw(WAYS.len())], Invalidation::MarkStale).await,
    }
}

/// One step of a user of a cache that is written behind: where others commit, too, nobody replaces
/// what he has read.
async fn step_behind(explored: &Explored, others_commit: bool) {
    let key = any();
    match draw(12) {
        0..=2 => drop(explored.get(key).await),
        3 => explored.get_many(&[any(), ABSENT, key]).await,
        4 | 5 => explored.aside_here(key).await,
        6 | 7 => explored.put_behind(key).await,
        8 => explored.time.turn(MINUTE * 2 / 5),
        9..=11 if others_commit => explored.write_beside(key, WAYS[draw(WAYS.len())]).await,
        _ => explored.update_behind(key).await,
    }
}

/// Few keys, so that users meet.
fn any() -> u64 {
    KEYS[draw(KEYS.len())]
}

/// As many users as there are, each with as many steps.
async fn run<S: Future<Output = ()> + Send>(
    explored: &Explored,
    step: impl Fn(Explored) -> S + Copy + Send + 'static,
) {
    explored.time.ticks();
    let users: Vec<_> = (0..USERS)
        .map(|_| {
            let explored = explored.clone();
            spawn(async move {
                for _ in 0..=draw(STEPS_MAX) {
                    step(explored.clone()).await;
                    pause().await;
                }
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
}

/// Users with random programs. Most caches keep what they load; some have room for less than
/// there is, some keep nothing.
fn a_random_program(omit: Omit) {
    block_on(async {
        let max_staleness = if draw(4) == 0 { Duration::ZERO } else { MINUTE };
        let entries = if draw(4) == 0 { 1 } else { 16 };
        let explored = Explored::with(omit, max_staleness, Bounds::entries(entries).shards(1));
        run(&explored, |explored| async move { step(&explored).await }).await;
        explored.end().await;
    });
}

/// The same of a cache that is written behind.
fn a_random_program_behind(omit: Omit) {
    block_on(async {
        let bounds =
            BehindBounds { delay: Duration::ZERO, lanes: 1 + draw(2), ..BehindBounds::default() };
        let behind = WriteBehind::with(Arc::new(journal::Unlost::default()), bounds);
        let (others_commit, entries) = (draw(2) == 0, if draw(4) == 0 { 1 } else { 16 });
        let entries = Bounds::entries(entries).shards(1);
        let explored = Explored::behind_with(omit, &behind, entries);
        behind.start(&explored.engine).await.unwrap();
        run(&explored, move |explored| async move {
            step_behind(&explored, others_commit).await;
        })
        .await;
        explored.end().await;
    });
}

/// So many programs; `LARDER_PROGRAMS` of them where somebody looks for what is rare.
fn explore_programs(program: fn(Omit)) {
    let more = std::env::var("LARDER_PROGRAMS").ok().and_then(|more| more.parse().ok());
    random(more.unwrap_or(PROGRAMS)).run(move || program(Omit::Nothing));
}

#[test]
fn whatever_users_do_the_history_keeps_the_promise() {
    explore_programs(a_random_program);
}

#[test]
fn whatever_users_do_who_write_behind_the_history_keeps_the_promise() {
    explore_programs(a_random_program_behind);
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
    for step in [Omit::StrikeAtPush, Omit::StrikeAtClose] {
        must_fail(move || a_random_program_behind(step));
    }
}
