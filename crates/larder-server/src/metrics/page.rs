//! The page that is written: families of numbers, in the forms that Prometheus knows.
//!
//! It knows nothing of what is counted. Most numbers stand in tables: a [`Counter`], a [`Gauge`] or
//! a [`Histogram`] says once what a number is called, what it means and where it is found, and the
//! page writes it for each of those that have it.

use std::borrow::Borrow;
use std::fmt;

use larder_engine::HistogramSnapshot;
use larder_engine::counters::BUCKET_BOUNDS;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

/// A number of a `T` that only grows: its name, its help, and where it is found.
pub(super) type Counter<T> = (&'static str, &'static str, fn(&T) -> u64);

/// A number of a `T` that rises and falls: its name, its help, and where it is found.
pub(super) type Gauge<T> = (&'static str, &'static str, fn(&T) -> f64);

/// Durations of a `T`: their name, their help, and where they are found.
pub(super) type Histogram<T> = (&'static str, &'static str, fn(&T) -> &HistogramSnapshot);

/// The page that is being written.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// A metric whose numbers have labels.
    pub(super) fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        write: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        write(&mut Family(self.0.encode_descriptor(name, help, None, kind)?))
    }

    /// A family for each of `counters`, with a number of each of `them`, by their names under
    /// `label`.
    pub(super) fn counters<T>(
        &mut self,
        label: &str,
        them: &[(&str, impl Borrow<T>)],
        counters: &[Counter<T>],
    ) -> fmt::Result {
        counters.iter().try_for_each(|(name, help, count)| {
            self.family(name, help, MetricType::Counter, |family| {
                them.iter().try_for_each(|(named, one)| {
                    family.counter(&[(label, named)], &count(one.borrow()))
                })
            })
        })
    }

    /// As [`Page::counters`], of gauges.
    pub(super) fn gauges<T>(
        &mut self,
        label: &str,
        them: &[(&str, impl Borrow<T>)],
        gauges: &[Gauge<T>],
    ) -> fmt::Result {
        gauges.iter().try_for_each(|(name, help, value)| {
            self.family(name, help, MetricType::Gauge, |family| {
                them.iter().try_for_each(|(named, one)| {
                    family.gauge(&[(label, named)], value(one.borrow()))
                })
            })
        })
    }

    /// As [`Page::counters`], of one histogram.
    pub(super) fn histogram<T>(
        &mut self,
        label: &str,
        them: &[(&str, impl Borrow<T>)],
        (name, help, durations): Histogram<T>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Histogram, |family| {
            them.iter().try_for_each(|(named, one)| {
                family.histogram(&[(label, named)], durations(one.borrow()))
            })
        })
    }

    /// A counter that the server has once.
    pub(super) fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&count, None)
    }

    /// A gauge that the server has once.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }
}

/// One metric with labels.
pub(super) struct Family<'a>(MetricEncoder<'a>);

type Labels<'a> = [(&'a str, &'a str)];

impl Family<'_> {
    pub(super) fn counter(
        &mut self,
        labels: &Labels<'_>,
        count: &impl EncodeCounterValue,
    ) -> fmt::Result {
        self.0.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(count, None)
    }

    pub(super) fn gauge(&mut self, labels: &Labels<'_>, value: f64) -> fmt::Result {
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    /// Prometheus's histograms count what is at most each bound; ours what is in each bucket.
    pub(super) fn histogram(
        &mut self,
        labels: &Labels<'_>,
        histogram: &HistogramSnapshot,
    ) -> fmt::Result {
        let bounds = BUCKET_BOUNDS.iter().map(|&nanos| nanos as f64 / 1e9).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.buckets).collect();
        let (sum, count) = (histogram.sum.as_secs_f64(), histogram.count());
        self.0.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
