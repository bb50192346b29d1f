//! `/metrics`: everything that is counted, in Prometheus's text format.
//!
//! The numbers are read where they are counted, when they are asked for; nothing is copied on
//! the way of a read.

mod behind;
mod edge;
mod feed;
mod http;
mod shared;
mod warm;

use std::fmt;
use std::sync::Arc;

use larder_core::Clock;
use larder_engine::counters::BUCKET_BOUNDS;
use larder_engine::filter::FilterStats;
use larder_engine::guard::Breaker;
use larder_engine::verdict::{Worth, verdict};
use larder_engine::{BreakerState, CacheStats, Engine, HistogramSnapshot};
use larder_memory::{RemovalCause, Stats};
use larder_resp::{Host, Service};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

pub use behind::Writers;

use crate::compose::Source;
use crate::edge::Edge;
use crate::feed::SourceFeed;
use crate::listen::http::HttpCounts;
use crate::warm::Warmings;

/// Beside its service, what a server has that is counted.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The systems of record.
    pub sources: Vec<Source>,
    /// What fills caches before anybody asks.
    pub warmings: Warmings,
    /// Who writes.
    pub writers: Writers,
    /// What tells of the sources' changes.
    pub feeds: Vec<SourceFeed>,
    /// What is asked over HTTP, if there is such a listener.
    pub http: Option<Arc<HttpCounts>>,
    /// The caching reverse proxies.
    pub edges: Vec<Arc<Edge>>,
}

/// The numbers of a server.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The numbers of this service and these parts; `engine` and `clock` are those that its caches
    /// have.
    pub fn new(
        service: &Arc<Service>,
        engine: &Engine,
        parts: Parts,
        host: Arc<dyn Host>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut registry = Registry::with_prefix("larder");
        let (service, engine) = (Arc::clone(service), engine.clone());
        let numbers = Numbers { service, engine, parts, host, clock };
        registry.register_collector(Box::new(numbers));
        Self { registry }
    }

    /// All of them, as text.
    ///
    /// # Errors
    ///
    /// When a number can't be written, which would be a defect here.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

struct Numbers {
    service: Arc<Service>,
    engine: Engine,
    parts: Parts,
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

impl Collector for Numbers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.caches(&mut page)?;
        self.worths(&mut page)?;
        self.filters(&mut page)?;
        shared::write(&self.service, &mut page)?;
        warm::write(&self.parts.warmings, &mut page)?;
        behind::write(&self.service, &self.parts.writers, &mut page)?;
        feed::write(&self.parts.feeds, &self.engine, &mut page)?;
        edge::write(&self.parts.edges, &mut page)?;
        self.memory(&mut page)?;
        self.sources(&mut page)?;
        self.breakers(&mut page)?;
        self.resp(&mut page)?;
        http::write(self.parts.http.as_deref(), &mut page)?;
        self.process(&mut page)
    }
}

/// A counter of a cache: its name, its help, and where it is found.
type CacheCounter = (&'static str, &'static str, fn(&CacheStats) -> u64);

