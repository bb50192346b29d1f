//! Sizes: how many keys a filter is made for, and what it lets through.

use std::time::Duration;

use larder_core::{Clock, ErrorKind};
use larder_test::ManualClock;

use super::*;

#[test]
fn a_removed_key_leaves_with_the_next_build_and_counts_as_false_positive_until_then() {
    let (filter, table, clock) = setup(Table::of([1, 2]));
    build(&filter, &table, &clock);
    table.0.lock().unwrap().keys.remove(&2);
    assert_eq!(filter.ask(&2), Verdict::Maybe);
    filter.was_absent(&2);
    assert_eq!(filter.ask(&3), Verdict::Absent);
    assert_eq!(filter.stats().rate_measured(), Some(0.5));

    clock.advance(DAY + SECOND);
    build(&filter, &table, &clock);
    assert_eq!(filter.ask(&2), Verdict::Absent);
}

#[test]
fn only_what_the_filter_let_through_is_a_false_positive() {
    let (filter, table, clock) = setup(Table::of([1]));
    assert_eq!(filter.stats().rate_measured(), None);
    filter.was_absent(&1);
    assert_eq!(filter.stats().false_positives, 0);
    build(&filter, &table, &clock);
    filter.was_absent(&9);
    assert_eq!(filter.stats().false_positives, 0);
    filter.was_absent(&1);
    assert_eq!(filter.stats().false_positives, 1);
}

#[test]
fn twice_as_many_keys_as_planned_ask_for_a_build_that_has_room_for_them() {
    let options = FilterOptions { keys_planned: 1_024, ..FilterOptions::default() };
    let filter = Filter::new(options).unwrap();
    let (table, clock) = (Table::of(0..1_000), ManualClock::new());
    build(&filter, &table, &clock);
    clock.advance(SECOND);
    let mut added = 1_000..;
    while filter.stats().keys < 2 * 1_024 {
        assert_eq!(filter.due(clock.now()), None);
        let key = added.next().unwrap();
        table.commit(key);
        filter.add(&key);
        filter.add(&key);
    }
    // Of the second half some looked as if they were there: up to the rate of a full filter.
    assert!((2_048..2_300).contains(&table.keys().len()), "{}", table.keys().len());
    assert_eq!(filter.due(clock.now()), Some(BuildCause::Full));

    // The list doesn't count: what was announced is what is planned for.
    assert!(filter.stats().rate_estimated.unwrap() > 0.1);
    build(&filter, &table, &clock);
    let stats = filter.stats();
    assert_eq!((stats.keys_planned, stats.keys), (2_048, table.keys().len() as u64));
    assert!(stats.rate_estimated.unwrap() < 0.02, "{stats:?}");
    assert_eq!(filter.due(clock.now() + SECOND), None);
}

#[test]
fn a_list_larger_than_planned_is_read_twice_and_not_a_third_time() {
    let options = FilterOptions { keys_planned: 1_024, ..FilterOptions::default() };
    let filter = Filter::new(options).unwrap();
    let (table, clock) = (Table::of(0..50_000), ManualClock::new());
    build(&filter, &table, &clock);
    assert_eq!(filter.stats().keys_planned, 1_024);
    assert_eq!(filter.ask(&1_000_000), Verdict::Maybe, "crowded, and not wrong");
    clock.advance(SECOND);
    assert_eq!(filter.due(clock.now()), Some(BuildCause::Full));
    build(&filter, &table, &clock);
    assert_eq!(filter.stats().keys_planned, 50_000);
    assert_eq!(filter.due(clock.now() + SECOND), None);
}

#[test]
fn a_list_that_knows_its_count_is_read_once() {
    let (filter, table, clock) = setup(Table::of(0..5_000).counted());
    build(&filter, &table, &clock);
    assert_eq!(filter.stats().keys_planned, 5_000);
    assert_eq!(filter.due(clock.now() + SECOND), None);
}

