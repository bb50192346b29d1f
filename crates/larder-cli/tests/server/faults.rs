//! Several larders keep the promise whatever happens to Redis, to the network or to one of them.
//!
//! What is done to them and how it is judged is [`larder_test::fleet`]; here is only how much.
//!
//! # Controls
//!
//! | control | under | what it proves |
//! |---|---|---|
//! | a writer forgets to announce, in every run | each fault, and none | that what is stale in any larder after the fault would be found by these reads and this rule |
//! | `consistency = "eventual"` | a larder that is cut off, stalled, paused, or whose announcements are gone | that the fault does what it should: without the horizon the same run breaks the promise |
//!
//! The other faults have none of the second kind, as nothing that can be configured breaks the
//! promise under them. While Redis itself is away or stands still nobody can announce anything,
//! so nobody is bound; when it was restored, flushed or full, what keeps old entries and lost
//! announcements out are the run in each entry, marks and numbers, which always count. That each
//! of those is needed is shown where they can be left out: by the model of the protocol.

use std::time::Duration;

use larder_test::fleet::{self, Fault, MAX_STALENESS, Plan};

use crate::support::binary;

/// How often it is tried at most to catch a larder that may break the promise. One that stood
/// still finds readers and announcements waiting when it goes on, and in some runs of a busy
/// machine it takes all announcements first.
const RUNS_MAX: usize = 8;

/// Each fault for a few seconds, with servers of its own, one after the other: they share the
/// machine with other tests.
#[track_caller]
fn check(faults: &[Fault]) {
    for fault in faults {
        let report = fleet::run(&Plan::new(binary(), *fault));
        println!("{report}\n");
        report.assert_kept();
        assert!(report.strikes > 0, "{report}");
    }
}

#[test]
fn the_promise_is_kept_when_redis_forgets() {
    check(&[Fault::RedisLost, Fault::RedisRestored, Fault::RedisFlushed, Fault::RedisFull]);
}

#[test]
fn the_promise_is_kept_when_redis_stands_still_or_has_no_scripts() {
    let paused = [500, 3_000].map(|ms| Fault::RedisPaused(Duration::from_millis(ms)));
    check(&paused);
    check(&[Fault::ScriptsFlushed]);
}

#[test]
fn the_promise_is_kept_when_a_larder_is_cut_off_from_redis() {
    check(&[Fault::LarderCut, Fault::LarderStalled]);
}

#[test]
fn the_promise_is_kept_when_a_larder_stands_still_or_dies() {
    check(&[Fault::LarderPaused, Fault::AnnouncementsTrimmed, Fault::LarderKilled]);
}

/// What is held lives for an hour and announcements alone make it new; so nothing is stale for
/// long, and Redis holds something to look at.
#[test]
fn without_a_fault_nothing_is_stale_for_long_and_redis_holds_entries() {
    let report = fleet::run(&Plan::new(binary(), Fault::Nothing));
    report.assert_kept();
    assert!(report.sweep.entries > 0, "{report}");
    assert_eq!(report.unannounced, 0, "{report}");
    assert!((report.queries as usize) < report.reads.reads, "{report}");
}

/// The judgement can fail: a larder that serves what it holds while it hears nothing breaks the
/// promise, and is found out. It is the one that was struck: the first, or the last.
#[test]
fn a_larder_that_serves_on_while_it_hears_nothing_is_found_out() {
    let promise = "consistency = \"eventual\"\nmax_staleness = \"1m\"\n";
    for (fault, struck) in [
        (Fault::LarderCut, 0),
        (Fault::LarderStalled, 0),
        (Fault::LarderPaused, 2),
        (Fault::AnnouncementsTrimmed, 2),
    ] {
        let plan = Plan { promise: promise.to_owned(), ..Plan::new(binary(), fault) };
        let is_found_out = || {
            let report = fleet::run(&plan);
            println!("{report}\n");
            let worst = report.reads.staleness.worst;
            report.reads.violations > 0
                && worst
                    .is_some_and(|(worst, read)| worst > MAX_STALENESS && read.process == struck)
        };
        assert!((0..RUNS_MAX).any(|_| is_found_out()), "{fault}");
    }
}
