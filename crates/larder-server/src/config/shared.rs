//! `[shared]` resolved: the tier that several larders share.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind};
use larder_engine::{Sharing, SharingBounds};
use larder_memcached::{MemcachedOptions, MemcachedTier};
use larder_redis::{RedisOptions, RedisTier, Servers};

use super::bus::Beside;
use super::document::Written;
use super::findings::Reported;
use super::options::shared as options;
use super::scope::Scope;
use super::secret::SecretUrl;
use crate::upstream::{self, RedisUpstream};

/// A tier, opened.
#[derive(Clone, Debug)]
pub enum Tier {
    /// One with a bus of its own.
    Redis(Arc<RedisTier>),
    /// One without.
    Memcached(Arc<MemcachedTier>),
}

/// The tier that several larders share.
#[derive(Clone, Debug)]
pub struct SharedConfig {
    /// Where it is.
    pub url: SecretUrl,
    /// How larders that share it hear of each other.
    pub bus: Beside,
    /// How the names of all its keys begin there.
    pub namespace: String,
    /// A file of certificates that the server's is checked against.
    pub certificates: Option<String>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How it is used.
    pub bounds: SharingBounds,
}

impl SharedConfig {
    /// Whether it is a Memcached.
    #[must_use]
    pub fn is_memcached(&self) -> bool {
        self.url.scheme() == "memcached"
    }

    /// Whether what is invalidated is announced to the others.
    #[must_use]
    pub fn has_bus(&self) -> bool {
        !matches!(self.bus, Beside::None)
    }

    /// The tier, and its bus. Nothing is connected until it is asked.
    ///
    /// # Errors
    ///
    /// `Config` when no tier can have this URL, or the certificates can't be read.
    pub fn open(&self) -> larder_core::Result<(Tier, Sharing)> {
        let tier = self.tier()?;
        let sharing = match &tier {
            Tier::Redis(tier) => Sharing::over(tier.clone()),
            Tier::Memcached(tier) => Sharing::over(tier.clone()),
        };
        let sharing = match (&self.bus, &tier) {
            (Beside::Streams, Tier::Redis(tier)) => sharing.own_bus(Arc::new(tier.bus())),
            (Beside::Tracking, Tier::Redis(tier)) => sharing.own_bus(Arc::new(tier.tracking_bus())),
            (Beside::Nats(nats), _) => sharing.bus(nats.open(self)?),
            (Beside::None | Beside::Streams | Beside::Tracking, _) => sharing,
        };
        Ok((tier, sharing.bounds(self.bounds)))
    }

    fn tier(&self) -> larder_core::Result<Tier> {
        if self.is_memcached() {
            return Ok(Tier::Memcached(Arc::new(MemcachedTier::connect(self.memcached()?)?)));
        }
        Ok(Tier::Redis(Arc::new(RedisTier::connect(self.trusting_redis()?)?)))
    }

    /// The Redis in which plain keys live, where it is one. Nothing is connected until it is asked.
    ///
    /// # Errors
    ///
    /// `Config` when there can be none at this URL, or the certificates can't be read.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    pub fn upstream(&self) -> larder_core::Result<RedisUpstream> {
        let servers = Servers::new(&self.trusting_redis()?)?;
        let options = upstream::Options {
            connect_timeout: self.connect_timeout,
            ..upstream::Options::default()
        };
        Ok(RedisUpstream::new(&servers, &options))
    }

    /// Whether it is a cluster, whose keys live on several servers.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.url.scheme().contains("+cluster")
    }

    /// Whether `certificates` concern the tier: not where only the bus is spoken to over TLS.
    fn are_certificates_of_tier(&self) -> bool {
        let is_over_tls =
            ["rediss", "valkeys"].iter().any(|tls| self.url.scheme().starts_with(tls));
        is_over_tls || !matches!(&self.bus, Beside::Nats(nats) if nats.is_over_tls())
    }

    /// Whether a tier can have this URL and namespace.
    fn check(&self) -> larder_core::Result<()> {
        if self.is_memcached() {
            self.memcached().map(|_| ())
        } else {
            RedisTier::connect(self.redis()).map(|_| ())
        }
    }

    fn memcached(&self) -> larder_core::Result<MemcachedOptions> {
        Ok(MemcachedOptions {
            namespace: self.namespace.clone(),
            connect_timeout: self.connect_timeout,
            ..MemcachedOptions::new(self.url.expose())?
        })
    }

    fn redis(&self) -> RedisOptions {
        RedisOptions {
            namespace: self.namespace.clone(),
            connect_timeout: self.connect_timeout,
            ..RedisOptions::new(self.url.expose())
        }
    }

    /// The same, with the certificates that its server's is checked against.
    fn trusting_redis(&self) -> larder_core::Result<RedisOptions> {
        let mut options = self.redis();
        if let Some(file) = self.certificates.as_ref().filter(|_| self.are_certificates_of_tier()) {
            let certificates = fs::read(file).map_err(|error| {
                let message = format!("the certificates of [shared], {file}, can't be read");
                Error::new(ErrorKind::Config, message).caused_by(error)
            })?;
            options.certificates = Some(certificates.into());
        }
        Ok(options)
    }

    /// `None` when it runs alone.
    pub(super) fn resolve(
        written: &Written,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Option<Self>, Reported> {
        if written.at.is_none() {
            return Ok(None);
        }
        let url = scope.required(written, &options::URL);
        let bus = scope.get(written, &options::BUS);
        let namespace = scope.or_default(written, &options::NAMESPACE);
        let certificates = scope.get(written, &options::CERTIFICATES);
        let connect_timeout = scope.or_default(written, &options::CONNECT_TIMEOUT);
        let read_within = scope.or_default(written, &options::READ_WITHIN);
        let write_within = scope.or_default(written, &options::WRITE_WITHIN);
        let fill_wait = scope.or_default(written, &options::FILL_WAIT);
        let (url, bus) = (url?.0, bus?);
        let bus = Beside::resolve(bus, url.scheme() == "memcached").map_err(|problem| {
            scope.findings.error(&written.value(&options::BUS.about), problem.what, problem.cure)
        })?;
        let shared = Self {
            url,
            bus,
            namespace: namespace?.0,
            certificates: certificates?.map(|file| file.0),
            connect_timeout: connect_timeout?.0,
            bounds: SharingBounds {
                read_within: read_within?.0,
                write_within: write_within?.0,
                fill_wait: fill_wait?.0,
                ..SharingBounds::default()
            },
        };
        shared.check().map_err(|error| {
            scope.findings.error(
                &written.value(&options::URL.about),
                error.to_string(),
                "write redis://USER:PASSWORD@HOST:PORT, USER and PASSWORD percent-encoded, or \
                 memcached://HOST,HOST",
            )
        })?;
        if let Beside::Nats(nats) = &shared.bus
            && let Err(error) = nats.check(&shared)
        {
            return Err(scope.findings.error(
                &written.value(&options::BUS.about),
                error.to_string(),
                "write nats://USER:PASSWORD@HOST:4222, USER and PASSWORD percent-encoded, or tls:// \
                 for nats:// to speak TLS",
            ));
        }
        Ok(Some(shared))
    }
}
