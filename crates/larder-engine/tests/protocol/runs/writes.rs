//! The writer's steps: each of them left out once.

use super::check;
use crate::bounds::{Bounds, Changes, Omit};
use crate::claims::Claim;

const LEAST: Bounds = Bounds::LEAST;
const OWN: Bounds = Bounds { writers: [true, false], joiners: true, ..LEAST };
const UNREACHED: Bounds = Bounds { writers: [true, false], errors: true, ..LEAST };

#[test]
fn an_invalidation_voids_the_lease() {
    check(Omit::LeaseVoided, LEAST, &[Claim::S1, Claim::P1]);
}

#[test]
fn the_shared_tier_comes_before_the_bus() {
    check(Omit::SharedBeforeBus, LEAST, &[Claim::S2, Claim::P1]);
}

#[test]
fn an_announcement_returns_after_the_shared_tier_is_done() {
    check(Omit::SharedBeforeReturn, LEAST, &[Claim::S1, Claim::P1]);
}

#[test]
fn an_announcement_returns_after_it_is_published() {
    check(Omit::BusBeforeReturn, LEAST, &[Claim::S2, Claim::P1]);
}

#[test]
fn the_own_epoch_is_raised_before_an_announcement_returns() {
    check(Omit::RaiseAfter, OWN, &[Claim::S3, Claim::S2, Claim::P1]);
}

#[test]
fn a_key_whose_announcement_failed_is_quarantined() {
    check(Omit::Quarantine, UNREACHED, &[Claim::S3]);
}

#[test]
fn a_quarantine_ends_when_the_announcement_is_repeated() {
    check(Omit::RepeatBeforeTrust, UNREACHED, &[Claim::S3]);
    check(Omit::Repeat, UNREACHED, &[Claim::V1]);
}

#[test]
fn leases_end() {
    check(Omit::LeaseEnds, Bounds { crashes: 1, ..LEAST }, &[Claim::V1]);
}

/// A bus proves what was published, not what was committed.
#[test]
fn announcements_alone_do_not_count_from_the_commit() {
    let bounds = Bounds { changes: Changes::AnnouncedTooLate, ..LEAST };
    check(Omit::Nothing, bounds, &[Claim::P1]);
}
