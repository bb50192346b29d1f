//! Where a listener listens: a host and a port, and whether other machines can reach it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::value::{Fault, OptionValue};

/// `host:port`. The host is an IP address or a name; nothing is resolved here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host, without the brackets that an IPv6 address has in text.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
}

impl Address {
    /// Whether only this machine can reach it: `127.0.0.0/8`, `::1` or `localhost`. Any other
    /// name counts as reachable from elsewhere.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for Address {
    /// As a socket wants it: an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl OptionValue for Address {
    const WHAT: &'static str = "an address";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let fault = || {
            Fault::new(
                "is no address",
                "write HOST:PORT, for example \"127.0.0.1:7379\" for this machine alone, or \
                 \"0.0.0.0:7379\" or \"[::]:7379\" for every network it is in",
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
        let port = port.parse().map_err(|_| fault())?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| fault())?.to_string(),
            None if is_name(host) => host.to_owned(),
            None => return Err(fault()),
        };
        Ok(Self { host, port })
    }
}

/// Whether `host` is an IPv4 address or a host name.
fn is_name(host: &str) -> bool {
    let number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let name = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    !host.is_empty() && if number { host.parse::<IpAddr>().is_ok() } else { name }
}

#[cfg(test)]
mod tests {
    use super::{Address, OptionValue};

    #[test]
    fn an_address_knows_who_can_reach_it() {
        for (text, loopback) in [
            ("127.0.0.1:7379", true),
            ("127.9.9.9:0", true),
            ("[::1]:7379", true),
            ("[::ffff:127.0.0.1]:7379", true),
            ("localhost:7379", true),
            ("LOCALHOST:7379", true),
            ("0.0.0.0:7379", false),
            ("[::]:7379", false),
            ("10.0.0.7:7379", false),
            ("cache.internal:7379", false),
            ("localhost.evil.example:7379", false),
        ] {
            let address = Address::from_text(text).unwrap();
            assert_eq!(address.is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn an_address_is_written_as_a_socket_wants_it() {
        for (text, shown) in
            [("[0:0::1]:1", "[::1]:1"), ("127.0.0.1:2", "127.0.0.1:2"), ("db:3", "db:3")]
        {
            assert_eq!(Address::from_text(text).unwrap().to_string(), shown);
        }
        for text in ["", ":7379", "7379", "*:7379", "::1:7379", "127.0.0.1", "1.2.3:4", "h:99999"] {
            assert!(Address::from_text(text).is_err(), "{text}");
        }
    }
}
