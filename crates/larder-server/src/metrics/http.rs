//! What was asked over HTTP, and what came of it.

use std::fmt;

use prometheus_client::metrics::MetricType;

use super::page::Page;
use crate::listen::http::{HttpCounts, Operation, Outcome};

/// Writes it, if there is such a listener.
pub(super) fn write(counts: Option<&HttpCounts>, page: &mut Page<'_>) -> fmt::Result {
    let Some(counts) = counts else { return Ok(()) };
    let help = "Requests over HTTP, by what they asked for and what came of it";
    page.family("http_requests", help, MetricType::Counter, |family| {
        for operation in Operation::ALL {
            for outcome in Outcome::ALL {
                let labels = [("operation", operation.as_str()), ("outcome", outcome.as_str())];
                family.counter(&labels, &counts.requests(operation, outcome))?;
            }
        }
        Ok(())
    })?;
    page.gauge("http_connections", "Open connections of HTTP", counts.connections() as f64)
}
