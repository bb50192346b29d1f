//! What the tests under a checker have in common: a cache small enough to explore, users whose
//! reads and writes go into a history, and the two ways to explore.
//!
//! The code is the real one; only locks and atomics are exchanged. Time stands still until somebody
//! turns it or lets it tick, and nobody is ever late.
#![allow(dead_code, reason = "each test file uses its part")]

mod record;
mod time;

use std::panic::{UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use larder_core::sink::WriteError;
use larder_core::sync::{AtomicU64, Ordering};
use larder_core::{BoxFuture, Clock, ErrorKind, LoadContext, Result, Spawn, Terms, Write, Written};
use larder_engine::behind::WriteBehind;
use larder_engine::{
    Cache, CacheBuilder, Engine, Fill, Guard, GuardBounds, Invalidation, Lookup, MemoryTier,
    MessagePack, Omit, WriteMode, Wrote, memory_tier,
};
use larder_memory::Bounds;
use larder_memory::policy::PolicyKind;
use larder_test::History;
use larder_test::history::{Announced, Begun};
use shuttle::future::{JoinHandle, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use record::{Record, place};
use time::Still;

/// How many orders are explored where nothing may be found.
pub(crate) const ITERATIONS: usize = 2_000;
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// The keys of the record.
pub(crate) const KEYS: [u64; 3] = [7, 70, 8];
/// One that it hasn't.
pub(crate) const ABSENT: u64 = 9;
/// What two of them begin with.
pub(crate) const PREFIX: &str = "7";
/// What all of them are tagged with.
pub(crate) const TAG: &str = "all";

pub(crate) struct Tasks;

impl Spawn for Tasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(spawn(task));
    }
}

/// Waits for a while of random length.
pub(crate) async fn pause() {
    for _ in 0..draw(3) {
        yield_now().await;
    }
}

/// A number below `n`.
pub(crate) fn draw(n: usize) -> usize {
    thread_rng().gen_range(0..n)
}

/// How the cache is told of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Key,
    Tag,
    All,
    Prefix,
}

pub(crate) const WAYS: [Way; 4] = [Way::Key, Way::Tag, Way::All, Way::Prefix];

/// A cache and its users.
#[derive(Clone)]
pub(crate) struct Explored {
    pub(crate) engine: Engine,
    pub(crate) record: Record,
    pub(crate) memory: Arc<MemoryTier<u64, u64>>,
    pub(crate) cache: Cache<u64, u64>,
    pub(crate) time: Still,
    history: Arc<History>,
    /// How many writes of each key are done, where each makes what is read greater by one.
    done: Arc<[AtomicU64; KEYS.len()]>,
}

impl Explored {
    /// A cache that leaves out a step. With a `max_staleness` of zero it keeps nothing.
    pub(crate) fn new(omit: Omit, max_staleness: Duration) -> Self {
        Self::with(omit, max_staleness, Bounds::entries(16).shards(1))
    }

    pub(crate) fn with(omit: Omit, max_staleness: Duration, bounds: Bounds) -> Self {
        Self::told(omit, max_staleness, bounds, |builder| {
            let half = max_staleness / 2;
            let builder = builder.fresh_for(half).stale_for(half).jitter(Duration::ZERO);
            builder.write(WriteMode::Through).written(|_, _| {
                let mut terms = Terms::default();
                terms.tag(TAG);
                terms
            })
        })
    }

    /// A cache that is written behind.
    pub(crate) fn behind(omit: Omit, behind: &WriteBehind) -> Self {
        Self::behind_with(omit, behind, Bounds::entries(16).shards(1))
    }

    pub(crate) fn behind_with(omit: Omit, behind: &WriteBehind, bounds: Bounds) -> Self {
        Self::told(omit, MINUTE, bounds, |builder| {
            let sum = |value: Option<&u64>, by: i64| {
                Ok(value.copied().unwrap_or(0).saturating_add_signed(by))
            };
            builder.behind(behind, MessagePack).add_with(sum).written(|_, _| {
                let mut terms = Terms::default();
                terms.tag(TAG);
                terms
            })
        })
    }

    fn told(
        omit: Omit,
        max_staleness: Duration,
        bounds: Bounds,
        tell: impl FnOnce(CacheBuilder<u64, u64>) -> CacheBuilder<u64, u64>,
    ) -> Self {
        let time = Still::default();
        let engine = Engine::to_explore(Arc::new(time.clone()), Arc::new(Tasks), omit);
        let record = Record::default();
        let memory = Arc::new(memory_tier(bounds, PolicyKind::default(), None));
        // Lost answers are drawn, and may be many: nobody is to be left alone for that.
        let guard = Guard::new(GuardBounds { breaker: None, ..GuardBounds::default() }).unwrap();
        let builder = Cache::builder("explored")
            .engine(&engine)
            .guard(guard)
            .memory(Arc::clone(&memory))
            .max_staleness(max_staleness)
            .source(record.clone())
            .sink(record.clone());
        let cache = tell(builder).build().unwrap();
        let done = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { engine, record, memory, cache, time, history: Arc::default(), done }
    }

