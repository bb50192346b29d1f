//! What a user says about a NATS. It opens nothing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};

use crate::address::Location;

/// Which NATS, and how it is used.
#[derive(Clone)]
pub struct NatsOptions {
    /// Where it is: `nats://user:password@host:port,host:port`, of which only a host must be
    /// said; several are servers of one cluster. `nats://:token@host` where a token is asked for.
    /// With `tls` for `nats` it is spoken to over TLS. What has other letters in it than a URL may
    /// is percent-encoded.
    ///
    /// It may hold a password, and is therefore no part of `Debug` or of any error.
    pub url: String,
    /// How the stream's name begins: `larder` by default, which makes it `larder_bus`. Two
    /// applications that share a NATS give it two.
    pub namespace: String,
    /// How long opening a connection may take. One second by default.
    pub connect_timeout: Duration,
    /// How long an answer may take. Two seconds by default.
    pub answer_timeout: Duration,
    /// A file of certificates in PEM that a server's is checked against, instead of those that the
    /// system trusts.
    pub certificates: Option<PathBuf>,
}

impl NatsOptions {
    /// The NATS at `url`, and the defaults.
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
        let spelt = |c: char| c.is_ascii_graphic();
        if self.namespace.is_empty() || !self.namespace.chars().all(spelt) {
            return Err(fault(
                "a namespace that is empty or has spaces or letters beyond ASCII in it",
            ));
        }
        let location = Location::parse(&self.url).map_err(fault)?;
        if self.certificates.is_some() && !location.tls {
            return Err(fault("certificates, and a url without TLS: let it begin with tls"));
        }
        Ok(location)
    }
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOptions")
            .field("namespace", &self.namespace)
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

fn fault(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("the bus has {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_refused() {
        let good = NatsOptions::new("nats://localhost");
        assert!(good.location().is_ok());
        for options in [
            NatsOptions { connect_timeout: Duration::ZERO, ..good.clone() },
            NatsOptions { answer_timeout: Duration::ZERO, ..good.clone() },
            NatsOptions { namespace: String::new(), ..good.clone() },
            NatsOptions { namespace: "a b".to_owned(), ..good.clone() },
            NatsOptions { certificates: Some(PathBuf::from("ca.pem")), ..good.clone() },
        ] {
            assert_eq!(options.location().err().unwrap().kind(), ErrorKind::Config, "{options:?}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        for url in [
            "nats://ann:s3cret@localhost",
            "nats://:s3cret@localhost",
            "nats://s3cret@localhost",
            "tls://ann:s3cret@localhost:port",
            "nats://ann:s3cret@one,two/path",
            "natss://ann:s3cret@one",
            "nats//ann:s3cret@localhost",
            "s3cret",
        ] {
            let options = NatsOptions::new(url);
            let shown = match options.location() {
                Ok(location) => format!("{options:?} {}", location.name()),
                Err(error) => format!("{options:?} {error:?} {}", error.chain()),
            };
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
