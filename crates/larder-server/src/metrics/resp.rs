//! What was asked over the Redis protocol, and what became of keys of no cache.

use std::fmt;

use larder_resp::Service;

use super::page::Page;

/// Writes it.
pub(super) fn write(service: &Service, page: &mut Page<'_>) -> fmt::Result {
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
