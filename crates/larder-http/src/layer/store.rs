//! The handle of a response cache, and what its clones share.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::uri::Scheme;
use larder_core::sync::{Counter, Mutex};
use larder_core::{Clock, Key, Moment, Result};
use larder_engine::{Cache, CacheStats, Invalidated, Invalidation};

use super::body_store::BodyStore;
use super::builder::{Etags, ResponseCacheBuilder};
use super::entry::ResponseEntry;
use super::flight::Flights;
use super::passes::Passes;
use super::purge::Purge;
use super::selection::Selection;
use crate::Rules;

/// A request with this in its extensions goes to the origin, and its response isn't stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bypass;

/// A store of responses over one cache of an engine. Cloning it is cheap and shares it.
///
/// ```
/// use larder_http::{CacheLayer, Purge, ResponseCache};
/// use larder_engine::Invalidation;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
/// let responses = ResponseCache::builder("shop").bytes_max(64 << 20).build()?;
/// let layer = CacheLayer::new(responses.clone()); // around any service of tower
/// responses.purge(&Purge::tag("product:7"), Invalidation::MarkStale).await?;
/// # let _ = layer;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ResponseCache(pub(super) Arc<Store>);

/// What the handles of one response cache share.
pub(super) struct Store {
    /// Itself, for what may outlive it.
    pub(super) own: Weak<Self>,
    pub(super) name: Box<str>,
    /// What Cache-Status says of a hit, up to its ttl.
    pub(super) hit: Box<str>,
    pub(super) cache: Cache<Key, ResponseEntry>,
    pub(super) rules: Rules,
    pub(super) selection: Arc<Selection>,
    pub(super) scheme: Scheme,
    pub(super) bounds: Bounds,
    pub(super) etags: Etags,
    pub(super) bodies: Option<Arc<dyn BodyStore>>,
    /// The longest body that is kept in the engine's shared tier too, if any is.
    pub(super) share_max: Option<usize>,
    pub(super) flights: Flights,
    pub(super) passes: Passes,
    /// Held while the list of a URI's variants, or that of a path, is read and filled again.
    pub(super) listing: Mutex<()>,
    pub(super) counters: Counters,
}

/// What bounds a response cache, beside its memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The longest body in memory.
    pub(super) object_max: usize,
    /// The longest body in the store of bodies.
    pub(super) stored_max: u64,
    pub(super) variants_max: usize,
    pub(super) flights_max: usize,
    pub(super) wait: Duration,
    pub(super) answer_within: Duration,
    pub(super) validated_for: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) stale: Counter,
    pub(super) misses: Counter,
    pub(super) validated: Counter,
    pub(super) passed: Counter,
    pub(super) joined: Counter,
    pub(super) fetches: Counter,
    pub(super) failed: Counter,
    pub(super) stored: Counter,
    pub(super) refused: Counter,
    pub(super) refreshed: Counter,
}

/// What a response cache has counted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseStats {
    /// Requests answered with a stored response that was fresh.
    pub hits: u64,
    /// Requests answered with one that was stale, as its origin or its client permits.
    pub stale: u64,
    /// Requests for which nothing was stored that could be used or validated.
    pub misses: u64,
    /// Stored responses that the origin said are still good.
    pub validated: u64,
    /// Requests that were sent on by themselves: other methods, ranges of what isn't stored, and
    /// what was found not to be stored.
    pub passed: u64,
    /// Requests that were answered by the fetch of another one.
    pub joined: u64,
    /// Fetches that may be stored.
    pub fetches: u64,
    /// Requests that the origin didn't answer.
    pub failed: u64,
    /// Responses that were stored, freshened ones included.
    pub stored: u64,
    /// Responses that weren't stored although they might have been: invalidated meanwhile, too
    /// large, cut off, or without a tag that fits.
    pub refused: u64,
    /// Refreshes in the background.
    pub refreshed: u64,
    /// Fetches that are under way.
    pub flights: usize,
    /// What the cache of the engine has counted.
    pub cache: CacheStats,
}

impl ResponseCache {
    /// Begins a response cache of this name, which its Cache-Status carries.
    pub fn builder(name: impl Into<Box<str>>) -> ResponseCacheBuilder {
        ResponseCacheBuilder::new(name.into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The cache of the engine that holds the responses.
    #[must_use]
    pub fn cache(&self) -> &Cache<Key, ResponseEntry> {
        &self.0.cache
    }

    /// Invalidates what is stored, here and in every process that hears of it:
    /// [`Drop`](Invalidation::Drop) forgets it, and what is marked
    /// [stale](Invalidation::MarkStale) is kept to be validated, or to be used if the origin fails
    /// and its rules permit that.
    ///
    /// What is being fetched when this is called isn't stored.
    ///
    /// # Errors
    ///
    /// `BadKey` when the URI has no scheme or host, or holds a control character: nothing is stored
    /// of such a one. Otherwise as
    /// [`Cache::invalidate`], [`Cache::invalidate_all`] and
    /// [`Engine::invalidate_tags`](larder_engine::Engine::invalidate_tags).
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done in this process, and in the others sooner or later.
    pub async fn purge(&self, what: &Purge, how: Invalidation) -> Result<Invalidated> {
        self.0.purge(what, how).await
    }

    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> ResponseStats {
        let counters = &self.0.counters;
        ResponseStats {
            hits: counters.hits.get(),
            stale: counters.stale.get(),
            misses: counters.misses.get(),
            validated: counters.validated.get(),
            passed: counters.passed.get(),
            joined: counters.joined.get(),
            fetches: counters.fetches.get(),
            failed: counters.failed.get(),
            stored: counters.stored.get(),
            refused: counters.refused.get(),
            refreshed: counters.refreshed.get(),
            flights: self.0.flights.count(),
            cache: self.0.cache.stats(),
        }
    }
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl Store {
    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        self.cache.engine().clock()
    }

    pub(super) fn now(&self) -> Moment {
        self.clock().now()
    }
}
