//! What the caches have of their shared tier, and how this larder stands to the others.

use std::fmt;

use larder_engine::{CacheStats, SharedStats};
use larder_resp::Service;
use prometheus_client::metrics::MetricType;

use super::page::{Counter, Histogram, Page};

const HIT_AGES: Histogram<CacheStats> = (
    "cache_shared_hit_age_seconds",
    "Ages of the entries that the shared tier had for a read",
    |stats| &stats.shared_hit_age,
);

const CACHE_COUNTERS: [Counter<CacheStats>; 5] = [
    (
        "cache_shared_busy",
        "Questions for a lease that another larder had; each is asked again",
        |stats| stats.shared_busy,
    ),
    ("cache_shared_unreadable", "Entries of the shared tier that another version wrote", |stats| {
        stats.shared_unreadable
    }),
    ("cache_shared_errors", "Keys that the shared tier was asked for in vain", |stats| {
        stats.shared_errors
    }),
    ("cache_shared_fills", "Keys filled into the shared tier", |stats| stats.shared_fills),
    (
        "cache_shared_fills_refused",
        "Keys not filled into the shared tier because their lease was void",
        |stats| stats.shared_fills_refused,
    ),
];

const COUNTERS: [Counter<SharedStats>; 5] = [
    ("shared_errors", "Questions that the shared tier didn't answer well", |stats| stats.errors),
    ("shared_breaker_opened", "Times that the shared tier was left alone", |stats| stats.opened),
    ("shared_breaker_refused", "Questions not asked because it was left alone", |stats| {
        stats.refused
    }),
    ("bus_messages", "Messages of the bus that were applied", |stats| stats.messages),
    ("bus_gaps", "Gaps on the bus: each dropped all that was held here", |stats| stats.gaps),
];

/// Writes them, if anything is shared.
pub(super) fn write(service: &Service, page: &mut Page<'_>) -> fmt::Result {
    let Some(stats) = service.shared_stats() else { return Ok(()) };
    let declared = service.keyspace().declared().iter();
    let caches: Vec<_> = declared.map(|one| (one.cache.name(), one.cache.stats())).collect();
    page.histogram("cache", &caches, HIT_AGES)?;
    page.counters("cache", &caches, &CACHE_COUNTERS)?;
    for (name, help, count) in COUNTERS {
        page.family(name, help, MetricType::Counter, |family| family.counter(&[], &count(&stats)))?;
    }
    let help = "Invalidations that other larders don't know of yet";
    page.family("shared_pending", help, MetricType::Gauge, |family| {
        family.gauge(&[], stats.pending as f64)
    })?;
    let help = "How long ago this larder last knew that it had applied all announcements";
    page.family("bus_horizon_age_seconds", help, MetricType::Gauge, |family| {
        let age = stats.horizon_age.map_or(f64::INFINITY, |age| age.as_secs_f64());
        family.gauge(&[], age)
    })
}
