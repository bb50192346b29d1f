//! What a cache does, as events of the `tracing` crate.

use ::tracing::{debug, warn};
use larder_engine::observe::{Event, Observer, What};

/// Writes what a cache does as events of the `tracing` crate, with the target `larder`: failures
/// and answers that stood in as warnings, the rest at the level of debugging. Values are never
/// written; keys are.
///
/// ```
/// use larder::Cache;
/// use larder::observe::Tracing;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder::Result<()> {
/// let prices: Cache<u64, u32> = Cache::builder("price")
///     .max_staleness(Duration::from_secs(60))
///     .observe(Tracing)
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Observer for Tracing {
    fn observe(&self, event: &Event<'_>) {
        let (cache, key) = (event.cache, event.key.unwrap_or_default());
        match event.what {
            What::Loaded { present, took, fill } => {
                debug!(target: "larder", cache, key, present, ?took, ?fill, "loaded");
            }
            What::Failed { error, took } => {
                let (kind, error) = (error.kind().code(), error.chain());
                warn!(target: "larder", cache, key, kind, error, ?took, "a load failed");
            }
            What::StoodIn { age, reason } => {
                let reason = reason.as_str();
                warn!(target: "larder", cache, key, ?age, reason, "a held value stood in");
            }
            What::Invalidated(what) => debug!(target: "larder", cache, key, ?what, "invalidated"),
            What::Wrote { verb, took, error: None } => {
                debug!(target: "larder", cache, key, verb, ?took, "written");
            }
            What::Wrote { verb, took, error: Some(error) } => {
                let (kind, error) = (error.kind().code(), error.chain());
                warn!(target: "larder", cache, key, verb, kind, error, ?took, "a write failed");
            }
            What::Swept(what) => debug!(target: "larder", cache, ?what, "all invalidated"),
            What::SweptPrefix { prefix, what, entries } => {
                debug!(target: "larder", cache, prefix, ?what, entries, "a prefix invalidated");
            }
            _ => {}
        }
    }
}
