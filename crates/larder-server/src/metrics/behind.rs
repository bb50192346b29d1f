//! What the caches write, and what waits in the journal.

use std::fmt;

use larder_engine::CacheStats;
use larder_engine::behind::{BehindStats, WriteBehind};
use larder_resp::Service;

use super::page::{Counter, Gauge, Histogram, Page};

/// Who writes.
#[derive(Clone, Debug, Default)]
pub struct Writers {
    /// The names of the caches that take writes.
    pub caches: Vec<String>,
    /// Where those wait that are written behind, if any are.
    pub journal: Option<WriteBehind>,
    /// How much that takes at most, in bytes.
    pub journal_bytes_max: u64,
}

const WRITES: Histogram<CacheStats> = (
    "cache_write_seconds",
    "Durations of the writes that the database was asked for, failed ones included",
    |stats| &stats.writes,
);

const WRITE_COUNTERS: [Counter<CacheStats>; 3] = [
    ("cache_write_errors", "Writes that failed, or whose outcome is unknown", |stats| {
        stats.write_errors
    }),
    ("cache_installed", "Writes whose value was put into memory", |stats| stats.installed),
    (
        "cache_writes_unguarded",
        "Writes that a guarded cache could not announce before their commits",
        |stats| stats.writes_unguarded,
    ),
];

const BEHIND_GAUGES: [Gauge<BehindStats>; 3] = [
    ("cache_behind_keys", "Keys with writes that wait to be applied", |stats| stats.keys as f64),
    ("cache_behind_bytes", "What those take, in bytes, about", |stats| stats.bytes as f64),
    ("cache_behind_oldest_seconds", "How long the oldest of them waits, or 0", |stats| {
        stats.oldest.unwrap_or_default().as_secs_f64()
    }),
];

const BEHIND_COUNTERS: [Counter<BehindStats>; 5] = [
    ("cache_behind_acknowledged", "Writes that were acknowledged", |stats| stats.acknowledged),
    ("cache_behind_applied", "Writes that were applied, those of a key joined", |stats| {
        stats.applied
    }),
    (
        "cache_behind_applied_before",
        "Of those applied, how many the database had already",
        |stats| stats.applied_before,
    ),
    ("cache_behind_buried", "Writes that became dead letters", |stats| stats.buried),
    ("cache_behind_failed", "Transactions that failed and were tried again", |stats| stats.failed),
];

/// Writes them, if anything is written.
pub(super) fn write(service: &Service, writers: &Writers, page: &mut Page<'_>) -> fmt::Result {
    let declared = || service.keyspace().declared().iter();
    let is_writer = |name: &str| writers.caches.iter().any(|writer| writer == name);
    let writes: Vec<(&str, CacheStats)> = declared()
        .filter(|one| is_writer(one.cache.name()))
        .map(|one| (one.cache.name(), one.cache.stats()))
        .collect();
    if !writes.is_empty() {
        page.histogram("cache", &writes, WRITES)?;
        page.counters("cache", &writes, &WRITE_COUNTERS)?;
    }
    let Some(journal) = &writers.journal else { return Ok(()) };
    let behind: Vec<(&str, BehindStats)> =
        declared().filter_map(|one| Some((one.cache.name(), one.cache.behind_stats()?))).collect();
    page.gauges("cache", &behind, &BEHIND_GAUGES)?;
    page.counters("cache", &behind, &BEHIND_COUNTERS)?;
    let standing = journal.standing();
    let records = standing.next.saturating_sub(standing.first);
    page.gauge("journal_records", "Records that are still needed", records as f64)?;
    page.gauge("journal_bytes", "What the journal takes on the disk", standing.bytes as f64)?;
    let limit = writers.journal_bytes_max as f64;
    page.gauge("journal_limit_bytes", "The bound of journal_bytes", limit)
}