const CACHE_COUNTERS: [CacheCounter; 10] = [
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

/// A gauge of what a cache is worth: its name, its help, and where it is found.
type WorthGauge = (&'static str, &'static str, fn(&Worth) -> f64);

const WORTH_GAUGES: [WorthGauge; 2] = [
    (
        "cache_load_seconds_saved",
        "How long the hits so far would have taken as loads, by the mean of all loads",
        |worth| worth.load_time_saved.as_secs_f64(),
    ),
    ("cache_bytes", "Bytes that the cache holds", |worth| worth.bytes as f64),
];

/// A counter of a breaker: its name, its help, and where it is found.
type BreakerCounter = (&'static str, &'static str, fn(&Breaker) -> u64);

const BREAKER_COUNTERS: [BreakerCounter; 2] = [
    ("source_breaker_opened", "Times that the source was left alone", Breaker::opened),
    ("source_breaker_refused", "Loads refused because the source was left alone", Breaker::refused),
];

/// A counter of a cache's filter: its name, its help, and where it is found.
type FilterCounter = (&'static str, &'static str, fn(&FilterStats) -> u64);

const FILTER_COUNTERS: [FilterCounter; 4] = [
    ("cache_filtered", "Keys that the filter knew not to exist", |stats| stats.answered_absent),
    (
        "cache_filter_false_positives",
        "Keys that the filter let through and the source doesn't have",
        |stats| stats.false_positives,
    ),
    ("cache_filter_builds", "Times that the filter was built", |stats| stats.builds),
    ("cache_filter_builds_failed", "Builds of the filter that failed", |stats| stats.builds_failed),
];

/// A gauge of a cache's filter: its name, its help, and where it is found.
type FilterGauge = (&'static str, &'static str, fn(&FilterStats) -> f64);

const FILTER_GAUGES: [FilterGauge; 4] = [
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

/// A part of memory: its name, its bound, and what it holds and did.
struct MemoryPart {
    name: String,
    limit_bytes: usize,
    stats: Stats,
}

/// A gauge of a part of memory: its name, its help, and where it is found.
type MemoryGauge = (&'static str, &'static str, fn(&MemoryPart) -> f64);

const MEMORY_GAUGES: [MemoryGauge; 3] = [
    ("memory_bytes", "Bytes of all entries with their overhead", |pool| pool.stats.bytes as f64),
    ("memory_limit_bytes", "The bound of memory_bytes", |pool| pool.limit_bytes as f64),
    ("memory_entries", "Entries held", |pool| pool.stats.entries as f64),
];

/// A counter of a part of memory: its name, its help, and where it is found.
type MemoryCounter = (&'static str, &'static str, fn(&Stats) -> u64);

const MEMORY_COUNTERS: [MemoryCounter; 2] = [
    ("memory_too_heavy", "Values too heavy to be held", |stats| stats.too_heavy),
    ("memory_no_room", "Values not held because nothing might be evicted for them", |stats| {
        stats.no_room
    }),
];

impl Numbers {
    fn caches(&self, page: &mut Page<'_>) -> fmt::Result {
        let caches: Vec<(&str, CacheStats)> = self
            .service
            .keyspace()
            .declared()
            .iter()
            .map(|declared| (declared.cache.name(), declared.cache.stats()))
            .collect();
        page.family("cache_hits", "Keys served from memory", MetricType::Counter, |family| {
            for (cache, stats) in &caches {
                family.counter(
                    &[("cache", cache), ("state", "fresh")],
                    &stats.fresh_hit_age.count(),
                )?;
                family.counter(
                    &[("cache", cache), ("state", "stale")],
                    &stats.stale_hit_age.count(),
                )?;
            }
            Ok(())
        })?;
        for (name, help, count) in CACHE_COUNTERS {
            page.family(name, help, MetricType::Counter, |family| {
                caches.iter().try_for_each(|(cache, stats)| {
                    family.counter(&[("cache", cache)], &count(stats))
                })
            })?;
        }
        let help = "Durations of the questions to the source, failed ones included";
        page.family("cache_load_seconds", help, MetricType::Histogram, |family| {
            caches
                .iter()
                .try_for_each(|(cache, stats)| family.histogram(&[("cache", cache)], &stats.loads))
        })?;
        let help = "Ages of the entries served from memory, since their load began";
        page.family("cache_hit_age_seconds", help, MetricType::Histogram, |family| {
            caches.iter().try_for_each(|(cache, stats)| {
                family.histogram(&[("cache", cache), ("state", "fresh")], &stats.fresh_hit_age)?;
                family.histogram(&[("cache", cache), ("state", "stale")], &stats.stale_hit_age)
            })
        })?;
        let help = "Ages of the values that stood in while the source failed or was slow";
        page.family("cache_stood_in_age_seconds", help, MetricType::Histogram, |family| {
            caches.iter().try_for_each(|(cache, stats)| {
                family.histogram(&[("cache", cache)], &stats.stood_in_age)
            })
        })
    }

    fn worths(&self, page: &mut Page<'_>) -> fmt::Result {
        let caches: Vec<(&str, Worth)> = self
            .service
            .keyspace()
            .declared()
            .iter()
            .map(|declared| (declared.cache.name(), declared.cache.worth()))
            .collect();
        for (name, help, value) in WORTH_GAUGES {
            page.family(name, help, MetricType::Gauge, |family| {
                caches
                    .iter()
                    .try_for_each(|(cache, worth)| family.gauge(&[("cache", cache)], value(worth)))
            })?;
        }
        let help = "Bytes that the cache held, times seconds";
        page.family("cache_byte_seconds", help, MetricType::Counter, |family| {
            caches.iter().try_for_each(|(cache, worth)| {
                family.counter(&[("cache", cache)], &worth.byte_seconds)
            })
        })?;
        let help = "1, with what the verdict on the cache comes down to";
        page.family("cache_verdict", help, MetricType::Gauge, |family| {
            caches.iter().try_for_each(|(cache, worth)| {
                let kind = verdict(worth).kind.as_str();
                family.gauge(&[("cache", cache), ("kind", kind)], 1.0)
            })
        })
    }

    fn filters(&self, page: &mut Page<'_>) -> fmt::Result {
        let declared = self.service.keyspace().declared().iter();
        let filters: Vec<(&str, FilterStats)> = declared
            .filter_map(|one| Some((one.cache.name(), one.cache.filter_stats()?)))
            .collect();
        if filters.is_empty() {
            return Ok(());
        }
        for (name, help, count) in FILTER_COUNTERS {
            page.family(name, help, MetricType::Counter, |family| {
                filters.iter().try_for_each(|(cache, stats)| {
                    family.counter(&[("cache", cache)], &count(stats))
                })
            })?;
        }
        for (name, help, value) in FILTER_GAUGES {
            page.family(name, help, MetricType::Gauge, |family| {
                filters
                    .iter()
                    .try_for_each(|(cache, stats)| family.gauge(&[("cache", cache)], value(stats)))
            })?;
        }
        Ok(())
    }

    fn memory(&self, page: &mut Page<'_>) -> fmt::Result {
        let pools: Vec<MemoryPart> = self
            .service
            .pools()
            .iter()
            .map(|pool| MemoryPart {
                name: pool.name.to_string(),
                limit_bytes: pool.limit_bytes(),
                stats: self.service.stats(pool),
            })
            .collect();
        for (name, help, value) in MEMORY_GAUGES {
            page.family(name, help, MetricType::Gauge, |family| {
                pools
                    .iter()
                    .try_for_each(|pool| family.gauge(&[("memory", &pool.name)], value(pool)))
            })?;
        }
        page.family("memory_removals", "Entries that left", MetricType::Counter, |family| {
            for pool in &pools {
                for cause in RemovalCause::ALL {
                    let labels = [("memory", &*pool.name), ("cause", cause.as_str())];
                    family.counter(&labels, &pool.stats.removals(cause))?;
                }
            }
            Ok(())
        })?;
        for (name, help, count) in MEMORY_COUNTERS {
            page.family(name, help, MetricType::Counter, |family| {
                pools.iter().try_for_each(|pool| {
                    family.counter(&[("memory", &pool.name)], &count(&pool.stats))
                })
            })?;
        }
        Ok(())
    }

    fn sources(&self, page: &mut Page<'_>) -> fmt::Result {
        let help = "Loads that run or wait for their turn";
        page.family("source_loads", help, MetricType::Gauge, |family| {
            self.parts.sources.iter().try_for_each(|source| {
                family.gauge(&[("source", &source.name)], source.guard.occupied() as f64)
            })
        })?;
        let help = "Loads refused because too many waited";
        page.family("source_shed", help, MetricType::Counter, |family| {
            self.parts.sources.iter().try_for_each(|source| {
                family.counter(&[("source", &source.name)], &source.guard.shed())
            })
        })
    }

    /// Of the sources that have a breaker.
    fn breakers(&self, page: &mut Page<'_>) -> fmt::Result {
        let now = self.clock.now();
        let breakers: Vec<(&str, &Breaker)> = self
            .parts
            .sources
            .iter()
            .filter_map(|source| Some((source.name.as_str(), source.guard.breaker()?)))
            .collect();
        let help = "Whether the source is asked: 0 closed, 1 half-open, 2 open";
        page.family("source_breaker_state", help, MetricType::Gauge, |family| {
            breakers.iter().try_for_each(|(source, breaker)| {
                let state = match breaker.state(now) {
                    BreakerState::Closed => 0.0,
                    BreakerState::HalfOpen => 1.0,
                    BreakerState::Open => 2.0,
                };
                family.gauge(&[("source", source)], state)
            })
        })?;
        for (name, help, count) in BREAKER_COUNTERS {
            page.family(name, help, MetricType::Counter, |family| {
                breakers.iter().try_for_each(|(source, breaker)| {
                    family.counter(&[("source", source)], &count(breaker))
                })
            })?;
        }
        Ok(())
    }

    fn resp(&self, page: &mut Page<'_>) -> fmt::Result {
        let service = &self.service;
        if let Some(plain) = service.keyspace().plain() {
            page.counter("plain_hits", "Plain keys that were held", plain.hits())?;
            page.counter("plain_misses", "Plain keys that were not held", plain.misses())?;
        }
        if let Some(log) = service.keyspace().key_log() {
            page.counter("trace_lost", "Requests left out of the key log", log.lost())?;
        }
        page.gauge("resp_clients", "Connected clients", service.connected() as f64)?;
        page.counter("resp_connections", "Connections accepted", service.sessions())?;
        page.counter("resp_refused", "Connections refused as too many", service.refused())?;
        page.counter("resp_commands", "Commands executed", service.commands())
    }

    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let (user, system) = self.host.cpu_seconds();
        let resident = self.host.resident_bytes() as f64;
        page.gauge("process_resident_memory_bytes", "Memory that the process occupies", resident)?;
        page.family("process_cpu_seconds", "CPU time used", MetricType::Counter, |family| {
            family.counter(&[("mode", "user")], &user)?;
            family.counter(&[("mode", "system")], &system)
        })
    }
}

/// The page that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        write: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        write(&mut Family(self.0.encode_descriptor(name, help, None, kind)?))
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&count, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }
}

/// One metric with labels.
struct Family<'a>(MetricEncoder<'a>);

type Labels<'a> = [(&'a str, &'a str)];

impl Family<'_> {
    fn counter(&mut self, labels: &Labels<'_>, count: &impl EncodeCounterValue) -> fmt::Result {
        self.0.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(count, None)
    }

    fn gauge(&mut self, labels: &Labels<'_>, value: f64) -> fmt::Result {
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    /// Prometheus's histograms count what is at most each bound; ours what is in each bucket.
    fn histogram(&mut self, labels: &Labels<'_>, histogram: &HistogramSnapshot) -> fmt::Result {
        let bounds = BUCKET_BOUNDS.iter().map(|&nanos| nanos as f64 / 1e9).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.buckets).collect();
        let (sum, count) = (histogram.sum.as_secs_f64(), histogram.count());
        self.0.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
