//! Which server a key lives on: the only one, the master that Sentinels name, or a node of a
//! cluster.
//!
//! It knows nothing of what is asked.

use std::sync::Arc;

use larder_core::{BoxFuture, Result};

use crate::address::Address;
use crate::connection::{Connection, Settings};
use crate::node::{Node, Seat};
use crate::request::{Outcome, Request, ask};

/// The servers.
#[derive(Debug)]
pub(crate) enum Topology {
    /// One that has everything.
    One(Node),
}

impl Topology {
    /// Asks each request of the server that its key lives on: one round trip, if nothing is
    /// amiss.
    pub(crate) async fn run(&self, settings: &Settings, requests: &[Request]) -> Vec<Outcome> {
        match self {
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
    pub(crate) async fn another(&self, _name: &[u8]) -> Result<Connection> {
        match self {
            Self::One(node) => node.another().await,
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
