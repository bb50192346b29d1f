//! Flights, the fence and the memory tier under a checker that explores interleavings.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p larder-engine --test 'shuttle*'`. Each
//! protective step that is left out must make the checker find an interleaving that breaks the
//! promise; the shortest one stands at its test. This file is about single keys and about herds,
//! `shuttle_events` about what names no single key, `shuttle_programs` about everything at once.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

mod explored;

use std::time::Duration;

use explored::{Explored, MINUTE, Way, explore, must_fail, must_fail_by_priorities};
use larder_engine::Omit;
use shuttle::future::{block_on, spawn};

/// Somebody reads while a writer commits and invalidates. A get that starts after `invalidate`
/// returned never returns what was loaded before it.
fn a_reader_beside_a_writer(omit: Omit, max_staleness: Duration) {
    block_on(async {
        let explored = Explored::new(omit, max_staleness);
        let reader = explored.reader();
        explored.write_and_read(Way::Key).await;
        reader.await.unwrap();
        explored.end().await;
    });
}

/// The same for somebody who loads for himself and fills with a ticket.
fn a_ticket_beside_a_writer(omit: Omit) {
    block_on(async {
        let explored = Explored::new(omit, MINUTE);
        let aside = spawn({
            let explored = explored.clone();
            async move { explored.aside(7).await }
        });
        explored.write_and_read(Way::Key).await;
        aside.await.unwrap();
        explored.end().await;
    });
}

/// Readers of a cold key, without writers: one load, whoever comes when.
fn one_load_for_a_cold_key(omit: Omit) {
    block_on(async {
        let explored = Explored::new(omit, MINUTE);
        let readers: Vec<_> = (0..3).map(|_| explored.reader()).collect();
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(explored.record.loads(), 1, "a herd");
        assert_eq!(explored.cache.flights(), 0);
    });
}

/// A single get and a batch that overlap: each key is loaded once and everybody is answered.
fn one_load_for_each_key_of_overlapping_batches() {
    block_on(async {
        let explored = Explored::new(Omit::Nothing, MINUTE);
        let batch = spawn({
            let explored = explored.clone();
            async move { explored.get_many(&[7, 8]).await }
        });
        let single = spawn({
            let explored = explored.clone();
            async move { explored.get(8).await }
        });
        single.await.unwrap();
        batch.await.unwrap();
        assert_eq!(explored.record.loads(), 2);
    });
}

#[test]
fn a_get_after_an_invalidation_returns_nothing_loaded_before_it() {
    explore(|| a_reader_beside_a_writer(Omit::Nothing, MINUTE));
}

#[test]
fn where_nothing_is_kept_it_does_not_either() {
    explore(|| a_reader_beside_a_writer(Omit::Nothing, Duration::ZERO));
}

#[test]
fn a_ticket_taken_before_an_invalidation_fills_nothing_after_it() {
    explore(|| a_ticket_beside_a_writer(Omit::Nothing));
}

/// 1. A misses, captures the fence and loads `v0`,
/// 2. W commits `v1`, raises the epoch and removes nothing, as nothing is held,
/// 3. A fills `v0`,
/// 4. W, who knows that the cache was told, gets `v0`.
#[test]
fn without_the_fence_at_the_fill_a_load_fills_what_is_old() {
    must_fail(|| a_reader_beside_a_writer(Omit::FenceAtFill, MINUTE));
}

/// As above, with a ticket in the place of A's load.
#[test]
fn without_the_fence_at_the_fill_a_ticket_fills_what_is_old() {
    must_fail(|| a_ticket_beside_a_writer(Omit::FenceAtFill));
}

/// Where fills are kept, a refused one already sends its callers to read again. Where nothing is
/// kept there is no fill to refuse: only the epoch keeps a caller from joining an older flight.
/// (Where fills are kept it takes a flight that has filled and not yet left the map.)
///
/// 1. A leads a flight, which loads `v0`,
/// 2. W commits `v1` and invalidates,
/// 3. W gets, joins A's flight, and is given `v0`.
#[test]
fn without_the_epoch_of_a_flight_a_get_joins_an_older_one() {
    must_fail(|| a_reader_beside_a_writer(Omit::EpochOfFlight, Duration::ZERO));
}

/// 1. A leads a flight, which loads `v0`,
/// 2. W commits `v1`, and looks into memory, where nothing is held,
/// 3. A fills `v0`, since its epoch still stands,
/// 4. W raises the epoch, too late, and gets `v0`.
#[test]
fn with_the_epoch_raised_after_the_lock_a_fill_slips_in_between() {
    must_fail(|| a_reader_beside_a_writer(Omit::EpochUnderLock, MINUTE));
}

#[test]
fn concurrent_readers_of_a_cold_key_load_once() {
    explore(|| one_load_for_a_cold_key(Omit::Nothing));
}

#[test]
fn overlapping_batches_load_each_key_once() {
    explore(one_load_for_each_key_of_overlapping_batches);
}

/// 1. A finds nothing in memory,
/// 2. B's flight loads, fills memory and leaves the map,
/// 3. A finds no flight, and loads again.
#[test]
fn without_the_second_look_a_late_reader_loads_again() {
    must_fail_by_priorities(|| one_load_for_a_cold_key(Omit::SecondLook));
}

/// 1. B's flight loads, and leaves the map,
/// 2. A finds nothing in memory and no flight, and leads one; its second look finds nothing,
/// 3. B's flight fills memory, and A loads again.
#[test]
fn with_flights_that_leave_before_they_fill_a_late_reader_loads_again() {
    must_fail(|| one_load_for_a_cold_key(Omit::FillBeforeLeaving));
}
