//! Which bus the larders that share a tier hear of each other over.

use std::fmt;
use std::sync::Arc;

use larder_core::{Bus, Result};

use super::secret::SecretUrl;
use super::shared::SharedConfig;
use super::value::{Fault, OptionValue};

/// What stands beside the tier.
#[derive(Clone, Debug)]
pub enum Beside {
    /// Nothing: nobody hears of anybody.
    None,
    /// A stream in the Redis that is the tier.
    Streams,
    /// The same, and Redis itself says what changes.
    Tracking,
    /// A stream in a NATS.
    Nats(NatsUrl),
}

/// Where a NATS is.
#[derive(Clone)]
pub struct NatsUrl(SecretUrl);

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was written.
#[derive(Clone, Debug)]
pub(super) enum BusChoice {
    Streams,
    Tracking,
    Nats(SecretUrl),
}

/// Why what was written can't be, and what to do.
pub(super) struct Problem {
    pub(super) what: &'static str,
    pub(super) cure: &'static str,
}

impl OptionValue for BusChoice {
    const WHAT: &'static str = "`\"streams\"`, `\"tracking\"` or a URL";
    const SECRET: bool = true;

    fn from_text(text: &str) -> std::result::Result<Self, Fault> {
        match text {
            "streams" => Ok(Self::Streams),
            "tracking" => Ok(Self::Tracking),
            url if url.starts_with("nats://") || url.starts_with("tls://") => {
                Ok(Self::Nats(SecretUrl::new(url)))
            }
            _ => Err(Fault::new(
                "names no bus",
                "write \"streams\", \"tracking\" or \"nats://HOST:4222\"",
            )),
        }
    }
}

impl Beside {
    pub(super) fn resolve(
        written: Option<BusChoice>,
        is_memcached: bool,
    ) -> std::result::Result<Self, Problem> {
        match written {
            None if is_memcached => Ok(Self::None),
            Some(BusChoice::Streams | BusChoice::Tracking) if is_memcached => Err(Problem {
                what: "is a bus that Redis has, and the shared tier is a Memcached",
                cure: "name a NATS, \"nats://HOST:4222\", or leave it out",
            }),
            None | Some(BusChoice::Streams) => Ok(Self::Streams),
            Some(BusChoice::Tracking) => Ok(Self::Tracking),
            Some(BusChoice::Nats(_)) if cfg!(not(feature = "nats")) => Err(Problem {
                what: "is a NATS, which was left out of this build",
                cure: "build larder with the feature `nats`, or leave it out",
            }),
            Some(BusChoice::Nats(url)) => Ok(Self::Nats(NatsUrl(url))),
        }
    }
}

impl fmt::Display for NatsUrl {
    /// Its servers, and never who asks: without a password a token may stand there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0.expose();
        let servers = url.rsplit_once('@').map(|(_, servers)| servers);
        let servers = servers.or_else(|| url.split_once("://").map(|(_, servers)| servers));
        write!(f, "NATS at {}", servers.unwrap_or_default())
    }
}

impl NatsUrl {
    pub(super) fn is_over_tls(&self) -> bool {
        self.0.scheme() == "tls"
    }

    /// Whether it answers, over a connection of its own.
    pub(crate) async fn probe(&self, shared: &SharedConfig) -> Result<()> {
        self.open(shared)?.subscribe().await.map(|_| ())
    }

    /// Whether a NATS can have this URL.
    pub(super) fn check(&self, shared: &SharedConfig) -> Result<()> {
        self.open(shared).map(|_| ())
    }

    /// The bus. Nothing is connected until it is asked.
    #[cfg(feature = "nats")]
    pub(super) fn open(&self, shared: &SharedConfig) -> Result<Arc<dyn Bus>> {
        use larder_nats::{NatsBus, NatsOptions};

        let options = NatsOptions {
            namespace: shared.namespace.clone(),
            connect_timeout: shared.connect_timeout,
            certificates: match self.is_over_tls() {
                true => shared.certificates.as_ref().map(Into::into),
                false => None,
            },
            ..NatsOptions::new(self.0.expose())
        };
        Ok(Arc::new(NatsBus::connect(options)?))
    }

    /// There is none in this build, and a file that names one is refused.
    #[cfg(not(feature = "nats"))]
    pub(super) fn open(&self, _: &SharedConfig) -> Result<Arc<dyn Bus>> {
        let what = "a bus on NATS, which was left out of this build";
        Err(larder_core::Error::new(larder_core::ErrorKind::Config, what))
    }
}
