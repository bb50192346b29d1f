//! The tier and the bus on one real Redis, which is killed, paused, filled and emptied.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod bus;
mod connection;
mod eviction;
mod leases;
mod marks;
#[path = "../support/mod.rs"]
mod support;
