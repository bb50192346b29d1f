//! The shared tier: what its contract asks, as reads and scripts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use larder_core::bus::Position;
use larder_core::shared::{
    Abilities, Begun, Closed, Ended, Intent, Invalidation, Lease, LeaseAsk, Mark, Marked, Marks,
    SharedEntry, SharedFill, SharedRead,
};
use larder_core::{BoxFuture, Result, SharedTier};
use redis::pipe;

use crate::bus::{RedisBus, announced};
use crate::client::Client;
use crate::connection::Connection;
use crate::entries::ENVELOPE_BYTES_MAX;
use crate::errors;
use crate::marks;
use crate::options::RedisOptions;
use crate::policy::EvictionPolicy;
use crate::request::{Body, Request};
use crate::script::{Call, Script};
use crate::tracking::TrackingBus;

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 64 << 10;

/// The longest lifetime and the longest lease: some 139 years, which the server can add to its
/// clock.
const MILLIS_MAX: u128 = 1 << 42;

/// A Redis or Valkey as shared tier.
///
/// Nothing is connected until it is asked, and a Redis that is down at the start is one that is
/// down: calls fail with [`ErrorKind::SharedDown`] until it is back, and then they succeed.
///
/// What its server evicts or forgets costs loads, and never a stale answer; so any eviction policy
/// will do, and [`eviction_policy`](Self::eviction_policy) says what the one in use costs. A
/// server that is full and may evict nothing refuses fills, and takes invalidations all the same.
///
/// On a cluster it [announces](Abilities::announces) nothing by itself: a script has one node.
///
/// It needs a runtime of tokio.
///
/// [`ErrorKind::SharedDown`]: larder_core::ErrorKind::SharedDown
#[derive(Clone)]
pub struct RedisTier {
    client: Arc<Client>,
}

impl RedisTier {
    /// The Redis at `options.url`. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// `Config` if no Redis can have such a URL, or an option is out of bounds.
    #[allow(clippy::needless_pass_by_value)] // Options are written at the call.
    pub fn connect(options: RedisOptions) -> Result<Self> {
        Ok(Self { client: Arc::new(Client::new(&options)?) })
    }

    /// The bus beside it, on the same servers.
    #[must_use]
    pub fn bus(&self) -> RedisBus {
        RedisBus::new(self.client.clone())
    }

    /// The other bus beside it: the same, and it hears from Redis itself of whatever changes an
    /// entry. See [`TrackingBus`].
    #[must_use]
    pub fn tracking_bus(&self) -> TrackingBus {
        TrackingBus::new(self.client.clone())
    }

    /// What the server does when it is full, and what that means for us. Of a cluster every node
    /// that has keys is asked, and the policy that costs us most is returned.
    ///
    /// # Errors
    ///
    /// `SharedDown` where it can't be reached or doesn't say, or any of those nodes.
    pub async fn eviction_policy(&self) -> Result<EvictionPolicy> {
        let nodes = self.client.topology.nodes().await?;
        let policies = nodes.iter().map(|node| async {
            let connection = node.another().await?;
            self.policy_of(&connection).await
        });
        let policies = try_join_all(policies).await?;
        policies.into_iter().reduce(EvictionPolicy::worse).ok_or_else(|| errors::odd("node"))
    }

    async fn policy_of(&self, connection: &Connection) -> Result<EvictionPolicy> {
        let mut question = pipe();
        question.cmd("CONFIG").arg("GET").arg("maxmemory*");
        let answers = connection.ask(&mut question).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        self.client.refuse_error(&answer)?;
        EvictionPolicy::read(answer)
    }
}

