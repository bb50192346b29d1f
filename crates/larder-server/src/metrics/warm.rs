//! How far the warmings are.

use std::fmt;

use larder_engine::WarmReport;
use prometheus_client::metrics::MetricType;

use super::page::Page;
use crate::warm::Warmings;

/// What became of keys: the word for it, and where it is found.
type Outcome = (&'static str, fn(&WarmReport) -> u64);

const OUTCOMES: [Outcome; 5] = [
    ("loaded", |report| report.loaded),
    ("not_kept", |report| report.not_kept),
    ("held", |report| report.held),
    ("no_room", |report| report.no_room),
    ("failed", |report| report.failed),
];

/// Writes them, if there are any.
pub(super) fn write(warmings: &Warmings, page: &mut Page<'_>) -> fmt::Result {
    let reports: Vec<_> = warmings.progress().collect();
    if reports.is_empty() {
        return Ok(());
    }
    let help = "Keys of a warming, by what became of them";
    page.family("cache_warm_keys", help, MetricType::Counter, |family| {
        for (cache, report) in &reports {
            for (outcome, count) in OUTCOMES {
                family.counter(&[("cache", cache), ("outcome", outcome)], &count(report))?;
            }
        }
        Ok(())
    })?;
    let help = "Keys that a warming has to see, as far as it is known";
    page.family("cache_warm_keys_listed", help, MetricType::Gauge, |family| {
        reports.iter().try_for_each(|(cache, report)| {
            let listed = report.of.unwrap_or(report.seen);
            family.gauge(&[("cache", cache)], listed as f64)
        })
    })?;
    let help = "Whether a cache is being warmed";
    page.family("cache_warming", help, MetricType::Gauge, |family| {
        reports.iter().try_for_each(|(cache, report)| {
            family.gauge(&[("cache", cache)], f64::from(u8::from(!report.is_over())))
        })
    })
}
