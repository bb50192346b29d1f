//! `[shared]`: the tier that several larders share, and how they hear of each other.

use super::super::bus::BusChoice;
use super::super::secret::SharedUrl;
use super::super::value::{Line, Timeout};
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "shared",
    heads: Heads::One,
    about: "A Redis or Memcached that several larders share: what one loaded the others \
            find, and what is invalidated through one the others hear of. Leave the section out \
            to run alone.",
    options: &[
        &URL.about,
        &BUS.about,
        &NAMESPACE.about,
        &CERTIFICATES.about,
        &CONNECT_TIMEOUT.about,
        &READ_WITHIN.about,
        &WRITE_WITHIN.about,
        &FILL_WAIT.about,
    ],
};

pub(in super::super) static URL: Opt<SharedUrl> = Opt::new(
    "url",
    Default::Required,
    "Where it is: `redis://HOST`, `rediss://HOST` over TLS, `unix:///PATH`, \
     `redis+sentinel://HOST:26379,HOST:26379/MASTER`, `redis+cluster://HOST,HOST` or \
     `memcached://HOST,HOST`.",
)
.elsewhere(&["uri", "redis", "address", "server", "servers", "endpoint"]);

pub(in super::super) static BUS: Opt<BusChoice> = Opt::new(
    "bus",
    Default::Words("`streams` with Redis, none with Memcached"),
    "How larders hear of each other's invalidations: `streams`, a stream in the same Redis; \
     `tracking`, the same, and Redis itself says of every entry that changes, whoever changed it; \
     `nats://USER:PASSWORD@HOST:4222` or `tls://HOST`, a stream in a NATS with JetStream.",
)
.elsewhere(&["backplane", "pubsub", "invalidation_bus"]);

pub(in super::super) static NAMESPACE: Opt<Line> = Opt::new(
    "namespace",
    Default::Value("larder"),
    "How the names of all its keys begin there. Two applications that share a server give it two.",
)
.elsewhere(&["prefix", "key_prefix"]);

pub(in super::super) static CERTIFICATES: Opt<Line> = Opt::new(
    "certificates",
    Default::Words("those that the system trusts"),
    "A file of certificates, in PEM, that the server's is checked against, and that of a `tls://` \
     bus.",
)
.elsewhere(&["ca", "ca_file", "cafile", "tls_ca"]);

pub(in super::super) static CONNECT_TIMEOUT: Opt<Timeout> =
    Opt::new("connect_timeout", Default::Value("1s"), "How long connecting may take.");

pub(in super::super) static READ_WITHIN: Opt<Timeout> = Opt::new(
    "read_within",
    Default::Value("50ms"),
    "How long a read waits for its answer before it goes to the source without it.",
)
.elsewhere(&["timeout", "read_timeout", "operation_timeout"]);

pub(in super::super) static WRITE_WITHIN: Opt<Timeout> = Opt::new(
    "write_within",
    Default::Value("500ms"),
    "How long a fill or an invalidation may take. An invalidation is then repeated until it is \
     done.",
)
.elsewhere(&["write_timeout"]);

pub(in super::super) static FILL_WAIT: Opt<Timeout> = Opt::new(
    "fill_wait",
    Default::Value("1s"),
    "How long a read waits for another larder that is loading the same key.",
)
.elsewhere(&["lock_wait", "lock_timeout"]);
