//! The read load: a few clients, each reading as fast as it can, for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use larder_core::{Error, ErrorKind, Key, KeyText, LoadContext, Result, Source, Value};
use larder_engine::Cache;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::fault::Fault;
use super::histogram::Histogram;
use super::query::{Counted, Keys};
use super::random::Random;

/// The promise of the demo's caches.
pub(super) const MAX_STALENESS: Duration = Duration::from_secs(2);

/// How long one read may take. Long, because a thousand reads at once stand in line.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// What a server's caches may hold by default.
const BYTES_MAX: usize = 256 << 20;

/// No fewer entries than the whole shop has: the bytes are what bounds the cache.
const ENTRIES_MAX: usize = 1_000_000;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Where reads go.
#[derive(Clone)]
pub(super) enum Way {
    /// To the database, each of them: the same query and the same JSON, and no cache.
    Straight(Arc<Counted>),
    /// Through a cache in front of it.
    Through(Arc<Counted>, Cache<Key, Value>),
}

impl Way {
    /// Through a cache that holds nothing yet.
    pub(super) fn through(source: &Arc<Counted>, name: &'static str) -> Result<Self> {
        let cache = Cache::builder(name)
            .max_staleness(MAX_STALENESS)
            .source(Arc::clone(source))
            .load_timeout(TIMEOUT)
            .deadline(TIMEOUT)
            .entries_max(ENTRIES_MAX)
            .bytes_max(BYTES_MAX)
            .weigher(|key: &Key, value: Option<&Value>| {
                key.heap_bytes() + value.map_or(0, |value| value.bytes.len())
            })
            .build()?;
        Ok(Self::Through(Arc::clone(source), cache))
    }

    /// Reads what must be there.
    pub(super) async fn read(&self, key: &Key) -> Result<Value> {
        let value = match self {
            Self::Straight(source) => {
                let mut context = LoadContext::new(TIMEOUT);
                source.load(key, &mut context).await.map_err(Error::from_loader)?
            }
            Self::Through(_, cache) => cache.get(key).await?,
        };
        value.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the shop has no such row").for_key(KeyText::lossy(key))
        })
    }

    /// How often the database has answered so far.
    pub(super) fn queries(&self) -> u64 {
        match self {
            Self::Straight(source) | Self::Through(source, _) => source.queries(),
        }
    }

    fn hit_ratio(&self) -> Option<f64> {
        match self {
            Self::Straight(_) => None,
            Self::Through(_, cache) => cache.stats().hit_ratio(),
        }
    }
}

/// What a read load found.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) latencies: Histogram,
    pub(super) elapsed: Duration,
    /// Reads that the database answered.
    pub(super) queries: u64,
    /// Of the keys, those that memory served; none without a cache.
    pub(super) hit_ratio: Option<f64>,
}

impl Measured {
    pub(super) fn reads_per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Reads by `clients` clients for `time`, and a last read of each to its end. The clients ask
/// for the same keys in the same order, whichever way they go.
///
/// # Errors
///
/// The first read that fails ends it all.
pub(super) async fn run(
    way: &Way,
    keys: &Arc<Keys>,
    clients: usize,
    time: Duration,
    bar: &ProgressBar,
) -> Result<Measured, Fault> {
    let queries_before = way.queries();
    let began = Instant::now();
    let mut running = JoinSet::new();
    for seed in 0..clients as u64 {
        running.spawn(read(way.clone(), Arc::clone(keys), Random::new(seed), began + time));
    }
    let mut latencies = Histogram::new();
    let mut ticks = interval(TICK);
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(ended) => latencies.add(&ended??),
                None => break,
            },
            _ = ticks.tick() => bar.set_position(began.elapsed().as_millis() as u64),
        }
    }
    Ok(Measured {
        latencies,
        elapsed: began.elapsed(),
        queries: way.queries() - queries_before,
        hit_ratio: way.hit_ratio(),
    })
}

/// One client.
async fn read(
    way: Way,
    keys: Arc<Keys>,
    mut random: Random,
    until: Instant,
) -> Result<Histogram, Error> {
    let mut latencies = Histogram::new();
    loop {
        let key = keys.draw(&mut random);
        let began = Instant::now();
        way.read(key).await?;
        let ended = Instant::now();
        latencies.record(ended - began);
        if ended >= until {
            return Ok(latencies);
        }
        // A hit never waits: without this the others would not get their turn.
        tokio::task::consume_budget().await;
    }
}
