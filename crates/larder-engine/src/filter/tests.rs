//! What a filter promises, on a clock that is turned and a table that is committed to by hand.
//!
//! A build gives way after each page, so polling it once reads one page: interleavings are
//! written down, or drawn, step by step.

use std::collections::BTreeSet;
use std::future::pending;
use std::ops::Bound::{Excluded, Unbounded};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_core::{Clock, Error, ErrorKind, KeyList, KeyPages, LoadError, keys_of};
use larder_test::ManualClock;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A table with a primary key: what is committed, and how its reading goes wrong.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    keys: BTreeSet<u64>,
    count: Option<u64>,
    fault: Fault,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    Fail,
    Panic,
    Hang,
    Endless,
}

impl Table {
    fn of(keys: impl IntoIterator<Item = u64>) -> Self {
        let table = Self::default();
        table.0.lock().unwrap().keys.extend(keys);
        table
    }

    fn counted(self) -> Self {
        let count = self.keys().len() as u64;
        self.counting(Some(count))
    }

    /// What the list says, from now on.
    fn counting(self, count: Option<u64>) -> Self {
        self.0.lock().unwrap().count = count;
        self
    }

    fn commit(&self, key: u64) {
        self.0.lock().unwrap().keys.insert(key);
    }

    fn keys(&self) -> BTreeSet<u64> {
        self.0.lock().unwrap().keys.clone()
    }

    fn fault(&self, fault: Fault) {
        self.0.lock().unwrap().fault = fault;
    }
}

impl KeyList<u64> for Table {
    type Pages = TablePages;

    fn pages(&self) -> TablePages {
        TablePages(self.clone(), None)
    }

    async fn count(&self) -> Result<Option<u64>, LoadError> {
        Ok(self.0.lock().unwrap().count)
    }
}

struct TablePages(Table, Option<u64>);

impl KeyPages<u64> for TablePages {
    async fn next(&mut self, max: usize) -> Result<Vec<u64>, LoadError> {
        let fault = self.0.0.lock().unwrap().fault;
        match fault {
            Fault::None => {}
            Fault::Fail => return Err(Error::new(ErrorKind::SourceDown, "down").into()),
            Fault::Panic => panic!("the test said so"),
            Fault::Hang => pending().await,
            Fault::Endless => return Ok(vec![7; max]),
        }
        let rows = self.0.0.lock().unwrap();
        let after = self.1.map_or(Unbounded, Excluded);
        let page: Vec<_> = rows.keys.range((after, Unbounded)).copied().take(max).collect();
        self.1 = page.last().copied();
        Ok(page)
    }
}

/// A build in the hands of a test.
struct Steps(Pin<Box<dyn Future<Output = BuildState>>>);

impl Steps {
    /// Claims the build that is due, and reads nothing yet.
    fn begin(filter: &Filter<u64>, table: &Table, clock: &ManualClock) -> Option<Self> {
        let build = filter.begin(clock.now())?;
        let (table, clock) = (table.clone(), clock.clone());
        Some(Self(Box::pin(async move { build.run(&table, &clock).await })))
    }

    /// Reads one more page. Returns how the build ended, if it has.
    fn step(&mut self) -> Option<BuildState> {
        match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    /// Reads to the end.
    fn finish(mut self) -> BuildState {
        loop {
            if let Some(ended) = self.step() {
                return ended;
            }
        }
    }
}

/// A filter whose pages have four keys, on a clock, over a table.
fn setup(table: Table) -> (Filter<u64>, Table, ManualClock) {
    let options = FilterOptions { page_keys: 4, ..FilterOptions::default() };
    (Filter::new(options).unwrap(), table, ManualClock::new())
}

/// Runs the build that must be due to its end.
fn build(filter: &Filter<u64>, table: &Table, clock: &ManualClock) -> BuildState {
    Steps::begin(filter, table, clock).expect("a build is due").finish()
}

fn failed(ended: &BuildState) -> ErrorKind {
    match ended {
        BuildState::Failed(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

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

/// What may happen around a filter, in any order.
#[derive(Clone, Debug)]
enum Event {
    /// A key is committed and announced.
    Insert(u64),
    /// Keys are committed and can't be named.
    InsertUnnamed(Vec<u64>),
    /// The build that is due begins, if one is.
    Begin,
    /// The build reads a page.
    Step,
    /// The build is dropped.
    Drop,
    /// The source fails from now on, or no more.
    Fault(bool),
    /// Time goes by.
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let key = || 0..200_u64;
    prop_oneof![
        4 => key().prop_map(Event::Insert),
        1 => proptest::collection::vec(key(), 1..4).prop_map(Event::InsertUnnamed),
        3 => Just(Event::Begin),
        8 => Just(Event::Step),
        1 => Just(Event::Drop),
        1 => any::<bool>().prop_map(Event::Fault),
        3 => (1..100_000_u64).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn no_key_that_exists_is_ever_called_absent(
        rows in proptest::collection::btree_set(0..200_u64, 0..30),
        bytes_max in prop_oneof![Just(1_usize << 10), Just(1 << 16)],
        events in proptest::collection::vec(event(), 1..80),
    ) {
        let options = FilterOptions { page_keys: 3, bytes_max, ..FilterOptions::default() };
        let filter = Filter::new(options).unwrap();
        let (table, clock) = (Table::of(rows), ManualClock::new());
        let mut build = None;
        for event in events {
            match event {
                Event::Insert(key) => {
                    table.commit(key);
                    filter.add(&key);
                }
                Event::InsertUnnamed(keys) => {
                    keys.into_iter().for_each(|key| table.commit(key));
                    filter.void();
                }
                Event::Begin => {
                    let begun = Steps::begin(&filter, &table, &clock);
                    assert!(build.is_none() || begun.is_none(), "two builds at once");
                    build = begun.or(build);
                }
                Event::Step => {
                    if build.as_mut().is_some_and(|build: &mut Steps| build.step().is_some()) {
                        build = None;
                    }
                }
                Event::Drop => build = None,
                Event::Fault(fails) => table.fault(if fails { Fault::Fail } else { Fault::None }),
                Event::Wait(seconds) => clock.advance(SECOND * seconds as u32),
            }
            for key in table.keys() {
                assert_ne!(filter.ask(&key), Verdict::Absent, "{key}");
            }
            assert!(filter.stats().bytes <= bytes_max);
        }
    }
}

#[test]
fn writers_on_other_threads_lose_nothing_to_builds() {
    const WRITERS: u64 = 3;
    const KEYS: u64 = 400;
    let (filter, table, clock) = setup(Table::of((0..2_000).map(|key| key * 10)));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (filter, table) = (filter.clone(), table.clone());
                scope.spawn(move || {
                    // From above, against the direction of the reading.
                    for key in (0..KEYS).rev().map(|key| (key * WRITERS + writer) * 10 + 1) {
                        table.commit(key);
                        filter.add(&key);
                        assert_ne!(filter.ask(&key), Verdict::Absent, "{key}");
                    }
                })
            })
            .collect();
        let builder = scope.spawn(|| {
            let mut builds = 0;
            while !done.load(Ordering::Relaxed) || builds < 2 {
                assert!(matches!(build(&filter, &table, &clock), BuildState::Done));
                builds += 1;
                clock.advance(DAY + SECOND);
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        builder.join().unwrap();
    });
    for key in table.keys() {
        assert_eq!(filter.ask(&key), Verdict::Maybe, "{key}");
    }
}
