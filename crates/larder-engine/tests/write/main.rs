//! Writes around the cache and through it, in one process.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use common::{Bench, Numbers, S, at_once, settle};
use larder_core::sink::{SinkAbilities, WriteError, WriteFault};
use larder_core::{Changes, ErrorKind, Reason, State, Terms, Tier, Write, Written, keys_of};
use larder_engine::observe::{Event, What};
use larder_engine::{
    Cache, CacheBuilder, Engine, Guard, GuardBounds, Install, Lookup, WriteMode, Wrote,
};
use larder_test::sink::Step;
use larder_test::{TestSink, TestSource};
use tokio::task::JoinHandle;

/// A source with one value, a sink into it, and a cache of ten seconds before both.
struct Written7 {
    bench: Bench,
    sink: TestSink<u64>,
}

impl Written7 {
    fn new() -> Self {
        let bench = Bench::with(TestSource::of([(7, 70)]));
        let sink = TestSink::into(&bench.source);
        Self { bench, sink }
    }

    fn builder(&self) -> CacheBuilder<u64, u64> {
        let builder = self.bench.builder().max_staleness(10 * S).refresh_at(1.0).xfetch(0.0);
        builder.sink(self.sink.clone())
    }

    fn around(&self) -> Numbers {
        self.builder().build().unwrap()
    }

    fn through(&self) -> Numbers {
        self.builder().write(WriteMode::Through).build().unwrap()
    }
}

/// A write on a task of its own.
fn putting(cache: &Numbers, value: u64) -> JoinHandle<larder_core::Result<Wrote<u64>>> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.put(&7, value).await })
}

fn fault(error: &larder_core::Error) -> WriteFault {
    error.downcast_ref::<WriteError>().unwrap().fault
}

#[tokio::test]
async fn around_the_next_read_loads_what_was_written() {
    let test = Written7::new();
    let cache = test.around();
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
    let wrote = cache.put(&7, 71).await.unwrap();
    assert_eq!((wrote.written, wrote.position, wrote.announced), (Written::Value(71), None, true));
    assert!(cache.peek(&7).is_none());
    assert_eq!((cache.get(&7).await.unwrap(), test.bench.source.loads()), (Some(71), 2));
    assert_eq!((cache.stats().writes.count(), cache.stats().installed), (1, 0));
}

#[tokio::test]
async fn through_the_next_read_finds_what_the_sink_returned_as_of_before_its_commit() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    test.sink.close(Step::BeforeCommit);
    let put = putting(&cache, 71);
    test.sink.until_waiting(1).await;
    test.bench.clock.advance(3 * S);
    test.sink.open();
    put.await.unwrap().unwrap();
    let answer = cache.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.tier, answer.reason), (Some(71), Tier::Memory, Reason::Held));
    assert_eq!((answer.age, answer.current), (3 * S, 3 * S));
    assert_eq!((test.bench.source.loads(), cache.stats().installed), (1, 1));
}

#[tokio::test]
async fn observers_hear_of_each_write_as_an_invalidation_or_as_a_change() {
    for (mode, expected) in [(WriteMode::Around, [1, 0]), (WriteMode::Through, [0, 1])] {
        let test = Written7::new();
        let told = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let counts = Arc::clone(&told);
        let builder = test.builder().write(mode).observe(move |event: &Event<'_>| {
            let of = match event.what {
                What::Invalidated(_) => &counts[0],
                What::Changed => &counts[1],
                _ => return,
            };
            assert_eq!(event.key, Some("7"));
            of.fetch_add(1, Ordering::Relaxed);
        });
        let cache = builder.build().unwrap();
        cache.get(&7).await.unwrap();
        cache.put(&7, 71).await.unwrap();
        let told = told.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(told, expected, "{mode:?}");
    }
}

