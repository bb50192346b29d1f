//! Who takes part in the areas `async` and `stampede`: caches that load by themselves what they
//! don't hold, each configured as its users would, and a bare cache-aside as the floor.
//!
//! As in the area `memory`, a workload is a [`Job`], generic over the type under test, so that
//! nothing is dispatched per read.

mod larder;
mod peers;
mod rows;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use larder_core::CacheKey;

use crate::memory::{self, Entrant, Value, version_of};

pub(crate) use rows::Rows;

/// What of an area is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure for about two minutes, with more noise
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure these workloads only
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Measure these peers only, beside larder and the floor
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    peers: Vec<Contender>,
    /// How many rounds are counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
}

impl Options {
    /// How many rounds are counted, where a quick run and a whole one have so many.
    pub(crate) fn rounds(&self, quick: usize, whole: usize) -> usize {
        self.rounds.map_or(if self.quick { quick } else { whole }, usize::from)
    }

    /// Who takes part.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let takes_part = |contender: &Contender| {
            !contender.is_peer() || self.peers.is_empty() || self.peers.contains(contender)
        };
        Contender::ALL.into_iter().filter(takes_part).collect()
    }

    /// Refuses a workload that isn't among `names`.
    ///
    /// # Errors
    ///
    /// Which one it is, and which there are.
    pub(crate) fn check(&self, names: &[String]) -> Result<(), String> {
        match self.only.iter().find(|wanted| !names.contains(wanted)) {
            None => Ok(()),
            Some(unknown) => Err(format!("--only {unknown}: there are {}", names.join(", "))),
        }
    }
}

/// One of those under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Contender {
    Larder,
    Moka,
    QuickCache,
    Foyer,
    Cachet,
    /// A map behind a lock and nothing else: whoever finds nothing loads. No cache that bounds or
    /// coalesces, but what many write by hand.
    CacheAside,
}

impl Contender {
    pub(crate) const ALL: [Self; 6] =
        [Self::Larder, Self::Moka, Self::QuickCache, Self::Foyer, Self::Cachet, Self::CacheAside];

    /// The package whose version stands for this contender; the floor has none.
    fn package(self) -> Option<&'static str> {
        match self {
            Self::Larder => Some("larder-engine"),
            Self::Foyer => Some("foyer-memory"),
            Self::CacheAside => None,
            other => Some(other.name()),
        }
    }

    /// The name and, where there is one, the version.
    pub(crate) fn title(self) -> String {
        match self.package().and_then(version_of) {
            None => self.name().to_owned(),
            Some(version) => format!("{} {version}", self.name()),
        }
    }

    /// How it is read.
    fn read(self) -> &'static str {
        match self {
            Self::Larder => "Cache::get, with max_staleness",
            Self::Moka => "future::Cache::try_get_with_by_ref, with time_to_live",
            Self::QuickCache => "sync::Cache::get_or_insert_async; it knows no expiry",
            Self::Foyer => "Cache::get_or_fetch; it knows no expiry",
            Self::Cachet => "Cache::try_get_or_insert, with ttl and stampede_protection",
            Self::CacheAside => "Mutex<HashMap>, with the time of each load; nothing is coalesced",
        }
    }

    /// Whether its entries expire.
    pub(crate) fn expires(self) -> bool {
        !matches!(self, Self::QuickCache | Self::Foyer)
    }

    /// Whether it evicts.
    pub(crate) fn evicts(self) -> bool {
        self != Self::CacheAside
    }

    /// Whether it serves what is stale while it refreshes it.
    pub(crate) fn refreshes(self) -> bool {
        matches!(self, Self::Larder | Self::Cachet)
    }

    /// Runs `job` with the type that stands for this contender.
    pub(crate) fn run<K: Key, V: Value, J: Job<K, V>>(self, job: J) -> J::Out {
        match self {
            Self::Larder => job.run::<larder::Larder<K, V>>(),
            Self::Moka => job.run::<peers::Moka<K, V>>(),
            Self::QuickCache => job.run::<peers::QuickCache<K, V>>(),
            Self::Foyer => job.run::<peers::Foyer<K, V>>(),
            Self::Cachet => job.run::<peers::Cachet<K, V>>(),
            Self::CacheAside => job.run::<peers::CacheAside<K, V>>(),
        }
    }
}

impl Entrant for Contender {
    const LARDER: Self = Self::Larder;

    fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Moka => "moka",
            Self::QuickCache => "quick_cache",
            Self::Foyer => "foyer",
            Self::Cachet => "cachet",
            Self::CacheAside => "cache_aside",
        }
    }

    fn is_peer(self) -> bool {
        !matches!(self, Self::Larder | Self::CacheAside)
    }
}

/// Prints who takes part, in which version and how each is read.
pub(crate) fn introduce(contenders: &[Contender], rounds: usize) {
    println!("In one process, {rounds} rounds in turn:");
    for contender in contenders {
        println!("  {:<20}{}", contender.title(), contender.read());
    }
    println!();
}

/// A key that all of them take.
pub(crate) trait Key: memory::Key + CacheKey {
    /// The number of the row that it names.
    fn row(&self) -> u64;
}

impl Key for u64 {
    fn row(&self) -> u64 {
        *self
    }
}

impl Key for String {
    /// The hexadecimal digits at its end; it has some, as [`memory::text_key`] made it.
    fn row(&self) -> u64 {
        let digits = self.rsplit(':').next().unwrap_or_default();
        u64::from_str_radix(digits, 16).unwrap_or_default()
    }
}

/// What a cache is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// At most so many entries.
    pub(crate) capacity: usize,
    /// How long an entry is served as it is.
    pub(crate) fresh_for: Duration,
    /// How much longer it is served while one refresh runs.
    pub(crate) stale_for: Duration,
    /// How much longer it is served while the source fails.
    pub(crate) stale_on_error: Duration,
}

/// What is done with a cache.
pub(crate) trait Job<K: Key, V: Value> {
    type Out;
    fn run<C: ReadThrough<K, V>>(self) -> Self::Out;
}

/// A cache in front of [`Rows`].
pub(crate) trait ReadThrough<K: Key, V: Value>: Send + Sync + Sized + 'static {
    /// Empty. Called within a tokio runtime, which outlives the cache.
    fn new(terms: Terms, rows: Arc<Rows>) -> Self;

    /// The value under `key`, held or loaded; `None` when the load failed.
    fn get(&self, key: &K) -> impl Future<Output = Option<V>> + Send;

    /// Forgets what is held, because the data changed.
    fn invalidate(&self, key: &K) -> impl Future<Output = ()> + Send;

    /// Whether something is held, without a load.
    fn holds(&self, key: &K) -> impl Future<Output = bool> + Send;

    /// Waits for what the contender still has to do by itself.
    fn settle(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The value of a row.
fn value_of<K: Key, V: Value>(key: &K) -> V {
    V::of(key.row())
}

#[cfg(test)]
mod tests;
