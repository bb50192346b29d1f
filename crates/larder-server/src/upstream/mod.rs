//! The connections to the Redis in which plain keys live: one server, the master that Sentinels
//! name, or a cluster.
//!
//! Ordinary requests of all clients share a few connections to each server, a set for each version
//! of the protocol, so that no reply has to be translated; a client that needs one for itself gets
//! a dedicated one. It passes bytes on and doesn't know what they ask for. Where servers are, and
//! how bytes get there (TCP, TLS, a socket file), `larder-redis` knows.
//!
//! A request that was sent and whose reply was lost is never sent again: it may have been
//! executed. Requests that weren't sent yet go out over the next connection, and what a server
//! refused because it isn't the one to ask any more goes to the one that is.

mod cluster;
mod connect;
mod dedicated;
mod lane;
mod lanes;
mod options;
mod primary;
mod seat;
mod wire;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use larder_redis::{Servers, slot};
use larder_resp::codec::Protocol;
use larder_resp::upstream::{Dedicated, Requests, Upstream};
use tokio::runtime::Handle;

use cluster::Cluster;
use dedicated::{Alone, Hears};
use lanes::Lanes;
pub use options::Options;
use seat::Seat;

/// A Redis, and the connections to it.
///
/// # Example
///
/// ```
/// use larder_redis::{RedisOptions, Servers};
/// use larder_resp::codec::Protocol;
/// use larder_resp::upstream::{Part, Requests, Stands, To, Upstream};
/// use larder_server::upstream::{Options, RedisUpstream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> larder_core::Result<()> {
/// let redis = larder_test::Redis::start();
/// let servers = Servers::new(&RedisOptions::new(redis.url()))?;
/// let upstream = RedisUpstream::new(&servers, &Options::default());
/// let parts = vec![Part { length: 14, to: To::Any, stands: Stands::ForItself }];
/// let requests =
///     Requests { bytes: "*1\r\n$4\r\nPING\r\n".into(), parts, protocol: Protocol::Resp2 };
/// let replies = upstream.forward(requests).await;
/// assert_eq!(replies[0].as_ref().unwrap(), "+PONG\r\n");
/// # Ok(())
/// # }
/// ```
pub struct RedisUpstream(Arc<Inner>);

struct Inner {
    servers: Servers,
    topology: Topology,
    runtime: Handle,
    alone: Alone,
}

/// Who has which keys.
enum Topology {
    /// One server, or one master at a time, has all.
    One(Lanes),
    Cluster(Arc<Cluster>),
}

impl RedisUpstream {
    /// Connections as `options` say. None is made before it is needed. They live on the current
    /// runtime, whoever uses them, until this is dropped.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[must_use]
    pub fn new(servers: &Servers, options: &Options) -> Self {
        let runtime = Handle::current();
        let topology = if servers.is_cluster() {
            Topology::Cluster(Arc::new(Cluster::new(servers, options, runtime.clone())))
        } else {
            Topology::One(Lanes::new(Seat::primary(servers, options), runtime.clone()))
        };
        let alone = Alone::new(options.dedicated_max, runtime.clone());
        Self(Arc::new(Inner { servers: servers.clone(), topology, runtime, alone }))
    }

    /// How many dedicated connections are in use.
    #[must_use]
    pub fn dedicated(&self) -> usize {
        self.0.alone.in_use()
    }
}

impl Upstream for RedisUpstream {
    fn slot(&self, key: &[u8]) -> Option<u16> {
        match self.0.topology {
            Topology::One(_) => None,
            Topology::Cluster(_) => Some(slot(key)),
        }
    }

    fn next_first(&self, slot: u16) -> Option<u16> {
        match &self.0.topology {
            Topology::One(_) => None,
            Topology::Cluster(cluster) => cluster.next_first(slot),
        }
    }

    fn forward(&self, requests: Requests) -> BoxFuture<'static, Vec<Result<Bytes>>> {
        let count = requests.parts.len();
        let running = match &self.0.topology {
            Topology::One(lanes) if !lanes.seat().may_move() => {
                let ordered = lanes.order(requests);
                return Box::pin(async {
                    ordered.await.into_iter().map(|came| came.map_err(|lost| lost.error)).collect()
                });
            }
            Topology::One(lanes) => {
                let lanes = lanes.clone();
                self.0.runtime.spawn(async move { primary::run(&lanes, requests).await })
            }
            Topology::Cluster(cluster) => {
                let cluster = Arc::clone(cluster);
                self.0.runtime.spawn(async move { cluster.run(requests).await })
            }
        };
        Box::pin(async move {
            running.await.unwrap_or_else(|error| {
                let closed = down("the connections to the shared Redis are closed");
                vec![Err(closed.caused_by(error)); count]
            })
        })
    }

    fn open(
        &self,
        protocol: Protocol,
        slot: Option<u16>,
    ) -> BoxFuture<'static, Result<Box<dyn Dedicated>>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let (seat, hears): (Seat, Hears) = match &inner.topology {
                Topology::One(lanes) => {
                    let seat = lanes.seat().clone();
                    let hears = seat.clone();
                    (seat, Box::new(move |_, epoch, error| primary::hear(&hears, epoch, error)))
                }
                Topology::Cluster(cluster) => {
                    let (asked, cluster) = (Arc::clone(cluster), Arc::clone(cluster));
                    let found = inner.runtime.spawn(async move { asked.seat(slot).await });
                    let closed = || down("the connections to the shared Redis are closed");
                    let seat = found.await.map_err(|error| closed().caused_by(error))??;
                    (seat, Box::new(move |asked, _, error| cluster.hear(asked, error)))
                }
            };
            let opened = inner.alone.open(seat, protocol, hears).await;
            if let (Err(_), Topology::Cluster(cluster)) = (&opened, &inner.topology) {
                let cluster = Arc::clone(cluster);
                inner.runtime.spawn(async move { cluster.doubt().await });
            }
            opened
        })
    }
}

impl fmt::Debug for RedisUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisUpstream").field("servers", &self.0.servers).finish_non_exhaustive()
    }
}

/// The error of whatever could not be asked.
fn down(message: &'static str) -> Error {
    Error::new(ErrorKind::SharedDown, message)
}