#[tokio::test]
async fn a_write_is_served_for_its_window_and_not_longer() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    test.bench.clock.advance(9 * S);
    cache.put(&7, 71).await.unwrap();
    test.bench.clock.advance(10 * S);
    assert_eq!((cache.get(&7).await.unwrap(), test.bench.source.loads()), (Some(71), 1));
    test.bench.clock.advance(S);
    assert_eq!((cache.get(&7).await.unwrap(), test.bench.source.loads()), (Some(71), 2));
}

#[tokio::test]
async fn what_nobody_held_is_put_into_memory_only_where_that_was_asked_for() {
    let test = Written7::new();
    let cache = test.through();
    cache.put(&7, 71).await.unwrap();
    assert!(cache.peek(&7).is_none());
    let builder = test.builder().write(WriteMode::Through).install(Install::Always);
    let cache = builder.written(|_, _| Terms::default()).build().unwrap();
    cache.put(&7, 72).await.unwrap();
    assert_eq!(cache.peek(&7).unwrap().value, Some(72));
    assert_eq!(test.bench.source.loads(), 0);
}

#[tokio::test]
async fn a_delete_through_the_cache_leaves_an_absence() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    assert_eq!(cache.delete(&7).await.unwrap().written, Written::Absent);
    assert_eq!(cache.peek(&7).unwrap().value, None);
    assert_eq!((cache.get(&7).await.unwrap(), test.bench.source.loads()), (None, 1));
}

#[tokio::test]
async fn an_absence_that_is_held_gives_way_to_what_is_written() {
    let test = Written7::new();
    for cache in [test.around(), test.through()] {
        test.bench.source.remove(7);
        assert_eq!(cache.get(&7).await.unwrap(), None);
        cache.put(&7, 71).await.unwrap();
        assert_eq!(cache.get(&7).await.unwrap(), Some(71));
    }
}

#[tokio::test]
async fn an_entry_that_was_marked_stale_gives_way_to_what_is_written() {
    let test = Written7::new();
    let cache = test.builder().stale_for(5 * S).write(WriteMode::Through).build().unwrap();
    cache.get(&7).await.unwrap();
    cache.mark_stale(&7).await.unwrap();
    cache.put(&7, 71).await.unwrap();
    let answer = cache.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.state), (Some(71), State::Fresh));
    assert_eq!(test.bench.source.loads(), 1);
}

#[tokio::test]
async fn a_sink_that_says_nothing_is_written_around() {
    let test = Written7::new();
    let silent = test.builder().sink(test.sink.clone().silent()).write(WriteMode::Through);
    let cache = silent.build().unwrap();
    cache.get(&7).await.unwrap();
    assert_eq!(cache.put(&7, 71).await.unwrap().written, Written::Unsaid);
    assert!(cache.peek(&7).is_none());
    assert_eq!(cache.get(&7).await.unwrap(), Some(71));
}

#[tokio::test]
async fn a_number_grows_by_what_was_added() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    assert_eq!(cache.increment(&7, -8).await.unwrap().written, Written::Value(62));
    assert_eq!((cache.get(&7).await.unwrap(), test.bench.source.loads()), (Some(62), 1));
}

/// 1. A begins, and commits 71,
/// 2. B begins, commits 72 and ends,
/// 3. A ends: what it was returned is older than the truth.
#[tokio::test]
async fn of_two_writers_the_second_to_end_leaves_nothing() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    test.sink.close(Step::AfterCommit);
    let a = putting(&cache, 71);
    test.sink.until_waiting(1).await;
    let b = putting(&cache, 72);
    test.sink.until_waiting(2).await;
    test.sink.open();
    a.await.unwrap().unwrap();
    b.await.unwrap().unwrap();
    assert!(cache.peek(&7).is_none());
    assert_eq!(cache.get(&7).await.unwrap(), Some(72));
}

