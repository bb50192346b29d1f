//! What Memcached can and can't do as a shared tier, for the engine and in words.

use std::time::Duration;

use larder_core::shared::Abilities;

use crate::name::KEY_BYTES_MAX;

/// What Memcached can't do, and what follows from that: sentences for whoever chooses a shared
/// tier.
///
/// ```
/// assert!(larder_memcached::explain().iter().any(|sentence| sentence.contains("marks")));
/// ```
#[must_use]
pub fn explain() -> &'static [&'static str] {
    &[
        "Memcached keeps no marks: tags, prefixes and whole caches can't be invalidated in it; \
         use Redis as the shared tier for caches that need that.",
        "Memcached has no bus: what one process invalidates, others learn when their own entries \
         are too old; name a bus (NATS or Redis) beside it, or keep the windows short.",
        "Memcached knows no intents: a writer that dies between its commit and its invalidation \
         leaves the old value until its lifetime ends; a feed closes that gap.",
        "Memcached counts in whole seconds: an entry looks up to four seconds older than it is, \
         never younger, so windows of a few seconds get few hits from it; lifetimes under a \
         second are not stored.",
        "Memcached ends the lease over a stale entry only with the entry: after a process that \
         had it died, another one takes over as soon as it has waited as long as a lease lasts.",
        "Memcached begins its numbers again at a restart: leases end with their connection, so \
         larder must reach it directly, not through a proxy.",
        "Memcached holds entries of up to 1 MiB unless it is started with a larger -I; larger \
         ones are refused.",
        "A Memcached server that is down leaves its keys without a shared tier: no other server \
         takes them over, because it would miss their invalidations.",
        "larder speaks to Memcached without TLS and without a password: keep strangers out of its \
         network.",
    ]
}

/// What a tier whose servers take `envelope_bytes_max` can do.
pub(crate) fn abilities(envelope_bytes_max: usize) -> Abilities {
    Abilities {
        marks: false,
        announces: false,
        intents: false,
        marks_stale: true,
        resolution: Duration::from_secs(1),
        key_bytes_max: KEY_BYTES_MAX,
        envelope_bytes_max,
    }
}
