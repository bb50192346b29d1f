//! The rows of the machine's table, one after the other.

mod model;
mod threads;

use super::*;
use BreakerState::{Closed, HalfOpen, Open};

/// So many milliseconds after an hour has passed.
fn at(millis: u64) -> Moment {
    Moment::from_nanos(3_600_000_000_000 + millis * 1_000_000)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two errors of three open for 100 ms, then 200 ms, then 300 ms; two probes close.
fn breaker() -> Breaker {
    Breaker::new(BreakerBounds {
        errors_min: 2,
        error_share: 0.6,
        window: ms(1000),
        probe_after: ms(100),
        probe_after_max: ms(300),
        probes: 2,
    })
    .unwrap()
}

/// What `permit` of it may be done at that moment; refused with how long to wait otherwise.
fn ask(breaker: &Breaker, millis: u64) -> Result<Permission, u64> {
    breaker.ask(at(millis)).map_err(|refused| {
        let wait = refused.retry_after.as_millis();
        u64::try_from(wait).unwrap()
    })
}

fn refused(breaker: &Breaker, millis: u64) -> Option<u64> {
    ask(breaker, millis).err()
}

fn fail(breaker: &Breaker, millis: u64) {
    ask(breaker, millis).unwrap().failed(at(millis));
}

fn succeed(breaker: &Breaker, millis: u64) {
    ask(breaker, millis).unwrap().succeeded(at(millis));
}

/// Opened at that moment.
fn open(millis: u64) -> Breaker {
    let breaker = breaker();
    fail(&breaker, millis);
    fail(&breaker, millis);
    assert_eq!(breaker.state(at(millis)), Open);
    breaker
}

#[test]
fn closed_permits_everybody() {
    let breaker = breaker();
    let held: Vec<_> = (0..100).map(|_| ask(&breaker, 0).unwrap()).collect();
    assert!(held.iter().all(|permission| !permission.is_probe()));
    assert!(breaker.ask_without_probing(at(0)).is_ok());
    assert_eq!((breaker.refused(), breaker.probes(), breaker.opened()), (0, 0, 0));
}

#[test]
fn closed_stays_closed_while_the_errors_are_too_few() {
    let breaker = breaker();
    fail(&breaker, 0);
    assert_eq!(breaker.state(at(0)), Closed);
    fail(&breaker, 0);
    assert_eq!((breaker.state(at(0)), breaker.opened()), (Open, 1));
}

#[test]
fn closed_stays_closed_while_the_share_of_errors_is_too_small() {
    let breaker = breaker();
    (0..4).for_each(|_| succeed(&breaker, 0));
    // 5 of 9 are less than 0.6; 6 of 10 are not.
    (0..5).for_each(|_| fail(&breaker, 0));
    assert_eq!(breaker.state(at(0)), Closed);
    fail(&breaker, 0);
    assert_eq!(breaker.state(at(0)), Open);
}

#[test]
fn what_is_neutral_or_never_told_counts_for_nothing() {
    let breaker = breaker();
    fail(&breaker, 0);
    for _ in 0..10 {
        ask(&breaker, 0).unwrap().neutral();
        drop(ask(&breaker, 0).unwrap());
    }
    // As a success each of the twenty would have kept it closed, as an error opened it.
    assert_eq!(breaker.state(at(0)), Closed);
    fail(&breaker, 0);
    assert_eq!(breaker.state(at(0)), Open);
}

#[test]
fn an_error_is_forgotten_after_the_window() {
    let breaker = breaker();
    fail(&breaker, 50);
    fail(&breaker, 1000);
    assert_eq!(breaker.state(at(1000)), Closed);
    fail(&breaker, 1999);
    assert_eq!(breaker.state(at(1999)), Open);
}

#[test]
fn open_refuses_with_the_time_that_is_left() {
    let breaker = open(0);
    assert_eq!(refused(&breaker, 0), Some(100));
    assert_eq!(refused(&breaker, 99), Some(1));
    assert_eq!(breaker.refused(), 2);
    assert_eq!(breaker.state(at(99)), Open);
}

#[test]
fn open_becomes_half_open_with_time_and_lets_one_probe() {
    let breaker = open(0);
    assert_eq!(breaker.state(at(100)), HalfOpen);
    let probe = ask(&breaker, 100).unwrap();
    assert!(probe.is_probe());
    assert_eq!((breaker.state(at(100)), breaker.probes()), (HalfOpen, 1));
    // Nobody knows when it ends: the shortest rest is the answer.
    assert_eq!(refused(&breaker, 100), Some(100));
    assert_eq!(refused(&breaker, 10_000), Some(100));
    drop(probe);
}

#[test]
fn half_open_refuses_who_must_not_probe() {
    let breaker = open(0);
    let refused = breaker.ask_without_probing(at(100)).unwrap_err();
    assert_eq!(refused.retry_after, ms(100));
    assert!(ask(&breaker, 100).unwrap().is_probe());
}

#[test]
fn as_many_probes_as_asked_for_close_it() {
    let breaker = open(0);
    succeed(&breaker, 100);
    assert_eq!(breaker.state(at(100)), HalfOpen);
    succeed(&breaker, 100);
    assert_eq!(breaker.state(at(100)), Closed);
    assert!(!ask(&breaker, 100).unwrap().is_probe());
    assert_eq!((breaker.probes(), breaker.opened()), (2, 1));
}

#[test]
fn what_closes_again_begins_with_an_empty_window_and_the_shortest_rest() {
    let breaker = open(0);
    fail(&breaker, 100);
    succeed(&breaker, 300);
    succeed(&breaker, 300);
    fail(&breaker, 300);
    assert_eq!(breaker.state(at(300)), Closed);
    fail(&breaker, 300);
    assert_eq!((refused(&breaker, 300), breaker.opened()), (Some(100), 2));
}

#[test]
fn a_probe_that_fails_opens_for_twice_as_long_up_to_the_most() {
    let breaker = open(0);
    let mut now = 100;
    for rest in [200, 300, 300] {
        fail(&breaker, now);
        assert_eq!((breaker.state(at(now)), refused(&breaker, now)), (Open, Some(rest)));
        now += rest;
    }
    // It was never closed in between.
    assert_eq!(breaker.opened(), 1);
}

#[test]
fn a_probe_that_fails_takes_the_successes_before_it_back() {
    let breaker = open(0);
    succeed(&breaker, 100);
    fail(&breaker, 100);
    succeed(&breaker, 300);
    assert_eq!(breaker.state(at(300)), HalfOpen);
    succeed(&breaker, 300);
    assert_eq!(breaker.state(at(300)), Closed);
}

#[test]
fn a_probe_that_tells_nothing_makes_place_for_the_next() {
    let breaker = open(0);
    succeed(&breaker, 100);
    ask(&breaker, 100).unwrap().neutral();
    drop(ask(&breaker, 100).unwrap());
    assert_eq!(breaker.state(at(100)), HalfOpen);
    // The success before them still counts.
    succeed(&breaker, 100);
    assert_eq!(breaker.state(at(100)), Closed);
}

#[test]
fn what_began_before_it_opened_changes_nothing_after() {
    let breaker = breaker();
    let early: Vec<_> = (0..20).map(|_| ask(&breaker, 0).unwrap()).collect();
    fail(&breaker, 0);
    fail(&breaker, 0);
    let mut early = early.into_iter();
    let mut tell = |millis: u64| {
        early.next().unwrap().succeeded(at(millis));
        early.next().unwrap().failed(at(millis));
        early.next().unwrap().failed(at(millis));
        early.next().unwrap().neutral();
    };
    tell(50);
    assert_eq!((breaker.state(at(50)), refused(&breaker, 50)), (Open, Some(50)));
    tell(100);
    assert_eq!(breaker.state(at(100)), HalfOpen);
    let probe = ask(&breaker, 100).unwrap();
    tell(100);
    assert_eq!((breaker.state(at(100)), refused(&breaker, 100)), (HalfOpen, Some(100)));
    probe.succeeded(at(100));
    succeed(&breaker, 100);
    // Two errors would open it; a success would keep it closed at the next two.
    tell(100);
    assert_eq!(breaker.state(at(100)), Closed);
    fail(&breaker, 100);
    assert_eq!(breaker.state(at(100)), Closed);
    fail(&breaker, 100);
    assert_eq!((breaker.state(at(100)), breaker.opened()), (Open, 2));
}

#[test]
fn what_is_very_late_changes_nothing_either() {
    let breaker = breaker();
    let late: Vec<_> = (0..100).map(|_| ask(&breaker, 0).unwrap()).collect();
    let mut now = 0;
    for (round, late) in late.into_iter().enumerate() {
        assert_eq!((breaker.state(at(now)), breaker.opened()), (Closed, round as u64));
        if round > 0 {
            // As an outcome of this period, with the success before it, it would keep the two
            // errors from opening.
            succeed(&breaker, now);
            late.succeeded(at(now));
        }
        fail(&breaker, now);
        fail(&breaker, now);
        now += 100;
        succeed(&breaker, now);
        succeed(&breaker, now);
    }
}

#[test]
fn half_open_is_half_open_for_who_read_the_clock_a_little_earlier() {
    let breaker = open(0);
    let probe = ask(&breaker, 100).unwrap();
    assert_eq!(breaker.state(at(99)), HalfOpen);
    assert_eq!(refused(&breaker, 99), Some(1));
    drop(probe);
}

#[test]
fn the_default_is_a_sources_row() {
    let breaker = Breaker::default();
    (0..5).for_each(|_| succeed(&breaker, 0));
    (0..4).for_each(|_| fail(&breaker, 9_000));
    assert_eq!(breaker.state(at(9_000)), Closed);
    fail(&breaker, 9_000);
    let mut now = 9_000;
    for rest in [5_000, 10_000, 20_000, 30_000, 30_000] {
        assert_eq!(refused(&breaker, now), Some(rest));
        now += rest;
        fail(&breaker, now);
    }
    succeed(&breaker, now + 30_000);
    assert_eq!(breaker.state(at(now + 30_000)), Closed);
}

#[test]
fn a_rest_that_does_not_double_can_be_asked_for() {
    let (probe_after, probe_after_max) = (ms(250), ms(250));
    let bounds = BreakerBounds { probe_after, probe_after_max, ..BreakerBounds::default() };
    let breaker = Breaker::new(bounds).unwrap();
    (0..5).for_each(|_| fail(&breaker, 0));
    for probe in 1..10 {
        fail(&breaker, probe * 250);
        assert_eq!(refused(&breaker, probe * 250), Some(250));
    }
}

#[test]
fn a_share_of_nothing_leaves_the_number_of_errors_to_decide() {
    let bounds = BreakerBounds { error_share: 0.0, ..BreakerBounds::default() };
    let breaker = Breaker::new(bounds).unwrap();
    (0..1000).for_each(|_| succeed(&breaker, 0));
    (0..4).for_each(|_| fail(&breaker, 0));
    assert_eq!(breaker.state(at(0)), Closed);
    fail(&breaker, 0);
    assert_eq!(breaker.state(at(0)), Open);
}

#[test]
fn bounds_that_make_no_sense_are_refused_by_name() {
    let fine = BreakerBounds::default();
    let check = |bounds: BreakerBounds, field: &str| {
        let error = Breaker::new(bounds).unwrap_err();
        assert_eq!(error.kind(), larder_core::ErrorKind::Config);
        assert!(error.to_string().starts_with(field), "{error}");
    };
    check(BreakerBounds { errors_min: 0, ..fine }, "errors_min");
    for error_share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        check(BreakerBounds { error_share, ..fine }, "error_share");
    }
    check(BreakerBounds { window: Duration::ZERO, ..fine }, "window");
    check(BreakerBounds { window: ms(9), ..fine }, "window");
    check(BreakerBounds { probe_after: Duration::ZERO, ..fine }, "probe_after");
    check(BreakerBounds { probe_after_max: ms(4_999), ..fine }, "probe_after_max");
    check(BreakerBounds { probes: 0, ..fine }, "probes");
    assert!(Breaker::new(BreakerBounds { window: Duration::MAX, ..fine }).is_ok());
}
