//! A master that Sentinels name. They are asked whenever a connection to it is opened: after a
//! failover the old one closes its connections, falls silent, or says that it is a replica.
//!
//! A master that is cut off from its Sentinels and not from us does none of that, so they are
//! asked every two seconds as well. In between it may be used beside its successor; Redis's
//! `min-replicas-to-write` shortens that.

use std::sync::Arc;

use larder_core::sync::{AtomicUsize, Ordering};
use larder_core::{BoxFuture, Result};
use redis::{RedisConnectionInfo, Value, pipe};
use tokio::time::timeout;

use crate::address::Address;
use crate::connection::{Connection, Settings};
use crate::errors;
use crate::node::Seat;
use crate::reply;

/// Sentinels, and the master that they are asked for.
pub(crate) struct Sentinels {
    hosts: Vec<Address>,
    master: Box<str>,
    greeting: RedisConnectionInfo,
    /// The one that answered last is asked first. Relaxed: any will do.
    first: AtomicUsize,
}

impl Sentinels {
    pub(crate) fn new(
        hosts: Vec<Address>,
        master: Box<str>,
        greeting: RedisConnectionInfo,
    ) -> Self {
        Self { hosts, master, greeting, first: AtomicUsize::new(0) }
    }

    /// Where the master is, as one Sentinel knows.
    async fn ask(&self, host: &Address, settings: &Settings) -> Result<Address> {
        let (mut wire, driver) = Connection::greet(host, &self.greeting, settings).await?;
        let mut question = pipe();
        question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&*self.master);
        let answers = wire.send_packed_commands(&question, 0, 1).await;
        driver.abort();
        let answers = answers.map_err(|error| errors::unreachable(&settings.name, error))?;
        match answers.into_iter().next().unwrap_or_default() {
            Value::ServerError(error) => Err(errors::answered(&settings.name, &error)),
            Value::Nil => {
                let words = "is unknown to its sentinels: see the name at the end of the url";
                Err(errors::down(&settings.name, words))
            }
            answer => {
                let [host, port] = reply::array(answer)?;
                let host = reply::text(host)?.into();
                Ok(Address::Tcp { host, port: reply::number(port)? })
            }
        }
    }

    async fn ask_in_time(&self, at: usize, settings: &Settings) -> Result<Address> {
        let limit = settings.connect_timeout;
        timeout(limit, self.ask(&self.hosts[at], settings)).await.unwrap_or_else(|_| {
            let words = format!("has sentinels that don't answer within {limit:?}");
            Err(errors::down(&settings.name, &words))
        })
    }

    /// All of them, beginning with the one that answered last.
    fn turns(&self) -> impl Iterator<Item = usize> {
        let first = self.first.load(Ordering::Relaxed);
        (first..self.hosts.len()).chain(0..first)
    }

    /// What `open` opens to the master: where one Sentinel is wrong, another may know better.
    pub(crate) async fn reach<'a, T>(
        &self,
        settings: &Settings,
        open: impl Fn(Address) -> BoxFuture<'a, Result<T>> + Send,
    ) -> Result<T> {
        let mut failure = errors::down(&settings.name, "has no sentinels");
        for at in self.turns() {
            // Who gives up before this one answers begins with another one next time.
            self.first.store((at + 1) % self.hosts.len(), Ordering::Relaxed);
            let opened = match self.ask_in_time(at, settings).await {
                Ok(master) => open(master).await,
                Err(error) => Err(error),
            };
            match opened {
                Ok(connection) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Whether the master is known to be elsewhere than at `address` now.
    pub(crate) async fn has_moved(&self, address: &Address, settings: &Settings) -> bool {
        for at in self.turns() {
            if let Ok(master) = self.ask_in_time(at, settings).await {
                return master != *address;
            }
        }
        // Nobody knows better.
        false
    }
}

impl Seat for Sentinels {
    fn open<'a>(&'a self, settings: &'a Arc<Settings>) -> BoxFuture<'a, Result<Connection>> {
        let open = move |master: Address| -> BoxFuture<'a, Result<Connection>> {
            Box::pin(async move { Connection::open(&master, settings).await })
        };
        Box::pin(self.reach(settings, open))
    }

    fn has_moved<'a>(
        &'a self,
        address: &'a Address,
        settings: &'a Settings,
    ) -> Option<BoxFuture<'a, bool>> {
        Some(Box::pin(self.has_moved(address, settings)))
    }
}

impl std::fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sentinels")
            .field("hosts", &self.hosts)
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}
