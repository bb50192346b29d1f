//! The builder of a cache: it reads like a sentence, and refuses nonsense with the reason.

use std::sync::Arc;
use std::time::Duration;

use larder_core::freshness::Declared;
use larder_core::{CacheKey, Error, ErrorKind, Result, Source, Window};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};

use crate::bulkhead::{Bulkhead, BulkheadBounds};
use crate::cache::{Cache, Parts, Weigh};
use crate::counters::Counters;
use crate::engine::Engine;
use crate::erased::DynSource;
use crate::flight::Flights;
use crate::memory::{MemoryTier, memory_tier};

/// A load is dropped after this long, if nothing else is said.
const LOAD_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// A caller waits at most this long, if nothing else is said.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);
/// A cache of its own holds at most so many entries, if nothing else is said.
const ENTRIES_DEFAULT: usize = 10_000;
/// A cache of its own takes at most so many bytes, if nothing else is said.
const BYTES_DEFAULT: usize = 64 << 20;

/// Everything that a cache can be told, each with a default but the window.
#[must_use = "a builder does nothing until it is built"]
pub struct CacheBuilder<K, V> {
    name: Box<str>,
    declared: Declared,
    window: Option<Window>,
    engine: Option<Engine>,
    memory: Option<Arc<MemoryTier<K, V>>>,
    bounds: Bounds,
    policy: PolicyKind,
    source: Option<Arc<dyn DynSource<K, V>>>,
    bulkhead: Option<Bulkhead>,
    load_timeout: Duration,
    deadline: Duration,
    weigh: Option<Weigh<K, V>>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> CacheBuilder<K, V> {
    pub(crate) fn new(name: Box<str>) -> Self {
        Self {
            name,
            declared: Declared::default(),
            window: None,
            engine: None,
            memory: None,
            bounds: Bounds::entries(ENTRIES_DEFAULT).and_bytes(BYTES_DEFAULT),
            policy: PolicyKind::default(),
            source: None,
            bulkhead: None,
            load_timeout: LOAD_TIMEOUT_DEFAULT,
            deadline: DEADLINE_DEFAULT,
            weigh: None,
        }
    }

    /// The promise: no answer is older than this when its read begins. This or
    /// [`fresh_for`](Self::fresh_for) must be given.
    pub fn max_staleness(mut self, max: Duration) -> Self {
        self.declared.max_staleness = Some(max);
        self
    }

    /// How long an entry is served as it is; as long as `max_staleness` by default.
    pub fn fresh_for(mut self, fresh_for: Duration) -> Self {
        self.declared.fresh_for = Some(fresh_for);
        self
    }

    /// How much longer a stale entry is served while one refresh runs; not at all by default.
    pub fn stale_for(mut self, stale_for: Duration) -> Self {
        self.declared.stale_for = Some(stale_for);
        self
    }

    /// How long an absence is remembered; 30 s by default, at most `max_staleness`.
    pub fn missing_for(mut self, missing_for: Duration) -> Self {
        self.declared.missing_for = Some(missing_for);
        self
    }

    /// How much of `fresh_for` chance may take away; a tenth by default, at most 60 s.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.declared.jitter = Some(jitter);
        self
    }

    /// All windows at once, as a configuration resolved them. Windows given one by one are then
    /// without effect.
    pub fn window(mut self, window: Window) -> Self {
        self.window = Some(window);
        self
    }

    /// The system of record. Without one the cache serves
    /// [`get_or_load`](Cache::get_or_load) and [`lookup`](Cache::lookup).
    pub fn source(mut self, source: impl Source<K, V>) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The bulkhead of that source, if other caches read from it too; one of its own with the
    /// default bounds otherwise.
    pub fn bulkhead(mut self, bulkhead: Bulkhead) -> Self {
        self.bulkhead = Some(bulkhead);
        self
    }

    /// After how long a load is dropped; 10 s by default.
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// How long a caller waits before it gets a [`Timeout`](ErrorKind::Timeout); 10 s by
    /// default. The load goes on.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// At most so many entries; 10,000 by default.
    pub fn entries_max(mut self, entries: usize) -> Self {
        self.bounds = self.bounds.and_entries(entries);
        self
    }

    /// At most so many bytes: keys, values and the memory tier's overhead; 64 MiB by default.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bounds = self.bounds.and_bytes(bytes);
        self
    }

    /// Which entries are evicted first when room is needed; [`PolicyKind::Adaptive`] by default.
    pub fn policy(mut self, policy: PolicyKind) -> Self {
        self.policy = policy;
        self
    }

    /// Which entries may be evicted; all of them by default.
    pub fn candidates(mut self, candidates: Candidates) -> Self {
        self.bounds = self.bounds.candidates(candidates);
        self
    }

    /// How many bytes a key and its value take beyond their own `size_of`: what they hold on the
    /// heap. Nothing by default, which is right for plain numbers only.
    pub fn weigher(
        mut self,
        weigh: impl Fn(&K, Option<&V>) -> usize + Send + Sync + 'static,
    ) -> Self {
        self.weigh = Some(Box::new(weigh));
        self
    }

    /// A memory tier to share with other caches of these types, whose keys must differ. Bounds,
    /// policy and candidates given here are then without effect.
    pub fn memory(mut self, memory: Arc<MemoryTier<K, V>>) -> Self {
        self.memory = Some(memory);
        self
    }

    /// The engine to share with other caches; one on the current tokio runtime otherwise.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }

    /// The cache.
    ///
    /// # Errors
    ///
    /// `Config` when no window is named, when windows or bounds contradict each other, or when
    /// there is neither an engine nor a tokio runtime.
    pub fn build(self) -> Result<Cache<K, V>> {
        let Self { name, declared, window, engine, memory, bounds, policy, .. } = self;
        let window = window.map_or_else(|| Window::resolve(declared), Ok)?;
        if self.load_timeout.is_zero() || self.deadline.is_zero() {
            return Err(config("load_timeout and deadline must be longer than zero"));
        }
        let memory = match memory {
            Some(memory) => memory,
            None => Arc::new(memory_tier(bounds, policy)),
        };
        let engine = match engine {
            Some(engine) => engine,
            None => Engine::on_tokio()?,
        };
        Ok(Cache(Arc::new(Parts {
            name,
            scope: engine.new_scope(),
            engine,
            memory,
            window,
            source: self.source,
            bulkhead: self.bulkhead.unwrap_or_else(|| Bulkhead::new(BulkheadBounds::default())),
            load_timeout: self.load_timeout,
            deadline: self.deadline,
            weigh: self.weigh.unwrap_or_else(|| Box::new(|_, _| 0)),
            flights: Flights::new(),
            counters: Counters::default(),
        })))
    }
}

fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}
