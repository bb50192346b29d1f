//! Marks: the protocol as it is, and each of its steps left out once.

use super::{fails, holds, sized};
use crate::claims::Claim;
use crate::tags::{Bounds, Marks, Omit};

const LEAST: Bounds = Bounds::LEAST;
const FILLED: Bounds = Bounds { filler: true, ..LEAST };
const OWN: Bounds = Bounds { joiners: true, writes_here: true, ..LEAST };
const JOINED: Bounds = Bounds { joiners: true, ..LEAST };
const RESTARTED: Bounds = Bounds { restarts: 1, ..LEAST };
const COUNTED: Bounds = Bounds { counts: true, noise: true, ..LEAST };
const STARTED: Bounds = Bounds { starts: true, ..FILLED };

fn whole(bounds: Bounds, large: Bounds) {
    holds(Marks::new(sized(bounds, large), &[Claim::P1, Claim::S3]));
}

fn check(omit: Omit, bounds: Bounds, broken: &'static [Claim]) {
    assert_eq!(broken.len(), 1, "one claim is enough");
    fails(Marks::new(Bounds { omit, ..bounds }, broken));
}

#[test]
fn marks_while_another_process_fills() {
    let bounds = Bounds { window: 0, ..FILLED };
    whole(bounds, Bounds { noise: true, ..bounds });
}

#[test]
fn own_marks_that_others_join() {
    whole(OWN, Bounds { versions: 2, ..OWN });
}

#[test]
fn marks_that_are_lost() {
    let bounds = Bounds { losses: true, window: 0, ..LEAST };
    whole(bounds, Bounds { joiners: true, filler: true, ..bounds });
}

#[test]
fn marks_of_a_tier_that_forgets() {
    let bounds = Bounds { window: 0, ..RESTARTED };
    whole(bounds, Bounds { losses: true, joiners: true, ..RESTARTED });
}

#[test]
fn marks_in_another_order_than_their_clocks() {
    let bounds = Bounds { window: 0, ..COUNTED };
    whole(bounds, Bounds { joiners: true, ..COUNTED });
}

#[test]
fn marks_of_a_process_that_starts() {
    let bounds = Bounds { filler: false, ..STARTED };
    whole(bounds, STARTED);
}

#[test]
fn the_mark_clock_is_taken_before_the_load() {
    check(Omit::ClockBeforeLoad, LEAST, &[Claim::P1]);
}

#[test]
fn a_shared_hit_is_compared_with_the_marks() {
    check(Omit::MarksAtSharedHit, LEAST, &[Claim::P1]);
}

#[test]
fn a_shared_hit_is_tested_by_its_age_because_marks_are_late() {
    check(Omit::RuleAtSharedHit, LEAST, &[Claim::P1]);
}

#[test]
fn a_fill_of_memory_is_compared_with_the_marks() {
    check(Omit::MarksAtFill, Bounds { counts: true, ..LEAST }, &[Claim::P1]);
}

#[test]
fn a_hit_compares_the_count_of_marks_and_no_clock() {
    let bounds = Bounds { window: 0, ..COUNTED };
    check(Omit::CountAtHit, bounds, &[Claim::P1]);
}

#[test]
fn a_joiner_compares_the_result_with_the_marks() {
    check(Omit::MarksOfJoiner, OWN, &[Claim::S3]);
}

#[test]
fn a_result_is_not_lifted_across_a_mark() {
    check(Omit::ResultKeepsAsOf, JOINED, &[Claim::P1]);
}

#[test]
fn marks_are_read_again_after_a_gap() {
    check(Omit::MarksAfterGap, Bounds { losses: true, ..LEAST }, &[Claim::P1]);
}

#[test]
fn a_process_subscribes_and_then_reads_the_marks() {
    let bounds = Bounds { window: 0, ..STARTED };
    check(Omit::SubscribeBeforeMarks, bounds, &[Claim::P1]);
}

#[test]
fn a_mark_returns_after_it_is_published() {
    check(Omit::BusBeforeReturn, LEAST, &[Claim::P1]);
}

#[test]
fn own_marks_are_known_before_the_call_returns() {
    check(Omit::OwnMarks, OWN, &[Claim::S3]);
}

#[test]
fn the_clock_of_marks_never_goes_back() {
    let bounds = Bounds { noise: true, window: 0, ..RESTARTED };
    check(Omit::ClockGoesOn, bounds, &[Claim::P1]);
}

#[test]
fn what_another_run_stored_is_no_hit_whatever_the_marks_say() {
    check(Omit::RunAtHit, RESTARTED, &[Claim::P1]);
}
