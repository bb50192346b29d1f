//! Fills, the leases that they need, and invalidations.

use std::time::Duration;

use bytes::Bytes;
use larder_core::shared::{Invalidation, Lease, SharedFill};
use larder_core::{Error, ErrorKind, Result};

use crate::codec::{DATA, Expiry, Request};
use crate::error;
use crate::judge;
use crate::name::Name;
use crate::server::Server;
use crate::tier::MemcachedTier;
use crate::token::{Over, Token, lease_seconds};

impl MemcachedTier {
    pub(crate) async fn fill_key(
        &self,
        key: &[u8],
        lease: &Lease,
        envelope: Bytes,
        lifetime: Duration,
    ) -> Result<SharedFill> {
        let (server, name) = self.find(key)?;
        let Some(token) = Token::read(lease, self.process, name.hash()) else {
            return Ok(SharedFill::Refused);
        };
        let head = name.head();
        let (bytes, bytes_max) = (head.len() + envelope.len(), server.data_bytes_max());
        let lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        if lifetime == 0 || bytes > bytes_max {
            self.give_back(server, name, &token).await?;
            return match lifetime {
                0 => Ok(SharedFill::Refused),
                _ => Err(too_large(server.name(), bytes, bytes_max)),
            };
        }
        let cas = server.renewals.end(token.id());
        let end = token.granted.saturating_add(lifetime);
        let expiry = Expiry::At(end);
        let store = Request::Store { name, cas, expiry, client: DATA, head, body: envelope };
        let Some(answer) = server.ask_only(token.generation, store).await? else {
            return Ok(SharedFill::Refused);
        };
        let [reply] = &answer.replies[..] else { return Err(error::astray(server.name())) };
        Ok(match judge::stored(server.name(), reply)? {
            // The server takes what has ended already, and doesn't hold it.
            Some(_) if answer.clock < end => SharedFill::Stored,
            _ => SharedFill::Refused,
        })
    }

    pub(crate) async fn extend_lease(
        &self,
        key: &[u8],
        lease: &Lease,
        time: Duration,
    ) -> Result<bool> {
        let (server, name) = self.find(key)?;
        let Some(token) = Token::read(lease, self.process, name.hash()) else { return Ok(false) };
        let cas = server.renewals.number(token.id());
        let request = match token.over {
            Over::Stub => {
                let expiry = Expiry::After(lease_seconds(time));
                let (head, body) = (Bytes::new(), Bytes::new());
                Request::Store { name, cas, expiry, client: 0, head, body }
            }
            Over::Stale | Over::Seen => Request::Look { name },
        };
        let Some(answer) = server.ask_only(token.generation, request).await? else {
            return Ok(false);
        };
        let [reply] = &answer.replies[..] else { return Err(error::astray(server.name())) };
        let number = judge::stored(server.name(), reply)?;
        Ok(match token.over {
            Over::Stub => {
                number.inspect(|&number| server.renewals.renew(token.id(), number)).is_some()
            }
            Over::Stale | Over::Seen => number == Some(cas),
        })
    }

    pub(crate) async fn give_back(&self, server: &Server, name: Name, token: &Token) -> Result<()> {
        let cas = server.renewals.end(token.id());
        let back = token.over.give_back(name, cas);
        match server.ask_only(token.generation, back).await? {
            Some(answer) => {
                answer.replies.iter().try_for_each(|reply| judge::done(server.name(), reply))
            }
            None => Ok(()),
        }
    }

    /// Invalidates one server's keys.
    pub(crate) async fn strike(
        &self,
        server: usize,
        part: Vec<(usize, Name)>,
        strike: Invalidation,
    ) -> Vec<(usize, Result<()>)> {
        let server = &self.servers[server];
        let delete =
            |(_, name): &(usize, Name)| Request::Delete { name: name.clone(), cas: None, strike };
        match server.ask(part.iter().map(delete).collect()).await {
            Ok(answer) => part
                .into_iter()
                .zip(&answer.replies)
                .map(|((at, _), reply)| (at, judge::done(server.name(), reply)))
                .collect(),
            Err(error) => part.into_iter().map(|(at, _)| (at, Err(error.clone()))).collect(),
        }
    }
}

fn too_large(server: &str, bytes: usize, bytes_max: usize) -> Error {
    let message = format!(
        "an entry of {bytes} bytes, of which Memcached at {server} takes {bytes_max}: start it \
         with a larger -I, or keep such values out of the shared tier"
    );
    Error::new(ErrorKind::Refused, message)
}
