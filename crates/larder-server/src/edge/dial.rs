//! Connections to a web server: TCP, and TLS over it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use larder_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::OriginUrl;

/// Opens connections to one server, whatever it is asked for.
///
/// They belong to the runtime that it was made in, wherever they are used: a worker's ends before
/// the last request does.
#[derive(Clone)]
pub(super) struct Dial {
    server: Arc<Server>,
    home: Handle,
    within: Duration,
}

struct Server {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dial {
    /// To `url`, whose certificate is trusted by those in the PEM text `authorities`, or by what
    /// the system trusts. Connecting, TLS included, has to be done `within` this time.
    ///
    /// # Errors
    ///
    /// `Config` when nobody can be trusted with this host or these authorities.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    pub(super) fn new(
        url: &OriginUrl,
        authorities: Option<&[u8]>,
        within: Duration,
    ) -> Result<Self> {
        let host = url.host().to_owned();
        let tls = match url.is_encrypted() {
            false => None,
            true => {
                let name = ServerName::try_from(host.clone()).map_err(|error| {
                    let message = format!("{host} is no name that a certificate can have");
                    Error::new(ErrorKind::Config, message).caused_by(error)
                })?;
                Some((connector(authorities)?, name))
            }
        };
        let server = Arc::new(Server { host, port: url.port(), tls });
        Ok(Self { server, home: Handle::current(), within })
    }
}

fn connector(authorities: Option<&[u8]>) -> Result<TlsConnector> {
    let fault = |message: &'static str| Error::new(ErrorKind::Config, message);
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            let all = all.map_err(|_| fault("the authorities of an origin are no PEM"))?;
            for certificate in all {
                let added = roots.add(certificate);
                added.map_err(|_| fault("an authority of an origin is no certificate"))?;
            }
        }
        None => {
            // A system may hold some that are none; the others count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(fault("there is no certificate to trust an origin by: name a file with some"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault("TLS can't be set up").caused_by(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

impl tower_service::Service<Uri> for Dial {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (server, within) = (Arc::clone(&self.server), self.within);
        let dialled = self.home.spawn(async move {
            tokio::time::timeout(within, server.dial())
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))?
        });
        Box::pin(async move { dialled.await.map_err(io::Error::other)?.map(TokioIo::new) })
    }
}

impl Server {
    async fn dial(&self) -> io::Result<Stream> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        // A request is written whole; waiting for more of it would only delay it.
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Stream::Plain(stream)),
            Some((connector, name)) => {
                Ok(Stream::Tls(Box::new(connector.connect(name.clone(), stream).await?)))
            }
        }
    }
}

/// Bytes in both directions.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
