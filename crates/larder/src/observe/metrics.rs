//! What a cache does, as metrics of the `metrics` crate.

use ::metrics::{counter, histogram};
use larder_core::CacheKey;
use larder_engine::Cache;
use larder_engine::observe::{Event, Observer, What};

/// Counts what a cache does with the recorder that the program has installed for the `metrics`
/// crate. Every metric has the label `cache`; none has a key.
///
/// | metric | counts |
/// |---|---|
/// | `larder_loads`, label `outcome`: `present`, `absent`, or an error's word | loads |
/// | `larder_load_seconds` | how long they took |
/// | `larder_stood_in`, label `reason` | held values that stood in |
/// | `larder_invalidations`, label `of`: `key`, `prefix`, `all` | invalidations |
/// | `larder_hits`, label `state`; `larder_misses` | reads, by [`report`](Self::report) |
///
/// ```
/// use larder::Cache;
/// use larder::observe::Metrics;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder::Result<()> {
/// let prices: Cache<u64, u32> = Cache::builder("price")
///     .max_staleness(Duration::from_secs(60))
///     .observe(Metrics)
///     .build()?;
/// Metrics::report(&prices); // now and then: hits are counted by the cache itself
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Metrics;

impl Metrics {
    /// Brings the recorder up to date with what the cache counts by itself: hits and misses, which
    /// no observer is told of.
    pub fn report<K: CacheKey, V: Clone + Send + Sync + 'static>(cache: &Cache<K, V>) {
        let (name, stats) = (cache.name().to_owned(), cache.stats());
        let hits = [("fresh", stats.fresh_hit_age.count()), ("stale", stats.stale_hit_age.count())];
        for (state, count) in hits {
            counter!("larder_hits", "cache" => name.clone(), "state" => state).absolute(count);
        }
        counter!("larder_misses", "cache" => name).absolute(stats.misses);
    }
}

impl Observer for Metrics {
    fn observe(&self, event: &Event<'_>) {
        let cache = event.cache.to_owned();
        let invalidated = |of| {
            counter!("larder_invalidations", "cache" => cache.clone(), "of" => of).increment(1);
        };
        let (outcome, took) = match event.what {
            What::Loaded { present: true, took, .. } => ("present", took),
            What::Loaded { present: false, took, .. } => ("absent", took),
            What::Failed { error, took } => (error.kind().code(), took),
            What::StoodIn { reason, .. } => {
                let reason = reason.as_str();
                counter!("larder_stood_in", "cache" => cache, "reason" => reason).increment(1);
                return;
            }
            What::Invalidated(_) => return invalidated("key"),
            What::SweptPrefix { .. } => return invalidated("prefix"),
            What::Swept(_) => return invalidated("all"),
            _ => return,
        };
        counter!("larder_loads", "cache" => cache.clone(), "outcome" => outcome).increment(1);
        histogram!("larder_load_seconds", "cache" => cache).record(took.as_secs_f64());
    }
}
