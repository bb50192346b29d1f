//! How much is asked of a Redis at a time, and how long it may take.

use std::time::Duration;

/// How much is asked of a Redis at a time, and how long it may take.
///
/// ```
/// use larder_server::upstream::Options;
///
/// let options = Options { dedicated_max: 64, ..Options::default() };
/// assert_eq!(options.connections, 4);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// How many connections to a server clients share, for each of the two versions of the
    /// protocol. 4 by default; 0 counts as 1. So many replies can come at the same time.
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

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 4,
            dedicated_max: 1024,
            connect_timeout: Duration::from_secs(1),
            patience: Duration::from_millis(500),
        }
    }
}
