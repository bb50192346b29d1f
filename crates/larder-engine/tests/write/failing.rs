//! Writes that fail, hang or lose their callers, and what stands before a sink.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use larder_core::sink::{Sink, SinkAbilities, WriteError, WriteFault};
use larder_core::{ErrorKind, Write, Written};
use larder_engine::{Cache, Engine, Guard, GuardBounds, WriteMode};
use larder_test::sink::Step;
use larder_test::{TestSink, TestSource};
use tokio::sync::Notify;

use super::{Written7, fault, putting};
use crate::common::{Numbers, S, at_once, settle};

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

/// A database that goes on with what its client has given up on: it waits for a lock.
struct Locked(Arc<Database>);

struct Database {
    source: TestSource<u64, u64>,
    unlocked: Notify,
    lingers: Duration,
}

impl Sink<u64, u64> for Locked {
    fn abilities(&self) -> SinkAbilities {
        SinkAbilities { store: true, ..SinkAbilities::default() }
    }

    fn lingers(&self) -> Duration {
        self.0.lingers
    }

    async fn write(&self, key: &u64, write: &Write<u64>) -> Result<Written<u64>, WriteError> {
        let (database, key, write) = (Arc::clone(&self.0), *key, write.clone());
        let Write::Store(value) = write else { return Ok(Written::Unsaid) };
        let committed = tokio::spawn(async move {
            database.unlocked.notified().await;
            database.source.set(key, value);
        });
        committed.await.unwrap();
        Ok(Written::Unsaid)
    }
}

#[tokio::test]
async fn a_commit_that_comes_after_its_write_was_given_up_is_read_once_none_can_come_any_more() {
    for (lingers, until) in [(Duration::ZERO, S), (3 * S, 3 * S)] {
        let test = Written7::new();
        let source = test.bench.source.clone();
        let database = Arc::new(Database { source, unlocked: Notify::new(), lingers });
        let builder = test.builder().sink(Locked(Arc::clone(&database))).write_timeout(S);
        let cache = builder.build().unwrap();
        let put = putting(&cache, 71);
        settle().await;
        test.bench.clock.advance(S);
        assert_eq!(fault(&put.await.unwrap().unwrap_err()), WriteFault::Unknown);
        assert_eq!(cache.get(&7).await.unwrap(), Some(70));
        database.unlocked.notify_one();
        settle().await;
        assert_eq!(test.bench.source.value(&7), Some(71));
        test.bench.clock.advance(until);
        settle().await;
        assert_eq!(cache.get(&7).await.unwrap(), Some(71), "{lingers:?}");
    }
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
