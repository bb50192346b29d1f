//! Where a Postgres is, for both of the connections to it.

use std::str::FromStr;

use larder_core::{Result, percent_decode};
use pgwire_replication::{ReplicationClient, ReplicationConfig, TlsConfig};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use super::config;
use super::session::lost;
use super::tls::{Tls, Tunnel};

/// Who opens a connection, for the server's own lists.
const APPLICATION: &str = "larder feed";
/// A text of a row that is longer ends the session; Postgres has none beyond it.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// So many messages wait to be decoded; the server waits with more.
const MESSAGES_MAX: usize = 1_024;

/// See the module's documentation.
pub(super) struct Address {
    options: PgConnectOptions,
    password: String,
    shown: String,
    tls: Tls,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            config("a feed of Postgres needs a URL like postgres://USER@HOST/DATABASE")
        })?;
        let tls = Tls::of(&options)?;
        let database = options.get_database().unwrap_or(options.get_username());
        let shown = format!("postgres://{}:{}/{database}", options.get_host(), options.get_port());
        let password = password(url).unwrap_or_default();
        let options = options.application_name(APPLICATION).disable_statement_logging();
        Ok(Self { options, password, shown, tls })
    }

    /// Without secrets.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// For statements.
    pub(super) fn control(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Follows the log, by this slot and this publication. The tunnel, if there is one,
    /// is to be kept for as long.
    pub(super) async fn follow(
        &self,
        slot: &str,
        publication: &str,
    ) -> Result<(ReplicationClient, Option<Tunnel>)> {
        let options = &self.options;
        let socket = options.get_socket().and_then(|socket| socket.to_str());
        let (host, port) = (options.get_host(), options.get_port());
        let tunnel = match socket {
            Some(_) => None,
            None => self.tls.tunnel(host, port).await?,
        };
        let through = tunnel.as_ref().map(Tunnel::host);
        let host = through.or(socket).unwrap_or(host);
        let user = options.get_username();
        let database = options.get_database().unwrap_or(user);
        let password = self.password.as_str();
        let config = ReplicationConfig::new(host, user, password, database, slot, publication)
            .with_port(port)
            // What is to be private is so by the tunnel.
            .with_tls(TlsConfig::disabled())
            .with_buffer_size(MESSAGES_MAX)
            .with_max_message_size(MESSAGE_BYTES_MAX)
            .with_status_interval(std::time::Duration::from_secs(1))
            .with_application_name(APPLICATION);
        let client = ReplicationClient::connect(config).await.map_err(|error| lost(&error))?;
        Ok((client, tunnel))
    }
}

/// The password of a URL, which the options keep to themselves.
fn password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    percent_decode(password)
}
