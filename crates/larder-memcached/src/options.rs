//! Where the servers are, and how they are used.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};

use crate::name::NAMESPACE_BYTES_MAX;

/// The port where nobody says another.
const PORT: u16 = 11211;
/// The most servers of one tier.
const SERVERS_MAX: usize = 64;

/// Where the servers are, and how they are used.
///
/// ```
/// use larder_memcached::MemcachedOptions;
///
/// let options = MemcachedOptions::new("memcached://cache-1,cache-2:11212")?;
/// assert_eq!(options.servers, ["cache-1:11211", "cache-2:11212"]);
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemcachedOptions {
    /// Each as `host:port`, at most 64. Which of them has a key depends on their names as they
    /// stand here, not on their order: every process must be given the same.
    pub servers: Vec<String>,
    /// How the names of all keys begin: 1 to 64 letters, digits, `-`, `_` and `.`. `larder` by
    /// default. Two applications that share a Memcached give it two.
    pub namespace: String,
    /// How long opening a connection may take. One second by default.
    pub connect_timeout: Duration,
    /// How long an answer may take, with the wait for its turn. A server that says nothing for
    /// so long is taken for dead, and its connection is closed. One second by default.
    pub answer_timeout: Duration,
}

impl MemcachedOptions {
    /// The servers at `url`, which is `memcached://host:port,host:port…`, and the defaults. The
    /// port is 11211 where it isn't said.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the URL is of another form; the message never holds a password.
    pub fn new(url: &str) -> Result<Self> {
        let servers = url.strip_prefix("memcached://").ok_or_else(|| {
            fault("the url of a Memcached is memcached://host:port, with a comma between several")
        })?;
        if servers.contains('@') {
            return Err(fault(
                "the url of a Memcached has a user or a password, and larder knows none of its \
                 ways to authenticate: leave them out, and keep strangers out of its network",
            ));
        }
        let servers = servers.strip_suffix('/').unwrap_or(servers);
        let servers = servers.split(',').map(server).collect::<Result<_>>()?;
        let options = Self {
            servers,
            namespace: "larder".to_owned(),
            connect_timeout: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(1),
        };
        options.check()?;
        Ok(options)
    }

    /// Whether they can be used.
    pub(crate) fn check(&self) -> Result<()> {
        if !(1..=SERVERS_MAX).contains(&self.servers.len()) {
            return Err(fault(format!("a Memcached tier has 1 to {SERVERS_MAX} servers")));
        }
        for (at, name) in self.servers.iter().enumerate() {
            if server(name)? != *name {
                return Err(fault(format!("the Memcached server {name} is no host:port")));
            }
            if self.servers[..at].contains(name) {
                return Err(fault(format!("the Memcached server {name} is named twice")));
            }
        }
        let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let length = self.namespace.len();
        if !(1..=NAMESPACE_BYTES_MAX).contains(&length) || !self.namespace.bytes().all(may_stand) {
            return Err(fault(format!(
                "the namespace of a Memcached tier is 1 to {NAMESPACE_BYTES_MAX} letters, \
                 digits, '-', '_' and '.'"
            )));
        }
        if self.connect_timeout.is_zero() || self.answer_timeout.is_zero() {
            return Err(fault("a timeout of zero leaves Memcached no time to answer"));
        }
        Ok(())
    }
}

/// `host:port` with the port written out.
fn server(text: &str) -> Result<String> {
    let (host, port) = match text.rsplit_once(':') {
        // The last colon of an IPv6 address is within its brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok()).filter(|&port| port != 0);
    let is_v6 = host.starts_with('[') && host.ends_with(']');
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) if is_v6 => address.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => !host.is_empty() && host.bytes().all(may_stand),
    };
    match port {
        Some(port) if is_host => Ok(format!("{}:{port}", host.to_ascii_lowercase())),
        _ => Err(fault(format!("the Memcached server {text:?} is no host:port"))),
    }
}

fn fault(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Result<Vec<String>> {
        MemcachedOptions::new(url).map(|options| options.servers)
    }

    #[test]
    fn the_port_is_written_out_so_that_one_server_has_one_name() {
        assert_eq!(servers("memcached://A").unwrap(), ["a:11211"]);
        assert_eq!(servers("memcached://a:1,b:2/").unwrap(), ["a:1", "b:2"]);
        assert_eq!(servers("memcached://[::1],[::1]:2").unwrap(), ["[::1]:11211", "[::1]:2"]);
    }

    #[test]
    fn what_is_no_list_of_servers_is_refused() {
        let many = format!("memcached://{}a", "a,".repeat(64));
        for url in [
            "redis://a",
            "memcached://",
            "memcached://a,,b",
            "memcached://a:0",
            "memcached://a:99999",
            "memcached://a/b",
            "memcached://a b",
            "memcached://[::1",
            "memcached://a,a:11211",
            &many,
        ] {
            assert_eq!(servers(url).unwrap_err().kind(), ErrorKind::Config, "{url}");
        }
        let error = servers("memcached://user:secret@a").unwrap_err();
        assert!(error.to_string().contains("authenticate") && !error.chain().contains("secret"));
    }

    #[test]
    fn a_namespace_cannot_reach_into_another() {
        let options = MemcachedOptions::new("memcached://a").unwrap();
        for namespace in ["", "a:b", "a#b", "a b", "ü", &"n".repeat(65)] {
            let options = MemcachedOptions { namespace: namespace.into(), ..options.clone() };
            assert_eq!(options.check().unwrap_err().kind(), ErrorKind::Config, "{namespace}");
        }
    }
}
