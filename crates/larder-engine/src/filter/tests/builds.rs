//! Builds: which are given out, which fail, and what each knows when it is done.

use std::task::{Context, Waker};
use std::time::Duration;

use larder_core::{Clock, ErrorKind, keys_of};

use super::*;

#[test]
fn before_the_first_build_the_source_is_asked_and_one_build_is_given_out() {
    let (filter, table, clock) = setup(Table::of([1, 2]));
    assert_eq!(filter.ask(&1), Verdict::NotReady);
    assert_eq!(filter.due(clock.now()), Some(BuildCause::NeverFilled));
    assert!(filter.progress().is_none());

    let first = Steps::begin(&filter, &table, &clock).unwrap();
    assert_eq!(filter.due(clock.now()), None);
    assert!(Steps::begin(&filter, &table, &clock).is_none());
    assert_eq!(filter.ask(&3), Verdict::NotReady);

    assert!(matches!(first.finish(), BuildState::Done));
    assert_eq!([filter.ask(&1), filter.ask(&2)], [Verdict::Maybe; 2]);
    assert_eq!(filter.ask(&3), Verdict::Absent);
    assert_eq!(filter.due(clock.now() + SECOND), None);
    let stats = filter.stats();
    assert_eq!((stats.answered_not_ready, stats.answered_maybe, stats.answered_absent), (2, 2, 1));
    assert_eq!((stats.ready, stats.keys, stats.builds), (true, 2, 1));
    assert_eq!(stats.built_from, Some(clock.now()));
}

#[test]
fn what_is_announced_behind_the_reading_is_in_what_it_builds() {
    let (filter, table, clock) = setup(Table::of(10..20));
    let mut build = Steps::begin(&filter, &table, &clock).unwrap();
    assert!(build.step().is_none());
    // The page that would hold it has been read.
    table.commit(1);
    filter.add(&1);
    assert!(matches!(build.finish(), BuildState::Done));
    assert_eq!(filter.ask(&1), Verdict::Maybe);

    // The same while there is a current generation.
    clock.advance(DAY + SECOND);
    let mut build = Steps::begin(&filter, &table, &clock).unwrap();
    assert!(build.step().is_none());
    table.commit(2);
    filter.add(&2);
    assert_eq!(filter.ask(&2), Verdict::Maybe);
    assert!(matches!(build.finish(), BuildState::Done));
    assert_eq!(filter.ask(&2), Verdict::Maybe);
}

#[test]
fn a_voided_filter_asks_the_source_until_it_is_built_from_a_later_reading() {
    let (filter, table, clock) = setup(Table::of(0..10));
    build(&filter, &table, &clock);
    clock.advance(SECOND);
    filter.void();
    assert_eq!(filter.ask(&77), Verdict::NotReady);
    assert_eq!(filter.due(clock.now()), Some(BuildCause::Void));

    // This reading begins after the first and before the second void.
    let mut early = Steps::begin(&filter, &table, &clock).unwrap();
    assert!(early.step().is_none());
    table.commit(77);
    table.commit(0);
    filter.void();
    assert_eq!(filter.due(clock.now()), None, "it has not ended");
    clock.advance(SECOND * 5);
    assert!(matches!(early.finish(), BuildState::Voided));
    assert_eq!((filter.ask(&0), filter.ask(&77)), (Verdict::NotReady, Verdict::NotReady));
    assert_eq!(filter.stats().builds_voided, 1);

    // It took five seconds, so the list rests as long.
    assert_eq!(filter.due(clock.now() + (SECOND * 5 - Duration::from_nanos(1))), None);
    clock.advance(SECOND * 5);
    assert!(matches!(build(&filter, &table, &clock), BuildState::Done));
    assert_eq!((filter.ask(&77), filter.ask(&78)), (Verdict::Maybe, Verdict::Absent));
}

#[test]
fn a_build_that_has_asked_for_no_page_outlives_a_void() {
    let (filter, table, clock) = setup(Table::of(0..10));
    let claimed = Steps::begin(&filter, &table, &clock).unwrap();
    table.commit(77);
    filter.void();
    assert!(matches!(claimed.finish(), BuildState::Done));
    assert_eq!(filter.ask(&77), Verdict::Maybe);
}

