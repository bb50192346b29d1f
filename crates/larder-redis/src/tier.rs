//! The shared tier: what its contract asks, as reads and scripts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use larder_core::bus::{Announcement, Position};
use larder_core::envelope::STAMP_AT;
use larder_core::shared::{
    Abilities, Incarnation, Lease, LeaseAsk, Mark, Marked, Marks, SharedEntry, SharedFill,
    SharedRead, Strike,
};
use larder_core::{BoxFuture, Error, ErrorKind, Result, SharedTier};
use redis::{Value, pipe};

use crate::bus::RedisBus;
use crate::connection::Settings;
use crate::dial::Tls;
use crate::errors;
use crate::marks;
use crate::names::Names;
use crate::node::Node;
use crate::options::RedisOptions;
use crate::policy::EvictionPolicy;
use crate::random::{Random, TOKEN_BYTES};
use crate::reply;
use crate::request::{Body, Reply, Request};
use crate::script::{Call, Script, Scripts};
use crate::topology::Topology;

/// The most keys that one script invalidates.
const KEYS_MAX: usize = 256;

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
#[derive(Clone)]
pub struct RedisTier {
    shared: Arc<Shared>,
}

/// What the tier and its bus have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) topology: Topology,
    pub(crate) names: Names,
    pub(crate) random: Random,
}

impl Shared {
    /// Asks one thing.
    pub(crate) async fn one(&self, request: Request) -> Result<Option<Reply>> {
        let outcomes = self.topology.run(&self.settings, &[request]).await;
        outcomes.into_iter().next().unwrap_or_else(|| Err(errors::odd("answer")))
    }

    /// Calls a script and returns what it returned.
    pub(crate) async fn call(
        &self,
        script: Script,
        keys: Vec<Bytes>,
        args: Vec<Bytes>,
    ) -> Result<Value> {
        let reply = self.one(Request::call(Call { script, keys, args })).await?;
        let [value] = self.values(reply.ok_or_else(|| errors::odd("answer"))?)?;
        Ok(value)
    }

    /// The values of a reply, none of them an error.
    fn values<const N: usize>(&self, reply: Reply) -> Result<[Value; N]> {
        for value in &reply.values {
            self.refuse_error(value)?;
        }
        reply.values.try_into().map_err(|_| errors::odd("answer to each command"))
    }

    pub(crate) fn refuse_error(&self, value: &Value) -> Result<()> {
        match value {
            Value::ServerError(error) => Err(errors::answered(&self.settings.name, error)),
            _ => Ok(()),
        }
    }
}

/// An announcement as an argument of a script: empty where there is none.
pub(crate) fn announced(announcement: Option<Bytes>) -> Result<Bytes> {
    let announcement = announcement.unwrap_or_default();
    if announcement.len() > Announcement::BYTES_MAX {
        let words = "an announcement is longer than announcements may be: announce several times";
        return Err(Error::new(ErrorKind::Refused, words));
    }
    Ok(announcement)
}

/// A position, as scripts return it: run and number.
pub(crate) fn position(values: [Value; 2]) -> Result<Position> {
    let [run, number] = values;
    Ok(Position { run: reply::run(run)?, number: reply::number(number)? })
}

impl RedisTier {
    /// The longest key and the longest envelope, in bytes.
    const KEY_BYTES_MAX: usize = 64 << 10;
    const ENVELOPE_BYTES_MAX: usize = 64 << 20;

    /// The Redis at `options.url`. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if no Redis can have such a URL, or an option is out of bounds.
    #[allow(clippy::needless_pass_by_value)] // Options are written at the call.
    pub fn connect(options: RedisOptions) -> Result<Self> {
        let location = options.location()?;
        let fault = |what| Error::new(ErrorKind::Config, format!("the shared tier has {what}"));
        let tls = location.tls.then(|| Tls::new(options.certificates.as_ref()));
        let settings = Arc::new(Settings {
            name: location.name(),
            client: options.namespace.clone(),
            info: Settings::greeting(&location.login, location.database),
            tls: tls.transpose().map_err(fault)?,
            connect_timeout: options.connect_timeout,
            answer_timeout: options.answer_timeout,
            scripts: Scripts::new(),
        });
        let [address] = &location.hosts[..] else {
            return Err(fault("several hosts".to_owned()));
        };
        let topology = Topology::One(Node::new(address.clone(), &settings));
        let (names, random) = (Names::new(&options.namespace), Random::default());
        Ok(Self { shared: Arc::new(Shared { settings, topology, names, random }) })
    }

    /// The bus beside it, on the same servers.
    #[must_use]
    pub fn bus(&self) -> RedisBus {
        RedisBus::new(self.shared.clone())
    }

