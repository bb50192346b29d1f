//! Debezium's records: what they say, how they are followed, and what carries them.
#![allow(clippy::unwrap_used)]

mod beats;
mod follow;
mod http;
mod kit;
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod shapes;
mod unreadable;
mod values;
