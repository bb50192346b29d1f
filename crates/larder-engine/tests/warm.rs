//! Warming: what is loaded, what is left alone, when it pauses and when it ends.

#![allow(clippy::unwrap_used)]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Bench, Numbers, S, settle};
use larder_core::{Answer, ErrorKind, KeyList, KeyPages, LoadContext, LoadError, Source, keys_of};
use larder_engine::{Cache, Guard, GuardBounds, WarmEnd, WarmReport, Warming, memory_tier};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, RemovalCause};
use larder_test::TestSource;
use tokio::task::JoinHandle;

fn batching(keys: usize) -> Bench {
    Bench::with(TestSource::answering(|key: &u64| Some(key * key)).batching(keys))
}

fn value(held: Option<Answer<u64>>) -> Option<u64> {
    held.and_then(|answer| answer.value)
}

/// Every key that was seen is in one other count.
fn assert_sums(report: &WarmReport) {
    let WarmReport { seen, loaded, not_kept, held, no_room, failed, .. } = *report;
    assert_eq!(seen, loaded + not_kept + held + no_room + failed, "{report:?}");
}

fn begin(cache: &Numbers, list: impl KeyList<u64>) -> (Warming, JoinHandle<WarmReport>) {
    let warm = cache.warm(list);
    (warm.warming(), tokio::spawn(warm.run()))
}

#[tokio::test]
async fn what_is_missing_or_stale_is_loaded_in_batches_and_what_is_fresh_is_not() {
    let bench = batching(10);
    let cache =
        bench.builder().max_staleness(20 * S).fresh_for(10 * S).stale_for(10 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(11 * S);
    cache.get(&2).await.unwrap();
    let before = cache.stats();
    assert_eq!(bench.source.loads(), 2);

    let report = cache.warm(keys_of(1..=25)).run().await;
    assert_sums(&report);
    assert!(matches!(report.end, Some(WarmEnd::Listed)), "{report:?}");
    assert_eq!((report.seen, report.of, report.held, report.loaded), (25, Some(25), 1, 24));
    assert_eq!(bench.source.batches(), [10, 10, 4]);
    assert_eq!(bench.source.loads(), 2);
    for key in 1..=25 {
        assert_eq!(value(cache.peek(&key)), Some(key * key));
    }

    // It is nobody's hit or miss, and its questions are loads.
    let after = cache.stats();
    assert_eq!((after.hits(), after.misses), (before.hits(), before.misses));
    assert_eq!(after.loads.count(), before.loads.count() + 3);
    assert_eq!(after.joined, before.joined);
}

#[tokio::test]
async fn absences_are_warm_too() {
    let bench = Bench::with(TestSource::of([(1, 10)]));
    let cache = bench.ten_seconds();
    let report = cache.warm(keys_of([1, 2])).run().await;
    assert_eq!((report.loaded, report.failed), (2, 0));
    assert_eq!(cache.get(&2).await.unwrap(), None);
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test]
async fn what_somebody_loads_already_is_not_loaded_again() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    bench.source.close();
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&3).await }
    });
    bench.source.until_waiting(1).await;
    let report = cache.warm(keys_of([3])).run().await;
    assert_eq!((report.held, report.loaded), (1, 0));
    bench.source.open();
    assert_eq!(reader.await.unwrap().unwrap(), Some(9));
    assert_eq!(bench.source.loads(), 1);
}

#[tokio::test]
async fn an_invalidation_meanwhile_is_not_undone() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    bench.source.close();
    let (_, warming) = begin(&cache, keys_of([3]));
    bench.source.until_waiting(1).await;
    cache.invalidate(&3).await.unwrap();
    bench.source.open();
    let report = warming.await.unwrap();
    assert_eq!((report.loaded, report.not_kept), (0, 1));
    assert!(cache.peek(&3).is_none());
}

#[tokio::test]
async fn it_asks_a_tenth_of_what_the_guard_lets_through_and_at_least_one() {
    for (loads_max, wanted, at_once) in
        [(40, None, 4), (5, None, 1), (5, Some(3), 3), (5, Some(100), 5), (5, Some(0), 1)]
    {
        let bench = Bench::new();
        let guard = Guard::new(GuardBounds { loads_max, ..GuardBounds::default() }).unwrap();
        let cache = bench.builder().max_staleness(10 * S).guard(guard).build().unwrap();
        // So that it knows what an entry takes.
        cache.get(&1000).await.unwrap();
        bench.source.close();
        let mut warm = cache.warm(keys_of(0..50));
        if let Some(wanted) = wanted {
            warm = warm.loads_max(wanted);
        }
        let warm = tokio::spawn(warm.run());
        bench.source.until_waiting(at_once).await;
        settle().await;
        assert_eq!(cache.flights(), at_once);
        bench.source.open();
        assert_eq!(warm.await.unwrap().loaded, 50);
        assert_eq!(bench.source.running_max(), at_once);
    }
}

