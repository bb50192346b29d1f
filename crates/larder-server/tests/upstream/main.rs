//! Plain keys in a real Redis, through larder: what comes back is what Redis itself says, larder's
//! own keys and those of caches are guarded, and a Redis that is down takes only its own keys
//! with it.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod blocking;
mod clients;
mod cluster;
mod differential;
mod guarded;
mod mixed;
mod outage;
mod pubsub;
mod sentinel;
mod support;
mod tls;
mod transactions;
