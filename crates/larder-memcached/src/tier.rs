//! The shared tier: what its contract asks, as questions to the servers.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use larder_core::bus::Position;
use larder_core::shared::{
    Abilities, Invalidation, Lease, LeaseAsk, Mark, Marked, Marks, SharedEntry, SharedFill,
    SharedRead,
};
use larder_core::{BoxFuture, Error, ErrorKind, Result, SharedTier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::abilities::abilities;
use crate::codec::{Reply, Request, Step, decode};
use crate::error;
use crate::judge;
use crate::name::{KEY_BYTES_MAX, Name};
use crate::options::MemcachedOptions;
use crate::route::Routes;
use crate::server::{Server, open};
use crate::token::Token;

/// One or several Memcached servers as shared tier.
///
/// Nothing is connected until it is asked, and then each server over one connection. A server
/// that is down has its keys all the same: calls for them fail with
/// [`ErrorKind::SharedDown`] until it is back, and those for other keys go on.
///
/// What its servers evict or forget costs loads, and never a stale answer. What else it can and
/// can't do, [`explain`](crate::explain) says.
///
/// # Bounds
///
/// A server has 1,024 calls waiting for their turn; who comes then waits, at most the answer
/// timeout. 4,096 requests and 256 KiB, and one call more, are on their way to it.
pub struct MemcachedTier {
    name: String,
    options: MemcachedOptions,
    pub(crate) servers: Vec<Server>,
    routes: Routes,
    /// Random: what this process's leases are told from others' by.
    pub(crate) process: u64,
}

/// The keys of a call, by the server that has them.
struct Parted {
    /// For each server, where its keys stand in the call, and their names.
    parts: Vec<Vec<(usize, Name)>>,
    /// The keys that can't have a name, and why.
    unnamed: Vec<(usize, Error)>,
    count: usize,
}

impl MemcachedTier {
    /// A tier on these servers. Nothing is opened yet, so that a server that is down is no error
    /// here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if an option is out of bounds.
    ///
    /// # Panics
    ///
    /// Outside a runtime of tokio, on which its connections run.
    pub fn connect(options: MemcachedOptions) -> Result<Self> {
        options.check()?;
        Ok(Self {
            name: format!("memcached://{}", options.servers.join(",")),
            servers: options.servers.iter().map(|name| Server::new(name, &options)).collect(),
            routes: Routes::new(options.servers.iter().map(String::as_str)),
            process: RandomState::new().hash_one(()),
            options,
        })
    }

    /// The name of the key, and the server that has it.
    pub(crate) fn find(&self, key: &[u8]) -> Result<(&Server, Name)> {
        if key.len() > KEY_BYTES_MAX {
            return Err(judge::key_too_long(key.len(), KEY_BYTES_MAX));
        }
        let name = Name::new(&self.options.namespace, key);
        Ok((&self.servers[self.routes.of(name.hash())], name))
    }

    fn part<'k>(&self, keys: impl ExactSizeIterator<Item = &'k [u8]>) -> Parted {
        let count = keys.len();
        let mut parts = vec![Vec::new(); self.servers.len()];
        let mut unnamed = Vec::new();
        for (at, key) in keys.enumerate() {
            if key.len() > KEY_BYTES_MAX {
                unnamed.push((at, judge::key_too_long(key.len(), KEY_BYTES_MAX)));
                continue;
            }
            let name = Name::new(&self.options.namespace, key);
            parts[self.routes.of(name.hash())].push((at, name));
        }
        Parted { parts, unnamed, count }
    }

    /// Asks all servers side by side, each for its keys, and puts the results into the order of
    /// the call.
    async fn each<T, F>(
        &self,
        keys: Parted,
        ask: impl Fn(usize, Vec<(usize, Name)>) -> F,
    ) -> Vec<Result<T>>
    where
        F: Future<Output = Vec<(usize, Result<T>)>>,
    {
        let parts = keys.parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty());
        let answered = join_all(parts.map(|(server, part)| ask(server, part))).await;
        let unnamed = keys.unnamed.into_iter().map(|(at, error)| (at, Err(error)));
        let mut results: Vec<_> = answered.into_iter().flatten().chain(unnamed).collect();
        results.sort_unstable_by_key(|(at, _)| *at);
        debug_assert_eq!(results.len(), keys.count, "each key has a result");
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Whether one server answers, over a connection of its own.
    async fn probe_server(&self, server: &Server) -> Result<()> {
        let mut stream = open(server.name(), self.options.connect_timeout).await?;
        let lost = |error: std::io::Error| {
            error::down(server.name(), "the connection was lost").caused_by(error)
        };
        let answer = async {
            let mut bytes = BytesMut::new();
            Request::Ping.encode(&mut bytes);
            stream.write_all(&bytes).await.map_err(lost)?;
            bytes.clear();
            loop {
                match decode(&bytes) {
                    Ok(Step::Whole(Reply::Pong, _)) => return Ok(()),
                    Ok(Step::Whole(Reply::Failed(failure), _)) => {
                        return Err(error::refused(server.name(), &failure));
                    }
                    Ok(Step::Whole(..)) | Err(_) => return Err(error::astray(server.name())),
                    Ok(Step::More(_)) => {}
                }
                if stream.read_buf(&mut bytes).await.map_err(lost)? == 0 {
                    return Err(error::down(server.name(), "it closed the connection"));
                }
            }
        };
        let answered = timeout(self.options.answer_timeout, answer).await;
        answered.map_err(|_| error::late(server.name()))?
    }
}

