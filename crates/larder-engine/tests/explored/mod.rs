//! What the tests under a checker have in common: a cache small enough to explore, users whose
//! reads and writes go into a history, and the two ways to explore.
//!
//! The code is the real one; only locks and atomics are exchanged. Time stands still: nothing here
//! is about expiry.
#![allow(dead_code, reason = "each test file uses its part")]

use std::panic::{UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::sink::{Applied, Numbered, Sequence, Sink, SinkAbilities, WriteError, WriteFault};
use larder_core::sync::{AtomicU64, Ordering};
use larder_core::{
    BoxFuture, Clock, Error, ErrorKind, LoadContext, LoadError, Moment, Result, Source, Spawn,
    Terms, Write, Written,
};
use larder_engine::behind::WriteBehind;
use larder_engine::{
    Cache, CacheBuilder, Engine, Fill, Invalidation, Lookup, MemoryTier, MessagePack, Omit,
    WriteMode, memory_tier,
};
use larder_memory::Bounds;
use larder_memory::policy::PolicyKind;
use larder_test::History;
use larder_test::history::Announced;
use shuttle::future::{JoinHandle, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// How many orders are explored where nothing may be found.
pub(crate) const ITERATIONS: usize = 2_000;
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// The keys of the record.
pub(crate) const KEYS: [u64; 3] = [7, 70, 8];
/// What two of them begin with.
pub(crate) const PREFIX: &str = "7";
/// What all of them are tagged with.
pub(crate) const TAG: &str = "all";

pub(crate) struct Still;

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

/// The system of record: a version of each key, which writers raise, and which takes its time to
/// be read.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Table>);

#[derive(Default)]
struct Table {
    versions: [AtomicU64; KEYS.len()],
    loads: AtomicU64,
}

impl Record {
    fn version(&self, key: u64) -> &AtomicU64 {
        &self.0.versions[KEYS.iter().position(|&other| other == key).unwrap()]
    }

    async fn read(&self, key: u64) -> u64 {
        pause().await;
        let version = self.version(key).load(Ordering::SeqCst);
        pause().await;
        version
    }

    /// How many questions it was asked.
    pub(crate) fn loads(&self) -> u64 {
        self.0.loads.load(Ordering::SeqCst)
    }
}

impl Source<u64, u64> for Record {
    async fn load(&self, key: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        context.tag(TAG);
        Ok(Some(self.read(*key).await))
    }
}

/// Each write raises the version; now and then the answer is lost.
impl Sink<u64, u64> for Record {
    fn abilities(&self) -> SinkAbilities {
        SinkAbilities { add: true, behind: true, ..SinkAbilities::default() }
    }

    async fn write(&self, key: &u64, _: &Write<u64>) -> Result<Written<u64>, WriteError> {
        pause().await;
        let version = self.version(*key).fetch_add(1, Ordering::SeqCst) + 1;
        pause().await;
        if draw(8) == 0 {
            let lost = Error::new(ErrorKind::Timeout, version.to_string());
            return Err(WriteError::new(WriteFault::Unknown, lost));
        }
        Ok(Written::Value(version))
    }

    async fn own(&self, _: &str) -> Result<u64> {
        Ok(1)
    }

    /// No answer is lost, so nothing comes twice.
    async fn apply(
        &self,
        _: u64,
        batch: &[Numbered<u64, u64>],
    ) -> Result<Vec<Applied<u64>>, WriteError> {
        pause().await;
        let raise = |write: &Numbered<u64, u64>| {
            let Write::Add(by) = write.write else { panic!("it is only added to") };
            let by = u64::try_from(by).unwrap();
            let version = self.version(write.key).fetch_add(by, Ordering::SeqCst) + by;
            Applied::Now(Written::Value(version))
        };
        let applied = batch.iter().map(raise).collect();
        pause().await;
        Ok(applied)
    }

    async fn applied(&self, keys: &[u64]) -> Result<Vec<Option<Sequence>>> {
        Ok(vec![None; keys.len()])
    }
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
    history: Arc<History>,
    /// How many writes are done, where each makes what is read greater by one.
    done: Arc<AtomicU64>,
}

impl Explored {
    /// A cache that leaves out a step. With a `max_staleness` of zero it keeps nothing.
    pub(crate) fn new(omit: Omit, max_staleness: Duration) -> Self {
        Self::with(omit, max_staleness, Bounds::entries(16).shards(1))
    }

    pub(crate) fn with(omit: Omit, max_staleness: Duration, bounds: Bounds) -> Self {
        Self::told(omit, max_staleness, bounds, |builder| {
            builder.write(WriteMode::Through).written(|_, _| {
                let mut terms = Terms::default();
                terms.tag(TAG);
                terms
            })
        })
    }

    /// A cache that is written behind, by one writer at a time.
    pub(crate) fn behind(omit: Omit, behind: &WriteBehind) -> Self {
        Self::told(omit, MINUTE, Bounds::entries(16).shards(1), |builder| {
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
        let engine = Engine::to_explore(Arc::new(Still), Arc::new(Tasks), omit);
        let record = Record::default();
        let memory = Arc::new(memory_tier(bounds, PolicyKind::default(), None));
        let builder = Cache::builder("explored")
            .engine(&engine)
            .memory(Arc::clone(&memory))
            .max_staleness(max_staleness)
            .source(record.clone())
            .sink(record.clone());
        let cache = tell(builder).build().unwrap();
        let (history, done) = (Arc::new(History::new()), Arc::new(AtomicU64::new(0)));
        Self { engine, record, memory, cache, history, done }
    }

    pub(crate) async fn get(&self, key: u64) -> u64 {
        let begun = self.history.begin();
        let version = self.cache.get(&key).await.unwrap().unwrap();
        self.history.read(begun, key, version);
        version
    }

    pub(crate) async fn get_many(&self, keys: &[u64]) {
        let begun = self.history.begin();
        let versions = self.cache.get_many(keys).await.unwrap();
        for (key, version) in keys.iter().zip(versions) {
            self.history.read(begun, *key, version.unwrap());
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

    /// A write around the cache: the commit, and then its announcement.
    pub(crate) async fn write(&self, key: u64, way: Way, what: Invalidation) {
        let begun = self.history.begin();
        let version = self.record.version(key).fetch_add(1, Ordering::SeqCst) + 1;
        let cache = &self.cache;
        match (way, what) {
            (Way::Key, _) => drop(cache.invalidate_here(&[key], what).unwrap()),
            (Way::Tag, Invalidation::Drop) => drop(cache.invalidate_tags(&[TAG]).await.unwrap()),
            (Way::Tag, Invalidation::MarkStale) => {
                drop(cache.mark_tags_stale(&[TAG]).await.unwrap())
            }
            (Way::All, _) => cache.invalidate_all_here(what).unwrap(),
            (Way::Prefix, _) => {
                let prefix = if key == 8 { "8" } else { PREFIX };
                let _: usize = cache.invalidate_prefix_here(prefix, what).unwrap();
            }
        }
        let announced = match what {
            Invalidation::Drop => Announced::Dropping,
            Invalidation::MarkStale => Announced::Loosely,
        };
        self.history.wrote(begun, key, version, announced);
    }

    /// A write through the cache.
    pub(crate) async fn put(&self, key: u64) {
        let begun = self.history.begin();
        let version = match self.cache.increment(&key, 1).await {
            Ok(wrote) => match wrote.written {
                Written::Value(version) => version,
                other => panic!("it wrote {other:?}"),
            },
            Err(error) => {
                let lost = error.downcast_ref::<WriteError>().unwrap();
                lost.error.to_string().parse().unwrap()
            }
        };
        self.history.wrote(begun, key, version, Announced::Dropping);
    }

    /// A write behind the cache. Whoever reads then reads at least as much as was done so far.
    pub(crate) async fn put_behind(&self, key: u64) {
        let begun = self.history.begin();
        self.cache.increment(&key, 1).await.unwrap();
        let version = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        self.history.wrote(begun, key, version, Announced::Dropping);
    }

    /// A write behind larder's back, and its announcement. While something waits to be applied
    /// nobody reads what it did.
    pub(crate) async fn write_beside(&self, key: u64, way: Way) {
        let begun = self.history.begin();
        self.record.version(key).fetch_add(1, Ordering::SeqCst);
        match way {
            Way::Key => drop(self.cache.invalidate_here(&[key], Invalidation::Drop).unwrap()),
            _ => self.cache.invalidate_all_here(Invalidation::Drop).unwrap(),
        }
        let version = self.done.fetch_add(1, Ordering::SeqCst) + 1;
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
fn random(orders: usize) -> Runner<RandomScheduler> {
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
