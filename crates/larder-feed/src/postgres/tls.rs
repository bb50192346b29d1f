//! TLS for the connection that the log comes by, as the other connection of the same URL has it.
//!
//! What follows the log speaks no TLS that we would build: its bytes go through a tunnel, in at a
//! socket in a folder that only this user can enter, and out encrypted. The server is asked for
//! TLS as the protocol says ("SSL Session Encryption" in the PostgreSQL documentation).
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

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, process};

use larder_core::{Error, ErrorKind, Result};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::config;
use trust::Files;

/// So long it may take to reach the server and to agree with it.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// So many bytes wait on their way, in each direction.
const BUFFER: usize = 64 << 10;
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

    /// A way to the server that nobody reads on; `None` where none is asked for.
    pub(super) async fn tunnel(&self, host: &str, port: u16) -> Result<Option<Tunnel>> {
        if matches!(self.mode, PgSslMode::Disable | PgSslMode::Allow) {
            return Ok(None);
        }
        let Ok(connected) = timeout(CONNECTED_WITHIN, self.connect(host, port)).await else {
            return Err(Error::new(ErrorKind::Timeout, format!("{host}:{port} doesn't answer")));
        };
        let Some(far) = connected? else { return Ok(None) };
        Tunnel::new(far, port).map(Some).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("there is no room for a socket: {error}"))
        })
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Option<TlsStream<TcpStream>>> {
        let down = |error: io::Error| {
            Error::new(ErrorKind::SourceDown, format!("{host}:{port} can't be reached: {error}"))
        };
        let mut stream = TcpStream::connect((host, port)).await.map_err(down)?;
        stream.set_nodelay(true).map_err(down)?;
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

/// A socket whose bytes come out encrypted. Dropped, both ends are closed.
pub(super) struct Tunnel {
    host: String,
    task: JoinHandle<()>,
}

impl Tunnel {
    fn new(mut far: TlsStream<TcpStream>, port: u16) -> io::Result<Self> {
        let folder = Folder::new(far.get_ref().0.local_addr()?.port())?;
        let host = folder.0.to_str().map(str::to_owned);
        let host = host.ok_or_else(|| io::Error::other("its folder's name isn't UTF-8"))?;
        let listener = UnixListener::bind(folder.0.join(format!(".s.PGSQL.{port}")))?;
        let task = tokio::spawn(async move {
            let accepted = listener.accept().await;
            // One goes through it.
            drop((listener, folder));
            if let Ok((mut near, _)) = accepted {
                let _ = copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER).await;
            }
        });
        Ok(Self { host, task })
    }

    /// What is given as a host, in the place of the server's.
    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A folder that only this user can enter. It is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    /// Of this number, which nobody else has at the time.
    fn new(number: u16) -> io::Result<Self> {
        /// Another process of the same number may have left its own.
        const TRIED_MAX: usize = 64;
        for again in 0..TRIED_MAX {
            let name = format!("larder-{}-{number}-{again}", process::id());
            let folder = env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(Self(folder)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed is an empty folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
