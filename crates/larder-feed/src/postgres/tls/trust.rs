//! Whom a connection trusts, by its `sslmode`.
//!
//! It opens no connection.

use std::fs;
use std::sync::Arc;

use larder_core::Result;
use sqlx::postgres::PgSslMode;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Certificates, each as the name of a file or as what is in one.
pub(super) struct Files {
    /// The authorities that are trusted besides the system's.
    pub(super) roots: Option<String>,
    /// The certificate that says who we are, and its key.
    pub(super) own: Option<(String, String)>,
}

/// How a connection of this mode is agreed on.
pub(super) fn config(mode: PgSslMode, files: &Files) -> Result<ClientConfig> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| super::config(format!("there is no TLS: {error}")))?;
    let verifies = match mode {
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => {
            let roots = Arc::new(roots(files.roots.as_deref())?);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
            let chain = chain.build().map_err(|error| {
                super::config(format!("no authority is trusted: {error}; name one's file"))
            })?;
            Some(chain)
        }
        _ => None,
    };
    let verifier: Arc<dyn ServerCertVerifier> = match verifies {
        Some(chain) if matches!(mode, PgSslMode::VerifyFull) => chain,
        chain => Arc::new(Lenient { provider, chain }),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = &files.own else { return Ok(builder.with_no_client_auth()) };
    let certificates = certificates(certificate)?;
    let pem = read(key)?;
    let wrong = |error: String| super::config(format!("sslcert and sslkey can't be used: {error}"));
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| wrong(error.to_string()))?;
    let with_own = builder.with_client_auth_cert(certificates, key);
    with_own.map_err(|error| wrong(error.to_string()))
}

fn roots(given: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // A system may hold some that are none; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in given.map(certificates).transpose()?.into_iter().flatten() {
        roots.add(certificate).map_err(|error| {
            super::config(format!("sslrootcert has a certificate that is none: {error}"))
        })?;
    }
    Ok(roots)
}

fn certificates(given: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(given)?;
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|error| super::config(format!("a certificate is no PEM: {error}")))?;
    if all.is_empty() {
        return Err(super::config("a file of certificates has none"));
    }
    Ok(all)
}

fn read(given: &str) -> Result<Vec<u8>> {
    if given.trim_start().starts_with("-----BEGIN") {
        return Ok(given.as_bytes().to_vec());
    }
    fs::read(given).map_err(|error| super::config(format!("{given} can't be read: {error}")))
}

/// Trusts whoever has the key of his certificate; with a chain, only if that leads to an
/// authority, whatever the host is called.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end, between, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
