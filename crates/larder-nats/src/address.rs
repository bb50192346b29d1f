//! What a URL means: which servers, and who asks.

use std::fmt::Write as _;

use async_nats::ServerAddr;
use larder_core::percent_decode;

/// The most servers that a URL may name.
const HOSTS_MAX: usize = 64;

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// Nobody in particular.
    Nobody,
    Token(String),
    User {
        user: String,
        password: String,
    },
}

/// A NATS, as a URL names it.
#[derive(Clone)]
pub(crate) struct Location {
    /// Its servers, without any secret.
    pub(crate) servers: Vec<ServerAddr>,
    pub(crate) tls: bool,
    pub(crate) login: Login,
}

impl Location {
    /// Reads a URL; what is wrong with it is said without repeating any of it that may be secret.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let (tls, rest) = match url.split_once("://") {
            Some(("nats", rest)) => (false, rest),
            Some(("tls", rest)) => (true, rest),
            _ => return Err("a url of another form than nats://host:port and tls://host:port"),
        };
        let (login, hosts) = match rest.rsplit_once('@') {
            Some((login, hosts)) => (parse_login(login)?, hosts),
            None => (Login::Nobody, rest),
        };
        let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
        let scheme = if tls { "tls" } else { "nats" };
        let servers = hosts
            .split(',')
            .filter(|host| !host.is_empty())
            .map(|host| parse_host(scheme, host))
            .collect::<Result<Vec<_>, _>>()?;
        match servers.len() {
            0 => Err("a url without a host: write nats://host:port"),
            1..=HOSTS_MAX => Ok(Self { servers, tls, login }),
            _ => Err("a url with more than 64 hosts"),
        }
    }

    /// What it is, for logs: kind and place, without secrets.
    pub(crate) fn name(&self) -> String {
        let mut name = "nats at ".to_owned();
        for (at, server) in self.servers.iter().enumerate() {
            let (host, port) = (server.host(), server.port());
            let comma = if at == 0 { "" } else { "," };
            // Nothing fails to be written into a text.
            let _ = match host.contains(':') {
                true => write!(name, "{comma}[{host}]:{port}"),
                false => write!(name, "{comma}{host}:{port}"),
            };
        }
        name
    }
}

fn parse_login(text: &str) -> Result<Login, &'static str> {
    let decode = |text| {
        percent_decode(text)
            .ok_or("a url with a percent sign that stands for nothing: write it as %25")
    };
    match text.split_once(':') {
        None if text.is_empty() => Ok(Login::Nobody),
        None => Err("a url with a user and no password: write user:password@, or :token@"),
        Some(("", token)) => Ok(Login::Token(decode(token)?)),
        Some((user, password)) => {
            Ok(Login::User { user: decode(user)?, password: decode(password)? })
        }
    }
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn parse_host(scheme: &str, text: &str) -> Result<ServerAddr, &'static str> {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
    let none = "a url whose host is none: write nats://host:port";
    if text.contains(odd) {
        return Err(none);
    }
    let server: ServerAddr = format!("{scheme}://{text}").parse().map_err(|_| none)?;
    if server.host().is_empty() { Err(none) } else { Ok(server) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_url_is_understood() {
        let location = Location::parse("tls://ann:p%40ss@one:1,[::1]:7,two/").unwrap();
        assert!(location.tls && location.servers.iter().all(ServerAddr::tls_required));
        assert_eq!(location.name(), "nats at one:1,[::1]:7,two:4222");
        let user = Login::User { user: "ann".to_owned(), password: "p@ss".to_owned() };
        assert!(location.login == user);
        let location = Location::parse("nats://:t0ken@one").unwrap();
        assert!(!location.tls && location.login == Login::Token("t0ken".to_owned()));
        assert!(Location::parse("nats://one").unwrap().login == Login::Nobody);
    }

    #[test]
    fn a_url_that_can_be_none_is_refused_with_the_cure() {
        for (url, cure) in [
            ("localhost:4222", "nats://host:port"),
            ("redis://localhost", "nats://host:port"),
            ("nats://", "write nats://host:port"),
            ("nats://localhost:port", "host is none"),
            ("nats://local host", "host is none"),
            ("nats://localhost/path", "host is none"),
            ("nats://ann@localhost", ":token@"),
            ("nats://ann:100%@localhost", "write it as %25"),
        ] {
            let message = Location::parse(url).err().unwrap();
            assert!(message.contains(cure), "{url}: {message}");
        }
    }
}
