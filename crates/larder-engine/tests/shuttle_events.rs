//! Tags, whole caches and prefixes under a checker that explores interleavings.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p larder-engine --test 'shuttle*'`. Each
//! protective step that is left out must make the checker find an interleaving that breaks the
//! promise; the shortest one stands at its test.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

mod explored;

use std::time::Duration;

use explored::{Explored, ITERATIONS, MINUTE, PREFIX, Way, explore, must_fail};
use larder_engine::{Invalidation, Omit};
use larder_memory::Bounds;
use shuttle::future::{block_on, spawn};

/// Somebody reads while a writer commits and tells the cache in this way.
fn a_reader_beside_a_writer(omit: Omit, max_staleness: Duration, way: Way) {
    block_on(async {
        let explored = Explored::new(omit, max_staleness);
        let reader = explored.reader();
        explored.write_and_read(way).await;
        reader.await.unwrap();
        explored.end().await;
    });
}

/// The same where the value is held already. Something else was invalidated since, so that a hit
/// looks at the marks.
fn a_hit_beside_a_writer(omit: Omit, way: Way) {
    block_on(async {
        let explored = Explored::new(omit, MINUTE);
        explored.get(7).await;
        explored.cache.invalidate_tags(&["something else"]).await.unwrap();
        let reader = explored.reader();
        explored.write_and_read(way).await;
        reader.await.unwrap();
        explored.end().await;
    });
}

/// The same for somebody who loads for himself and fills with a ticket.
fn a_ticket_beside_a_writer(omit: Omit, way: Way) {
    block_on(async {
        let explored = Explored::new(omit, MINUTE);
        let aside = spawn({
            let explored = explored.clone();
            async move { explored.aside(7).await }
        });
        explored.write_and_read(way).await;
        aside.await.unwrap();
        explored.end().await;
    });
}

/// A prefix is dropped while an entry that has it is marked stale. There are more entries than
/// the memory tier looks at under one lock, and a place is free at its beginning.
fn a_prefix_beside_a_stale_mark(omit: Omit) {
    block_on(async {
        let explored = Explored::with(omit, MINUTE, Bounds::entries(128).shards(1));
        explored.cache.get_or_load(&1, |_| async { Ok(Some(0)) }).await.unwrap();
        for other in 100..166 {
            explored.cache.get_or_load(&other, |_| async { Ok(Some(0)) }).await.unwrap();
        }
        explored.get(7).await;
        explored.cache.invalidate(&1).await.unwrap();
        explored.memory.reclaim();
        let marking = spawn({
            let explored = explored.clone();
            async move { explored.cache.mark_stale(&7).await.unwrap() }
        });
        explored.write(7, Way::Prefix, Invalidation::Drop).await;
        explored.get(7).await;
        marking.await.unwrap();
        explored.end().await;
    });
}

#[test]
fn a_get_after_a_tag_returns_nothing_loaded_before_it() {
    explore(|| a_reader_beside_a_writer(Omit::Nothing, MINUTE, Way::Tag));
    explore(|| a_reader_beside_a_writer(Omit::Nothing, Duration::ZERO, Way::Tag));
    explore(|| a_ticket_beside_a_writer(Omit::Nothing, Way::Tag));
    explore(|| a_hit_beside_a_writer(Omit::Nothing, Way::Tag));
}

#[test]
fn a_get_after_a_generation_returns_nothing_loaded_before_it() {
    explore(|| a_reader_beside_a_writer(Omit::Nothing, MINUTE, Way::All));
    explore(|| a_reader_beside_a_writer(Omit::Nothing, Duration::ZERO, Way::All));
    explore(|| a_ticket_beside_a_writer(Omit::Nothing, Way::All));
    explore(|| a_hit_beside_a_writer(Omit::Nothing, Way::All));
}

#[test]
fn a_get_after_a_prefix_returns_nothing_loaded_before_it() {
    explore(|| a_reader_beside_a_writer(Omit::Nothing, MINUTE, Way::Prefix));
    explore(|| a_reader_beside_a_writer(Omit::Nothing, Duration::ZERO, Way::Prefix));
    explore(|| a_ticket_beside_a_writer(Omit::Nothing, Way::Prefix));
    explore(|| a_hit_beside_a_writer(Omit::Nothing, Way::Prefix));
}

#[test]
fn an_entry_that_is_marked_stale_does_not_slip_past_a_prefix() {
    assert!("7".starts_with(PREFIX));
    // Each order begins with 66 loads.
    shuttle::check_random(|| a_prefix_beside_a_stale_mark(Omit::Nothing), ITERATIONS / 5);
}

