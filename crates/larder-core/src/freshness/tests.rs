//! The windows, at their ends.

use super::*;

const S: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(seconds)
}

fn window(fresh: u32, stale: u32, max: u32) -> Window {
    Window::resolve(Declared {
        fresh_for: Some(S * fresh),
        stale_for: Some(S * stale),
        max_staleness: Some(S * max),
        missing_for: None,
        jitter: Some(Duration::ZERO),
        ..Declared::default()
    })
    .unwrap()
}

#[test]
fn fresh_then_stale_then_gone_with_both_ends_included() {
    let window = window(10, 5, 60);
    let times = window.times(&Loaded::at(at(100), true, 0));
    for (now, state) in [
        (100, State::Fresh),
        (110, State::Fresh),
        (111, State::Stale),
        (115, State::Stale),
        (116, State::Gone),
    ] {
        assert_eq!(window.state(&times, Moment::ZERO, at(now)), state, "at {now}");
    }
    assert_eq!(window.surely_gone_after(&times), at(115));
}

#[test]
fn the_promise_bounds_the_stale_window() {
    let window = window(10, 50, 12);
    let times = window.times(&Loaded::at(at(100), true, 0));
    assert_eq!(window.state(&times, Moment::ZERO, at(112)), State::Stale);
    assert_eq!(window.state(&times, Moment::ZERO, at(113)), State::Gone);
    assert_eq!(window.surely_gone_after(&times), at(112));
}

#[test]
fn a_horizon_vouches_until_the_entry_is_marked() {
    let window = window(10, 0, 10);
    let long = Loaded { fresh_for: Some(S * 900), ..Loaded::at(at(100), true, 0) };
    let mut times = window.times(&long);
    assert_eq!(window.state(&times, at(495), at(500)), State::Fresh);
    times.mark_stale(at(495));
    assert_eq!(window.state(&times, at(505), at(505)), State::Stale);
    assert_eq!(window.state(&times, at(506), at(506)), State::Gone);
    times.mark_stale(at(900));
    assert_eq!(times.as_of(at(900)), at(495));
}

#[test]
fn jitter_only_ever_shortens() {
    let mut window = window(100, 0, 100);
    window.jitter = S * 10;
    assert_eq!(window.times(&Loaded::at(at(0), true, 0)).fresh_until(), at(100));
    let least = window.times(&Loaded::at(at(0), true, u32::MAX)).fresh_until();
    assert!(least > at(90) && least < at(91), "{least:?}");
    assert_eq!(window.times(&Loaded::at(at(0), false, u32::MAX)).fresh_until(), at(30));
}

#[test]
fn contradictions_are_refused_with_the_reason() {
    let hour = Some(S * 3600);
    let two = Some(S * 2);
    for (declared, reason) in [
        (Declared::default(), "name the window"),
        (
            Declared { fresh_for: hour, max_staleness: two, ..Declared::default() },
            "fresh_for is longer",
        ),
        (Declared { missing_for: hour, max_staleness: two, ..Declared::default() }, "missing_for"),
        (Declared { jitter: hour, max_staleness: two, ..Declared::default() }, "jitter"),
    ] {
        let error = Window::resolve(declared).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_promise_of_zero_keeps_nothing() {
    let declared = Declared { max_staleness: Some(Duration::ZERO), ..Declared::default() };
    assert!(!Window::resolve(declared).unwrap().keeps());
}

#[test]
fn an_entry_is_calm_until_the_first_thing_that_could_happen_to_it() {
    let mut window = window(10, 5, 60);
    let times = |window: &Window, loaded| window.times(&loaded).calm_until();
    let loaded = Loaded::at(at(100), true, 0);
    assert_eq!(times(&window, loaded), at(108), "the threshold of early refresh");
    let slow = Loaded { cost: S * 10, ..loaded };
    assert!(times(&window, slow) < at(100), "a load that takes as long as its value lasts");
    window.early = Early::OFF;
    assert_eq!(times(&window, loaded), at(110), "the end of freshness");
    window.max_staleness = S * 7;
    assert_eq!(times(&window, loaded), at(107), "the end of the promise");
    assert_eq!(times(&window, Loaded::at(at(100), false, 0)), at(107));
}

#[test]
fn a_loaders_own_lifetime_counts_within_the_promise() {
    let window = window(10, 0, 60);
    let own = |seconds: u32| {
        let loaded = Loaded { fresh_for: Some(S * seconds), ..Loaded::at(at(100), true, 0) };
        window.times(&loaded)
    };
    assert_eq!(window.state(&own(2), Moment::ZERO, at(103)), State::Gone);
    assert_eq!(window.state(&own(50), Moment::ZERO, at(150)), State::Fresh);
    assert_eq!(window.state(&own(500), Moment::ZERO, at(160)), State::Fresh);
    assert_eq!(window.state(&own(500), Moment::ZERO, at(161)), State::Gone);
}

#[test]
fn a_value_stands_in_for_as_long_as_was_written_after_it_is_gone() {
    let mut window = window(10, 5, 60);
    let times = window.times(&Loaded::at(at(100), true, 0));
    assert_eq!(
        window.stands_in_until(&times, Moment::ZERO),
        window.gone_after(&times, Moment::ZERO)
    );
    window.stale_on_error = S * 3600;
    assert_eq!(window.stands_in_until(&times, Moment::ZERO), at(115 + 3600));
}
