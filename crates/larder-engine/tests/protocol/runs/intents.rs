//! Writers with intents: the protocol as it is, and each of its steps left out once.

use super::{fails, holds, sized};
use crate::claims::Claim;
use crate::intents::{Bounds, Intents, Omit};

const LEAST: Bounds = Bounds::LEAST;
const TWO: Bounds = Bounds { guarded: 2, ..LEAST };
const MIXED: Bounds = Bounds { plain: 1, ..LEAST };
const CRASHES: Bounds = Bounds { crashes: true, ..LEAST };

const SAFE: &[Claim] = &[Claim::S1, Claim::S2, Claim::S3, Claim::P1, Claim::S6];

fn whole(bounds: Bounds, large: Bounds) {
    holds(Intents::new(sized(bounds, large), SAFE));
}

fn check(omit: Omit, bounds: Bounds, broken: &'static [Claim]) {
    assert_eq!(broken.len(), 1, "one claim is enough");
    fails(Intents::new(Bounds { omit, ..bounds }, broken));
}

#[test]
fn two_writers_with_intents_that_crash_anywhere() {
    let bounds = Bounds { crashes: true, filler: true, reads: false, ..TWO };
    whole(bounds, Bounds { reads: true, evictions: true, filler: false, ..bounds });
}

#[test]
fn a_writer_with_an_intent_beside_one_without() {
    let bounds = Bounds { crashes: true, evictions: true, filler: true, reads: false, ..MIXED };
    let bounds = Bounds { guarded: 2, ..bounds };
    whole(bounds, Bounds { guarded: 1, reads: true, filler: false, ..bounds });
}

#[test]
fn a_writer_in_the_process_that_reads() {
    let bounds = Bounds { writes_here: true, ..TWO };
    whole(bounds, Bounds { crashes: true, ..bounds });
}

#[test]
fn intents_while_another_process_fills() {
    let bounds = Bounds { filler: true, crashes: true, ..LEAST };
    whole(bounds, Bounds { evictions: true, window: 1, ..bounds });
}

#[test]
fn a_commit_that_its_writer_has_given_up_on() {
    let bounds = Bounds { gives_up: true, ..LEAST };
    whole(bounds, Bounds { crashes: true, filler: true, ..bounds });
}

#[test]
fn a_shared_tier_that_cannot_be_asked_now_and_then() {
    let bounds = Bounds { errors: true, losses: true, crashes: true, ..LEAST };
    whole(bounds, Bounds { window: 1, filler: true, ..bounds });
}

/// Who is stopped, and goes on when its intent is over, leaves nothing that is old in the shared
/// tier once it has ended. What counts from the commit isn't kept meanwhile.
#[test]
fn a_writer_that_is_stopped_for_longer_than_its_intent_lasts() {
    let bounds = Bounds { stalls: true, ..LEAST };
    let after = &[Claim::S1, Claim::S2, Claim::S3, Claim::S6];
    holds(Intents::new(sized(bounds, Bounds { filler: true, evictions: true, ..bounds }), after));
}

/// What remains: nobody is left to tell that the commit came after all.
#[test]
fn who_is_stopped_for_longer_and_then_crashes_leaves_what_is_old() {
    let bounds = Bounds { stalls: true, ..CRASHES };
    check(Omit::Nothing, bounds, &[Claim::S1]);
    check(Omit::Nothing, bounds, &[Claim::P1]);
}

#[test]
fn a_commit_is_announced_before_it_is_made() {
    check(Omit::Intent, CRASHES, &[Claim::P1]);
    check(Omit::Intent, Bounds { filler: true, ..CRASHES }, &[Claim::S1]);
}

#[test]
fn each_writer_has_an_intent_of_its_own() {
    let bounds = Bounds { crashes: true, filler: true, reads: false, ..TWO };
    check(Omit::SetOfIntents, bounds, &[Claim::S1]);
}

#[test]
fn who_overlapped_another_writer_leaves_nothing() {
    let bounds = Bounds { crashes: true, reads: false, ..TWO };
    check(Omit::Uncontended, bounds, &[Claim::S1]);
}

#[test]
fn who_overlapped_an_invalidation_leaves_nothing() {
    check(Omit::OwnerCleared, MIXED, &[Claim::S1]);
}

/// Somebody commits behind larder's back while the writer is on its way to its end.
#[test]
fn what_a_writer_leaves_is_as_of_its_beginning() {
    check(Omit::AsOfBegin, Bounds { outside: 1, ..LEAST }, &[Claim::P1]);
}

#[test]
fn the_bus_hears_of_an_intent_before_the_commit() {
    check(Omit::BusBeforeCommit, LEAST, &[Claim::P1]);
}

#[test]
fn who_has_heard_of_a_writer_fills_nothing() {
    check(Omit::WriterAtFill, CRASHES, &[Claim::P1]);
}

/// Whoever loads while a writer is known has decided before that nothing is kept.
#[test]
fn raising_the_epoch_when_a_writer_is_forgotten_is_a_courtesy() {
    let bounds = Bounds { omit: Omit::RaiseAtForget, ..CRASHES };
    whole(bounds, Bounds { window: 1, filler: true, ..bounds });
}

#[test]
fn who_gives_up_on_a_commit_leaves_its_intent() {
    let bounds = Bounds { gives_up: true, ..LEAST };
    check(Omit::IntentOfUnknown, bounds, &[Claim::P1]);
    check(Omit::IntentOfUnknown, Bounds { filler: true, ..bounds }, &[Claim::S1]);
}

#[test]
fn what_was_loaded_without_the_tiers_word_is_never_vouched_for() {
    let bounds = Bounds { errors: true, losses: true, ..CRASHES };
    check(Omit::BriefWithoutTier, bounds, &[Claim::P1]);
}

#[test]
fn an_intent_voids_the_lease() {
    check(Omit::LeaseVoided, Bounds { filler: true, ..CRASHES }, &[Claim::S6]);
    check(Omit::LeaseVoided, Bounds { filler: true, ..CRASHES }, &[Claim::S1]);
}

/// Otherwise it is still there when the writer has died and its intent is over, and a horizon from
/// after the commit vouches for it.
#[test]
fn an_intent_drops_what_the_tier_holds() {
    let bounds = Bounds { filler: true, ..CRASHES };
    check(Omit::DropAtIntent, bounds, &[Claim::S1]);
    check(Omit::DropAtIntent, bounds, &[Claim::P1]);
}

#[test]
fn who_hears_of_an_intent_drops_what_it_holds() {
    check(Omit::RaiseAtIntent, LEAST, &[Claim::P1]);
}
