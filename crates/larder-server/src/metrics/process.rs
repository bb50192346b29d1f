//! What the process takes of its machine.

use std::fmt;

use larder_resp::Host;
use prometheus_client::metrics::MetricType;

use super::page::Page;

/// Writes it.
pub(super) fn write(host: &dyn Host, page: &mut Page<'_>) -> fmt::Result {
    let (user, system) = host.cpu_seconds();
    let resident = host.resident_bytes() as f64;
    page.gauge("process_resident_memory_bytes", "Memory that the process occupies", resident)?;
    page.family("process_cpu_seconds", "CPU time used", MetricType::Counter, |family| {
        family.counter(&[("mode", "user")], &user)?;
        family.counter(&[("mode", "system")], &system)
    })
}
