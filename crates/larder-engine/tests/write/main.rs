//! Writes around the cache and through it, in one process.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod racing;
mod updating;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Bench, Numbers, S, settle};
use larder_core::sink::{WriteError, WriteFault};
use larder_core::{Changes, ErrorKind, Reason, State, Terms, Tier, Written, keys_of};
use larder_engine::observe::{Event, What};
use larder_engine::{CacheBuilder, Install, WriteMode, Wrote};
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