#[tokio::test]
async fn it_loads_no_more_than_so_many_keys_in_a_second() {
    let bench = batching(100);
    let cache = bench.ten_seconds();
    cache.get(&1000).await.unwrap();
    let warm = cache.warm(keys_of(0..12)).per_second(NonZeroU32::new(5).unwrap());
    let warming = warm.warming();
    let run = tokio::spawn(warm.run());
    for loaded in [5, 10] {
        settle().await;
        assert_eq!(warming.progress().loaded, loaded);
        bench.clock.advance(S - Duration::from_millis(1));
        settle().await;
        assert_eq!(warming.progress().loaded, loaded);
        bench.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(run.await.unwrap().loaded, 12);
}

#[tokio::test]
async fn it_fills_what_is_free_and_evicts_nothing() {
    let heavy = |_: &u64, _: Option<&u64>| 100;
    for (bounds, batch, loads_max) in [
        (Bounds::entries(50), 8, 20),
        (Bounds::entries(50), 1, 1),
        (Bounds::entries(8192).shards(8), 64, 40),
        (Bounds::bytes(100_000), 16, 20),
        (Bounds::bytes(4 << 20).entry_bytes_max(4096).shards(8), 128, 10),
    ] {
        let bench = batching(batch);
        let memory = Arc::new(memory_tier(bounds, PolicyKind::default(), None));
        let guard = Guard::new(GuardBounds { loads_max, ..GuardBounds::default() }).unwrap();
        let cache = bench
            .builder()
            .max_staleness(10 * S)
            .guard(guard)
            .weigher(heavy)
            .memory(Arc::clone(&memory))
            .build()
            .unwrap();
        let report = cache.warm(keys_of(0..1_000_000)).run().await;
        assert_sums(&report);
        assert!(matches!(report.end, Some(WarmEnd::Full)), "{bounds:?}: {report:?}");
        let stats = memory.stats();
        assert_eq!(stats.removals(RemovalCause::Evicted), 0, "{bounds:?}");
        assert_eq!(stats.entries as u64, report.loaded);
        // Nearly all of the room is used.
        let mean = stats.bytes / stats.entries;
        let most = match bounds.bytes_max() {
            Some(bytes) => bytes / mean,
            None => {
                if bounds == Bounds::entries(50) {
                    50
                } else {
                    8192
                }
            }
        };
        assert!(stats.entries * 100 >= most * 95, "{} of {most} for {bounds:?}", stats.entries);
        // It is the first keys of the list that are held.
        assert!(cache.peek(&0).is_some() && cache.peek(&(report.loaded / 2)).is_some());
    }
}

#[tokio::test]
async fn expired_entries_are_no_reason_to_leave_a_key_out() {
    let bench = Bench::new();
    let cache = bench.builder().max_staleness(10 * S).entries_max(20).build().unwrap();
    assert_eq!(cache.warm(keys_of(0..20)).run().await.loaded, 20);
    bench.clock.advance(11 * S);
    let report = cache.warm(keys_of(100..120)).run().await;
    assert_eq!((report.loaded, report.no_room), (20, 0));
}

#[tokio::test]
async fn it_pauses_longer_and_longer_while_the_source_is_down_and_loses_no_key() {
    let bench = batching(10);
    let cache = bench.ten_seconds();
    cache.get(&1000).await.unwrap();
    bench.source.fail_next(3, ErrorKind::SourceDown);
    let (warming, run) = begin(&cache, keys_of(0..30));
    let mut asked = 1;
    for pause in [1, 2, 4] {
        settle().await;
        assert_eq!(bench.source.batches().len(), asked);
        assert_eq!(warming.progress().loaded, 0);
        for _ in 0..pause {
            assert_eq!(bench.source.batches().len(), asked);
            bench.clock.advance(S);
            settle().await;
        }
        asked += 1;
        if pause < 4 {
            assert_eq!(bench.source.batches().len(), asked);
        }
    }
    let report = run.await.unwrap();
    assert_eq!((report.loaded, report.failed, report.seen), (30, 0, 30));
    assert!(matches!(report.end, Some(WarmEnd::Listed)));
}

/// Turns the clock, second by second, until the warming is over; returns for how long.
async fn turn_until_over(bench: &Bench, warming: &Warming) -> Duration {
    let mut turned = Duration::ZERO;
    loop {
        settle().await;
        if warming.progress().is_over() {
            return turned;
        }
        assert!(turned < 3600 * S, "{:?}", warming.progress());
        bench.clock.advance(S);
        turned += S;
    }
}

#[tokio::test]
async fn it_gives_up_in_the_end_and_says_why() {
    for kind in [ErrorKind::SourceDown, ErrorKind::Loader] {
        let bench = batching(10);
        let cache = bench.ten_seconds();
        cache.get(&1000).await.unwrap();
        bench.source.fail(kind);
        let (warming, run) = begin(&cache, keys_of(0..1000));
        let turned = turn_until_over(&bench, &warming).await;
        assert_eq!(turned, (1 + 2 + 4 + 8 + 16 + 30 + 30 + 30) * S);
        let report = run.await.unwrap();
        assert_sums(&report);
        assert_eq!(report.error().map(larder_core::Error::kind), Some(kind));
        assert_eq!(bench.source.batches().len(), 9);
        assert_eq!(report.loaded, 0);
    }
}

#[tokio::test]
async fn a_key_that_can_be_none_is_counted_and_holds_nothing_up() {
    struct Picky(TestSource<u64, u64>);

    impl Source<u64, u64> for Picky {
        async fn load(
            &self,
            key: &u64,
            context: &mut LoadContext,
        ) -> Result<Option<u64>, LoadError> {
            self.0.load(key, context).await
        }

        fn check(&self, key: &u64) -> larder_core::Result<()> {
            let odd = || larder_core::Error::new(ErrorKind::BadKey, "it is odd");
            if key.is_multiple_of(2) { Ok(()) } else { Err(odd()) }
        }
    }

    let bench = Bench::new();
    let cache: Numbers = Cache::builder("numbers")
        .engine(&bench.engine)
        .source(Picky(bench.source.clone()))
        .max_staleness(10 * S)
        .build()
        .unwrap();
    let report = cache.warm(keys_of(0..10)).run().await;
    assert_eq!((report.loaded, report.failed), (5, 5));
    assert!(matches!(report.end, Some(WarmEnd::Listed)));
    assert_eq!(cache.hottest(10).len(), 5);
}

#[tokio::test]
async fn it_stops_when_told_at_its_deadline_and_when_dropped() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    bench.source.close();

    let (warming, run) = begin(&cache, keys_of(0..10));
    bench.source.until_waiting(1).await;
    warming.stop();
    bench.source.open();
    assert!(matches!(run.await.unwrap().end, Some(WarmEnd::Stopped)));
    assert_eq!(bench.source.loads(), 1);

    bench.source.close();
    let warm = cache.warm(keys_of(0..10)).deadline(5 * S);
    let warming = warm.warming();
    let run = tokio::spawn(warm.run());
    bench.source.until_waiting(1).await;
    assert_eq!(turn_until_over(&bench, &warming).await, 5 * S);
    assert!(matches!(run.await.unwrap().end, Some(WarmEnd::Deadline)));

    let (warming, run) = begin(&cache, keys_of(20..30));
    bench.source.until_waiting(2).await;
    assert!(!warming.progress().is_over());
    run.abort();
    assert!(run.await.is_err());
    assert!(matches!(warming.progress().end, Some(WarmEnd::Stopped)));
    // What was under way is kept.
    bench.source.open();
    settle().await;
    assert_eq!(value(cache.peek(&20)), Some(400));
}