/// Whatever invalidates the key while a write is under way keeps its value out of memory.
#[tokio::test]
async fn a_write_that_an_invalidation_overlapped_leaves_nothing() {
    for way in 0..5 {
        let test = Written7::new();
        let cache = test.through();
        cache.get(&7).await.unwrap();
        test.sink.close(Step::AfterCommit);
        let put = putting(&cache, 71);
        test.sink.until_waiting(1).await;
        test.bench.source.set(7, 72);
        match way {
            0 => drop(cache.invalidate(&7).await.unwrap()),
            1 => drop(cache.mark_stale(&7).await.unwrap()),
            2 => drop(cache.invalidate_all().await.unwrap()),
            3 => drop(cache.mark_all_stale().await.unwrap()),
            _ => drop(cache.invalidate_prefix("7").await.unwrap()),
        }
        // It is held again when the write ends, so that this alone isn't what keeps it out.
        cache.get(&7).await.unwrap();
        settle().await;
        assert_eq!(cache.peek(&7).unwrap().value, Some(72));
        test.sink.open();
        put.await.unwrap().unwrap();
        assert!(cache.peek(&7).is_none(), "way {way}");
        assert_eq!(cache.get(&7).await.unwrap(), Some(72));
    }
}

/// 1. A reader misses and reads 70,
/// 2. a write commits 71, and ends: something is held, or not,
/// 3. the reader comes to fill 70.
#[tokio::test]
async fn a_load_that_began_before_the_end_of_a_write_fills_nothing_after_it() {
    for mode in [WriteMode::Around, WriteMode::Through] {
        let test = Written7::new();
        let builder = test.builder().write(mode).written(|_, _| Terms::default());
        let install = if mode == WriteMode::Through { Install::Always } else { Install::IfHeld };
        let cache = builder.install(install).build().unwrap();
        test.bench.source.close();
        let reader = tokio::spawn({
            let cache = cache.clone();
            async move { cache.get(&7).await.unwrap() }
        });
        test.bench.source.until_waiting(1).await;
        cache.put(&7, 71).await.unwrap();
        test.bench.source.open();
        reader.await.unwrap();
        assert_eq!(cache.get(&7).await.unwrap(), Some(71), "{mode:?}");
    }
}

/// A load may read the old value while the commit is under way, and fill before the end.
#[tokio::test]
async fn what_was_loaded_during_a_write_is_replaced() {
    let test = Written7::new();
    let cache = test.through();
    test.sink.close(Step::BeforeCommit);
    let put = putting(&cache, 71);
    test.sink.until_waiting(1).await;
    test.bench.clock.advance(S);
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
    test.sink.open();
    put.await.unwrap().unwrap();
    assert_eq!((cache.get(&7).await.unwrap(), cache.stats().installed), (Some(71), 1));
}

#[tokio::test]
async fn a_ticket_from_before_the_end_of_a_write_fills_nothing_after_it() {
    let test = Written7::new();
    let cache = test.through();
    let Lookup::Miss(ticket) = cache.lookup(&7).await else { panic!("it is held") };
    cache.put(&7, 71).await.unwrap();
    assert_eq!(ticket.fill(Some(70)), larder_engine::Fill::Refused);
}

#[tokio::test]
async fn a_failed_write_changes_nothing_and_its_error_says_so() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    for (failure, kind) in [
        (WriteFault::Transient, ErrorKind::SourceDown),
        (WriteFault::Conflict, ErrorKind::Conflict),
        (WriteFault::Poison, ErrorKind::Refused),
    ] {
        test.sink.fail_next(1, failure);
        let error = cache.put(&7, 71).await.unwrap_err();
        assert_eq!((fault(&error), error.kind(), error.key()), (failure, kind, Some("7")));
        assert!(error.to_string().contains("nothing was written"), "{error}");
        assert_eq!(cache.peek(&7).unwrap().value, Some(70));
    }
    assert_eq!((cache.stats().write_errors, test.bench.source.loads()), (3, 1));
}

