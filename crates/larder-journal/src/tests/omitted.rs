//! Each protective step is needed: without it, some program breaks the promise.

use larder_core::Journal;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::bench::{Bench, poll, settings};
use super::model::{run, steps};
use super::simulated::{Faults, Machine};
use crate::Durability;
use crate::omit::Omit;
use crate::options::Settings;

/// Looks for a program that the model doesn't survive without this step.
fn must_fail(omit: Omit) -> String {
    let config = Config {
        cases: 20_000,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let programs = (proptest::num::u64::ANY, steps());
    let outcome =
        runner.run(&programs, |(random, steps)| run(random, Durability::Fsync, Some(omit), &steps));
    match outcome {
        Err(TestError::Fail(reason, _)) => reason.message().to_owned(),
        other => panic!("{omit:?} can be left out: {other:?}"),
    }
}

#[test]
fn what_was_written_is_synced() {
    must_fail(Omit::SyncOfData);
}

#[test]
fn the_name_of_a_segment_is_synced() {
    must_fail(Omit::SyncOfName);
}

#[test]
fn a_segment_is_synced_before_the_next_one_is_made() {
    must_fail(Omit::SyncBeforeNextSegment);
}

#[test]
fn the_mark_is_synced_before_a_segment_is_removed() {
    assert!(must_fail(Omit::SyncOfMark).starts_with("accused"));
}

#[test]
fn checksums_are_compared() {
    must_fail(Omit::Checksums);
}

#[test]
fn what_is_found_is_written_once_more() {
    must_fail(Omit::Rewrite);
}

#[test]
fn a_torn_tail_is_cut_off() {
    must_fail(Omit::Cut);
}

#[test]
fn witnesses_are_heard() {
    let settings = Settings { omit: Some(Omit::Witness), ..settings() };
    let mut bench = Bench::open(&Machine::new(7), settings).unwrap();
    bench.commit(&[300; 2]);
    bench.machine.set(Faults { syncs_lie: true, ..Faults::default() });
    bench.commit(&[300; 2]);
    bench.machine.set(Faults::default());
    bench.commit(&[300; 1]);
    // Three durable records are gone, and nobody says so: `losses` shows that somebody should.
    assert_eq!(bench.cut_power().unwrap().numbers(), [1, 2]);
}

#[test]
fn who_waits_is_woken() {
    let wakes = |omit| {
        let settings = Settings { omit, ..settings() };
        let mut bench = Bench::open(&Machine::new(7), settings).unwrap();
        bench.journal.append(b"one").unwrap();
        let mut waiting = bench.journal.durable(1);
        let flag = std::sync::Arc::new(Flag::default());
        let waker = flag.clone().into();
        let mut context = std::task::Context::from_waker(&waker);
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        bench.committer.turn();
        assert!(poll(&mut waiting).is_some());
        flag.0.load(std::sync::atomic::Ordering::SeqCst)
    };
    assert!(wakes(None));
    assert!(!wakes(Some(Omit::Wake)));
}

#[derive(Default)]
struct Flag(std::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}