impl SharedTier for MemcachedTier {
    fn name(&self) -> &str {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        let bytes = self.servers.iter().map(Server::data_bytes_max).min();
        abilities(bytes.unwrap_or(0))
    }

    /// What was marked stale says so in its state, though the server can't write it there.
    fn get_many<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
    ) -> BoxFuture<'a, Vec<Result<Option<SharedEntry>>>> {
        let keys = self.part(keys.iter().copied());
        Box::pin(self.each(keys, move |server, part| self.read(server, part)))
    }

    /// Of one round trip; of two for an entry that was seen, one whose winner has had its time,
    /// and one that is in the way.
    ///
    /// A lease over nothing lasts for `time`, rounded up, and up to two seconds more. One over an
    /// entry lasts until another process takes it over, which each does after it has been turned
    /// away for its own `time`, or until the entry ends.
    fn lease_many<'a>(
        &'a self,
        asks: &'a [LeaseAsk<'a>],
        time: Duration,
    ) -> BoxFuture<'a, Vec<Result<SharedRead>>> {
        let keys = self.part(asks.iter().map(|ask| ask.key));
        Box::pin(self.each(keys, move |server, part| self.lease(server, part, asks, time)))
    }

    /// # Errors
    ///
    /// Besides those of the contract: [`ErrorKind::Refused`] when the envelope is longer than the
    /// server takes, [`ErrorKind::NoRoom`] when the server is full and may not evict. The lease
    /// has ended then, too, or ends with its time.
    fn fill<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        envelope: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<SharedFill>> {
        Box::pin(self.fill_key(key, lease, envelope, lifetime))
    }

    /// A lease over an entry has no end that could be put off: `true` says that it still holds.
    ///
    /// # Cancel safety
    ///
    /// When the future of a lease over nothing is dropped, the lease may be void.
    fn extend<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.extend_lease(key, lease, time))
    }

    fn release<'a>(&'a self, key: &'a [u8], lease: &'a Lease) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (server, name) = self.find(key)?;
            match Token::read(lease, self.process, name.hash()) {
                Some(token) => self.give_back(server, name, &token).await,
                None => Ok(()),
            }
        })
    }

    /// There is no bus: the announcement is left to the caller.
    fn invalidate<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
        strike: Invalidation,
        _announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Option<Position>>> {
        let keys = self.part(keys.iter().copied());
        Box::pin(async move {
            let deleted = self.each(keys, |server, part| self.strike(server, part, strike)).await;
            deleted.into_iter().collect::<Result<()>>()?;
            Ok(None)
        })
    }

    fn mark<'a>(
        &'a self,
        _marks: &'a [Mark],
        _strike: Invalidation,
        _announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Marked>> {
        Box::pin(async { Err(no_marks()) })
    }

    /// None, ever.
    fn marks(&self) -> BoxFuture<'_, Result<Marks>> {
        Box::pin(async { Ok(Marks::default()) })
    }

    /// Of several servers, one that answers is enough: the others' keys have errors of their own.
    fn probe(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let probes = self.servers.iter().map(|server| Box::pin(self.probe_server(server)));
            futures_util::future::select_ok(probes).await.map(|_| ())
        })
    }
}

impl fmt::Debug for MemcachedTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedTier").field("options", &self.options).finish_non_exhaustive()
    }
}

fn no_marks() -> Error {
    Error::new(
        ErrorKind::Refused,
        "Memcached keeps no marks, so tags, prefixes and whole caches can't be invalidated in it: \
         use Redis as the shared tier of such caches",
    )
}
