//! The builder of a response cache.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::uri::Scheme;
use larder_core::sync::Mutex;
use larder_core::{Changes, Error, ErrorKind, Key, Result};
use larder_engine::{Budget, Cache, Engine, memory_tier};
use larder_memory::Bounds as MemoryBounds;
use larder_memory::policy::PolicyKind;

use super::body_store::BodyStore;
use super::codec::ResponseCodec;
use super::entry::ResponseEntry;
use super::flight::Flights;
use super::passes::Passes;
use super::selection::Selection;
use super::store::{Bounds, Counters, ResponseCache, Store};
use crate::{AGE_MAX, CacheStatus, Outcome, Rules};

/// The bytes of a cache of its own, if nothing is said.
const BYTES_DEFAULT: usize = 64 << 20;
/// The longest body in memory, if nothing is said.
const OBJECT_MAX_DEFAULT: usize = 1 << 20;
/// What the head of a response may take beside its body.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// The most variants of a URI that can be asked for.
const VARIANTS_MAX: usize = 4096;

/// What becomes of a response that has no ETag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Etags {
    /// It gets one when it is stored: a hash of its body, which is a strong tag of each encoding.
    #[default]
    Made,
    /// It has none.
    AsSent,
}

/// Everything that a response cache can be told, each with a default.
#[must_use = "a builder does nothing until it is built"]
pub struct ResponseCacheBuilder {
    name: Box<str>,
    engine: Option<Engine>,
    budget: Option<Budget>,
    bytes_max: usize,
    policy: PolicyKind,
    rules: Rules,
    selection: Arc<Selection>,
    scheme: Scheme,
    bounds: Bounds,
    etags: Etags,
    bodies: Option<Arc<dyn BodyStore>>,
    pass_for: Duration,
    max_staleness: Option<Duration>,
    share_max: Option<usize>,
}

impl ResponseCacheBuilder {
    pub(super) fn new(name: Box<str>) -> Self {
        Self {
            name,
            engine: None,
            budget: None,
            bytes_max: BYTES_DEFAULT,
            policy: PolicyKind::default(),
            rules: Rules::shared(),
            selection: Arc::default(),
            scheme: Scheme::HTTP,
            bounds: Bounds {
                object_max: OBJECT_MAX_DEFAULT,
                stored_max: 0,
                variants_max: 32,
                flights_max: 4096,
                wait: Duration::from_secs(30),
                answer_within: Duration::from_secs(60),
                validated_for: Duration::from_secs(24 * 60 * 60),
            },
            etags: Etags::default(),
            bodies: None,
            pass_for: Duration::from_secs(10),
            max_staleness: None,
            share_max: None,
        }
    }

    /// The engine to share with other caches: one invalidation then reaches them all. One on the
    /// current tokio runtime otherwise.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }

    /// At most so many bytes of memory, heads included; 64 MiB by default.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Memory that this cache shares with others. Bodies are then held up to 1 MiB at most.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Which responses are evicted first when room is needed; [`PolicyKind::Adaptive`] by default.
    pub fn policy(mut self, policy: PolicyKind) -> Self {
        self.policy = policy;
        self
    }

    /// What the RFCs leave open; [`Rules::shared`] by default: many users see what is stored.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Which parameters and fields select a response; all of them as they are sent by default.
    pub fn selection(mut self, selection: Selection) -> Self {
        self.selection = Arc::new(selection);
        self
    }

    /// The scheme of requests that don't name it; `http` by default.
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// The longest body that is held in memory; 1 MiB by default. A longer one goes to the
    /// [store of bodies](Self::bodies), or isn't stored.
    pub fn object_max(mut self, bytes: usize) -> Self {
        self.bounds.object_max = bytes;
        self
    }

    /// Where longer bodies go, up to so many bytes each.
    pub fn bodies(mut self, store: Arc<dyn BodyStore>, object_max: u64) -> Self {
        (self.bodies, self.bounds.stored_max) = (Some(store), object_max);
        self
    }

    /// So many responses are held of one URI at most, when they depend on the request's fields; 32
    /// by default. One more takes the place of the oldest.
    pub fn variants_max(mut self, variants: usize) -> Self {
        self.bounds.variants_max = variants;
        self
    }

    /// So many fetches are under way at most; 4,096 by default. A request beyond goes to the
    /// origin by itself, and its response isn't stored.
    pub fn flights_max(mut self, flights: usize) -> Self {
        self.bounds.flights_max = flights;
        self
    }

