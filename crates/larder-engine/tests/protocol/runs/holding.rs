//! The protocol as it is: every state within the bounds.

use super::{holds, sized};
use crate::bounds::{Bounds, Changes, Omit, Second, Strike};
use crate::claims::Claim;
use crate::model::Protocol;

const LEAST: Bounds = Bounds::LEAST;

/// Everything but that it goes on.
const SAFE: &[Claim] = &[Claim::S1, Claim::S2, Claim::S3, Claim::P1, Claim::S6];
/// What a soft strike leaves may be served to who struck it, too.
const SOFT: &[Claim] = &[Claim::S1, Claim::S2, Claim::P1, Claim::S6];
/// Nothing is announced.
const SILENT: &[Claim] = &[Claim::P1, Claim::S6];

fn check(claims: &'static [Claim], bounds: Bounds, large: Bounds) {
    holds(Protocol::new(sized(bounds, large), claims));
}

#[test]
fn announced_changes_with_many_faults() {
    let bounds = Bounds {
        writers: [true, true],
        losses: true,
        repeats: true,
        evictions: true,
        errors: true,
        crashes: 1,
        ..LEAST
    };
    check(SAFE, bounds, Bounds { restarts: 1, joiners: true, ..bounds });
}

#[test]
fn announced_changes_while_another_process_fills() {
    let bounds = Bounds { second: Second::Fills, evictions: true, ..LEAST };
    check(SAFE, bounds, Bounds { versions: 2, losses: true, ..bounds });
}

#[test]
fn announced_changes_in_two_processes_that_read() {
    let bounds = Bounds { second: Second::Holds, window: 0, ..LEAST };
    check(SAFE, bounds, Bounds { second: Second::Reads, queue: 2, ..bounds });
}

#[test]
fn own_writes_that_others_join() {
    let bounds = Bounds { writers: [true, false], joiners: true, errors: true, ..LEAST };
    check(SAFE, bounds, Bounds { versions: 2, writers: [true, true], ..bounds });
}

#[test]
fn own_writes_that_fail_beside_older_flights() {
    let bounds = Bounds { window: 0, writers: [true, false], errors: true, flights: 2, ..LEAST };
    check(SAFE, bounds, Bounds { window: 1, joiners: true, ..bounds });
}

#[test]
fn several_changes() {
    let bounds = Bounds { versions: 2, ..LEAST };
    let large = Bounds { versions: 3, writers: [true, true], queue: 4, ..bounds };
    check(SAFE, bounds, large);
}

#[test]
fn a_wider_window() {
    let bounds = Bounds { window: 2, joiners: true, ..LEAST };
    check(SAFE, bounds, Bounds { window: 3, losses: true, ..bounds });
}

#[test]
fn flights_of_several_fences() {
    let bounds = Bounds { flights: 2, ..LEAST };
    check(SAFE, bounds, Bounds { joiners: true, losses: true, ..bounds });
}

#[test]
fn hits_in_two_steps() {
    let bounds = Bounds { split_hits: true, losses: true, ..LEAST };
    check(SAFE, bounds, Bounds { joiners: true, versions: 2, ..bounds });
}

#[test]
fn a_shared_tier_that_forgets_and_its_bus() {
    let bounds = Bounds { restarts: 1, evictions: true, ..LEAST };
    check(SAFE, bounds, Bounds { restarts: 2, losses: true, joiners: true, ..bounds });
}

#[test]
fn a_shared_tier_that_forgets_beside_a_bus_that_does_not() {
    let bounds = Bounds { restarts: 1, bus_restarts: false, ..LEAST };
    check(SAFE, bounds, Bounds { joiners: true, second: Second::Fills, ..bounds });
}

#[test]
fn soft_strikes() {
    let bounds = Bounds { strike: Strike::MarkStale, losses: true, ..LEAST };
    check(SOFT, bounds, Bounds { joiners: true, second: Second::Fills, ..bounds });
}

#[test]
fn changes_that_nobody_announces() {
    let bounds = Bounds {
        changes: Changes::Unknown,
        second: Second::Fills,
        joiners: true,
        restarts: 1,
        evictions: true,
        ..LEAST
    };
    check(SILENT, bounds, Bounds { versions: 2, ..bounds });
}

#[test]
fn changes_from_a_feed() {
    let bounds = Bounds { changes: Changes::Feed, joiners: true, owner_crashes: true, ..LEAST };
    check(SAFE, bounds, Bounds { losses: true, restarts: 1, ..bounds });
}

#[test]
fn soft_strikes_from_a_feed() {
    let bounds = Bounds { changes: Changes::Feed, strike: Strike::MarkStale, ..LEAST };
    check(SOFT, bounds, Bounds { joiners: true, losses: true, versions: 2, ..bounds });
}

#[test]
fn every_state_recovers_when_faults_stop() {
    let bounds = Bounds { writers: [true, false], errors: true, crashes: 1, ..LEAST };
    let large = Bounds { writers: [true, true], losses: true, restarts: 1, ..bounds };
    check(&[Claim::V1], bounds, large);
}

/// The epoch is raised again before an announcement returns, and that is the one that counts; the
/// first one only makes old entries go earlier.
#[test]
fn raising_the_own_epoch_first_is_a_courtesy() {
    let bounds = Bounds {
        writers: [true, false],
        joiners: true,
        errors: true,
        omit: Omit::RaiseBefore,
        ..LEAST
    };
    check(SAFE, bounds, Bounds { versions: 2, ..bounds });
}

/// What a gap may have hidden changes no epoch of our own, and what a joiner is given it tests by
/// its age. The fence of the fill is what needs the generation.
#[test]
fn a_flight_from_before_a_gap_may_be_joined() {
    let bounds = Bounds {
        writers: [true, true],
        joiners: true,
        losses: true,
        omit: Omit::GenerationInKey,
        ..LEAST
    };
    check(SAFE, bounds, Bounds { versions: 2, ..bounds });
}
