//! The cache of one function: what its attribute says, and the cache that is built from that on
//! first use. It lives in a static of the user's crate, as long as the program.

use std::sync::OnceLock;
use std::time::Duration;

use larder_core::CacheKey;
use larder_engine::{Cache, CacheBuilder, Guard, GuardBounds};

use super::ground;

/// What the attribute says; `None` is the builder's default. Every field is named as what sets it
/// on [`CacheBuilder`].
#[derive(Debug)]
#[expect(missing_docs, reason = "the builder's methods are the documentation")]
pub struct Settings<K, V> {
    pub name: &'static str,
    pub max_staleness: Option<Duration>,
    pub fresh_for: Option<Duration>,
    pub stale_for: Option<Duration>,
    pub missing_for: Option<Duration>,
    pub jitter: Option<Duration>,
    pub deadline: Option<Duration>,
    pub load_timeout: Option<Duration>,
    pub entries_max: Option<usize>,
    pub bytes_max: Option<usize>,
    pub loads_max: Option<usize>,
    pub weigher: Option<fn(&K, Option<&V>) -> usize>,
}

impl<K, V> Settings<K, V> {
    /// Nothing said.
    pub const NONE: Self = Self {
        name: "",
        max_staleness: None,
        fresh_for: None,
        stale_for: None,
        missing_for: None,
        jitter: None,
        deadline: None,
        load_timeout: None,
        entries_max: None,
        bytes_max: None,
        loads_max: None,
        weigher: None,
    };
}

/// The place of a function's cache.
#[derive(Debug)]
pub struct CacheCell<K, V> {
    settings: Settings<K, V>,
    cache: OnceLock<Cache<K, V>>,
}

impl<K, V> CacheCell<K, V> {
    /// One whose cache is yet to be built.
    pub const fn new(settings: Settings<K, V>) -> Self {
        Self { settings, cache: OnceLock::new() }
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> CacheCell<K, V> {
    /// The cache, built on first use.
    pub fn get(&'static self) -> &'static Cache<K, V> {
        self.cache.get_or_init(|| self.build())
    }

    fn build(&self) -> Cache<K, V> {
        let Settings { name, max_staleness, fresh_for, stale_for, missing_for, jitter, .. } =
            self.settings;
        let Settings { deadline, load_timeout, entries_max, bytes_max, loads_max, weigher, .. } =
            self.settings;
        let mut builder = Cache::builder(name).engine(ground::engine());
        builder = with(builder, max_staleness, CacheBuilder::max_staleness);
        builder = with(builder, fresh_for, CacheBuilder::fresh_for);
        builder = with(builder, stale_for, CacheBuilder::stale_for);
        builder = with(builder, missing_for, CacheBuilder::missing_for);
        builder = with(builder, jitter, CacheBuilder::jitter);
        builder = with(builder, deadline, CacheBuilder::deadline);
        builder = with(builder, load_timeout, CacheBuilder::load_timeout);
        builder = with(builder, entries_max, CacheBuilder::entries_max);
        builder = with(builder, bytes_max, CacheBuilder::bytes_max);
        if let Some(loads_max) = loads_max {
            let bounds = GuardBounds { loads_max, ..GuardBounds::default() };
            builder = builder.guard(Guard::new(bounds).expect("the attribute refuses no loads"));
        }
        if let Some(weigher) = weigher {
            builder = builder.weigher(weigher);
        }
        builder.build().expect("the attribute refuses windows that contradict each other")
    }
}

fn with<B, T>(builder: B, given: Option<T>, set: impl FnOnce(B, T) -> B) -> B {
    match given {
        Some(value) => set(builder, value),
        None => builder,
    }
}
