//! Where a Postgres is, for both of the connections to it.

use std::str::FromStr;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result, percent_decode};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::config;
use super::login::{Login, Stream, User};
use super::receiver::Receiver;
use super::tls::Tls;

/// Who opens a connection, for the server's own lists.
const APPLICATION: &str = "larder feed";
/// So long it may take until the server sends its log.
const STARTED_WITHIN: Duration = Duration::from_secs(10);

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

    /// Follows the log, by this slot and this publication. When it returns the server sends.
    pub(super) async fn follow(&self, slot: &str, publication: &str) -> Result<Receiver> {
        let options = &self.options;
        let name = options.get_username();
        let database = options.get_database().unwrap_or(name);
        let user = User { name, password: &self.password, database, application: APPLICATION };
        let started = async {
            let login = Login::new(self.connect().await?, &user).await?;
            login.start(slot, publication).await
        };
        match timeout(STARTED_WITHIN, started).await {
            Ok(stream) => Ok(Receiver::over(stream?)),
            Err(_) => {
                let message = "the server doesn't begin to send its log";
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        let Some(folder) = self.options.get_socket() else {
            return self.tls.connect(host, port).await;
        };
        let socket = folder.join(format!(".s.PGSQL.{port}"));
        let stream = UnixStream::connect(&socket).await.map_err(|error| {
            let message = format!("{} can't be reached: {error}", socket.display());
            Error::new(ErrorKind::SourceDown, message)
        })?;
        Ok(Box::new(stream))
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
