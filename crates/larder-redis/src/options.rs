//! What a user says about a Redis. It opens nothing.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};

use crate::address::Location;

/// Which Redis, and how it is used.
#[derive(Clone)]
pub struct RedisOptions {
    /// Where it is:
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://user:password@host:port/database` | one server; everything but the host may be left out |
    /// | `unix:///path/to/redis.sock?db=0` | one server behind a socket file |
    /// | `redis+sentinel://one:26379,two:26379/master` | the master of that name, which Sentinels know; `/master/database` for another database, `?sentinel_password=` for the Sentinels' own |
    /// | `redis+cluster://one:6379,two:6379` | a cluster, of which these are some nodes |
    ///
    /// With `rediss` for `redis` it is spoken to over TLS, if this crate was built with the
    /// feature `tls`, which is `redis-tls` of `larder`. It may hold a password, and is therefore
    /// no part of `Debug` or of any error.
    pub url: String,
    /// How the names of all keys begin: `larder` by default. Two applications that share a Redis
    /// give it two.
    pub namespace: String,
    /// How long opening a connection may take, and how long a call waits for one. One second by
    /// default.
    pub connect_timeout: Duration,
    /// How long an answer may take before the connection is given up, with everything that waits
    /// on it. Two seconds by default.
    pub answer_timeout: Duration,
    /// Certificates in PEM that a server's is checked against, instead of those that the system
    /// trusts.
    pub certificates: Option<Bytes>,
}

impl RedisOptions {
    /// The defaults.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: "larder".to_owned(),
            connect_timeout: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(2),
            certificates: None,
        }
    }

    /// What the URL means.
    pub(crate) fn location(&self) -> Result<Location> {
        if self.connect_timeout.is_zero() || self.answer_timeout.is_zero() {
            return Err(fault("a timeout of zero, in which nothing can be done"));
        }
        let spelt = |c: char| c.is_ascii_graphic() && !"{}%".contains(c);
        if self.namespace.is_empty() || !self.namespace.chars().all(spelt) {
            return Err(fault(
                "a namespace that is empty or has spaces, braces, percent signs or letters beyond \
                 ASCII in it",
            ));
        }
        let location = Location::parse(&self.url).map_err(fault)?;
        if location.tls && cfg!(not(feature = "tls")) {
            let what = "a url that asks for TLS, which was left out of this build: build it with \
                        the feature tls, or larder with redis-tls";
            return Err(fault(what));
        }
        if self.certificates.is_some() && !location.tls {
            let what = "certificates, and a url without TLS: let it begin with rediss";
            return Err(fault(what));
        }
        Ok(location)
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("namespace", &self.namespace)
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .finish_non_exhaustive()
    }
}

fn fault(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("the shared tier has {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_refused() {
        let good = RedisOptions::new("redis://localhost");
        assert!(good.location().is_ok());
        for options in [
            RedisOptions { connect_timeout: Duration::ZERO, ..good.clone() },
            RedisOptions { answer_timeout: Duration::ZERO, ..good.clone() },
            RedisOptions { namespace: String::new(), ..good.clone() },
            RedisOptions { namespace: "a{b".to_owned(), ..good.clone() },
            RedisOptions { namespace: "a b".to_owned(), ..good.clone() },
            RedisOptions { certificates: Some(Bytes::from_static(b"x")), ..good.clone() },
        ] {
            assert_eq!(options.location().err().unwrap().kind(), ErrorKind::Config, "{options:?}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        for url in [
            "redis://ann:s3cret@localhost/0",
            "redis://ann:s3cret@localhost/shop",
            "redis://ann:s3cret@localhost:port",
            "rediss://ann:s3cret@localhost?odd=s3cret",
            "redis//ann:s3cret@localhost",
            "unix:///run/redis.sock?password=s3cret&odd=s3cret",
            "redis+sentinel://ann:s3cret@one,two/",
            "redis+cluster://ann:s3cret@one,two/7",
            "s3cret",
        ] {
            let options = RedisOptions::new(url);
            let shown = match options.location() {
                Ok(location) => format!("{options:?} {}", location.name()),
                Err(error) => format!("{options:?} {error:?} {}", error.chain()),
            };
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
