//! `[edge.NAME.tls]` resolved: what clients are shown.

use std::path::PathBuf;

use super::document::Written;
use super::findings::Reported;
use super::options::edge_tls as options;
use super::scope::Scope;

/// The files with what clients are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those that it depends on.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl TlsFiles {
    pub(super) fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let certificate = scope.required(written, &options::CERTIFICATE);
        let key = scope.required(written, &options::KEY);
        Ok(Self { certificate: certificate?.0.into(), key: key?.0.into() })
    }
}