#[test]
fn a_failed_build_keeps_the_filter_and_is_tried_again_with_growing_pauses() {
    let (filter, table, clock) = setup(Table::of(0..10));
    build(&filter, &table, &clock);
    clock.advance(DAY + SECOND);
    table.fault(Fault::Fail);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(failed(&build(&filter, &table, &clock)), ErrorKind::SourceDown);
        assert_eq!((filter.ask(&3), filter.ask(&99)), (Verdict::Maybe, Verdict::Absent));
        clock.advance(SECOND * pause - Duration::from_nanos(1));
        assert_eq!(filter.due(clock.now()), None, "before {pause} s");
        clock.advance(Duration::from_nanos(1));
        assert_eq!(filter.due(clock.now()), Some(BuildCause::Old), "after {pause} s");
    }
    assert_eq!(filter.stats().builds_failed, 8);

    // Success begins the pauses anew; and without a filter nothing is kept.
    table.fault(Fault::None);
    build(&filter, &table, &clock);
    filter.void();
    clock.advance(SECOND);
    table.fault(Fault::Fail);
    build(&filter, &table, &clock);
    assert_eq!(filter.ask(&3), Verdict::NotReady);
    assert_eq!(filter.due(clock.now() + SECOND), Some(BuildCause::Void));
}

#[test]
fn a_list_that_panics_or_a_dropped_build_is_a_failed_build() {
    let (filter, table, clock) = setup(Table::of(0..10));
    table.fault(Fault::Panic);
    let ended = build(&filter, &table, &clock);
    assert_eq!(failed(&ended), ErrorKind::Loader);
    clock.advance(SECOND);

    let mut dropped = Steps::begin(&filter, &table, &clock).unwrap();
    table.fault(Fault::None);
    assert!(dropped.step().is_none());
    assert!(filter.stats().bytes > 0);
    drop(dropped);
    assert_eq!(failed(&filter.progress().unwrap().state), ErrorKind::Internal);
    assert_eq!((filter.stats().builds_failed, filter.stats().bytes), (2, 0));
    assert_eq!(filter.due(clock.now() + SECOND), None);
    clock.advance(SECOND * 2);
    assert!(matches!(build(&filter, &table, &clock), BuildState::Done));
}

#[test]
fn a_page_that_does_not_come_in_time_fails_the_build() {
    let (filter, table, clock) = setup(Table::of(0..10));
    table.fault(Fault::Hang);
    let mut build = Steps::begin(&filter, &table, &clock).unwrap();
    assert!(build.step().is_none());
    clock.advance(SECOND * 60 - Duration::from_nanos(1));
    assert!(build.step().is_none());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(failed(&build.step().unwrap()), ErrorKind::Timeout);
}

#[test]
fn a_list_without_an_end_fails_the_build_when_it_would_be_old() {
    let (filter, table, clock) = setup(Table::default());
    table.fault(Fault::Endless);
    let mut build = Steps::begin(&filter, &table, &clock).unwrap();
    for _ in 0..1_000 {
        assert!(build.step().is_none());
    }
    clock.advance(DAY + SECOND);
    assert_eq!(failed(&build.step().unwrap()), ErrorKind::Timeout);
}

#[test]
fn progress_is_seen_while_the_list_is_read() {
    let (filter, table, clock) = setup(Table::of(0..10).counted());
    let mut build = Steps::begin(&filter, &table, &clock).unwrap();
    let seen = || {
        let progress = filter.progress().unwrap();
        (progress.keys, progress.of, matches!(progress.state, BuildState::Reading))
    };
    assert_eq!(seen(), (0, None, true));
    for keys in [4, 8, 10] {
        assert!(build.step().is_none());
        assert_eq!(seen(), (keys, Some(10), true));
    }
    assert!(matches!(build.step(), Some(BuildState::Done)));
    assert_eq!(seen(), (10, Some(10), false));
    let progress = filter.progress().unwrap();
    assert_eq!((progress.began, progress.cause), (clock.now(), BuildCause::NeverFilled));
}

#[test]
fn an_erased_list_builds_the_same_filter() {
    let (filter, _, clock) = setup(Table::default());
    let list = crate::AnyKeyList::new(keys_of(0..10_u64));
    let build = filter.begin(clock.now()).unwrap();
    let mut run = Box::pin(build.run(&list, &clock));
    while run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    assert_eq!((filter.ask(&9), filter.ask(&10)), (Verdict::Maybe, Verdict::Absent));
    assert_eq!(filter.progress().unwrap().of, Some(10));
}
