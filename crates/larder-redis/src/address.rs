//! What a URL means: which kind of Redis, where, and who asks.

use std::fmt;

use larder_core::percent_decode;
use larder_core::template::nearest;

/// The port of a Redis, and that of a Sentinel.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The most hosts that a URL may name.
const HOSTS_MAX: usize = 64;

/// Where one server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host, by its name or number, and a port.
    Tcp {
        /// The name or number, without brackets.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// A socket file.
    Socket(Box<str>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => f.write_str(path),
        }
    }
}

/// Who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

/// Which kind of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    /// The master of this name.
    Sentinel(Box<str>),
    Cluster,
}

/// A Redis, as a URL names it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) kind: Kind,
    /// The server, the Sentinels, or some nodes of the cluster.
    pub(crate) hosts: Vec<Address>,
    pub(crate) tls: bool,
    pub(crate) login: Login,
    /// For the Sentinels.
    pub(crate) sentinel_login: Login,
    pub(crate) database: i64,
}

impl Location {
    /// Reads a URL; what is wrong with it is said without repeating any of it that may be secret.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err("a url without a scheme: write redis://host:port".to_owned());
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, tls) = match scheme {
            "redis" | "valkey" => (Kind::Single, false),
            "rediss" | "valkeys" => (Kind::Single, true),
            "redis+sentinel" => (Kind::Sentinel("".into()), false),
            "rediss+sentinel" => (Kind::Sentinel("".into()), true),
            "redis+cluster" => (Kind::Cluster, false),
            "rediss+cluster" => (Kind::Cluster, true),
            "unix" | "redis+unix" => return Self::socket(rest, query),
            _ => return Err(unknown_scheme(scheme)),
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (parse_login(login)?, rest),
            None => (Login::default(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut location = Self {
            hosts: parse_hosts(hosts, &kind)?,
            kind,
            tls,
            login,
            sentinel_login: Login::default(),
            database: 0,
        };
        location.take_path(path)?;
        location.take_query(query)?;
        Ok(location)
    }

    /// What it is, for logs: kind and place, without secrets.
    pub(crate) fn name(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        let hosts = hosts.join(",");
        match &self.kind {
            Kind::Single => format!("redis at {hosts}"),
            Kind::Sentinel(master) => format!("redis {master}, by the sentinels at {hosts}"),
            Kind::Cluster => format!("redis cluster at {hosts}"),
        }
    }

    fn socket(path: &str, query: &str) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err("a url of a socket file without its path: write unix:///path".to_owned());
        }
        let mut location = Self {
            kind: Kind::Single,
            hosts: vec![Address::Socket(decode(path)?.into())],
            tls: false,
            login: Login::default(),
            sentinel_login: Login::default(),
            database: 0,
        };
        location.take_query(query)?;
        Ok(location)
    }

    fn take_path(&mut self, path: &str) -> Result<(), String> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        if let Kind::Sentinel(master) = &mut self.kind {
            let Some(name) = parts.next() else {
                return Err("a url of Sentinels without the name of a master: end it with \
                            /master"
                    .to_owned());
            };
            *master = decode(name)?.into();
        }
        if let Some(database) = parts.next() {
            self.take_database(database)?;
        }
        match parts.next() {
            Some(_) => Err("a url with too long a path".to_owned()),
            None => Ok(()),
        }
    }

    fn take_query(&mut self, query: &str) -> Result<(), String> {
        let is_socket = matches!(self.hosts[..], [Address::Socket(_)]);
        let is_sentinel = matches!(self.kind, Kind::Sentinel(_));
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "db" if is_socket => self.take_database(value)?,
                "user" if is_socket => self.login.user = Some(decode(value)?),
                "password" if is_socket => self.login.password = Some(decode(value)?),
                "sentinel_user" if is_sentinel => self.sentinel_login.user = Some(decode(value)?),
                "sentinel_password" if is_sentinel => {
                    self.sentinel_login.password = Some(decode(value)?);
                }
                _ => {
                    return Err("a url with a query parameter that is none: a socket file has \
                                db, user and password, Sentinels have sentinel_user and \
                                sentinel_password"
                        .to_owned());
                }
            }
        }
        Ok(())
    }

    fn take_database(&mut self, text: &str) -> Result<(), String> {
        let number = text.parse::<u16>().map_err(|_| {
            "a url whose database is no number: write redis://host:port/0".to_owned()
        })?;
        if number != 0 && self.kind == Kind::Cluster {
            return Err("a url of a cluster with a database: a cluster has one only".to_owned());
        }
        self.database = number.into();
        Ok(())
    }
}

fn parse_login(text: &str) -> Result<Login, String> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let some = |text: &str| match text {
        "" => Ok(None),
        text => decode(text).map(Some),
    };
    let login = Login { user: some(user)?, password: some(password)? };
    if login.user.is_some() && login.password.is_none() {
        return Err("a url with a user and no password: write user:password@".to_owned());
    }
    Ok(login)
}