    /// How long a request waits for the head of another one's response, or for another process's
    /// response; 30 s by default. Then it goes to the origin by itself.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.bounds.wait = wait;
        self
    }

    /// After how long a fetch that may be stored is given up when the origin sends no head; 60 s by
    /// default. A body that rests for so long isn't stored any more, and goes on.
    pub fn answer_within(mut self, time: Duration) -> Self {
        self.bounds.answer_within = time;
        self
    }

    /// How long a stale response is kept to be validated; a day by default.
    pub fn validated_for(mut self, time: Duration) -> Self {
        self.bounds.validated_for = time;
        self
    }

    /// How long it is remembered that what a URI gives isn't stored; 10 s by default. Meanwhile
    /// nobody waits for another one's response to it.
    pub fn pass_for(mut self, time: Duration) -> Self {
        self.pass_for = time;
        self
    }

    /// What becomes of a response without an ETag; it gets one by default.
    pub fn etags(mut self, etags: Etags) -> Self {
        self.etags = etags;
        self
    }

    /// The promise about purges, where the engine shares through a bus: what another process
    /// purged is not served here any longer than this after its purge has returned. While the bus
    /// is silent nothing is served that was stored before. Without it a purge comes when it comes.
    pub fn max_staleness(mut self, max: Duration) -> Self {
        self.max_staleness = Some(max);
        self
    }

    /// Keeps responses in the engine's shared tier too, if their bodies are in memory and no longer
    /// than this.
    pub fn share(mut self, body_max: usize) -> Self {
        self.share_max = Some(body_max);
        self
    }

    /// The response cache.
    ///
    /// # Errors
    ///
    /// `Config` when bounds contradict each other, when something needs a shared tier or a bus that
    /// the engine doesn't have, or when there is neither an engine nor a tokio runtime.
    pub fn build(self) -> Result<ResponseCache> {
        let config = |message: &'static str| Err(Error::new(ErrorKind::Config, message));
        let Bounds { object_max, variants_max, flights_max, wait, answer_within, .. } = self.bounds;
        if !(1..=VARIANTS_MAX).contains(&variants_max) {
            return config("variants_max is a number from 1 to 4096");
        }
        if flights_max == 0 || wait.is_zero() || answer_within.is_zero() {
            return config("flights_max, wait and answer_within must be more than zero");
        }
        let entry_max = object_max.saturating_add(HEAD_BYTES_MAX);
        if self.budget.is_none() && entry_max > self.bytes_max {
            return config(
                "object_max and 256 KiB for a head must have room in bytes_max: raise bytes_max, \
                 or lower object_max",
            );
        }
        let engine = self.engine.map_or_else(Engine::on_tokio, Ok)?;
        // How long an entry is of use is said by each response; the window only bounds it.
        let longest = AGE_MAX * 2;
        let mut cache = Cache::<Key, ResponseEntry>::builder(self.name.clone())
            .engine(&engine)
            .fresh_for(longest)
            .max_staleness(self.max_staleness.unwrap_or(longest))
            .jitter(Duration::ZERO)
            .refresh_at(1.0)
            .xfetch(0.0)
            .weigher(|key: &Key, entry: Option<&ResponseEntry>| {
                key.heap_bytes() + entry.map_or(0, ResponseEntry::heap_bytes)
            });
        if self.max_staleness.is_some() {
            cache = cache.changes(Changes::Announced);
        }
        cache = match &self.budget {
            Some(budget) => cache.budget(budget),
            None => {
                let bounds = MemoryBounds::bytes(self.bytes_max).entry_bytes_max(entry_max);
                cache.memory(Arc::new(memory_tier(bounds, self.policy, None)))
            }
        };
        if let Some(body_max) = self.share_max {
            cache = cache.shared(ResponseCodec::new(body_max, self.rules.clone()));
        }
        let cache = cache.build()?;
        Ok(ResponseCache(Arc::new_cyclic(|own| Store {
            own: Weak::clone(own),
            hit: hit(&self.name),
            name: self.name,
            cache,
            rules: self.rules,
            selection: self.selection,
            scheme: self.scheme,
            bounds: self.bounds,
            etags: self.etags,
            bodies: self.bodies,
            share_max: self.share_max,
            flights: Flights::default(),
            passes: Passes::new(self.pass_for),
            listing: Mutex::default(),
            counters: Counters::default(),
        })))
    }
}

/// What Cache-Status says of a hit, up to the number of its ttl.
fn hit(name: &str) -> Box<str> {
    let mut fields = http::HeaderMap::new();
    CacheStatus::new(name, Outcome::Hit).append(&mut fields);
    let line = fields.values().next();
    let said = line.map_or("", |line| line.to_str().unwrap_or_default());
    format!("{said}; ttl=").into()
}

impl fmt::Debug for ResponseCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCacheBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