#[tokio::test]
async fn a_write_of_unknown_outcome_counts_as_committed() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    test.sink.fail_next(1, WriteFault::Unknown);
    let error = cache.put(&7, 71).await.unwrap_err();
    assert_eq!((fault(&error), error.kind()), (WriteFault::Unknown, ErrorKind::SourceDown));
    assert!(error.to_string().contains("may be committed"), "{error}");
    assert_eq!(cache.get(&7).await.unwrap(), Some(71));
}

#[tokio::test]
async fn a_sink_that_panics_or_is_too_slow_may_have_committed() {
    let test = Written7::new();
    let cache = test.builder().write_timeout(S).write(WriteMode::Through).build().unwrap();
    cache.get(&7).await.unwrap();
    test.sink.panic_next(1);
    let error = cache.put(&7, 71).await.unwrap_err();
    assert_eq!((fault(&error), error.kind()), (WriteFault::Unknown, ErrorKind::Loader));
    assert_eq!(cache.get(&7).await.unwrap(), Some(71));
    test.sink.close(Step::AfterCommit);
    let put = putting(&cache, 72);
    test.sink.until_waiting(1).await;
    test.bench.clock.advance(S);
    let error = put.await.unwrap().unwrap_err();
    assert_eq!((fault(&error), error.kind()), (WriteFault::Unknown, ErrorKind::Timeout));
    assert_eq!(cache.get(&7).await.unwrap(), Some(72));
}

#[tokio::test]
async fn a_put_that_was_polled_once_is_carried_through_when_it_is_dropped() {
    for mode in [WriteMode::Around, WriteMode::Through] {
        let test = Written7::new();
        let cache = test.builder().write(mode).build().unwrap();
        cache.get(&7).await.unwrap();
        {
            let mut put = Box::pin(cache.put(&7, 71));
            let mut context = Context::from_waker(Waker::noop());
            assert!(put.as_mut().poll(&mut context).is_pending());
        }
        settle().await;
        assert_eq!((test.sink.writes(), test.bench.source.value(&7)), (1, Some(71)));
        assert_eq!(cache.get(&7).await.unwrap(), Some(71));
    }
}

#[tokio::test]
async fn a_put_that_was_never_polled_writes_nothing() {
    let test = Written7::new();
    drop(test.around().put(&7, 71));
    settle().await;
    assert_eq!(test.sink.writes(), 0);
}

/// The runtime goes down between the commit and the end of its write; the memory lives on.
#[test]
fn a_write_whose_task_is_dropped_leaves_nothing_that_its_commit_made_old() {
    let source = TestSource::of([(7, 70)]);
    let sink = TestSink::into(&source);
    let caller = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let clock = Arc::new(larder_test::ManualClock::new());
    let spawn = runtime.block_on(async { larder_engine::runtime::TokioSpawn::current().unwrap() });
    let cache: Numbers = Cache::builder("numbers")
        .engine(&Engine::new(clock, Arc::new(spawn)))
        .max_staleness(10 * S)
        .source(source.clone())
        .sink(sink.clone())
        .write(WriteMode::Through)
        .build()
        .unwrap();
    assert_eq!(runtime.block_on(cache.get(&7)).unwrap(), Some(70));
    sink.close(Step::AfterCommit);
    let entered = caller.enter();
    let put = putting(&cache, 71);
    drop(entered);
    caller.block_on(settle());
    runtime.block_on(sink.until_waiting(1));
    assert!(cache.peek(&7).is_some());
    drop(runtime);
    let error = caller.block_on(put).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(cache.peek(&7).is_none());
}

