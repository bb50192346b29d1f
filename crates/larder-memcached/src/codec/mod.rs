//! Memcached's META commands as pure functions over bytes: no socket, no clock, no runtime.
//!
//! Everything is bounded by the constants of [`reply`]: a declared length is compared with them,
//! and memory is taken only for bytes that have arrived.

mod reply;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use reply::{Failure, Flags, Reply, Stats, Step, VALUE_BYTES_MAX, decode};
pub(crate) use request::{Ask, DATA, Expiry, Request, SECONDS_MAX};
