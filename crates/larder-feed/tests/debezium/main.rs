//! Debezium's records: what they say, how they are followed, and what carries them.
#![allow(clippy::unwrap_used)]

mod beats;
mod follow;
#[path = "../common/follower.rs"]
mod follower;
mod http;
mod kit;
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod shapes;
mod unreadable;
mod values;

pub(crate) use follower::{Follower, LONG};
use kit::text as said;

const ONLY_GROWS: bool = true;
