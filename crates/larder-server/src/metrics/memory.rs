//! What the parts of memory hold, and what left them.

use std::fmt;

use larder_memory::{RemovalCause, Stats};
use larder_resp::{Pool, Service};
use prometheus_client::metrics::MetricType;

use super::page::{Counter, Gauge, Page};

/// A part of memory: its bound, and what it holds and did.
struct Part {
    limit_bytes: usize,
    stats: Stats,
}

const GAUGES: [Gauge<Part>; 3] = [
    ("memory_bytes", "Bytes of all entries with their overhead", |part| part.stats.bytes as f64),
    ("memory_limit_bytes", "The bound of memory_bytes", |part| part.limit_bytes as f64),
    ("memory_entries", "Entries held", |part| part.stats.entries as f64),
];

const COUNTERS: [Counter<Part>; 2] = [
    ("memory_too_heavy", "Values too heavy to be held", |part| part.stats.too_heavy),
    ("memory_no_room", "Values not held because nothing might be evicted for them", |part| {
        part.stats.no_room
    }),
];

/// Writes them.
pub(super) fn write(service: &Service, page: &mut Page<'_>) -> fmt::Result {
    let pools: Vec<(String, &Pool)> =
        service.pools().iter().map(|pool| (pool.name.to_string(), pool)).collect();
    let part = |pool| Part { limit_bytes: Pool::limit_bytes(pool), stats: service.stats(pool) };
    let parts: Vec<(&str, Part)> =
        pools.iter().map(|(name, pool)| (name.as_str(), part(pool))).collect();
    page.gauges("memory", &parts, &GAUGES)?;
    page.family("memory_removals", "Entries that left", MetricType::Counter, |family| {
        for (memory, part) in &parts {
            for cause in RemovalCause::ALL {
                let labels = [("memory", *memory), ("cause", cause.as_str())];
                family.counter(&labels, &part.stats.removals(cause))?;
            }
        }
        Ok(())
    })?;
    page.counters("memory", &parts, &COUNTERS)
}
