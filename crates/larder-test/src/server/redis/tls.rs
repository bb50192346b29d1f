//! Certificates for a server that speaks TLS, made by `openssl` in its own folder.
//!
//! They are valid for a day and trusted by nobody who isn't given their authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::missing;
use crate::server::{Place, find_program};

/// Where the files are: an authority, and what it signed.
pub(in crate::server) struct Certificates {
    pub(in crate::server) authority: PathBuf,
    authority_key: PathBuf,
    certificate: PathBuf,
    pub(in crate::server) key: PathBuf,
}

/// What tells Redis to speak TLS on its port.
pub(super) fn arguments(place: &Place) -> Vec<String> {
    let files = Certificates::in_folder(place.folder());
    let path = |file: &Path| file.display().to_string();
    let mut arguments = vec!["--tls-port".to_owned(), place.port().to_string()];
    arguments.extend(["--tls-ca-cert-file".to_owned(), path(&files.authority)]);
    arguments.extend(["--tls-cert-file".to_owned(), path(&files.certificate)]);
    arguments.extend(["--tls-key-file".to_owned(), path(&files.key)]);
    arguments.extend(["--tls-auth-clients", "no"].map(str::to_owned));
    arguments
}

impl Certificates {
    pub(in crate::server) fn in_folder(folder: &Path) -> Self {
        let file = |name| folder.join(name);
        Self {
            authority: file("ca.crt"),
            authority_key: file("ca.key"),
            certificate: file("server.crt"),
            key: file("server.key"),
        }
    }

    pub(in crate::server) fn make(&self) {
        let path = |file: &Path| file.display().to_string();
        let (authority, authority_key) = (path(&self.authority), path(&self.authority_key));
        let (certificate, key) = (path(&self.certificate), path(&self.key));
        // Elliptic curves: an RSA key takes a second to find.
        let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1";
        let new: Vec<&str> = new.split(' ').collect();
        openssl(
            &[&new[..], &["-subj", "/CN=larder test authority"]].concat(),
            &["-keyout", &authority_key, "-out", &authority],
        );
        let request = path(&self.certificate.with_extension("csr"));
        // The same request without -x509 asks for a signature instead of giving its own.
        let unsigned: Vec<&str> = new.into_iter().filter(|word| *word != "-x509").collect();
        openssl(
            &[&unsigned[..], &["-subj", "/CN=localhost"]].concat(),
            &["-keyout", &key, "-out", &request],
        );
        let names = self.certificate.with_extension("names");
        let text = "subjectAltName = DNS:localhost, IP:127.0.0.1\nextendedKeyUsage = serverAuth\n";
        fs::write(&names, text).expect("a file can be written in the server's folder");
        openssl(
            &["x509", "-req", "-days", "1", "-CAcreateserial", "-extfile", &path(&names)],
            &["-CA", &authority, "-CAkey", &authority_key, "-in", &request, "-out", &certificate],
        );
    }
}

fn openssl(what: &[&str], files: &[&str]) {
    let program = find_program("openssl").unwrap_or_else(|| missing("openssl"));
    let output = Command::new(program).args(what).args(files).output();
    let output = output.expect("a program that was found can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl failed ({}): {error}", output.status);
}
