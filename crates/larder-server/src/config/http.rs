//! Who may read over HTTP, and under which names the listener is known.

use std::fmt;
use std::net::IpAddr;

use super::value::{Fault, OptionValue};

/// Who may read over HTTP without the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpReads {
    /// Whoever reaches the listener.
    Anyone,
    /// Nobody: who reads sends the token.
    Token,
}

impl fmt::Display for HttpReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anyone => "anyone",
            Self::Token => "token",
        })
    }
}

impl OptionValue for HttpReads {
    const WHAT: &'static str = "`anyone` or `token`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "anyone" => Ok(Self::Anyone),
            "token" => Ok(Self::Token),
            _ => Err(Fault::new("must be `anyone` or `token`", "say who reads without the token")),
        }
    }
}

/// A name or an address by which clients know a listener, without a port, in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostName(pub(super) String);

impl OptionValue for HostName {
    const WHAT: &'static str = "a host";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self(ip.to_canonical().to_string()));
        }
        if text.is_empty() || !text.chars().all(is_name) {
            return Err(Fault::new(
                "holds what is no host",
                "write the names by which clients know it, without scheme and port: \
                 \"cache.internal\"",
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::{HostName, OptionValue};

    #[test]
    fn a_host_has_one_spelling() {
        for (text, host) in [
            ("Cache.Internal", "cache.internal"),
            ("10.0.0.7", "10.0.0.7"),
            ("[::1]", "::1"),
            ("0:0::1", "::1"),
            ("::ffff:10.0.0.7", "10.0.0.7"),
        ] {
            assert_eq!(HostName::from_text(text), Ok(HostName(host.to_owned())), "{text}");
        }
        for text in ["", "http://cache", "cache:7380", "*", "a b", "ä"] {
            assert!(HostName::from_text(text).is_err(), "{text}");
        }
    }
}
