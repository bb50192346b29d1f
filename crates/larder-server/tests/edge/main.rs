//! The edge as its clients, its origin and its operators see it: sockets on one side, an origin in
//! the test's own process on the other.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod bodies;
mod fields;
mod hints;
mod limits;
mod origin;
mod proxying;
mod purging;
mod rules;
mod store;
mod support;
mod tls;
mod webhook;
