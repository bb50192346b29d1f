//! What a client is shown: a certificate, and the protocols that are spoken.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// What accepts a client with the certificate in `files`.
///
/// # Errors
///
/// `Config` when they can't be read or don't belong together.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor> {
    let chain = read(&files.certificate)?;
    let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
    let chain = chain.map_err(|_| fault(&files.certificate, "is no PEM"))?;
    if chain.is_empty() {
        return Err(fault(&files.certificate, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| fault(&files.key, "holds no key that can be read"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&files.key, "can't be used for TLS").caused_by(error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| fault(&files.key, "doesn't belong to the certificate").caused_by(error))?;
    let mut config = config;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

/// What is in a file that the configuration names.
///
/// # Errors
///
/// `Config` when it can't be read.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| fault(file, "can't be read").caused_by(error))
}

fn fault(file: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{} {what}", file.display()))
}