    /// What the server does when it is full, and what that means for us.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SharedDown`] where it can't be reached or doesn't say.
    pub async fn eviction_policy(&self) -> Result<EvictionPolicy> {
        let connection = self.shared.topology.another(&self.shared.names.head).await?;
        let mut question = pipe();
        question.cmd("CONFIG").arg("GET").arg("maxmemory*");
        let answers = connection.ask(&mut question).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        self.shared.refuse_error(&answer)?;
        EvictionPolicy::read(answer)
    }

    fn entry(value: Value, left: Value, incarnation: Incarnation) -> Result<Option<SharedEntry>> {
        let left: i64 = reply::number(left)?;
        // Without an end it is not ours; -2 is nothing at all.
        let Ok(left) = u64::try_from(left) else { return Ok(None) };
        if value == Value::Nil {
            return Ok(None);
        }
        let envelope = reply::bytes(value)?;
        if envelope.len() > Self::ENVELOPE_BYTES_MAX {
            return Ok(None);
        }
        Ok(Some(SharedEntry { envelope, remaining: Duration::from_millis(left), incarnation }))
    }

    fn held(&self, outcome: Result<Option<Reply>>) -> Result<Option<SharedEntry>> {
        let Some(reply) = outcome? else { return Ok(None) };
        let incarnation = reply.incarnation;
        let [value, left, stamp] = self.shared.values(reply)?;
        let Some(entry) = Self::entry(value, left, incarnation)? else { return Ok(None) };
        // Filled anew in between: the time is the other one's.
        let same = entry.envelope.get(STAMP_AT..STAMP_AT + 8) == Some(&reply::bytes(stamp)?[..]);
        Ok(same.then_some(entry))
    }

    fn leased(&self, outcome: Result<Option<Reply>>, token: Bytes) -> Result<SharedRead> {
        let reply = outcome?.ok_or_else(|| errors::odd("answer"))?;
        let incarnation = reply.incarnation;
        let [value] = self.shared.values(reply)?;
        let [what, value, left, wait] = reply::array(value)?;
        let entry = Self::entry(value, left, incarnation)?;
        Ok(match (&reply::bytes(what)?[..], entry) {
            (b"hit", Some(entry)) => SharedRead::Hit(entry),
            (b"lease", Some(entry)) => {
                SharedRead::Stale { entry, lease: Lease { token, incarnation } }
            }
            (b"hit" | b"lease", None) => SharedRead::Miss(Lease { token, incarnation }),
            (b"busy", stale) => {
                let retry_after = Duration::from_millis(reply::number(wait)?);
                SharedRead::Busy { retry_after, stale }
            }
            (b"writer", stale) => SharedRead::WriterPending { stale },
            _ => return Err(errors::odd("such outcome of a lease")),
        })
    }

    /// A script about a lease: `None` when the lease is void.
    async fn under(
        &self,
        lease: &Lease,
        script: Script,
        keys: Vec<Bytes>,
        args: impl IntoIterator<Item = Bytes>,
    ) -> Result<Option<u64>> {
        if lease.token.len() != TOKEN_BYTES {
            return Ok(None);
        }
        let args = std::iter::once(lease.token.clone()).chain(args).collect();
        let mut request = Request::call(Call { script, keys, args });
        request.only_in = Some(lease.incarnation);
        let Some(reply) = self.shared.one(request).await? else { return Ok(None) };
        let [value] = self.shared.values(reply)?;
        Ok(Some(reply::number(value)?))
    }
}

