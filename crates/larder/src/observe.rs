//! Observers: who is told what a cache does beside its reads, and those that come with larder.
//!
//! | feature | observer |
//! |---|---|
//! | `tracing` | [`Tracing`] writes events for whoever subscribes |
//! | `metrics` | [`Metrics`] counts, for whatever recorder is installed |

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(all(test, feature = "metrics", feature = "tracing"))]
mod tests;
#[cfg(feature = "tracing")]
mod tracing;

pub use larder_engine::observe::{Event, Observer, Struck, What};

#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
#[cfg(feature = "tracing")]
pub use self::tracing::Tracing;
