//! The steps of the bus and of the feed's owner: each of them left out once.

use super::check;
use crate::bounds::{Bounds, Changes, Omit};
use crate::claims::Claim;

const LEAST: Bounds = Bounds::LEAST;
const FEED: Bounds = Bounds { changes: Changes::Feed, ..LEAST };

#[test]
fn a_process_subscribes_before_it_reads() {
    check(Omit::SubscribeBeforeRead, LEAST, &[Claim::S2, Claim::P1]);
}

#[test]
fn a_gap_raises_the_generation() {
    check(Omit::GapRaises, Bounds { losses: true, ..LEAST }, &[Claim::S2, Claim::P1]);
    check(Omit::GapRaises, Bounds { restarts: 1, ..LEAST }, &[Claim::S2, Claim::P1]);
}

#[test]
fn the_horizon_is_the_moment_at_which_the_token_was_sent() {
    check(Omit::HorizonWhenSent, LEAST, &[Claim::P1]);
    check(Omit::HorizonWhenSent, FEED, &[Claim::P1]);
}

#[test]
fn the_owner_reads_the_position_after_it_saw_the_token() {
    check(Omit::PositionAfterToken, FEED, &[Claim::P1]);
}

#[test]
fn the_owner_answers_after_the_shared_tier_is_done() {
    check(Omit::AnswerAfterShared, FEED, &[Claim::P1]);
}

#[test]
fn the_owner_answers_after_what_it_found_is_published() {
    check(Omit::AnswerAfterBus, FEED, &[Claim::P1]);
}

#[test]
fn the_owner_tells_the_shared_tier_before_the_bus() {
    check(Omit::SharedBeforeBus, FEED, &[Claim::S2, Claim::P1]);
}
