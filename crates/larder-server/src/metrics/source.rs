//! How the sources are asked, and whether they are left alone.

use std::fmt;

use larder_core::Moment;
use larder_engine::BreakerState;
use larder_engine::guard::Breaker;
use prometheus_client::metrics::MetricType;

use super::page::{Counter, Page};
use crate::compose::Source;

const BREAKER_COUNTERS: [Counter<Breaker>; 2] = [
    ("source_breaker_opened", "Times that the source was left alone", Breaker::opened),
    ("source_breaker_refused", "Loads refused because the source was left alone", Breaker::refused),
];

/// Writes it, as it is `now`.
pub(super) fn write(sources: &[Source], now: Moment, page: &mut Page<'_>) -> fmt::Result {
    write_guards(sources, page)?;
    write_breakers(sources, now, page)
}

fn write_guards(sources: &[Source], page: &mut Page<'_>) -> fmt::Result {
    let help = "Loads that run or wait for their turn";
    page.family("source_loads", help, MetricType::Gauge, |family| {
        sources.iter().try_for_each(|source| {
            family.gauge(&[("source", &source.name)], source.guard.occupied() as f64)
        })
    })?;
    let help = "Loads refused because too many waited";
    page.family("source_shed", help, MetricType::Counter, |family| {
        sources.iter().try_for_each(|source| {
            family.counter(&[("source", &source.name)], &source.guard.shed())
        })
    })
}

/// Of the sources that have a breaker.
fn write_breakers(sources: &[Source], now: Moment, page: &mut Page<'_>) -> fmt::Result {
    let breakers: Vec<(&str, &Breaker)> = sources
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
    page.counters("source", &breakers, &BREAKER_COUNTERS)
}