    pub(crate) async fn get(&self, key: u64) -> u64 {
        let begun = self.history.begin();
        let version = self.cache.get(&key).await.unwrap().unwrap();
        self.history.read(begun, key, version);
        version
    }

    /// The same of somebody who would load for himself.
    pub(crate) async fn get_or_load(&self, key: u64) {
        let begun = self.history.begin();
        let record = self.record.clone();
        let load = move |context: LoadContext| async move {
            context.tag(TAG);
            Ok(Some(record.read(key).await))
        };
        let version = self.cache.get_or_load(&key, load).await.unwrap().unwrap();
        self.history.read(begun, key, version);
    }

    pub(crate) async fn get_many(&self, keys: &[u64]) {
        let begun = self.history.begin();
        let versions = self.cache.get_many(keys).await.unwrap();
        assert_eq!(keys.len(), versions.len());
        for (key, version) in keys.iter().zip(versions) {
            match version {
                Some(version) => self.history.read(begun, *key, version),
                None => assert_eq!(*key, ABSENT),
            }
        }
    }

    /// A read of somebody who loads for himself, and fills.
    pub(crate) async fn aside(&self, key: u64) {
        let begun = self.history.begin();
        let version = match self.cache.lookup(&key).await {
            Lookup::Hit(answer) => answer.value.unwrap(),
            Lookup::Miss(ticket) => {
                let version = self.record.read(key).await;
                let _: Fill = ticket.fill_on(Some(version), Terms::default().tag(TAG));
                version
            }
        };
        self.history.read(begun, key, version);
    }

    /// The same who takes nothing that is held, and takes his time; he reads another key beside it.
    pub(crate) async fn aside_slowly(&self, key: u64, beside: u64) {
        let begun = self.history.begin();
        let now = self.time.now();
        match self.cache.lookup_newer(&key, now).await {
            Lookup::Hit(answer) => self.history.read(begun, key, answer.value.unwrap()),
            Lookup::Miss(ticket) => {
                let beside = (beside, ticket.beside(&beside));
                for (key, ticket) in [beside, (key, ticket)] {
                    let version = self.record.read(key).await;
                    for _ in 0..draw(12) {
                        yield_now().await;
                    }
                    let _: Fill = ticket.fill_on(Some(version), Terms::default().tag(TAG));
                    self.history.read(begun, key, version);
                }
            }
        }
    }

    /// A write around the cache: the commit, and then its announcement.
    pub(crate) async fn write(&self, key: u64, way: Way, what: Invalidation) {
        let begun = self.history.begin();
        let version = self.record.version(key).fetch_add(1, Ordering::SeqCst) + 1;
        self.announce(key, way, what).await;
        let announced = match what {
            Invalidation::Drop => Announced::Dropping,
            Invalidation::MarkStale => Announced::Loosely,
        };
        self.history.wrote(begun, key, version, announced);
    }

    async fn announce(&self, key: u64, way: Way, what: Invalidation) {
        let cache = &self.cache;
        match (way, what) {
            (Way::Key, _) => drop(cache.invalidate_here(&[key], what).unwrap()),
            (Way::Tag, Invalidation::Drop) => {
                let _ = cache.invalidate_tags(&[TAG]).await.unwrap();
            }
            (Way::Tag, Invalidation::MarkStale) => {
                let _ = cache.mark_tags_stale(&[TAG]).await.unwrap();
            }
            (Way::All, _) => cache.invalidate_all_here(what).unwrap(),
            (Way::Prefix, _) => {
                let prefix = if key == 8 { "8" } else { PREFIX };
                let _: usize = cache.invalidate_prefix_here(prefix, what).unwrap();
            }
        }
    }

    /// A write through the cache.
    pub(crate) async fn put(&self, key: u64) {
        let begun = self.history.begin();
        let wrote = match draw(2) {
            0 => self.cache.increment(&key, 1).await,
            // Whatever is stored, it is the next version.
            _ => self.cache.put(&key, 0).await,
        };
        let version = version(wrote).unwrap();
        self.history.wrote(begun, key, version, Announced::Dropping);
    }

    /// A write through the cache of somebody who has read what he replaces.
    pub(crate) async fn update(&self, key: u64) {
        let begun = self.history.begin();
        let up = |held: Option<u64>| held.map(|version| Write::Store(version + 1));
        if let Some(version) = version(self.cache.update(&key, up).await) {
            self.history.wrote(begun, key, version, Announced::Dropping);
        }
    }