#[tokio::test]
async fn no_more_keys_are_taken_than_wanted() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let report = cache.warm(keys_of(0..5000)).keys_max(1500).run().await;
    assert_eq!((report.seen, report.of, report.loaded), (1500, Some(1500), 1500));
}

#[tokio::test]
async fn a_cache_without_a_source_refuses() {
    let bench = Bench::new();
    let cache: Numbers =
        Cache::builder("numbers").engine(&bench.engine).max_staleness(S).build().unwrap();
    let report = cache.warm(keys_of(0..5)).run().await;
    assert_eq!(report.error().map(larder_core::Error::kind), Some(ErrorKind::Refused));
}

/// A list whose readings fail, panic or hang as told.
#[derive(Clone)]
struct Odd {
    fault: fn(page: usize, reading: usize) -> Fault,
    readings: Arc<AtomicUsize>,
}

enum Fault {
    Keys(Vec<u64>),
    Fail(ErrorKind),
    Panic,
    Hang,
}

struct OddPages(Odd, usize, usize);

impl Odd {
    fn new(fault: fn(usize, usize) -> Fault) -> Self {
        Self { fault, readings: Arc::default() }
    }
}

impl KeyList<u64> for Odd {
    type Pages = OddPages;

    fn pages(&self) -> OddPages {
        OddPages(self.clone(), 0, self.readings.fetch_add(1, Ordering::Relaxed))
    }
}

