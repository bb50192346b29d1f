//! What the filters of caches let through, and what they take.

use std::fmt;

use larder_engine::filter::FilterStats;
use larder_resp::Service;

use super::page::{Counter, Gauge, Page};

const COUNTERS: [Counter<FilterStats>; 4] = [
    ("cache_filtered", "Keys that the filter knew not to exist", |stats| stats.answered_absent),
    (
        "cache_filter_false_positives",
        "Keys that the filter let through and the source doesn't have",
        |stats| stats.false_positives,
    ),
    ("cache_filter_builds", "Times that the filter was built", |stats| stats.builds),
    ("cache_filter_builds_failed", "Builds of the filter that failed", |stats| stats.builds_failed),
];

const GAUGES: [Gauge<FilterStats>; 4] = [
    ("cache_filter_ready", "1 while the filter is built and nothing voided it", |stats| {
        f64::from(u8::from(stats.ready))
    }),
    ("cache_filter_keys", "Keys in the filter", |stats| stats.keys as f64),
    ("cache_filter_bytes", "Bytes that the filter takes", |stats| stats.bytes as f64),
    (
        "cache_filter_false_positive_ratio",
        "The part of the keys that don't exist which the filter let through, as measured",
        |stats| stats.rate_measured().unwrap_or(f64::NAN),
    ),
];

/// Writes them, if there are filters.
pub(super) fn write(service: &Service, page: &mut Page<'_>) -> fmt::Result {
    let declared = service.keyspace().declared().iter();
    let filters: Vec<_> =
        declared.filter_map(|one| Some((one.cache.name(), one.cache.filter_stats()?))).collect();
    if filters.is_empty() {
        return Ok(());
    }
    page.counters("cache", &filters, &COUNTERS)?;
    page.gauges("cache", &filters, &GAUGES)
}
