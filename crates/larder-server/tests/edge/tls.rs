//! TLS on both sides.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_test::missing;
use larder_test::origin::Origin;
use tempfile::TempDir;

use crate::support::{Bench, fresh};

/// A certificate for this machine that vouches for itself, and its key.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let output = Command::new("openssl")
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1".split(' '),
        )
        .args(["-subj", "/CN=localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", key.to_str().unwrap(), "-out", certificate.to_str().unwrap()])
        .output();
    let output = output.unwrap_or_else(|_| missing("openssl"));
    assert!(output.status.success(), "{output:?}");
    (certificate, key)
}

fn with_tls((certificate, key): &(PathBuf, PathBuf)) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\" }}")
}

#[test]
fn a_client_and_an_edge_before_it_agree_on_tls() {
    let folder = TempDir::new().unwrap();
    let files = certificate(folder.path());
    let inner = Bench::new(&with_tls(&files));
    inner.put("/a", fresh("hello"));
    let url = format!("https://localhost:{}/a", inner.edge.port());
    for (version, told) in [("--http2", "hello2"), ("--http1.1", "hello1.1")] {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", version, "-w", "%{http_version}", "--cacert"])
            .args([files.0.to_str().unwrap(), &url])
            .output();
        let output = output.unwrap_or_else(|_| missing("curl"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), told, "{output:?}");
    }
    let request = inner.origin.requests("/a").pop().unwrap();
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    // Bytes that are no TLS are no request.
    let mut client = inner.connect();
    std::io::Write::write_all(&mut client, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client, &mut rest);
    assert!(!rest.starts_with(b"HTTP/"));

    let origin = format!("https://localhost:{}", inner.edge.port());
    let authority = format!("origin_authority = \"{}\"", files.0.display());
    let outer = Bench::over(Origin::start(), &origin, &authority);
    assert_eq!(outer.get("/a").body, "hello");
    let stranger = Bench::over(Origin::start(), &origin, "");
    assert_eq!(stranger.get("/a").status, 502);
}

#[test]
fn files_that_do_not_belong_together_are_said_to() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (files, others) = (certificate(one.path()), certificate(other.path()));
    let why = |files: (PathBuf, PathBuf)| {
        let opened = Bench::try_over(Origin::start(), "http://127.0.0.1:1", &with_tls(&files));
        opened.err().unwrap()
    };
    assert!(why((files.0.clone(), others.1)).contains("doesn't belong to the certificate"));
    assert!(why((files.0.clone(), one.path().join("none"))).contains("none can't be read"));
    let text = one.path().join("text");
    fs::write(&text, "no PEM").unwrap();
    assert!(why((text.clone(), files.1.clone())).contains("holds no certificate"));
    assert!(why((files.0, text)).contains("holds no key"));
}
