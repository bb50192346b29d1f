//! `[edge.NAME.tls]`: what a client is shown.

use super::super::value::Line;
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "tls",
    heads: Heads::Within("edge"),
    about: "TLS 1.2 and 1.3 for the clients of an edge, HTTP/2 included. Both files are read at \
            the start.",
    options: &[&CERTIFICATE.about, &KEY.about],
};

pub(in super::super) static CERTIFICATE: Opt<Line> = Opt::new(
    "certificate",
    Default::Required,
    "A PEM file with the certificate, and behind it those that it depends on.",
)
.elsewhere(&["cert", "ssl_certificate", "chain"]);

pub(in super::super) static KEY: Opt<Line> =
    Opt::new("key", Default::Required, "A PEM file with the certificate's key.")
        .elsewhere(&["private_key", "ssl_certificate_key"]);