impl fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTier").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl SharedTier for RedisTier {
    fn name(&self) -> &str {
        &self.client.settings.name
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            marks: true,
            announces: self.client.topology.is_one(),
            intents: true,
            marks_stale: true,
            resolution: Duration::from_millis(1),
            key_bytes_max: KEY_BYTES_MAX,
            envelope_bytes_max: ENVELOPE_BYTES_MAX,
        }
    }

    fn get_many<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
    ) -> BoxFuture<'a, Vec<Result<Option<SharedEntry>>>> {
        Box::pin(async move {
            let read = |key: &&[u8]| Request {
                name: self.client.names.value(key),
                body: Body::Read,
                only_in: None,
                is_patient: true,
            };
            let requests: Vec<Request> = keys.iter().map(read).collect();
            let outcomes = self.client.all(&requests).await;
            outcomes.into_iter().map(|outcome| self.client.held(outcome)).collect()
        })
    }

    fn lease_many<'a>(
        &'a self,
        asks: &'a [LeaseAsk<'a>],
        time: Duration,
    ) -> BoxFuture<'a, Vec<Result<SharedRead>>> {
        Box::pin(async move {
            let names = &self.client.names;
            let tokens: Vec<Bytes> = asks.iter().map(|_| self.client.random.token()).collect();
            let requests: Vec<Request> = asks
                .iter()
                .zip(&tokens)
                .map(|(ask, token)| {
                    let seen = ask.seen.map_or_else(Bytes::new, |stamp| {
                        Bytes::copy_from_slice(&stamp.to_be_bytes())
                    });
                    let keys = [names.value(ask.key), names.lease(ask.key), names.intents(ask.key)];
                    let mut request = Request::call(Call {
                        script: Script::Lease,
                        keys: keys.to_vec(),
                        args: vec![token.clone(), millis(time), seen],
                    });
                    request.is_patient = false;
                    request
                })
                .collect();
            let outcomes = self.client.all(&requests).await;
            let outcomes = outcomes.into_iter().zip(tokens);
            outcomes.map(|(outcome, token)| self.client.leased(outcome, token)).collect()
        })
    }

    fn fill<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        envelope: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<SharedFill>> {
        Box::pin(async move {
            let names = &self.client.names;
            if envelope.len() > ENVELOPE_BYTES_MAX {
                return Ok(SharedFill::Refused);
            }
            let keys = vec![names.value(key), names.lease(key), names.intents(key)];
            let filled =
                self.client.under(lease, Script::Fill, keys, [envelope, millis(lifetime)]).await?;
            Ok(if filled == Some(1) { SharedFill::Stored } else { SharedFill::Refused })
        })
    }

    fn extend<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let keys = vec![self.client.names.lease(key)];
            Ok(self.client.under(lease, Script::Extend, keys, [millis(time)]).await? == Some(1))
        })
    }

    fn release<'a>(&'a self, key: &'a [u8], lease: &'a Lease) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let keys = vec![self.client.names.lease(key)];
            self.client.under(lease, Script::Release, keys, []).await.map(|_| ())
        })
    }

    fn invalidate<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Option<Position>>> {
        Box::pin(async move { self.client.invalidate(keys, strike, announcement).await })
    }

    fn mark<'a>(
        &'a self,
        marks: &'a [Mark],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Marked>> {
        Box::pin(async move {
            let client = &self.client;
            let mut args = vec![
                client.random.run(),
                client.random.run(),
                marks::letter(strike),
                announced(announcement.filter(|_| client.topology.is_one()))?,
            ];
            marks.iter().for_each(|mark| args.extend(marks::arguments(mark)));
            let names = &client.names;
            let keys = vec![names.marks.clone(), names.head.clone(), names.stream.clone()];
            marks::read_marked(client.call(Script::Mark, keys, args).await?)
        })
    }

    fn marks(&self) -> BoxFuture<'_, Result<Marks>> {
        Box::pin(async move {
            let keys = vec![self.client.names.marks.clone()];
            let args = vec![self.client.random.run()];
            marks::read(self.client.call(Script::Marks, keys, args).await?)
        })
    }

    fn begin_write<'a>(
        &'a self,
        key: &'a [u8],
        intent: Intent,
        time: Duration,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Begun>> {
        Box::pin(self.client.begin_write(key, intent, millis(time), announcement))
    }

    fn end_write<'a>(
        &'a self,
        key: &'a [u8],
        intent: Intent,
        ended: Ended,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Closed>> {
        Box::pin(self.client.end_write(key, intent, ended, announcement))
    }

    fn probe(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.client.topology.probe().await })
    }
}

/// Milliseconds as an argument: at least one, because no time at all is an error to Redis.
pub(crate) fn millis(time: Duration) -> Bytes {
    time.as_millis().clamp(1, MILLIS_MAX).to_string().into()
}
