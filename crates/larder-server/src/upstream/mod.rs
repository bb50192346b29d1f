//! The connections to the Redis in which plain keys live.
//!
//! Ordinary requests of all clients share a few connections, a set for each version of the
//! protocol, so that no reply has to be translated; a client that needs one for itself gets a
//! dedicated one. It passes bytes on and doesn't know what they ask for. TLS and clusters aren't
//! spoken yet.
//!
//! A request that was sent and whose reply was lost is never sent again: it may have been
//! executed. Requests that weren't sent yet go out over the next connection.

mod connect;
mod dedicated;
mod lane;
mod options;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use larder_resp::codec::Protocol;
use larder_resp::upstream::{Dedicated, Requests, Upstream};
use tokio::runtime::Handle;

use dedicated::Alone;
use lane::Lane;
pub use options::{Address, Options};

/// A Redis, over TCP or a Unix socket.
///
/// # Example
///
/// ```
/// use larder_resp::codec::Protocol;
/// use larder_resp::upstream::{Requests, Upstream};
/// use larder_server::upstream::{Address, Options, RedisUpstream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let redis = larder_test::Redis::start();
/// let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: redis.port() };
/// let upstream = RedisUpstream::new(Options::new(address));
/// let bytes = "*1\r\n$4\r\nPING\r\n".into();
/// let replies = upstream.forward(Requests { bytes, count: 1, protocol: Protocol::Resp2 }).await;
/// assert_eq!(replies[0].as_ref().unwrap(), "+PONG\r\n");
/// # }
/// ```
pub struct RedisUpstream {
    options: Arc<Options>,
    resp2: Box<[Lane]>,
    resp3: Box<[Lane]>,
    /// Whose turn it is among the connections that clients share.
    turn: AtomicUsize,
    alone: Alone,
}

impl RedisUpstream {
    /// Connections as `options` say. None is made before it is needed. They live on the current
    /// runtime, whoever uses them, until this is dropped.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let options = Arc::new(options);
        let lanes = |protocol| {
            let lane = |_| Lane::start(Arc::clone(&options), protocol);
            (0..options.connections.max(1)).map(lane).collect()
        };
        let (resp2, resp3) = (lanes(Protocol::Resp2), lanes(Protocol::Resp3));
        let alone = Alone::new(Arc::clone(&options), Handle::current());
        Self { options, resp2, resp3, turn: AtomicUsize::new(0), alone }
    }

    /// How many dedicated connections are in use.
    #[must_use]
    pub fn dedicated(&self) -> usize {
        self.alone.in_use()
    }
}

impl Upstream for RedisUpstream {
    fn forward(&self, requests: Requests) -> BoxFuture<'static, Vec<Result<Bytes>>> {
        let lanes = match requests.protocol {
            Protocol::Resp2 => &self.resp2,
            Protocol::Resp3 => &self.resp3,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let replies = lanes[turn % lanes.len()].order(requests);
        Box::pin(replies)
    }

    fn open(&self, protocol: Protocol) -> BoxFuture<'static, Result<Box<dyn Dedicated>>> {
        Box::pin(self.alone.open(protocol))
    }
}

impl fmt::Debug for RedisUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisUpstream").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The error of whatever could not be asked.
fn down(message: &'static str) -> Error {
    Error::new(ErrorKind::SharedDown, message)
}
