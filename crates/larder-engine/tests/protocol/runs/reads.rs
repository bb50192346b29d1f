//! The reader's steps: each of them left out once.

use super::check;
use crate::bounds::{Bounds, Changes, Omit, Second, Strike};
use crate::claims::Claim;

const LEAST: Bounds = Bounds::LEAST;
const JOINED: Bounds = Bounds { joiners: true, ..LEAST };
const OWN: Bounds = Bounds { writers: [true, false], ..JOINED };
const RESTARTED: Bounds = Bounds { restarts: 1, ..LEAST };
const FEED: Bounds = Bounds { changes: Changes::Feed, ..LEAST };
const UNKNOWN: Bounds = Bounds { changes: Changes::Unknown, second: Second::Fills, ..LEAST };
const SOFT: Bounds = Bounds { strike: Strike::MarkStale, ..LEAST };

#[test]
fn the_fence_is_captured_before_the_shared_tier_is_read() {
    check(Omit::FenceBeforeRead, LEAST, &[Claim::S2, Claim::P1]);
}

#[test]
fn a_fill_of_memory_needs_the_fence() {
    check(Omit::FenceAtFill, LEAST, &[Claim::S2, Claim::P1]);
}

#[test]
fn the_horizon_is_taken_before_the_shared_tier_is_read() {
    check(Omit::HorizonBeforeRead, JOINED, &[Claim::P1]);
    check(Omit::HorizonBeforeRead, FEED, &[Claim::P1]);
}

#[test]
fn the_horizon_is_loaded_before_the_entry() {
    let bounds = Bounds { split_hits: true, ..LEAST };
    check(Omit::HorizonBeforeEntry, bounds, &[Claim::P1]);
}

#[test]
fn a_shared_hit_is_tested_by_its_age() {
    check(Omit::RuleAtSharedHit, UNKNOWN, &[Claim::P1]);
    check(Omit::RuleAtSharedHit, FEED, &[Claim::P1]);
}

#[test]
fn a_shared_hit_is_not_current_because_it_is_there() {
    check(Omit::AsOfOfSharedHit, UNKNOWN, &[Claim::P1]);
    check(Omit::AsOfOfSharedHit, FEED, &[Claim::P1]);
}

#[test]
fn age_counts_from_the_grant_of_the_lease() {
    check(Omit::AgeFromGrant, UNKNOWN, &[Claim::P1]);
    check(Omit::AgeFromGrant, FEED, &[Claim::P1]);
}

#[test]
fn loaded_at_is_taken_before_the_load() {
    check(Omit::LoadedAtBefore, LEAST, &[Claim::P1]);
    check(Omit::LoadedAtBefore, UNKNOWN, &[Claim::P1]);
}

#[test]
fn the_shared_tier_is_filled_under_a_lease() {
    check(Omit::LeaseAtFill, LEAST, &[Claim::S6, Claim::S1, Claim::P1]);
}

#[test]
fn what_another_run_stored_is_no_hit() {
    check(Omit::RunAtHit, RESTARTED, &[Claim::S1, Claim::P1]);
}

#[test]
fn a_lease_of_another_run_is_void() {
    check(Omit::RunOfLease, RESTARTED, &[Claim::S6, Claim::S1, Claim::P1]);
}

#[test]
fn a_joiner_tests_the_age_of_the_result() {
    check(Omit::JoinerAge, JOINED, &[Claim::P1]);
}

#[test]
fn a_result_is_not_lifted_by_a_later_horizon() {
    check(Omit::ResultKeepsAsOf, JOINED, &[Claim::P1]);
}

#[test]
fn a_flight_is_joined_only_within_its_epoch() {
    check(Omit::EpochInKey, OWN, &[Claim::S3]);
}

#[test]
fn what_is_marked_stale_in_memory_is_frozen() {
    check(Omit::FrozenInMemory, SOFT, &[Claim::P1]);
}

#[test]
fn what_is_marked_stale_in_the_shared_tier_is_frozen() {
    check(Omit::FrozenInShared, SOFT, &[Claim::P1]);
}
