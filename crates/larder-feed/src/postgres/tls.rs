//! TLS for the connection that the log comes by, as the other connection of the same URL has it.
//!
//! The server is asked for TLS as the protocol says ("SSL Session Encryption" in the PostgreSQL
//! documentation).
//!
//! | `sslmode` | without TLS | the certificate |
//! |---|---|---|
//! | `disable`, `allow` | always | |
//! | `prefer` | if the server has none | any |
//! | `require` | refused | any |
//! | `verify-ca` | refused | of an authority that is trusted |
//! | `verify-full` | refused | and of this host |
//!
//! It knows nothing of logs.

mod trust;

use std::io;
use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::config;
use super::login::Stream;
use trust::Files;

/// The length of the message, and a number that is no version of the protocol.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What a URL says of it.
pub(super) struct Tls {
    mode: PgSslMode,
    files: Files,
}

impl Tls {
    /// What these options say, wherever they have it from.
    pub(super) fn of(options: &PgConnectOptions) -> Result<Self> {
        let url = options.to_url_lossy();
        let file = |name: &str| {
            let value = url.query_pairs().find(|(key, _)| key == name)?.1.into_owned();
            // So it marks what was the name of a file, and not what is in one.
            Some(value.strip_prefix("file: ").map_or(value.clone(), str::to_owned))
        };
        let (roots, certificate, key) = (file("sslrootcert"), file("sslcert"), file("sslkey"));
        if certificate.is_some() != key.is_some() {
            return Err(config("sslcert and sslkey are given together, or neither"));
        }
        let files = Files { roots, own: certificate.zip(key) };
        Ok(Self { mode: options.get_ssl_mode(), files })
    }

    /// A connection to the server that is as private as was asked for.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<Box<dyn Stream>> {
        if !matches!(self.mode, PgSslMode::Disable | PgSslMode::Allow)
            && let Some(stream) = self.private(host, port).await?
        {
            return Ok(Box::new(stream));
        }
        Ok(Box::new(reach(host, port).await?))
    }

    /// One that nobody reads on; `None` where the server has none, and none was insisted on.
    async fn private(&self, host: &str, port: u16) -> Result<Option<TlsStream<TcpStream>>> {
        let down = |error| down(host, port, &error);
        let mut stream = reach(host, port).await?;
        stream.write_all(&REQUEST).await.map_err(down)?;
        if stream.read_u8().await.map_err(down)? != b'S' {
            return match self.mode {
                PgSslMode::Prefer => Ok(None),
                _ => Err(config(format!(
                    "{host}:{port} speaks no TLS, which sslmode asks for: set ssl = on there"
                ))),
            };
        }
        let trusted = trust::config(self.mode, &self.files)?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| config(format!("{host} is no name of a server: {error}")))?;
        let connected = TlsConnector::from(Arc::new(trusted)).connect(name, stream).await;
        let connected = connected.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => config(format!(
                "{host}:{port} isn't trusted: {error}; sslrootcert names the authority's file"
            )),
            _ => down(error),
        });
        connected.map(Some)
    }
}

async fn reach(host: &str, port: u16) -> Result<TcpStream> {
    let down = |error| down(host, port, &error);
    let stream = TcpStream::connect((host, port)).await.map_err(down)?;
    stream.set_nodelay(true).map_err(down)?;
    Ok(stream)
}

fn down(host: &str, port: u16, error: &io::Error) -> Error {
    Error::new(ErrorKind::SourceDown, format!("{host}:{port} can't be reached: {error}"))
}
