//! What larder is to have and this version hasn't: refused as such, with what to do until then.

/// Something that this version doesn't have yet.
#[derive(Debug)]
pub(in super::super) struct Later {
    /// Where it would stand: a section's name, or `None` for a section of its own.
    pub(in super::super) section: Option<&'static str>,
    pub(in super::super) name: &'static str,
    /// What to do until then.
    pub(in super::super) instead: &'static str,
}

/// The entry for `name` in `section`, if there is one.
pub(in super::super) fn find(section: Option<&str>, name: &str) -> Option<&'static Later> {
    LATER.iter().find(|later| later.section == section && later.name == name)
}

const fn section(name: &'static str, instead: &'static str) -> Later {
    Later { section: None, name, instead }
}

const fn listen(name: &'static str, instead: &'static str) -> Later {
    Later { section: Some("listen"), name, instead }
}

const fn source(name: &'static str, instead: &'static str) -> Later {
    Later { section: Some("source"), name, instead }
}

const fn cache(name: &'static str, instead: &'static str) -> Later {
    Later { section: Some("cache"), name, instead }
}

const BOUND: &str = "give the cache `memory` of its own: bytes are what runs out";

/// All of it.
pub(in super::super) static LATER: &[Later] = &[
    section("bus", "leave it out: which bus larders use says `bus` in `[shared]`"),
    listen("tls", "put something that ends TLS in front, and say `plaintext = true`"),
    listen("unix", "listen on loopback: `resp = \"127.0.0.1:7379\"`"),
    source("cancel_abandoned", "leave it out: a load goes on when its callers have given up"),
    source("replicas", "name the database to read from in `url`"),
    cache("entries_max", BOUND),
    cache("bytes_max", BOUND),
    cache("compression", "leave it out: from 1 KiB on values are compressed in the shared tier"),
];
