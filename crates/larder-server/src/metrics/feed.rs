//! What the feeds told, and how far behind they are.

use std::fmt;

use larder_engine::Engine;
use larder_engine::feeding::FeedStanding;
use prometheus_client::metrics::MetricType;

use super::page::{Counter, Histogram, Page};
use crate::feed::SourceFeed;

/// A gauge of a feed: its name, its help, and where it is found; none where there is no value.
type FeedGauge = (&'static str, &'static str, fn(&FeedStanding) -> Option<f64>);

const GAUGES: [FeedGauge; 2] = [
    ("feed_follows", "Whether this process follows the feed; another one does otherwise", |it| {
        Some(f64::from(u8::from(it.follows)))
    }),
    (
        "feed_horizon_age_seconds",
        "How far what is held may be behind the database; there is none while nobody vouches",
        |it| it.horizon_age.map(|age| age.as_secs_f64()),
    ),
];

const COUNTERS: [Counter<FeedStanding>; 4] = [
    ("feed_notices", "Changes that this process was told", |it| it.notices),
    ("feed_touched", "Invalidations that those came to", |it| it.touched),
    ("feed_gaps", "Times that everything that the feed covers was dropped", |it| it.gaps),
    ("feed_failures", "Times that the feed couldn't be followed, or ended", |it| it.failures),
];

const LAG: Histogram<FeedStanding> =
    ("feed_lag_seconds", "How long after its commit a change had been applied everywhere", |it| {
        &it.lag
    });

/// Writes them, if there are feeds.
pub(super) fn write(feeds: &[SourceFeed], engine: &Engine, page: &mut Page<'_>) -> fmt::Result {
    if feeds.is_empty() {
        return Ok(());
    }
    let standings: Vec<(&str, FeedStanding)> =
        feeds.iter().map(|feed| (feed.source(), feed.standing(engine))).collect();
    for (name, help, value) in GAUGES {
        page.family(name, help, MetricType::Gauge, |family| {
            standings.iter().try_for_each(|(source, standing)| match value(standing) {
                Some(value) => family.gauge(&[("source", source)], value),
                None => Ok(()),
            })
        })?;
    }
    page.counters("source", &standings, &COUNTERS)?;
    page.histogram("source", &standings, LAG)
}
