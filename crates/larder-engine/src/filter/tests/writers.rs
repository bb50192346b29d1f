//! Writers beside builds, in any order: no key that is in the table is denied.

use std::sync::atomic::{AtomicBool, Ordering};

use larder_test::ManualClock;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::*;

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
