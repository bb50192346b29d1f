//! Bytes to a server: TCP, TLS over it, or a socket file.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::address::Address;

/// Bytes in both directions.
pub trait Wire: AsyncRead + AsyncWrite + Send {}

impl<W: AsyncRead + AsyncWrite + Send> Wire for W {}

/// Opens a connection to `address`. The caller sets the deadline.
pub(crate) async fn dial(address: &Address, tls: Option<&Tls>) -> io::Result<Pin<Box<dyn Wire>>> {
    let (host, port) = match address {
        Address::Socket(path) => return Ok(Box::pin(UnixStream::connect(&**path).await?)),
        Address::Tcp { host, port } => (host, *port),
    };
    let stream = TcpStream::connect((&**host, port)).await?;
    // Many small questions, each of which somebody waits for.
    stream.set_nodelay(true)?;
    match tls {
        None => Ok(Box::pin(stream)),
        Some(tls) => tls.wrap(host, stream).await,
    }
}

#[cfg(feature = "tls")]
pub(crate) use with_tls::Tls;

#[cfg(not(feature = "tls"))]
pub(crate) use without_tls::Tls;

#[cfg(feature = "tls")]
mod with_tls {
    use std::fmt;
    use std::sync::Arc;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::{Bytes, Pin, TcpStream, Wire, io};

    /// What makes a connection private, with the certificates that are trusted.
    #[derive(Clone)]
    pub(crate) struct Tls(TlsConnector);

    impl Tls {
        /// Trusts `certificates`, or those that the system trusts.
        pub(crate) fn new(certificates: Option<&Bytes>) -> Result<Self, String> {
            let mut roots = RootCertStore::empty();
            match certificates {
                Some(pem) => {
                    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
                    let all = all.map_err(|_| "certificates that are no PEM")?;
                    for certificate in all {
                        roots.add(certificate).map_err(|_| "a certificate that is none")?;
                    }
                }
                None => {
                    // A system may hold some that are none; the others count.
                    let found = rustls_native_certs::load_native_certs().certs;
                    roots.add_parsable_certificates(found);
                }
            }
            if roots.is_empty() {
                return Err("no certificate to trust: give it some".to_owned());
            }
            let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| format!("no TLS: {error}"))?
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok(Self(Arc::new(config).into()))
        }

        pub(super) async fn wrap(
            &self,
            host: &str,
            stream: TcpStream,
        ) -> io::Result<Pin<Box<dyn Wire>>> {
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            Ok(Box::pin(self.0.connect(name, stream).await?))
        }
    }

    impl fmt::Debug for Tls {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Tls")
        }
    }
}

#[cfg(not(feature = "tls"))]
mod without_tls {
    use super::{Bytes, Pin, TcpStream, Wire, io};

    /// There is none in this build, and options that ask for it are refused.
    #[derive(Clone, Debug)]
    pub(crate) enum Tls {}

    impl Tls {
        pub(crate) fn new(_: Option<&Bytes>) -> Result<Self, String> {
            Err("a url that asks for TLS, which was left out of this build".to_owned())
        }

        #[allow(clippy::unused_async)] // As its twin.
        pub(super) async fn wrap(&self, _: &str, _: TcpStream) -> io::Result<Pin<Box<dyn Wire>>> {
            match *self {}
        }
    }
}