#[test]
fn a_count_that_is_wrong_costs_one_more_reading_and_no_further_one() {
    let (filter, table, clock) = setup(Table::of(0..5_000).counting(Some(3)));
    for planned in [1_024, 5_000] {
        build(&filter, &table, &clock);
        assert_eq!(filter.stats().keys_planned, planned);
        clock.advance(SECOND);
    }
    assert_eq!(filter.due(clock.now()), None);

    // A table that has shrunk gives its room back with the build after the next.
    table.0.lock().unwrap().keys.split_off(&2_000);
    for planned in [5_000, 2_000] {
        clock.advance(DAY);
        build(&filter, &table, &clock);
        assert_eq!(filter.stats().keys_planned, planned);
        clock.advance(SECOND);
    }
}

#[test]
fn after_a_void_there_is_room_for_what_the_last_reading_gave() {
    let (filter, table, clock) = setup(Table::of(0..5_000));
    build(&filter, &table, &clock);
    filter.void();
    clock.advance(SECOND);
    build(&filter, &table, &clock);
    assert_eq!(filter.stats().keys_planned, 5_000);
}

#[test]
fn the_measured_rate_is_the_wished_one_at_the_planned_size() {
    for wished in [0.1, 0.01] {
        let options = FilterOptions { false_positives: wished, ..FilterOptions::default() };
        let filter = Filter::new(options).unwrap();
        let (table, clock) = (Table::of(0..20_000).counted(), ManualClock::new());
        build(&filter, &table, &clock);
        for key in 1_000_000..1_100_000 {
            if filter.ask(&key) == Verdict::Maybe {
                filter.was_absent(&key);
            }
        }
        let stats = filter.stats();
        assert_eq!(stats.answered_absent + stats.false_positives, 100_000);
        // A quarter is eight standard deviations of the measurement at 1 %, and more at 10 %.
        for rate in [stats.rate_measured(), stats.rate_estimated] {
            let rate = rate.unwrap();
            assert!((rate - wished).abs() < wished * 0.25, "{rate} for {wished}");
        }
        assert!(!stats.capped);
    }
}

#[test]
fn more_keys_than_fit_worsen_the_rate_and_never_take_more_bytes() {
    let bytes_max = 4 << 10;
    let options = FilterOptions { bytes_max, page_keys: 1_000, ..FilterOptions::default() };
    let filter = Filter::new(options).unwrap();
    let (table, clock) = (Table::of(0..10_000).counted(), ManualClock::new());
    for _ in 0..2 {
        let mut build = Steps::begin(&filter, &table, &clock).unwrap();
        while build.step().is_none() {
            assert!(filter.stats().bytes <= bytes_max);
        }
        clock.advance(DAY + SECOND);
    }
    let stats = filter.stats();
    assert_eq!((stats.bytes, stats.keys_planned, stats.capped), (bytes_max / 2, 10_000, true));
    assert_eq!(stats.keys, 10_000);
    assert!(stats.rate_estimated.unwrap() > 0.4, "{stats:?}");
    assert!(table.keys().iter().all(|key| filter.ask(key) == Verdict::Maybe));
    // What can't be helped is not tried again and again.
    assert_ne!(filter.due(clock.now()), Some(BuildCause::Full));
}

#[test]
fn options_that_cannot_be_kept_are_refused() {
    let check = |change: fn(&mut FilterOptions)| {
        let mut options = FilterOptions::default();
        change(&mut options);
        assert_eq!(Filter::<u64>::new(options).unwrap_err().kind(), ErrorKind::Config);
    };
    check(|options| options.false_positives = 0.0);
    check(|options| options.false_positives = f64::NAN);
    check(|options| options.false_positives = 0.51);
    check(|options| options.bytes_max = 1_023);
    check(|options| options.page_keys = 0);
    check(|options| options.rebuild_after = Duration::ZERO);
    check(|options| options.page_timeout = Duration::ZERO);
}