#[tokio::test]
async fn loads_and_writes_together_are_never_more_than_the_guard_lets_through() {
    let test = Written7::new();
    let bounds = GuardBounds { loads_max: 2, loads_waiting_max: 2, breaker: None };
    let cache = test.builder().guard(Guard::new(bounds).unwrap()).build().unwrap();
    test.sink.close(Step::BeforeCommit);
    test.bench.source.close();
    let load = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&7).await }
    });
    test.bench.source.until_waiting(1).await;
    let puts: Vec<_> = (0..3).map(|value| putting(&cache, value)).collect();
    settle().await;
    assert_eq!((test.sink.writes(), test.bench.source.running()), (1, 1));
    let error = cache.put(&7, 9).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Shed, Some("7")));
    test.sink.open();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    assert_eq!(test.sink.running_max(), 1);
    test.bench.source.open();
    load.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_write_without_a_turn_in_time_writes_nothing() {
    let test = Written7::new();
    let bounds = GuardBounds { loads_max: 1, loads_waiting_max: 9, breaker: None };
    let builder = test.builder().guard(Guard::new(bounds).unwrap()).deadline(S);
    let cache = builder.build().unwrap();
    test.sink.close(Step::BeforeCommit);
    let first = putting(&cache, 71);
    test.sink.until_waiting(1).await;
    let second = putting(&cache, 72);
    settle().await;
    test.bench.clock.advance(2 * S);
    assert_eq!(second.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    test.sink.open();
    first.await.unwrap().unwrap();
    assert_eq!((test.sink.writes(), test.bench.source.value(&7)), (1, Some(71)));
}

#[tokio::test]
async fn an_update_writes_what_follows_from_the_truth_and_not_from_what_is_held() {
    let test = Written7::new();
    let cache = test.through();
    cache.get(&7).await.unwrap();
    test.bench.clock.advance(S);
    test.bench.source.set(7, 80); // behind our back, and within the window
    let wrote = cache.update(&7, |held| held.map(|held| Write::Store(held + 1))).await.unwrap();
    assert_eq!(wrote.written, Written::Value(81));
    assert_eq!((cache.get(&7).await.unwrap(), test.bench.source.value(&7)), (Some(81), Some(81)));
}

#[tokio::test]
async fn an_update_begins_again_when_somebody_wrote_in_between() {
    let test = Written7::new();
    let cache = test.around();
    let mut seen = Vec::new();
    let wrote = cache
        .update(&7, |held| {
            seen.push(held);
            if seen.len() == 1 {
                test.bench.source.set(7, 90);
            }
            held.map(|held| Write::Store(held + 1))
        })
        .await
        .unwrap();
    assert_eq!(wrote.written, Written::Value(91));
    assert_eq!(seen, [Some(70), Some(90)]);
}

#[tokio::test]
async fn an_update_gives_up_when_somebody_always_wrote_in_between() {
    let test = Written7::new();
    let cache = test.around();
    let mut others = 100;
    let updated = cache.update(&7, |_| {
        others += 1;
        test.bench.source.set(7, others);
        Some(Write::Delete)
    });
    assert_eq!(updated.await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!((others, test.bench.source.value(&7)), (108, Some(108)));
}

#[tokio::test]
async fn an_update_that_decides_nothing_writes_nothing() {
    let test = Written7::new();
    let cache = test.around();
    assert_eq!(cache.update(&7, |_| None).await.unwrap().written, Written::Value(70));
    assert_eq!(cache.update(&8, |_| None).await.unwrap().written, Written::Absent);
    assert_eq!(test.sink.writes(), 0);
}

#[tokio::test]
async fn what_the_sink_does_not_take_is_refused_before_it_is_asked() {
    let test = Written7::new();
    let stores = SinkAbilities { store: true, ..SinkAbilities::default() };
    let cache = test.builder().sink(test.sink.clone().able(stores)).build().unwrap();
    let refused = [
        at_once(cache.delete(&7)).unwrap_err(),
        at_once(cache.increment(&7, 1)).unwrap_err(),
        at_once(cache.update(&7, |_| None)).unwrap_err(),
        at_once(test.bench.ten_seconds().put(&7, 1)).unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.kind() == ErrorKind::Refused), "{refused:?}");
    assert_eq!(test.sink.writes(), 0);
}

#[tokio::test]
async fn where_entries_have_tags_a_value_is_installed_only_if_its_tags_are_said() {
    let test = Written7::new();
    let tagging = || {
        let builder = test.bench.tagging().max_staleness(10 * S).sink(test.sink.clone());
        builder.write(WriteMode::Through)
    };
    let cache = tagging().build().unwrap();
    cache.get(&7).await.unwrap();
    cache.put(&7, 71).await.unwrap();
    assert!(cache.peek(&7).is_none());
    let said = |key: &u64, _: Option<&u64>| {
        let mut terms = Terms::default();
        terms.tag(format!("number:{key}"));
        terms
    };
    let cache = tagging().written(said).build().unwrap();
    cache.get(&7).await.unwrap();
    cache.put(&7, 72).await.unwrap();
    assert_eq!(cache.peek(&7).unwrap().value, Some(72));
    cache.invalidate_tags(&["number:7"]).await.unwrap();
    assert!(cache.peek(&7).is_none());
}

#[tokio::test]
async fn a_tag_that_is_struck_during_a_write_strikes_its_value() {
    let test = Written7::new();
    let said = |_: &u64, _: Option<&u64>| {
        let mut terms = Terms::default();
        terms.tag("numbers");
        terms
    };
    let builder = test.bench.tagging().max_staleness(10 * S).sink(test.sink.clone());
    let cache = builder.write(WriteMode::Through).written(said).build().unwrap();
    cache.get(&7).await.unwrap();
    test.sink.close(Step::AfterCommit);
    let put = putting(&cache, 71);
    test.sink.until_waiting(1).await;
    test.bench.source.set(7, 72);
    cache.invalidate_tags(&["numbers"]).await.unwrap();
    cache.get(&7).await.unwrap();
    test.sink.open();
    put.await.unwrap().unwrap();
    assert_eq!(cache.get(&7).await.unwrap(), Some(72));
}

/// It stands in memory, is evicted, and is read again: the filter must know it.
#[tokio::test]
async fn a_new_key_is_known_to_the_filter_before_it_can_be_read() {
    let test = Written7::new();
    let builder = test.builder().changes(Changes::Announced).filter(keys_of(0..10_u64));
    let builder = builder.write(WriteMode::Through).install(Install::Always);
    let cache = builder.written(|_, _| Terms::default()).build().unwrap();
    settle().await;
    let new = 1_000_003;
    assert_eq!(cache.ask(&new).await.unwrap().reason, Reason::Filtered);
    cache.put(&new, 5).await.unwrap();
    assert_eq!(cache.peek(&new).unwrap().value, Some(5));
    test.bench.clock.advance(11 * S);
    assert_eq!(cache.get(&new).await.unwrap(), Some(5));
}

#[tokio::test]
async fn a_breaker_that_is_open_refuses_writes_too_and_refused_values_do_not_open_it() {
    let test = Written7::new();
    let cache = test.around();
    for _ in 0..20 {
        test.sink.fail_next(1, WriteFault::Poison);
        assert_eq!(cache.put(&7, 71).await.unwrap_err().kind(), ErrorKind::Refused);
    }
    for _ in 0..60 {
        test.sink.fail_next(1, WriteFault::Transient);
        assert_eq!(cache.put(&7, 71).await.unwrap_err().kind(), ErrorKind::SourceDown);
    }
    assert!((40..80).contains(&test.sink.writes()), "{} were asked", test.sink.writes());
    assert_eq!(test.bench.source.value(&7), Some(70));
}

#[tokio::test]
async fn what_contradicts_itself_is_refused_with_the_reason() {
    let test = Written7::new();
    let always = test.builder().write(WriteMode::Through).install(Install::Always);
    let without_sink = test.bench.builder().max_staleness(S).write(WriteMode::Through);
    let refused = [
        (test.builder().changes(Changes::Static).build(), "never changes"),
        (without_sink.build(), "no sink"),
        (always.build(), "written(…)"),
        (test.builder().write_timeout(Duration::ZERO).build(), "write_timeout"),
    ];
    for (built, why) in refused {
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
    }
}
