//! The Redis protocol, as a server speaks it.
//!
//! | module | idea |
//! |---|---|
//! | [`codec`] | bytes to requests and replies, and back, as pure functions |
//! | [`keyspace`] | which keys are declared, which are plain, and which are neither |
//! | [`key_log`] | what is done to a sample of the keys, noted for the simulator |
//! | [`pool`] | a part of memory with its bound and its policy |
//! | [`row`] | one key of a declared cache, read and written
//! | [`session`] | one client: bytes in, replies out, and what must be waited for |
//! | [`service`] | what all sessions share |
//! | [`strikes`] | keys, tags, caches and prefixes that are invalidated together
//! | [`upstream`] | the Redis in which plain keys live, where there is one |
//!
//! Nothing here opens a socket: a listener feeds a [`Session`] with the bytes that arrive.

pub mod codec;
mod command;
mod companion;
mod counter;
mod exchange;
mod fault;
pub mod key_log;
pub mod keyspace;
mod link;
pub mod pool;
mod reads;
pub mod row;
pub mod service;
pub mod session;
pub mod strikes;
mod tickets;
pub mod upstream;

pub use command::{compatibility, reference};
pub use key_log::KeyLog;
pub use keyspace::{Declared, Keyspace};
pub use pool::{Pool, PoolName};
pub use reads::{Answered, Gathered};
pub use row::{Row, Statement};
pub use service::{Host, Service};
pub use session::{Next, Progress, Session};
pub use strikes::Strikes;
pub use upstream::Upstream;
