//! The same changes, as Postgres tells them and as Debezium does over each transport, touch the
//! same keys.
//!
//! A transport is added by a [`Wire`](wires::Wire) and a test in `same`.
#![allow(clippy::unwrap_used)]

mod changes;
mod same;
mod wires;
