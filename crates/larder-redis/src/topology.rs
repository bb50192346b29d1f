//! Which server a key lives on: the only one, the master that Sentinels name, or a node of a
//! cluster.
//!
//! It knows nothing of what is asked.

mod cluster;
mod drawing;
mod map;
mod sentinel;
mod slots;

use std::sync::Arc;

use larder_core::{BoxFuture, Result};

use crate::address::{Address, Kind, Location};
use crate::connection::{Connection, Settings};
use crate::node::{Node, Seat};
use crate::request::{Outcome, Request, ask};

use cluster::Cluster;
pub(crate) use drawing::ask_for_map;
pub use map::SlotMap;
pub(crate) use sentinel::Sentinels;
pub(crate) use slots::read_redirection;
pub use slots::{SlotRange, slot};

/// The servers.
#[derive(Debug)]
pub(crate) enum Topology {
    /// One that has everything.
    One(Node),
    /// Nodes that have some of the keys each.
    Cluster(Box<Cluster>),
}

impl Topology {
    pub(crate) fn new(location: Location, settings: &Arc<Settings>) -> Self {
        let Location { kind, mut hosts, sentinel_login, .. } = location;
        match kind {
            Kind::Single => Self::One(Node::new(hosts.swap_remove(0), settings)),
            Kind::Sentinel(master) => {
                let greeting = Settings::greeting(&sentinel_login, 0);
                Self::One(Node::new(Sentinels::new(hosts, master, greeting), settings))
            }
            Kind::Cluster => Self::Cluster(Box::new(Cluster::new(hosts, settings))),
        }
    }

    /// Asks each request of the server that its key lives on: one round trip, if nothing is
    /// amiss.
    pub(crate) async fn run(&self, settings: &Settings, requests: &[Request]) -> Vec<Outcome> {
        match self {
            Self::Cluster(cluster) => cluster.run(requests).await,
            Self::One(node) => {
                let all: Vec<&Request> = requests.iter().collect();
                match node.connection().await {
                    Ok(connection) => ask(&connection, &settings.scripts, &all, false).await,
                    Err(error) => all.iter().map(|_| Err(error.clone())).collect(),
                }
            }
        }
    }

    /// A connection of the caller's own, to the server that `name` lives on.
    pub(crate) async fn another(&self, name: &[u8]) -> Result<Connection> {
        match self {
            Self::One(node) => node.another().await,
            Self::Cluster(cluster) => cluster.another(name).await,
        }
    }

    /// Every server that keys live on now.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>> {
        match self {
            Self::One(node) => Ok(vec![node.clone()]),
            Self::Cluster(cluster) => cluster.nodes().await,
        }
    }

    /// Whether `name` is asked of another run of a server than `connection` leads to.
    pub(crate) fn is_elsewhere(&self, name: &[u8], connection: &Connection) -> bool {
        match self {
            Self::One(node) => node.is_elsewhere(connection),
            Self::Cluster(cluster) => cluster.is_elsewhere(name, connection),
        }
    }

    /// Whether it answers at all, over a connection of its own.
    pub(crate) async fn probe(&self) -> Result<()> {
        match self {
            // To be let in and told its run by a master is more than to be told PONG.
            Self::One(node) => node.another().await.map(|_| ()),
            // Some keys may be without a node, and the others are not.
            Self::Cluster(cluster) => cluster.ask_for_map().await.map(|_| ()),
        }
    }

    /// Whether everything lives on one server, so that one script may touch anything.
    pub(crate) fn is_one(&self) -> bool {
        matches!(self, Self::One(_))
    }
}

/// A server whose address never changes.
impl Seat for Address {
    fn open<'a>(&'a self, settings: &'a Arc<Settings>) -> BoxFuture<'a, Result<Connection>> {
        Box::pin(Connection::open(self, settings))
    }
}
