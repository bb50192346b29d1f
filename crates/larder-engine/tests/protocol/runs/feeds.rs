//! Feeds whose commits lag, whose slots are lost and whose owners change: the protocol as it is,
//! and each of its steps left out once.

use super::{check, holds, sized};
use crate::bounds::{Bounds, Changes, Log, Omit, Second};
use crate::claims::Claim;
use crate::model::Protocol;

const FEED: Bounds = Bounds { changes: Changes::Feed, ..Bounds::LEAST };
const LAGS: Bounds = with(Log { lags: true, ..Log::LEAST });
const SLOTS: Bounds = with(Log { lags: true, slots: 1, ..Log::LEAST });
const HANDED: Bounds = with(Log { hand_overs: 1, ..Log::LEAST });
const QUICK: Bounds = Bounds { queue: 2, window: 0, ..HANDED };
const REPLACED: Bounds = with(Log { is_replaced: true, ..Log::LEAST });
/// Somebody else has had the cache for long, and has filled the shared tier.
const LATE: Bounds = with(Log { covers_late: true, ..Log::LEAST });

const SAFE: &[Claim] = &[Claim::S1, Claim::S2, Claim::P1, Claim::S6];
/// Nobody need tell of what nobody covers.
const COVERED: &[Claim] = &[Claim::P1, Claim::S6];

const fn with(feed: Log) -> Bounds {
    Bounds { feed, ..FEED }
}

fn whole(claims: &'static [Claim], bounds: Bounds, large: Bounds) {
    holds(Protocol::new(sized(bounds, large), claims));
}

#[test]
fn commits_that_are_in_the_log_before_they_are_visible() {
    let bounds = Bounds { joiners: true, owner_crashes: true, ..LAGS };
    whole(SAFE, bounds, Bounds { second: Second::Fills, ..LAGS });
}

#[test]
fn a_slot_that_is_lost_and_made_again() {
    whole(SAFE, SLOTS, Bounds { losses: true, ..SLOTS });
}

#[test]
fn an_owner_that_is_taken_for_dead_and_goes_on() {
    let feed = Log { pauses: true, ..HANDED.feed };
    let bounds = Bounds { feed, ..QUICK };
    whole(SAFE, bounds, Bounds { window: 1, ..bounds });
}

#[test]
fn a_slot_that_is_made_again_while_its_owner_dies() {
    let feed = Log { hand_overs: 1, ..SLOTS.feed };
    let bounds = Bounds { feed, queue: 2, window: 0, ..SLOTS };
    whole(SAFE, bounds, Bounds { window: 1, ..bounds });
}

#[test]
fn a_server_that_is_replaced_under_its_address() {
    let feed = Log { slots: 1, ..REPLACED.feed };
    let bounds = Bounds { feed, window: 0, ..REPLACED };
    let large = Bounds { feed: Log { lags: true, ..feed }, window: 1, ..bounds };
    whole(SAFE, bounds, large);
}

#[test]
fn a_cache_that_is_covered_late() {
    let feed = Log { hand_overs: 1, ..LATE.feed };
    let bounds = Bounds { feed, queue: 2, window: 0, ..LATE };
    whole(COVERED, bounds, Bounds { window: 1, ..bounds });
}

/// Who follows next finds that it begins behind what it knows of, and drops everything: right, and
/// dear.
#[test]
fn acknowledging_what_was_answered_is_a_courtesy() {
    let bounds = Bounds { omit: Omit::AnswerBeforeAcknowledge, ..QUICK };
    whole(SAFE, bounds, Bounds { window: 1, ..bounds });
}

#[test]
fn a_commit_is_told_when_it_is_visible() {
    check(Omit::Barrier, LAGS, &[Claim::P1]);
}

#[test]
fn a_gap_is_told_when_what_was_missed_is_visible() {
    check(Omit::VisibleBeforeGap, SLOTS, &[Claim::S1, Claim::P1]);
}

/// Who made it may have died before.
#[test]
fn who_finds_a_slot_waits_as_who_makes_one() {
    let feed = Log { hand_overs: 1, ..SLOTS.feed };
    check(Omit::EveryGapWaits, Bounds { feed, ..QUICK }, &[Claim::S1, Claim::P1]);
}

#[test]
fn a_gap_drops_everything() {
    check(Omit::GapDrops, SLOTS, &[Claim::S1, Claim::P1]);
}

#[test]
fn who_follows_and_knows_less_than_was_acknowledged_has_a_gap() {
    check(Omit::GapBehindWhatIsKnown, QUICK, &[Claim::P1]);
}

#[test]
fn who_follows_tells_itself() {
    check(Omit::OwnerRaises, QUICK, &[Claim::S2, Claim::P1]);
}

#[test]
fn the_end_of_another_log_is_none() {
    check(Omit::EndOfTheSameLog, REPLACED, &[Claim::P1]);
}

#[test]
fn an_answer_names_the_caches_that_it_is_for() {
    check(Omit::AnswerNamesCaches, LATE, &[Claim::P1]);
}

#[test]
fn who_builds_a_cache_forgets_the_horizon() {
    check(Omit::CoveredClears, LATE, &[Claim::P1]);
}

#[test]
fn who_covers_one_more_cache_sweeps_it() {
    check(Omit::CoveredIsSwept, LATE, &[Claim::P1]);
}
