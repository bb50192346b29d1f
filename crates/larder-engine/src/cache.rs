//! `Cache<K, V>`: a named set of entries with one policy, and what it is made of.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use larder_core::sync::{AtomicBool, Ordering};
use larder_core::{CacheKey, Error, ErrorKind, KeyText, Moment, Result, Window};

use crate::budget::Seat;
use crate::builder::CacheBuilder;
use crate::consistency::Consistency;
use crate::counters::{CacheStats, Counters};
use crate::engine::Engine;
use crate::erased::DynSource;
use crate::events::Sweeps;
use crate::fence::Fence;
use crate::flight::Flights;
use crate::gather::Gathering;
use crate::guard::Guard;
use crate::horizon::Horizon;
use crate::late::Late;
use crate::memory::MemoryTier;
use crate::observe::Observers;
use crate::patience::Patience;
use crate::penetration::Penetration;
use crate::reload::Reload;
use crate::shared::Part;
use crate::slot::Ground;
use crate::worth::Notes;
use crate::write::Writes;

/// A cache in front of a source. Cloning it is cheap and shares it.
///
/// ```
/// use larder_core::{LoadContext, LoadError, Source};
/// use larder_engine::Cache;
/// use std::time::Duration;
///
/// struct Users;
///
/// impl Source<u64, String> for Users {
///     async fn load(&self, id: &u64, _: &mut LoadContext) -> Result<Option<String>, LoadError> {
///         Ok((*id == 42).then(|| "Ada".to_owned()))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
/// let users =
///     Cache::builder("user").max_staleness(Duration::from_secs(2)).source(Users).build()?;
/// assert_eq!(users.get(&42).await?.as_deref(), Some("Ada"));
/// assert_eq!(users.get(&7).await?, None);
/// # Ok(()) }
/// ```
pub struct Cache<K, V>(pub(crate) Arc<Parts<K, V>>);

/// What the handles of one cache share.
pub(crate) struct Parts<K, V> {
    pub(crate) name: Box<str>,
    pub(crate) scope: u64,
    pub(crate) engine: Engine,
    pub(crate) memory: Arc<MemoryTier<K, V>>,
    /// Behind the tier, because it is left last.
    pub(crate) seat: Option<Seat>,
    pub(crate) window: Window,
    /// The stream that vouches for its entries, where one does.
    pub(crate) vouches: Arc<Horizon>,
    pub(crate) source: Option<Arc<dyn DynSource<K, V>>>,
    /// What it needs to write, if it has a sink.
    pub(crate) writes: Option<Writes<K, V>>,
    /// The keys of writes that were given up.
    pub(crate) late: Late<K>,
    pub(crate) consistency: Consistency,
    /// What it needs to keep its entries in the shared tier too.
    pub(crate) part: Option<Part<V>>,
    pub(crate) guard: Guard,
    pub(crate) gathering: Option<Gathering<K, V>>,
    pub(crate) load_timeout: Duration,
    pub(crate) reload: Reload,
    pub(crate) patience: Patience,
    pub(crate) penetration: Option<Penetration<K>>,
    /// Whether an entry ever had a tag.
    pub(crate) tagged: AtomicBool,
    pub(crate) notes: Notes<K, V>,
    pub(crate) observers: Observers,
    pub(crate) flights: Flights<K, V>,
    pub(crate) sweeps: Sweeps,
    pub(crate) counters: Counters,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Begins a cache of this name. Logs, metrics and errors use the name.
    pub fn builder(name: impl Into<Box<str>>) -> CacheBuilder<K, V> {
        CacheBuilder::new(name.into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The engine that it belongs to.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The windows that this cache promises.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.0.window
    }

    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.0.counters.snapshot()
    }

    /// Whether `other` is a handle of the same cache.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many flights are running.
    #[must_use]
    pub fn flights(&self) -> usize {
        self.0.flights.count()
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Captures the fence of `key`; before any I/O.
    pub(crate) fn fence<Q: Hash + ?Sized>(&self, key: &Q) -> Fence {
        let born = self.engine.events().count();
        self.engine.epochs().capture(self.scope, key, born)
    }

    /// Up to when a stream of changes vouches for its entries.
    #[inline]
    pub(crate) fn horizon(&self) -> Moment {
        if self.window.vouched { self.vouches.get() } else { Moment::ZERO }
    }

    /// What its entries are judged by; to be taken before an entry is read.
    #[inline]
    pub(crate) fn ground(&self) -> Ground<'_> {
        Ground {
            window: &self.window,
            horizon: self.horizon(),
            is_strict: self.consistency == Consistency::Strict,
            sweeps: &self.sweeps,
            events: self.engine.events(),
        }
    }

    /// An entry of this cache has tags.
    pub(crate) fn note_tags(&self) {
        if !self.tagged.load(Ordering::Relaxed) {
            self.tagged.store(true, Ordering::Release);
        }
    }

    /// Whether an entry of this cache ever had a tag.
    pub(crate) fn has_tags(&self) -> bool {
        self.tagged.load(Ordering::Acquire)
    }

    /// The text of `key`, which everything but memory knows it by.
    pub(crate) fn text(&self, key: &K) -> Result<String> {
        KeyText::of(key).map_err(|fault| {
            let message = format!("the cache {} can't have this key: {fault}", self.name);
            Error::new(ErrorKind::BadKey, message).for_key(KeyText::lossy(key))
        })
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("name", &self.0.name).finish_non_exhaustive()
    }
}