    /// A write behind the cache. Whoever reads then reads at least as much as was done so far.
    pub(crate) async fn put_behind(&self, key: u64) {
        let begun = self.history.begin();
        self.cache.increment(&key, 1).await.unwrap();
        self.is_done(begun, key);
    }

    /// The same of somebody who has read what he replaces, if nobody else commits.
    pub(crate) async fn update_behind(&self, key: u64) {
        let begun = self.history.begin();
        let up = |held: Option<u64>| held.map(|version| Write::Store(version + 1));
        match self.cache.update(&key, up).await {
            Ok(_) => self.is_done(begun, key),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
        }
    }

    /// A write behind larder's back, and its announcement.
    pub(crate) async fn write_beside(&self, key: u64, way: Way) {
        let begun = self.history.begin();
        self.record.version(key).fetch_add(1, Ordering::SeqCst);
        self.announce(key, way, Invalidation::Drop).await;
        self.is_done(begun, key);
    }

    /// One more write is done, whichever of those that overlap it was.
    fn is_done(&self, begun: Begun, key: u64) {
        let version = self.done[place(key)].fetch_add(1, Ordering::SeqCst) + 1;
        self.history.wrote(begun, key, version, Announced::Dropping);
    }

    /// Somebody reads for himself, and fills this process's memory, whatever waits. What isn't
    /// taken is read by nobody.
    pub(crate) async fn aside_here(&self, key: u64) {
        let begun = self.history.begin();
        let version = match self.cache.lookup_here(&key) {
            Lookup::Hit(answer) => answer.value.unwrap(),
            Lookup::Miss(ticket) => {
                let version = self.record.read(key).await;
                if ticket.fill_on(Some(version), Terms::default().tag(TAG)) != Fill::Stored {
                    return;
                }
                version
            }
        };
        self.history.read(begun, key, version);
    }

    /// Somebody reads key 7 once.
    pub(crate) fn reader(&self) -> JoinHandle<()> {
        let explored = self.clone();
        spawn(async move {
            explored.get(7).await;
        })
    }

    /// After a while of random length: a write of key 7, and a read of who wrote.
    pub(crate) async fn write_and_read(&self, way: Way) {
        for _ in 0..draw(12) {
            yield_now().await;
        }
        self.write(7, way, Invalidation::Drop).await;
        self.get(7).await;
    }

    /// To be called when all is quiet: each key gives its last version, at the latest when the
    /// refresh of what was marked stale has landed, and no read broke the promise.
    pub(crate) async fn end(&self) {
        for key in KEYS {
            self.landed().await;
            if self.get(key).await != self.history.head(key) {
                self.landed().await;
                assert_eq!(self.get(key).await, self.history.head(key), "it was not refreshed");
            }
        }
        if let Err(violation) = self.history.check() {
            panic!("{violation}");
        }
        self.landed().await;
    }

    async fn landed(&self) {
        while self.cache.flights() > 0 {
            yield_now().await;
        }
    }
}

/// What was written; `None` where somebody else was first each time.
fn version(wrote: Result<Wrote<u64>>) -> Option<u64> {
    match wrote {
        Ok(Wrote { written: Written::Value(version), .. }) => Some(version),
        Ok(other) => panic!("it wrote {other:?}"),
        Err(error) if error.kind() == ErrorKind::Conflict => None,
        Err(error) => {
            let lost = error.downcast_ref::<WriteError>().unwrap();
            Some(lost.error.to_string().parse().unwrap())
        }
    }
}

/// The checker must find nothing.
pub(crate) fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    random(ITERATIONS).run(scenario);
}

/// The checker must find a counter-example. It stops at the first one, so it may look for long:
/// the rarest needs some thousand orders, and a run that was merely unlucky must not fail.
pub(crate) fn must_fail(scenario: impl Fn() + Send + Sync + 'static + UnwindSafe) {
    let found = catch_unwind(|| random(100 * ITERATIONS).run(scenario));
    assert!(found.is_err(), "without this step the promise must break");
}

/// Orders by chance.
pub(crate) fn random(orders: usize) -> Runner<RandomScheduler> {
    Runner::new(RandomScheduler::new(orders), config())
}

/// Where a whole batch is applied and read in one task, its futures need more room than a task is
/// given otherwise.
fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config
}

/// The same where one task must stand still while another does a lot. A coin for each step hardly
/// ever falls so; priorities that change at few places do (Burckhardt and others, *A Randomized
/// Scheduler with Probabilistic Guarantees of Finding Bugs*, ASPLOS 2010).
pub(crate) fn must_fail_by_priorities(scenario: impl Fn() + Send + Sync + 'static + UnwindSafe) {
    let orders = PctScheduler::new(3, 100 * ITERATIONS);
    let found = catch_unwind(|| Runner::new(orders, config()).run(scenario));
    assert!(found.is_err(), "without this step the promise must break");
}
