//! The server: from a configuration to running listeners.
//!
//! | module | idea |
//! |---|---|
//! | [`config`] | a file becomes a [`config::Config`], or everything that is wrong with it |
//! | [`compose`] | a configuration becomes objects that know each other |
//! | [`serve`] | a running server, opened and ended in good order |
//! | [`behind`] | acknowledged writes: replayed at the start, applied at the end |
//! | [`edge`] | a caching reverse proxy in front of a web server |
//! | [`feed`] | what the databases say was changed, and what that touches |
//! | [`listen`] | sockets in, sessions and answers out |
//! | [`key_log`] | what is asked of a sample of the keys, in a file for the simulator |
//! | [`metrics`] | what is counted, in Prometheus's text format |
//! | [`ready`] | which caches still have to show that their load works |
//! | [`warm`] | caches are filled before anybody asks, and their hottest keys saved |
//! | [`upstream`] | the connections to the Redis in which plain keys live |
//! | [`host`] | what the process is to its system |
//!
//! Below this crate nobody reads a file or the environment, and above it there is only the
//! command line.

pub mod behind;
pub mod bloom;
pub mod compose;
pub mod config;
pub mod edge;
pub mod feed;
pub mod host;
pub mod key_log;
pub mod listen;
pub mod metrics;
pub mod ready;
pub mod serve;
pub mod upstream;
pub mod warm;

pub use serve::{Addresses, Server};
