//! What holes mean.

use crate::format::HEADER_BYTES;
use crate::judge::{Found, judge};
use crate::scan::Run;

fn run(first: u64, below: u64) -> Run {
    Run { first, below, from: HEADER_BYTES, to: HEADER_BYTES + 1 }
}

fn segment(first: u64, runs: &[(u64, u64)]) -> Found {
    let runs = runs.iter().map(|&(first, below)| run(first, below)).collect();
    Found { first, behind: first, runs }
}

/// What is kept, what is lost, and the next number.
fn check(
    segments: &[Found],
    (first, witness): (u64, u64),
    kept: &[(u64, u64)],
    lost: &[(u64, u64)],
    next: u64,
) {
    let verdict = judge(segments, first, witness);
    let runs: Vec<_> = verdict.kept.iter().map(|kept| (kept.run.first, kept.run.below)).collect();
    assert_eq!(runs, kept);
    let ranges: Vec<_> = verdict.damage.lost.iter().map(|lost| (lost.start, lost.end)).collect();
    assert_eq!(ranges, lost);
    assert_eq!(verdict.next, next);
}

#[test]
fn a_hole_above_every_witness_ends_the_journal() {
    check(&[segment(1, &[(1, 5), (6, 9)])], (1, 5), &[(1, 5)], &[], 5);
    check(&[segment(1, &[])], (1, 1), &[], &[], 1);
    check(&[], (1, 1), &[], &[], 1);
}

#[test]
fn a_hole_below_a_witness_is_a_loss() {
    check(&[segment(1, &[(1, 5), (6, 9)])], (1, 6), &[(1, 5), (6, 9)], &[(5, 6)], 9);
    check(&[segment(1, &[(1, 5), (8, 9)])], (1, 7), &[(1, 5)], &[(5, 7)], 7);
    check(&[segment(1, &[(2, 5)])], (1, 5), &[(2, 5)], &[(1, 2)], 5);
    let holes = segment(1, &[(1, 2), (3, 4), (6, 8), (9, 10)]);
    check(&[holes], (1, 7), &[(1, 2), (3, 4), (6, 8)], &[(2, 3), (4, 6)], 8);
}

#[test]
fn numbers_that_were_durable_are_not_given_again() {
    check(&[segment(1, &[(1, 5)])], (1, 9), &[(1, 5)], &[(5, 9)], 9);
    check(&[], (4, 9), &[], &[(4, 9)], 9);
    check(&[segment(1, &[(1, 5)])], (20, 20), &[], &[], 20);
}

#[test]
fn a_missing_segment_is_a_loss() {
    let segments = [segment(1, &[(1, 5)]), segment(9, &[(9, 12)])];
    check(&segments, (1, 9), &[(1, 5), (9, 12)], &[(5, 9)], 12);
}

#[test]
fn what_is_not_needed_is_not_missed() {
    let segments = [segment(1, &[(1, 3), (4, 5)]), segment(9, &[(9, 12)])];
    check(&segments, (9, 9), &[(9, 12)], &[], 12);
    check(&segments, (10, 12), &[(9, 12)], &[], 12);
    check(&segments, (4, 9), &[(4, 5), (9, 12)], &[(5, 9)], 12);
}

#[test]
fn a_loss_that_was_accepted_is_not_complained_about_again() {
    let mut segments = [segment(1, &[(1, 5)]), segment(9, &[(9, 12)])];
    segments[1].behind = 5;
    check(&segments, (1, 9), &[(1, 5), (9, 12)], &[], 12);
    segments[1].behind = 7;
    check(&segments, (1, 9), &[(1, 5), (9, 12)], &[(5, 7)], 12);
    segments[1].runs.clear();
    segments[1].behind = 5;
    check(&segments, (1, 9), &[(1, 5)], &[], 9);
}