/// 1. A leads a flight, which loads `v0`,
/// 2. W commits `v1` and ends the generation,
/// 3. W gets, finds no entry, joins A's flight, and is given `v0`.
#[test]
fn without_the_sweep_of_a_flight_a_get_joins_an_older_one() {
    must_fail(|| a_reader_beside_a_writer(Omit::SweepOfFlight, Duration::ZERO, Way::All));
    must_fail(|| a_reader_beside_a_writer(Omit::SweepOfFlight, Duration::ZERO, Way::Prefix));
}

/// 1. A leads a flight, which loads `v0`; its tags are known only when it lands,
/// 2. W commits `v1` and invalidates the tag,
/// 3. W gets, finds no entry, joins A's flight, and takes the `v0` that it brings.
#[test]
fn without_the_tags_of_a_result_whoever_joined_takes_what_is_old() {
    must_fail(|| a_reader_beside_a_writer(Omit::TagsOfResult, Duration::ZERO, Way::Tag));
}

/// A tag or a generation strikes what is held, so it may be filled late and does no harm. What a
/// prefix strikes is looked for once:
///
/// 1. A leads a flight, which loads `v0`,
/// 2. W commits `v1` and drops the prefix, of which nothing is held,
/// 3. A fills `v0`,
/// 4. W gets `v0`.
#[test]
fn without_the_sweep_at_the_fill_a_prefix_misses_what_is_filled_after_it() {
    must_fail(|| a_reader_beside_a_writer(Omit::SweepAtFill, MINUTE, Way::Prefix));
    must_fail(|| a_ticket_beside_a_writer(Omit::SweepAtFill, Way::Prefix));
}

/// 1. A gets `v0`, which is held,
/// 2. W commits `v1` and invalidates the tag, or ends the generation,
/// 3. W gets `v0` from memory.
#[test]
fn without_the_fate_at_a_hit_what_was_struck_is_served() {
    must_fail(|| a_hit_beside_a_writer(Omit::FateAtHit, Way::Tag));
    must_fail(|| a_hit_beside_a_writer(Omit::FateAtHit, Way::All));
}

/// 1. A leads a flight, which loads `v0`,
/// 2. W commits `v1` and invalidates the tag: the count is 1,
/// 3. A's load is done and takes the count, 1, so it seems to have begun after the event,
/// 4. A fills `v0`, and W gets it.
#[test]
fn with_the_count_taken_after_the_load_an_old_load_seems_young() {
    must_fail(|| a_reader_beside_a_writer(Omit::CountBeforeLoad, MINUTE, Way::Tag));
    must_fail(|| a_reader_beside_a_writer(Omit::CountBeforeLoad, MINUTE, Way::All));
}

/// 1. A gets `v0`, which is held since the count was 0,
/// 2. W commits `v1` and counts the event: 1,
/// 3. A hits, sees a count that it doesn't know, finds no mark, and notes that the tags stand at 1,
/// 4. W marks the tag,
/// 5. W gets `v0`: at the count 1 its tags stood.
#[test]
fn with_events_counted_before_they_are_marked_a_hit_vouches_for_what_is_struck() {
    must_fail(|| a_hit_beside_a_writer(Omit::MarksBeforeCount, Way::Tag));
}

/// 1. A hits `v0`, sees a count that the entry doesn't know, and finds no mark,
/// 2. W commits `v1`, marks the tag and counts the event: 2,
/// 3. A takes the count, and notes that the tags stand at 2,
/// 4. W gets `v0`: at the count 2 its tags stood.
#[test]
fn with_the_count_taken_after_the_look_a_hit_vouches_for_what_it_did_not_see() {
    must_fail(|| a_hit_beside_a_writer(Omit::CountBeforeLook, Way::Tag));
}

/// 1. `v0` is held, behind the 64 entries that memory is looked through at a time,
/// 2. W commits `v1`, and looks for the prefix among the first 64,
/// 3. A marks the entry stale, which so moves to a free place among the first,
/// 4. W looks through the rest, finds nothing, and returns,
/// 5. W gets `v0`, stale, though it was dropped.
#[test]
fn without_dropping_while_somebody_walks_a_prefix_misses_what_is_marked_stale() {
    must_fail(|| a_prefix_beside_a_stale_mark(Omit::DropWhileWalking));
}
