//! What a URL means: which servers, and who asks.

use async_nats::{ConnectOptions, ServerAddr};
use larder_core::{Result, percent_decode};

use super::config;

/// The most servers that a URL may name.
const SERVERS_MAX: usize = 64;

/// Servers of one NATS, and who asks them.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) servers: Vec<ServerAddr>,
    is_tls: bool,
    /// A token, or a user's name and password.
    login: Option<(Option<String>, String)>,
}

impl Address {
    /// Reads `nats://USER:PASSWORD@HOST:PORT,HOST:PORT`, of which only a host must be there. What
    /// is wrong is said without repeating any of it, as it may be secret.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (is_tls, rest) = match url.split_once("://") {
            Some(("nats", rest)) => (false, rest),
            Some(("tls", rest)) => (true, rest),
            _ => return Err(config("the URL is of the form nats://HOST:PORT or tls://HOST:PORT")),
        };
        let (login, hosts) = match rest.rsplit_once('@') {
            Some((login, hosts)) => (Some(self::login(login)?), hosts),
            None => (None, rest),
        };
        let scheme = if is_tls { "tls" } else { "nats" };
        let hosts = hosts.strip_suffix('/').unwrap_or(hosts).split(',');
        let servers = hosts.map(|host| server(scheme, host)).collect::<Result<Vec<_>>>()?;
        if servers.len() > SERVERS_MAX {
            return Err(config("the URL names more than 64 servers"));
        }
        Ok(Self { servers, is_tls, login })
    }

    /// Where it is, without secrets.
    pub(super) fn shown(&self) -> String {
        let shown = |server: &ServerAddr| match server.host() {
            host if host.contains(':') => format!("[{host}]:{}", server.port()),
            host => format!("{host}:{}", server.port()),
        };
        self.servers.iter().map(shown).collect::<Vec<_>>().join(",")
    }

    /// These, and who asks.
    pub(super) fn say(&self, options: ConnectOptions) -> ConnectOptions {
        let options = options.require_tls(self.is_tls);
        match self.login.clone() {
            None => options,
            Some((None, token)) => options.token(token),
            Some((Some(user), password)) => options.user_and_password(user, password),
        }
    }
}

fn login(text: &str) -> Result<(Option<String>, String)> {
    let decode = |text| {
        percent_decode(text).ok_or_else(|| config("the URL has a % too many: write it as %25"))
    };
    let (user, password) = text.split_once(':').ok_or_else(|| {
        config("the URL has a user and no password: write USER:PASSWORD@, or :TOKEN@")
    })?;
    let user = if user.is_empty() { None } else { Some(decode(user)?) };
    Ok((user, decode(password)?))
}

fn server(scheme: &str, host: &str) -> Result<ServerAddr> {
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let server = host.bytes().all(may_be).then(|| format!("{scheme}://{host}").parse().ok());
    let server: Option<ServerAddr> = server.flatten();
    let is_one = |server: &ServerAddr| !server.host().is_empty();
    server.filter(is_one).ok_or_else(|| config("the URL names no host: write nats://HOST:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_url_is_understood() {
        let address = Address::parse("tls://ann:p%40ss@one:1,[::1]:7,two/").unwrap();
        assert!(address.is_tls && address.servers.iter().all(ServerAddr::tls_required));
        assert_eq!(address.shown(), "one:1,[::1]:7,two:4222");
        assert_eq!(address.login, Some((Some("ann".to_owned()), "p@ss".to_owned())));
        let address = Address::parse("nats://:t0ken@one").unwrap();
        assert_eq!((address.is_tls, address.login), (false, Some((None, "t0ken".to_owned()))));
        assert_eq!(Address::parse("nats://one").unwrap().login, None);
    }

    #[test]
    fn a_url_that_can_be_none_is_refused_with_the_cure_and_without_its_secret() {
        for (url, cure) in [
            ("localhost:4222", "nats://HOST:PORT"),
            ("redis://s3cret", "nats://HOST:PORT"),
            ("nats://", "names no host"),
            ("nats://one,,two", "names no host"),
            ("nats://s3cret:port", "names no host"),
            ("nats://localhost/s3cret", "names no host"),
            ("nats://s3cret@localhost", ":TOKEN@"),
            ("nats://ann:s3cret%@localhost", "write it as %25"),
        ] {
            let error = Address::parse(url).err().unwrap();
            assert!(error.to_string().contains(cure), "{url}: {error}");
            assert!(!format!("{error:?} {}", error.chain()).contains("s3cret"), "{url}");
        }
        let many = format!("nats://{}", ["one"; 65].join(","));
        assert!(Address::parse(&many).is_err());
    }
}
