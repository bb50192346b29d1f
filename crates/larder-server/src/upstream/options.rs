//! How a Redis is reached, and how much is asked of it at a time.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Secret;

/// Where a Redis listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host, by its name or number, and a port.
    Tcp {
        /// The name or number.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// How a Redis is reached, and how much is asked of it at a time.
///
/// ```
/// use larder_server::upstream::{Address, Options};
///
/// let address = Address::Tcp { host: "localhost".to_owned(), port: 6379 };
/// let options = Options { dedicated_max: 64, ..Options::new(address) };
/// assert_eq!(options.connections, 4);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens.
    pub address: Address,
    /// Its user; with a password and no user, it is `default`.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of its database.
    pub database: u32,
    /// How many connections clients share, for each of the two versions of the protocol. 4 by
    /// default; 0 counts as 1. So many replies can come at the same time.
    pub connections: usize,
    /// How many connections may be dedicated to one client each, at a time. 1,024 by default; who
    /// would need one more is told so (`SHED`).
    pub dedicated_max: usize,
    /// How long a connection may take to be made and to authenticate. A second by default.
    pub connect_timeout: Duration,
    /// How long nothing may come or go on a connection while a reply is waited for; then it is
    /// given up, and whatever waits on it is told so. Requests that block are not waited for so.
    /// Half a second by default.
    pub patience: Duration,
}

impl Options {
    /// The Redis at this address, with everything else by default.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            user: None,
            password: None,
            database: 0,
            connections: 4,
            dedicated_max: 1024,
            connect_timeout: Duration::from_secs(1),
            patience: Duration::from_millis(500),
        }
    }
}
