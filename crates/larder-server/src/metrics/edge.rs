//! What the edges answer, hold and ask.

use std::fmt;
use std::sync::Arc;

use larder_http::ResponseStats;
use prometheus_client::metrics::MetricType;

use super::page::{Counter, Gauge, Page};
use crate::edge::{Edge, EdgeCounts, FileStore, StoreCounts};

/// A counter of an edge's cache, by what became of a request: the word for it, and where it is
/// found.
type Outcome = (&'static str, fn(&ResponseStats) -> u64);

const OUTCOMES: [Outcome; 7] = [
    ("hit", |stats| stats.hits),
    ("stale", |stats| stats.stale),
    ("miss", |stats| stats.misses),
    ("validated", |stats| stats.validated),
    ("passed", |stats| stats.passed),
    ("joined", |stats| stats.joined),
    ("failed", |stats| stats.failed),
];

const STATS_COUNTERS: [Counter<ResponseStats>; 3] = [
    ("edge_stored", "Responses that were stored, freshened ones included", |stats| stats.stored),
    ("edge_not_stored", "Responses that might have been stored and weren't", |stats| stats.refused),
    ("edge_refreshed", "Responses that were refreshed in the background", |stats| stats.refreshed),
];

const COUNTERS: [Counter<EdgeCounts>; 12] = [
    ("edge_connections", "Connections accepted", |counts| counts.connections),
    ("edge_clients_refused", "Connections refused as too many", |counts| counts.refused_clients),
    ("edge_clients_slow", "Clients disconnected because they took nothing", |counts| {
        counts.slow_clients
    }),
    ("edge_refused", "Requests answered without asking cache or origin", |counts| counts.refused),
    ("edge_origin_requests", "Requests to the origin", |counts| counts.origin_requests),
    ("edge_origin_errors", "Requests that the origin didn't answer", |counts| counts.origin_errors),
    ("edge_origin_retries", "Requests to the origin that were sent once more", |counts| {
        counts.origin_retries
    }),
    ("edge_origin_busy", "Requests not sent because too many were with the origin", |counts| {
        counts.origin_busy
    }),
    ("edge_purges", "Purges that were carried out", |counts| counts.purges),
    ("edge_purges_refused", "Purges that weren't permitted", |counts| counts.purges_refused),
    ("edge_webhook_posted", "Purges that the webhook took", |counts| counts.webhook_posted),
    ("edge_webhook_failed", "Purges that the webhook was told in vain", |counts| {
        counts.webhook_failed
    }),
];

const STORE_COUNTERS: [Counter<StoreCounts>; 3] = [
    ("edge_store_evicted", "Bodies in files that were evicted", |store| store.evicted),
    ("edge_store_evicted_bytes", "Bytes of the bodies in files that were evicted", |store| {
        store.evicted_bytes
    }),
    (
        "edge_store_failed",
        "Bodies that had no room in files, or couldn't be written or read",
        |store| store.failed,
    ),
];

const GAUGES: [Gauge<Edge>; 7] = [
    ("edge_clients", "Connected clients", |edge| edge.stats().counts().clients as f64),
    ("edge_memory_bytes", "Bytes of the responses in memory", |edge| edge.bytes() as f64),
    ("edge_memory_limit_bytes", "The bound of edge_memory_bytes", |edge| edge.bytes_max() as f64),
    ("edge_store_bytes", "Bytes of the bodies in files", |edge| store(edge).bytes as f64),
    ("edge_store_limit_bytes", "The bound of edge_store_bytes", |edge| {
        store(edge).bytes_max as f64
    }),
    ("edge_store_stuck_files", "Files of bodies that can't be removed", |edge| {
        store(edge).stuck as f64
    }),
    ("edge_webhook_waiting", "Purges that wait to be told", |edge| {
        edge.stats().counts().webhook_waiting as f64
    }),
];

/// What the store of an edge has counted; nothing where there is none.
fn store(edge: &Edge) -> StoreCounts {
    edge.store().map(FileStore::counts).unwrap_or_default()
}

/// Writes them, if there are edges.
pub(super) fn write(edges: &[Arc<Edge>], page: &mut Page<'_>) -> fmt::Result {
    if edges.is_empty() {
        return Ok(());
    }
    let named = || edges.iter().map(|edge| (edge.name(), edge));
    let stats: Vec<_> = named().map(|(name, edge)| (name, edge.response_stats())).collect();
    let counts: Vec<_> = named().map(|(name, edge)| (name, edge.stats().counts())).collect();
    let help = "Requests by what the cache made of them";
    page.family("edge_requests", help, MetricType::Counter, |family| {
        for (edge, stats) in &stats {
            for (outcome, count) in OUTCOMES {
                family.counter(&[("edge", edge), ("outcome", outcome)], &count(stats))?;
            }
        }
        Ok(())
    })?;
    page.family("edge_answers", "Answers by their status", MetricType::Counter, |family| {
        for (edge, counts) in &counts {
            for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(counts.answers) {
                family.counter(&[("edge", edge), ("status", class)], &count)?;
            }
        }
        Ok(())
    })?;
    page.counters("edge", &stats, &STATS_COUNTERS)?;
    page.counters("edge", &counts, &COUNTERS)?;
    let stores: Vec<_> = named().map(|(name, edge)| (name, store(edge))).collect();
    page.counters("edge", &stores, &STORE_COUNTERS)?;
    let edges: Vec<_> = named().map(|(name, edge)| (name, Arc::clone(edge))).collect();
    page.gauges("edge", &edges, &GAUGES)
}
