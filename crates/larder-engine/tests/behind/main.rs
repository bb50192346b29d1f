//! Write-behind: what was acknowledged is read at once, applied in order, and never lost.
#![allow(clippy::unwrap_used)]

mod applying;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod durable;
mod ends;
mod fed;
mod filtered;
mod installing;
mod others;
mod reading;
mod room;
mod starts;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{S, settle};
use larder_core::{Result, Written};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::observe::{Event, Failing, What};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, MessagePack};
use larder_test::{ManualClock, TestJournal};
use table::Table;

/// One process: an engine, a cache that is written behind, and what it stands on.
pub(crate) struct Process {
    pub(crate) clock: ManualClock,
    pub(crate) engine: Engine,
    pub(crate) behind: WriteBehind,
    pub(crate) cache: Cache<u64, i64>,
    /// How often it was said that nothing is written any more.
    pub(crate) ends: Arc<AtomicUsize>,
    /// How often a change was told.
    pub(crate) changes: Arc<AtomicUsize>,
}

const BOUNDS: BehindBounds = BehindBounds {
    delay: S,
    batch_from: 10,
    batch_max: 8,
    slow_from: 20,
    keys_max: 30,
    bytes_max: 1 << 20,
    lanes: 1,
    apply_within: Duration::from_secs(5),
    retry_after: S,
    retry_after_max: Duration::from_secs(4),
    requeue_every: Duration::from_secs(60),
};

impl Process {
    pub(crate) fn over(table: &Table, journal: &TestJournal, bounds: BehindBounds) -> Self {
        let clock = ManualClock::new();
        let spawn = TokioSpawn::current().unwrap();
        let engine = Engine::new(Arc::new(clock.clone()), Arc::new(spawn));
        let behind = WriteBehind::with(Arc::new(journal.clone()), bounds);
        let ends = Arc::new(AtomicUsize::new(0));
        let changes = Arc::new(AtomicUsize::new(0));
        let (counted, told) = (Arc::clone(&ends), Arc::clone(&changes));
        let cache = Cache::builder("numbers")
            .engine(&engine)
            .max_staleness(1000 * S)
            .jitter(Duration::ZERO)
            .source(table.clone())
            .sink(table.clone())
            .behind(&behind, MessagePack)
            .add_with(|value, difference| Ok(value.copied().unwrap_or(0) + difference))
            .observe(move |event: &Event<'_>| {
                let of = match event.what {
                    What::WriteFailed { what: Failing::ForGood, .. } => &counted,
                    What::Changed => &told,
                    _ => return,
                };
                of.fetch_add(1, Ordering::Relaxed);
            })
            .build()
            .unwrap();
        Self { clock, engine, behind, cache, ends, changes }
    }

    pub(crate) async fn start(table: &Table, journal: &TestJournal) -> Self {
        let process = Self::over(table, journal, BOUNDS);
        process.behind.start(&process.engine).await.unwrap();
        process
    }

    pub(crate) async fn turn(&self, time: Duration) {
        settle().await;
        self.clock.advance(time);
        settle().await;
    }

    pub(crate) async fn put(&self, key: u64, value: i64) -> Result<Written<i64>> {
        Ok(self.cache.put(&key, value).await?.written)
    }

    pub(crate) async fn add(&self, key: u64, difference: i64) -> Result<Written<i64>> {
        Ok(self.cache.increment(&key, difference).await?.written)
    }

    pub(crate) async fn get(&self, key: u64) -> Option<i64> {
        self.cache.get(&key).await.unwrap()
    }
}

async fn fresh() -> (Table, TestJournal, Process) {
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = Process::start(&table, &journal).await;
    (table, journal, process)
}
