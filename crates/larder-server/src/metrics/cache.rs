//! What the caches answer and load, and what each is worth.

use std::fmt;

use larder_engine::CacheStats;
use larder_engine::verdict::{Worth, verdict};
use larder_resp::Service;
use prometheus_client::metrics::MetricType;

use super::page::{Counter, Gauge, Histogram, Page};

const COUNTERS: [Counter<CacheStats>; 10] = [
    ("cache_misses", "Keys that memory could not serve", |stats| stats.misses),
    ("cache_joined", "Misses that joined a load another caller led", |stats| stats.joined),
    ("cache_load_errors", "Questions to the source that failed", |stats| stats.load_errors),
    ("cache_absent", "Loaded keys that the source doesn't have", |stats| stats.absent),
    ("cache_unchanged", "Loaded keys whose value was still right", |stats| stats.unchanged),
    (
        "cache_fills_refused",
        "Loaded keys not kept because an invalidation or a newer fill came in between",
        |stats| stats.fills_refused,
    ),
    (
        "cache_not_kept",
        "Loaded keys not kept because they were too heavy or lasted no longer than their load",
        |stats| stats.not_kept,
    ),
    ("cache_invalidations", "Keys invalidated or marked stale by name", |stats| {
        stats.invalidations
    }),
    ("cache_sweeps", "Times that all keys, or all with a prefix, were invalidated", |stats| {
        stats.sweeps
    }),
    ("cache_reloads", "Keys in use whose load was begun when they were invalidated", |stats| {
        stats.reloads
    }),
];

const LOADS: Histogram<CacheStats> = (
    "cache_load_seconds",
    "Durations of the questions to the source, failed ones included",
    |stats| &stats.loads,
);

const STOOD_IN_AGES: Histogram<CacheStats> = (
    "cache_stood_in_age_seconds",
    "Ages of the values that stood in while the source failed or was slow",
    |stats| &stats.stood_in_age,
);

const WORTH_GAUGES: [Gauge<Worth>; 2] = [
    (
        "cache_load_seconds_saved",
        "How long the hits so far would have taken as loads, by the mean of all loads",
        |worth| worth.load_time_saved.as_secs_f64(),
    ),
    ("cache_bytes", "Bytes that the cache holds", |worth| worth.bytes as f64),
];

/// Writes them.
pub(super) fn write(service: &Service, page: &mut Page<'_>) -> fmt::Result {
    write_reads(service, page)?;
    write_worths(service, page)
}

fn write_reads(service: &Service, page: &mut Page<'_>) -> fmt::Result {
    let declared = service.keyspace().declared().iter();
    let caches: Vec<_> = declared.map(|one| (one.cache.name(), one.cache.stats())).collect();
    page.family("cache_hits", "Keys served from memory", MetricType::Counter, |family| {
        for (cache, stats) in &caches {
            let (fresh, stale) = (stats.fresh_hit_age.count(), stats.stale_hit_age.count());
            family.counter(&[("cache", cache), ("state", "fresh")], &fresh)?;
            family.counter(&[("cache", cache), ("state", "stale")], &stale)?;
        }
        Ok(())
    })?;
    page.counters("cache", &caches, &COUNTERS)?;
    page.histogram("cache", &caches, LOADS)?;
    let help = "Ages of the entries served from memory, since their load began";
    page.family("cache_hit_age_seconds", help, MetricType::Histogram, |family| {
        caches.iter().try_for_each(|(cache, stats)| {
            family.histogram(&[("cache", cache), ("state", "fresh")], &stats.fresh_hit_age)?;
            family.histogram(&[("cache", cache), ("state", "stale")], &stats.stale_hit_age)
        })
    })?;
    page.histogram("cache", &caches, STOOD_IN_AGES)
}

fn write_worths(service: &Service, page: &mut Page<'_>) -> fmt::Result {
    let declared = service.keyspace().declared().iter();
    let caches: Vec<_> = declared.map(|one| (one.cache.name(), one.cache.worth())).collect();
    page.gauges("cache", &caches, &WORTH_GAUGES)?;
    let help = "Bytes that the cache held, times seconds";
    page.family("cache_byte_seconds", help, MetricType::Counter, |family| {
        caches
            .iter()
            .try_for_each(|(cache, worth)| family.counter(&[("cache", cache)], &worth.byte_seconds))
    })?;
    let help = "1, with what the verdict on the cache comes down to";
    page.family("cache_verdict", help, MetricType::Gauge, |family| {
        caches.iter().try_for_each(|(cache, worth)| {
            let kind = verdict(worth).kind.as_str();
            family.gauge(&[("cache", cache), ("kind", kind)], 1.0)
        })
    })
}