impl KeyPages<u64> for OddPages {
    async fn next(&mut self, _: usize) -> Result<Vec<u64>, LoadError> {
        self.1 += 1;
        match (self.0.fault)(self.1 - 1, self.2) {
            Fault::Keys(keys) => Ok(keys),
            Fault::Fail(kind) => Err(larder_core::Error::new(kind, "told to").into()),
            Fault::Panic => panic!("told to"),
            Fault::Hang => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_at_first_is_read_again_from_its_beginning() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    let list = Odd::new(|page, reading| match (page, reading) {
        (_, ..2) => Fault::Fail(ErrorKind::SourceDown),
        (0, _) => Fault::Keys(vec![1, 2]),
        _ => Fault::Keys(Vec::new()),
    });
    let (warming, run) = begin(&cache, list);
    assert_eq!(turn_until_over(&bench, &warming).await, 3 * S);
    assert_eq!(run.await.unwrap().loaded, 2);
}

#[tokio::test]
async fn a_list_that_breaks_off_ends_the_warming_after_what_it_gave_is_loaded() {
    for (fault, kind) in [
        (
            Odd::new(|page, _| {
                [Fault::Keys(vec![1, 2]), Fault::Panic].into_iter().nth(page).unwrap()
            }),
            ErrorKind::Loader,
        ),
        (
            Odd::new(|page, _| {
                [Fault::Keys(vec![1, 2]), Fault::Hang].into_iter().nth(page).unwrap()
            }),
            ErrorKind::Timeout,
        ),
        (
            Odd::new(|page, _| {
                [Fault::Keys(vec![1, 2]), Fault::Fail(ErrorKind::SourceDown)]
                    .into_iter()
                    .nth(page)
                    .unwrap()
            }),
            ErrorKind::SourceDown,
        ),
    ] {
        let bench = Bench::new();
        let cache = bench.ten_seconds();
        let (warming, run) = begin(&cache, fault);
        turn_until_over(&bench, &warming).await;
        let report = run.await.unwrap();
        assert_eq!(report.error().map(larder_core::Error::kind), Some(kind));
        assert_eq!(report.loaded, 2);
    }
}

#[tokio::test]
async fn the_hottest_keys_come_in_the_order_of_their_uses() {
    let bench = Bench::with(TestSource::answering(|key: &u64| (*key < 100).then_some(*key)));
    let cache = bench.builder().max_staleness(10 * S).policy(PolicyKind::Lfu).build().unwrap();
    // Each key is used as often as it says.
    for key in [5, 1, 0, 3, 2, 4, 100] {
        cache.get(&key).await.unwrap();
        bench.clock.advance(Duration::from_millis(1));
        for _ in 0..key {
            cache.get(&key).await.unwrap();
        }
    }
    // The absence of 100 is used most, and is no value.
    assert_eq!(cache.hottest(10), [5, 4, 3, 2, 1, 0]);
    assert_eq!(cache.hottest(2), [5, 4]);
    assert_eq!(cache.hottest(0), [0; 0]);
    cache.invalidate(&5).await.unwrap();
    assert_eq!(cache.hottest(2), [4, 3]);
    bench.clock.advance(11 * S);
    assert_eq!(cache.hottest(10), [0; 0]);
}

#[tokio::test]
async fn of_keys_that_were_used_alike_those_come_first_that_were_loaded_last() {
    let bench = Bench::new();
    let cache = bench.ten_seconds();
    for key in [3, 1, 2] {
        bench.clock.advance(Duration::from_millis(1));
        for _ in 0..100 {
            cache.get(&key).await.unwrap();
        }
    }
    bench.clock.advance(Duration::from_millis(1));
    cache.get(&9).await.unwrap();
    assert_eq!(cache.hottest(3), [2, 1, 3]);
    assert_eq!(cache.hottest(10), [2, 1, 3, 9]);
}

#[tokio::test]
async fn in_a_shared_tier_each_cache_tells_its_own_keys() {
    let bench = Bench::new();
    let memory = Arc::new(memory_tier(Bounds::entries(100), PolicyKind::default(), None));
    let build = || bench.builder().max_staleness(10 * S).memory(Arc::clone(&memory)).build();
    let (even, odd) = (build().unwrap(), build().unwrap());
    even.get(&2).await.unwrap();
    odd.get(&3).await.unwrap();
    assert_eq!((even.hottest(10), odd.hottest(10)), (vec![2], vec![3]));
}