fn parse_hosts(text: &str, kind: &Kind) -> Result<Vec<Address>, String> {
    let port = if matches!(kind, Kind::Sentinel(_)) { SENTINEL_PORT } else { PORT };
    let hosts = text.split(',').filter(|host| !host.is_empty());
    let hosts: Vec<_> = hosts.map(|host| parse_host(host, port)).collect::<Result<_, _>>()?;
    match (hosts.len(), kind) {
        (0, _) => Err("a url without a host: write redis://host:port".to_owned()),
        (2.., Kind::Single) => Err("a url with several hosts: did you mean redis+cluster:// or \
                                    redis+sentinel://?"
            .to_owned()),
        (count, _) if count > HOSTS_MAX => Err(format!("a url with more than {HOSTS_MAX} hosts")),
        _ => Ok(hosts),
    }
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
pub(crate) fn parse_host(text: &str, port: u16) -> Result<Address, String> {
    let (host, rest) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
        None => text.rsplit_once(':').unwrap_or((text, "")),
    };
    let odd = |c: char| !(c.is_ascii_alphanumeric() || ".-_:".contains(c));
    if host.is_empty() || host.contains(odd) {
        return Err("a url whose host is none: write redis://host:port".to_owned());
    }
    let port = match rest {
        "" => port,
        digits => digits.parse().map_err(|_| "a url whose port is no number".to_owned())?,
    };
    Ok(Address::Tcp { host: host.into(), port })
}

/// Without percent signs and what they stand for.
fn decode(text: &str) -> Result<String, String> {
    let wrong = || "a url with a percent sign that stands for nothing: write it as %25".to_owned();
    percent_decode(text).ok_or_else(wrong)
}

/// What is wrong with a URL of another scheme. Only something that looks like a scheme is
/// repeated.
fn unknown_scheme(scheme: &str) -> String {
    let looks_like_one =
        scheme.len() <= 16 && scheme.chars().all(|c| c.is_ascii_lowercase() || c == '+');
    let known = ["redis", "rediss", "redis+sentinel", "redis+cluster", "unix"];
    match nearest(scheme, known) {
        Some(meant) if looks_like_one => {
            format!("a url that begins with {scheme}: did you mean {meant}://?")
        }
        _ => "a url of another scheme than redis, rediss, redis+sentinel, redis+cluster and unix"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    #[test]
    fn every_part_of_a_url_is_understood() {
        let location = Location::parse("rediss://ann:p%40ss%3a@cache.example:7000/3").unwrap();
        assert_eq!(location.kind, Kind::Single);
        assert_eq!(location.hosts, [tcp("cache.example", 7000)]);
        assert_eq!(location.login.user.as_deref(), Some("ann"));
        assert_eq!(location.login.password.as_deref(), Some("p@ss:"));
        assert!(location.tls);
        assert_eq!(location.database, 3);

        let location = Location::parse("redis://:only@[::1]").unwrap();
        assert_eq!((location.login.user, location.login.password), (None, Some("only".into())));
        assert_eq!(location.hosts, [tcp("::1", 6379)]);

        let location = Location::parse("unix:///run/redis.sock?db=2&password=x").unwrap();
        assert_eq!(location.hosts, [Address::Socket("/run/redis.sock".into())]);
        assert_eq!((location.database, location.login.password), (2, Some("x".into())));

        let url = "redis+sentinel://a,b:7/shop/1?sentinel_password=y";
        let location = Location::parse(url).unwrap();
        assert_eq!(location.kind, Kind::Sentinel("shop".into()));
        assert_eq!(location.hosts, [tcp("a", 26379), tcp("b", 7)]);
        assert_eq!((location.database, location.sentinel_login.password), (1, Some("y".into())));

        let location = Location::parse("rediss+cluster://a:1,b:2").unwrap();
        assert_eq!((location.kind, location.hosts.len(), location.tls), (Kind::Cluster, 2, true));
    }

    #[test]
    fn a_url_that_can_be_none_is_refused_with_the_cure() {
        for (url, cure) in [
            ("localhost:6379", "write redis://host:port"),
            ("redis://", "write redis://host:port"),
            ("reddis://localhost", "did you mean redis://?"),
            ("http://localhost", "another scheme than redis"),
            ("redis://localhost:port", "port is no number"),
            ("redis://localhost/shop", "write redis://host:port/0"),
            ("redis://a,b", "did you mean redis+cluster://"),
            ("redis://ann@localhost", "write user:password@"),
            ("redis://ann:100%@localhost", "write it as %25"),
            ("redis+sentinel://a,b", "end it with /master"),
            ("redis+cluster://a,b/2", "a cluster has one only"),
            ("redis://localhost?timeout=1", "query parameter that is none"),
            ("unix:redis.sock", "write redis://host:port"),
            ("unix://redis.sock", "write unix:///path"),
        ] {
            let message = Location::parse(url).err().unwrap();
            assert!(message.contains(cure), "{url}: {message}");
        }
    }
}
