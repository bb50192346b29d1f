//! The flight map, the fence and the memory tier under a checker that explores interleavings.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test -p larder-engine --test shuttle`. The code is
//! the real one; only locks and atomics are exchanged. Each protective step that is left out must
//! make the checker find an interleaving that breaks the promise.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::sync::{AtomicU64, Ordering};
use larder_core::{BoxFuture, Clock, LoadContext, LoadError, Moment, Source, Spawn};
use larder_engine::{Cache, Engine, Fill, Lookup, Omit, memory_tier};
use larder_memory::Bounds;
use larder_memory::policy::PolicyKind;
use shuttle::future::{block_on, spawn, yield_now};

const ITERATIONS: usize = 3_000;

/// Time stands still: nothing here is about expiry.
struct Still;

impl Clock for Still {
    fn now(&self) -> Moment {
        Moment::from_nanos(1_000_000_000)
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH
    }

    fn sleep_until(&self, _: Moment) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

struct Tasks;

impl Spawn for Tasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(spawn(task));
    }
}

/// The system of record: a number that writers raise, and that takes its time to be read.
#[derive(Clone)]
struct Record {
    version: Arc<AtomicU64>,
    loads: Arc<AtomicU64>,
}

impl Record {
    fn new() -> Self {
        Self { version: Arc::new(AtomicU64::new(1)), loads: Arc::new(AtomicU64::new(0)) }
    }
}

impl Source<u64, u64> for Record {
    async fn load(&self, _: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let version = self.version.load(Ordering::SeqCst);
        yield_now().await;
        Ok(Some(version))
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn cache(record: &Record, omit: Omit, max_staleness: Duration) -> Cache<u64, u64> {
    let engine = Engine::to_explore(Arc::new(Still), Arc::new(Tasks), omit);
    Cache::builder("explored")
        .engine(&engine)
        .memory(Arc::new(memory_tier(Bounds::entries(16).shards(1), PolicyKind::default(), None)))
        .max_staleness(max_staleness)
        .source(record.clone())
        .build()
        .unwrap()
}

/// Readers read while a writer commits and invalidates. A get that starts after `invalidate`
/// returned never returns what was loaded before it.
fn nothing_old_after_an_invalidation(omit: Omit, max_staleness: Duration) {
    block_on(async {
        let record = Record::new();
        let cache = cache(&record, omit, max_staleness);
        let before: Vec<_> = (0..2)
            .map(|_| {
                let cache = cache.clone();
                spawn(async move { cache.get(&7).await.unwrap() })
            })
            .collect();
        let writer = spawn({
            let (cache, record) = (cache.clone(), record.clone());
            async move {
                record.version.store(2, Ordering::SeqCst);
                cache.invalidate(&7).await.unwrap();
                let after = cache.get(&7).await.unwrap();
                assert_eq!(after, Some(2), "loaded before the invalidation, given after it");
            }
        });
        writer.await.unwrap();
        for reader in before {
            assert!(reader.await.unwrap().is_some());
        }
        assert_eq!(cache.get(&7).await.unwrap(), Some(2), "an old fill survived");
        assert_eq!(cache.flights(), 0);
    });
}

/// The same for somebody who loads for himself and fills with a ticket.
fn no_old_ticket_fills(omit: Omit) {
    block_on(async {
        let record = Record::new();
        let cache = cache(&record, omit, MINUTE);
        let aside = spawn({
            let (cache, record) = (cache.clone(), record.clone());
            async move {
                if let Lookup::Miss(ticket) = cache.lookup(&7).await {
                    let version = record.version.load(Ordering::SeqCst);
                    yield_now().await;
                    let _: Fill = ticket.fill(Some(version));
                }
            }
        });
        record.version.store(2, Ordering::SeqCst);
        cache.invalidate(&7).await.unwrap();
        aside.await.unwrap();
        assert_eq!(cache.get(&7).await.unwrap(), Some(2), "an old fill survived");
    });
}

/// Readers of a cold key, without writers: one load, whoever comes when.
fn one_load_for_a_cold_key() {
    block_on(async {
        let record = Record::new();
        let cache = cache(&record, Omit::Nothing, MINUTE);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let cache = cache.clone();
                spawn(async move { cache.get(&7).await.unwrap() })
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), Some(1));
        }
        assert_eq!(record.loads.load(Ordering::SeqCst), 1);
        assert_eq!(cache.flights(), 0);
    });
}

/// A single get and a batch that overlap: each key is loaded once and everybody is answered.
fn one_load_for_each_key_of_overlapping_batches() {
    block_on(async {
        let record = Record::new();
        let cache = cache(&record, Omit::Nothing, MINUTE);
        let batch = spawn({
            let cache = cache.clone();
            async move { cache.get_many(&[7, 8]).await.unwrap() }
        });
        let single = spawn({
            let cache = cache.clone();
            async move { cache.get(&8).await.unwrap() }
        });
        assert_eq!(single.await.unwrap(), Some(1));
        assert_eq!(batch.await.unwrap(), [Some(1), Some(1)]);
        assert_eq!(record.loads.load(Ordering::SeqCst), 2);
    });
}

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(scenario, ITERATIONS);
}

/// The checker must find a counter-example. It stops at the first one, so it may look for long:
/// the rarest needs some thousand schedules, and a run that was merely unlucky must not fail.
fn must_fail(scenario: impl Fn() + Send + Sync + 'static + std::panic::UnwindSafe) {
    let found = catch_unwind(|| shuttle::check_random(scenario, 100 * ITERATIONS));
    assert!(found.is_err(), "without this step the promise must break");
}

#[test]
fn a_get_after_an_invalidation_returns_nothing_loaded_before_it() {
    explore(|| nothing_old_after_an_invalidation(Omit::Nothing, MINUTE));
}

#[test]
fn without_the_fence_at_the_fill_it_does() {
    must_fail(|| nothing_old_after_an_invalidation(Omit::FenceAtFill, MINUTE));
}

/// Where fills are kept, a refused one already sends its callers to read again. Where nothing is
/// kept there is no fill to refuse: only the epoch keeps a caller from joining an older flight.
#[test]
fn where_nothing_is_kept_it_does_not_either() {
    explore(|| nothing_old_after_an_invalidation(Omit::Nothing, Duration::ZERO));
}

#[test]
fn with_flights_joined_whatever_their_epoch_it_does() {
    must_fail(|| nothing_old_after_an_invalidation(Omit::EpochOfFlight, Duration::ZERO));
}

#[test]
fn a_ticket_taken_before_an_invalidation_fills_nothing_after_it() {
    explore(|| no_old_ticket_fills(Omit::Nothing));
}

#[test]
fn without_the_fence_at_the_fill_an_old_ticket_fills() {
    must_fail(|| no_old_ticket_fills(Omit::FenceAtFill));
}

#[test]
fn concurrent_readers_of_a_cold_key_load_once() {
    explore(one_load_for_a_cold_key);
}

#[test]
fn overlapping_batches_load_each_key_once() {
    explore(one_load_for_each_key_of_overlapping_batches);
}