impl fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTier").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl SharedTier for RedisTier {
    fn name(&self) -> &str {
        &self.shared.settings.name
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            marks: true,
            announces: self.shared.topology.is_one(),
            intents: false,
            marks_stale: true,
            resolution: Duration::from_millis(1),
            key_bytes_max: Self::KEY_BYTES_MAX,
            envelope_bytes_max: Self::ENVELOPE_BYTES_MAX,
        }
    }

    fn get_many<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
    ) -> BoxFuture<'a, Vec<Result<Option<SharedEntry>>>> {
        Box::pin(async move {
            let read = |key: &&[u8]| Request {
                name: self.shared.names.value(key),
                body: Body::Read,
                only_in: None,
            };
            let requests: Vec<Request> = keys.iter().map(read).collect();
            let outcomes = self.shared.topology.run(&self.shared.settings, &requests).await;
            outcomes.into_iter().map(|outcome| self.held(outcome)).collect()
        })
    }

    fn lease_many<'a>(
        &'a self,
        asks: &'a [LeaseAsk<'a>],
        time: Duration,
    ) -> BoxFuture<'a, Vec<Result<SharedRead>>> {
        Box::pin(async move {
            let names = &self.shared.names;
            let tokens: Vec<Bytes> = asks.iter().map(|_| self.shared.random.token()).collect();
            let requests: Vec<Request> = asks
                .iter()
                .zip(&tokens)
                .map(|(ask, token)| {
                    let seen = ask.seen.map_or_else(Bytes::new, |stamp| {
                        Bytes::copy_from_slice(&stamp.to_be_bytes())
                    });
                    Request::call(Call {
                        script: Script::Lease,
                        keys: vec![
                            names.value(ask.key),
                            names.lease(ask.key),
                            names.intents(ask.key),
                        ],
                        args: vec![token.clone(), millis(time), seen],
                    })
                })
                .collect();
            let outcomes = self.shared.topology.run(&self.shared.settings, &requests).await;
            let outcomes = outcomes.into_iter().zip(tokens);
            outcomes.map(|(outcome, token)| self.leased(outcome, token)).collect()
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
            let names = &self.shared.names;
            if envelope.len() > Self::ENVELOPE_BYTES_MAX {
                return Ok(SharedFill::Refused);
            }
            let keys = vec![names.value(key), names.lease(key), names.intents(key)];
            let filled =
                self.under(lease, Script::Fill, keys, [envelope, millis(lifetime)]).await?;
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
            let keys = vec![self.shared.names.lease(key)];
            Ok(self.under(lease, Script::Extend, keys, [millis(time)]).await? == Some(1))
        })
    }

    fn release<'a>(&'a self, key: &'a [u8], lease: &'a Lease) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let keys = vec![self.shared.names.lease(key)];
            self.under(lease, Script::Release, keys, []).await.map(|_| ())
        })
    }

    fn invalidate<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
        strike: Strike,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Option<Position>>> {
        Box::pin(async move {
            let announcement = announced(announcement.filter(|_| self.shared.topology.is_one()))?;
            // On one server many keys fit into a script; on a cluster they live in many places.
            let at_once = if self.shared.topology.is_one() { KEYS_MAX } else { 1 };
            let mut chunks: Vec<&[&[u8]]> = keys.chunks(at_once).collect();
            if chunks.is_empty() && !announcement.is_empty() {
                chunks.push(&[]);
            }
            let Some((last, before)) = chunks.split_last() else { return Ok(None) };
            let request =
                |keys: &[&[u8]], announcement: Bytes| self.invalidation(keys, strike, announcement);
            let requests: Vec<Request> =
                before.iter().map(|keys| request(keys, Bytes::new())).collect();
            // What is announced was done before.
            for outcome in self.shared.topology.run(&self.shared.settings, &requests).await {
                let reply = outcome?.ok_or_else(|| errors::odd("answer"))?;
                self.shared.values::<1>(reply)?;
            }
            let reply = self.shared.one(request(last, announcement)).await?;
            let [value] = self.shared.values(reply.ok_or_else(|| errors::odd("answer"))?)?;
            match &reply::list(value)?[..] {
                [] => Ok(None),
                [run, number] => position([run.clone(), number.clone()]).map(Some),
                _ => Err(errors::odd("position")),
            }
        })
    }

    fn mark<'a>(
        &'a self,
        marks: &'a [Mark],
        strike: Strike,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Marked>> {
        Box::pin(async move {
            let shared = &self.shared;
            let mut args = vec![
                shared.random.run(),
                shared.random.run(),
                marks::letter(strike),
                announced(announcement.filter(|_| shared.topology.is_one()))?,
            ];
            marks.iter().for_each(|mark| args.extend(marks::arguments(mark)));
            let names = &shared.names;
            let keys = vec![names.marks.clone(), names.head.clone(), names.stream.clone()];
            marks::read_marked(shared.call(Script::Mark, keys, args).await?)
        })
    }

    fn marks(&self) -> BoxFuture<'_, Result<Marks>> {
        Box::pin(async move {
            let keys = vec![self.shared.names.marks.clone()];
            let args = vec![self.shared.random.run()];
            marks::read(self.shared.call(Script::Marks, keys, args).await?)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // To be let in and told its run by a master is more than to be told PONG.
            self.shared.topology.another(&self.shared.names.head).await.map(|_| ())
        })
    }
}

impl RedisTier {
    fn invalidation(&self, keys: &[&[u8]], strike: Strike, announcement: Bytes) -> Request {
        let names = &self.shared.names;
        let of_key = |key: &&[u8]| [names.value(key), names.lease(key), names.owner(key)];
        let mut all: Vec<Bytes> = keys.iter().flat_map(of_key).collect();
        if !announcement.is_empty() {
            all.extend([names.head.clone(), names.stream.clone()]);
        }
        let count = BytesMut::from(keys.len().to_string().as_bytes()).freeze();
        let args = vec![count, marks::letter(strike), self.shared.random.run(), announcement];
        Request::call(Call { script: Script::Invalidate, keys: all, args })
    }
}

/// Milliseconds as an argument: at least one, because no time at all is an error to Redis.
fn millis(time: Duration) -> Bytes {
    time.as_millis().clamp(1, MILLIS_MAX).to_string().into()
}
