//! The contracts of the shared tier, the bus and the journal, as behaviours that every
//! implementation is checked for: the simulated one, and each driver with its real server.
//!
//! It knows the contracts only. Whether time is turned or really waited for, and which server
//! answers, the [`Subject`] knows. Behaviours keep to keys of their own, so that they need no
//! empty server, and what a tier says that it can't do is checked to be refused.

mod buses;
mod entries;
mod journal;
mod keys;
mod leases;
mod lifetimes;
mod marks;
mod races;
mod steps;
mod subject;
#[cfg(test)]
mod tests;
mod writes;

use std::sync::Arc;

use larder_core::{BoxFuture, Bus};

use crate::watched::within_patience;

pub use journal::check_journal;
pub use subject::{Passing, Subject};

/// A behaviour's name, and what checks it: it panics where the subject behaves otherwise.
pub type Behaviour<S> = (&'static str, for<'a> fn(&'a S) -> BoxFuture<'a, ()>);

macro_rules! behaviours {
    ($($module:ident: $($name:ident)*;)*) => {
        &[$($((
            stringify!($name),
            |subject| Box::pin($module::$name(subject)),
        ),)*)*]
    };
}

/// How a shared tier behaves, by name.
pub const TIER: &[Behaviour<Subject>] = behaviours! {
    leases:
        of_two_asks_one_gets_the_lease
        of_two_asks_for_one_key_in_one_question_the_first_gets_the_lease
        tokens_differ_and_keep_to_their_length
        a_fill_without_its_lease_is_refused
        a_fill_ends_its_lease
        a_lease_of_another_incarnation_is_void
        an_invalidation_voids_the_lease_of_a_key_that_isnt_held
        an_invalidation_voids_the_lease_of_a_key_that_is_held
        after_an_invalidation_the_next_ask_gets_a_lease
        a_release_lets_the_next_one_in
        a_release_of_a_void_lease_leaves_the_others_lease_alone;
    entries:
        a_fresh_entry_is_a_hit
        seen_makes_a_fresh_entry_a_lease
        another_entry_than_the_seen_one_is_a_hit
        a_seen_entry_stays_a_hit_for_who_hasnt_seen_it
        busy_shows_what_is_held
        an_entry_is_of_the_run_of_its_lease
        a_drop_leaves_nothing
        a_stale_mark_keeps_the_value_and_its_stamp
        a_stale_entry_is_no_hit_until_it_is_filled_again
        an_empty_payload_is_not_an_absence
        any_bytes_come_back_as_they_were
        an_envelope_at_the_size_limit_is_held_and_a_longer_one_is_not;
    keys:
        many_keys_keep_their_order
        no_keys_are_no_answers
        keys_of_any_bytes_dont_collide
        an_invalidation_strikes_its_keys_only
        an_invalidation_may_be_repeated;
    lifetimes:
        a_lease_ends_with_its_time
        a_late_fill_after_another_lease_was_granted_is_refused
        an_extended_lease_lasts_longer
        a_void_lease_is_not_extended
        lifetime_counts_from_the_grant
        a_lifetime_that_is_used_up_before_the_fill_is_refused
        remaining_never_exceeds_the_lifetime_less_the_age;
    races:
        of_many_asks_at_once_one_gets_the_lease
        a_fill_at_the_same_time_as_an_invalidation_leaves_nothing;
    marks:
        marks_are_ordered_and_read_back
        marks_of_each_kind_and_strike_are_told_apart
        marks_set_together_have_one_moment;
    writes:
        a_tier_without_intents_refuses_them
        while_a_write_is_announced_nobody_leases_or_fills
        an_intent_says_whether_something_was_held_and_drops_it
        a_write_that_was_alone_leaves_its_value
        of_writes_that_overlap_none_leaves_its_value
        what_is_invalidated_during_a_write_is_not_left
        a_write_that_was_aborted_lets_others_in
        a_write_of_unknown_outcome_keeps_others_out_for_its_time
        an_intent_ends_with_its_time
        an_intent_that_is_announced_again_lasts_longer
        what_a_write_leaves_is_as_old_as_its_beginning
        the_end_of_one_write_leaves_the_others_intent_alone
        an_intent_is_announced_in_the_same_step;
    steps:
        it_answers_a_probe
        an_announcement_in_the_same_step_has_a_position_that_follows
        an_announcement_of_marks_carries_their_moment
        what_is_announced_has_been_done;
};

/// How a bus behaves, by name.
pub const BUS: &[Behaviour<[Arc<dyn Bus>; 2]>] = behaviours! {
    buses:
        positions_are_consecutive
        subscribe_starts_at_the_end
        a_bus_is_in_order_and_complete
        every_subscriber_reads_everything
        announcements_come_back_as_they_were;
};

/// Checks everything: the tier, and its bus if it has one.
///
/// ```
/// use larder_test::contract::{Passing, Subject, check_tier};
/// use larder_test::{ManualClock, SimShared};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = ManualClock::new();
/// let server = SimShared::new(Arc::new(clock.clone()));
/// let (a, b) = (Arc::new(server.client()), Arc::new(server.client()));
/// let subject = Subject::new([a.clone(), b.clone()], Passing::turned(clock));
/// check_tier(&subject.with_buses([a, b])).await;
/// # }
/// ```
///
/// # Panics
///
/// When it behaves otherwise, or a behaviour takes longer than 30 seconds. The name of the
/// behaviour is printed before.
pub async fn check_tier(subject: &Subject) {
    check(TIER, subject).await;
    if let Some(buses) = subject.buses() {
        check_bus(buses).await;
    }
}

/// Checks a bus alone, by two processes' connections to it. Nobody else may publish meanwhile.
///
/// # Panics
///
/// See [`check_tier`].
pub async fn check_bus(buses: &[Arc<dyn Bus>; 2]) {
    check(BUS, buses).await;
}

async fn check<S>(behaviours: &[Behaviour<S>], subject: &S) {
    for (name, behaviour) in behaviours {
        println!("{name}");
        within_patience(name, behaviour(subject)).await;
    }
}
