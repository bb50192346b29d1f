//! What an edge is told in words of its own: its origin, its hosts, and how it behaves.

use std::fmt;

use http::Uri;
use http::uri::{Authority, Scheme};

use super::value::{Fault, OptionValue};

/// What is cached where the RFCs leave a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// No cookies, no guessed lifetimes, and no client makes the origin work.
    Safe,
    /// What the RFCs allow and no more.
    Conformance,
}

/// How the origin is told who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// X-Forwarded-For, -Proto and -Host.
    XForwarded,
    /// Forwarded (RFC 7239).
    Forwarded,
    /// It isn't.
    None,
}

/// A web server: its scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginUrl {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Its host, and its port if it was written.
    pub authority: Authority,
}

/// The name of a host, or of all below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl OriginUrl {
    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Its host, without the brackets that an IPv6 address has in a URL.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        let usual = if self.is_encrypted() { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(usual)
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl HostName {
    /// Whether `host`, without its port, is meant.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            None => host.eq_ignore_ascii_case(&self.0),
            Some(end) => {
                host.len() > end.len()
                    && host.is_char_boundary(host.len() - end.len())
                    && host[host.len() - end.len()..].eq_ignore_ascii_case(end)
            }
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OptionValue for OriginUrl {
    const WHAT: &'static str = "the URL of a web server";

    fn from_text(text: &str) -> Result<Self, Fault> {
        const CURE: &str = "write `http://HOST:PORT` or `https://HOST`, without a path";
        let uri: Uri = text.parse().map_err(|_| Fault::new("is no URL", CURE))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(Fault::new("is no URL: it needs a scheme and a host", CURE));
        };
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(Fault::new("must begin with http:// or https://", CURE));
        }
        if authority.as_str().contains('@') {
            return Err(Fault::new("holds a user, which HTTP has no place for", CURE));
        }
        if uri.query().is_some() || !uri.path().trim_start_matches('/').is_empty() {
            return Err(Fault::new("has a path: all paths are passed on as they come", CURE));
        }
        Ok(Self { scheme: scheme.clone(), authority: authority.clone() })
    }
}

impl OptionValue for HostName {
    const WHAT: &'static str = "a host";

    fn from_text(text: &str) -> Result<Self, Fault> {
        const CURE: &str = "write a name or an address without a scheme and a port, or \
                            \"*.example.org\" for all below one";
        let body = text.strip_prefix("*.").unwrap_or(text);
        let named = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if body.is_empty() || body.len() > 255 || !body.chars().all(named) {
            return Err(Fault::new("is no host", CURE));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl OptionValue for Profile {
    const WHAT: &'static str = "`\"safe\"` or `\"conformance\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "safe" => Ok(Self::Safe),
            "conformance" => Ok(Self::Conformance),
            _ => Err(Fault::new(
                "must be \"safe\" or \"conformance\"",
                "leave it out, unless a test suite is to judge it",
            )),
        }
    }
}

impl OptionValue for Forwarding {
    const WHAT: &'static str = "`\"x-forwarded\"`, `\"forwarded\"` or `\"none\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "x-forwarded" => Ok(Self::XForwarded),
            "forwarded" => Ok(Self::Forwarded),
            "none" => Ok(Self::None),
            _ => Err(Fault::new(
                "must be \"x-forwarded\", \"forwarded\" or \"none\"",
                "leave it out: most web servers read X-Forwarded-For, -Proto and -Host",
            )),
        }
    }
}
