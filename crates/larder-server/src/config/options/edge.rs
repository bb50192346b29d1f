//! `[edge.NAME]`: a caching reverse proxy in front of a web server.

use std::time::Duration;

use super::super::address::Address;
use super::super::edge_value::{Forwarding, HostName, OriginUrl, Profile};
use super::super::network::Network;
use super::super::secret::Token;
use super::super::value::{Count, Line, List, Size, Timeout};
use super::{Default, Heads, Opt, Section};

/// The least that a head may be, in bytes: what hyper needs.
pub(in super::super) const HEADER_BYTES_MIN: u64 = 8 << 10;

pub(in super::super) static SECTION: Section = Section {
    name: "edge",
    heads: Heads::Named,
    about: "A caching reverse proxy in front of a web server, by the RFCs: see \
            [the edge](guides/edge.md). It speaks HTTP/1.1 and HTTP/2 with clients and HTTP/1.1 \
            with its origin. Off loopback it needs `[edge.NAME.tls]` or `plaintext = true`. What \
            the origin forbids to be stored isn't, unless a rule says `override`.",
    options: &[
        &LISTEN.about,
        &ORIGIN.about,
        &ORIGIN_HOST.about,
        &ORIGIN_AUTHORITY.about,
        &HOSTS.about,
        &PROFILE.about,
        &PLAINTEXT.about,
        &MEMORY.about,
        &OBJECT_MAX.about,
        &STORE.about,
        &STORE_LIMIT.about,
        &STORE_FROM.about,
        &STALE_ON_ERROR.about,
        &CONNECT_TIMEOUT.about,
        &ANSWER_TIMEOUT.about,
        &BODY_TIMEOUT.about,
        &REQUESTS_MAX.about,
        &CLIENTS_MAX.about,
        &HEAD_TIMEOUT.about,
        &IDLE_TIMEOUT.about,
        &SEND_TIMEOUT.about,
        &HEADER_BYTES_MAX.about,
        &TRUSTED.about,
        &FORWARDED.about,
        &PURGE_TOKEN.about,
        &PURGE_FROM.about,
        &EARLY_HINTS.about,
        &ACCESS_LOG.about,
    ],
};

pub(in super::super) static LISTEN: Opt<Address> =
    Opt::new("listen", Default::Required, "Where clients connect.")
        .elsewhere(&["bind", "port", "http"]);

pub(in super::super) static ORIGIN: Opt<OriginUrl> = Opt::new(
    "origin",
    Default::Required,
    "The web server, without a path: `http://127.0.0.1:3000`, or `https://` with a certificate \
     that is trusted.",
)
.elsewhere(&["backend", "proxy_pass", "upstream", "target"]);

pub(in super::super) static ORIGIN_HOST: Opt<HostName> = Opt::new(
    "origin_host",
    Default::Words("the client's"),
    "What is sent as Host. The client's is part of what a response is stored under either way.",
)
.elsewhere(&["host", "host_header"]);

pub(in super::super) static ORIGIN_AUTHORITY: Opt<Line> = Opt::new(
    "origin_authority",
    Default::Words("those that the system trusts"),
    "A PEM file with the certificates that an `https://` origin is trusted by.",
)
.elsewhere(&["ca", "ca_file"]);

pub(in super::super) static HOSTS: Opt<List<HostName, 256>> = Opt::new(
    "hosts",
    Default::Words("any"),
    "The hosts that are served, `*.example.org` for all below one; a request for another is \
     answered 421.",
)
.elsewhere(&["server_name", "server_names", "domains"]);

pub(in super::super) static PROFILE: Opt<Profile> = Opt::new(
    "profile",
    Default::Value("safe"),
    "`safe` stores nothing that sets a cookie and nothing without a lifetime, listens to no \
     client's Cache-Control, and answers TRACE itself. `conformance` is for test suites: what the \
     RFCs allow and no more, requests obeyed, cookies stored, lifetimes guessed from \
     Last-Modified.",
);

pub(in super::super) static PLAINTEXT: Opt<bool> = Opt::new(
    "plaintext",
    Default::Value("false"),
    "Whether to listen off loopback without TLS: on a network that you trust, or behind \
     something that ends TLS.",
)
.elsewhere(&["insecure"]);

pub(in super::super) static MEMORY: Opt<Size<{ 1 << 20 }>> = Opt::new(
    "memory",
    Default::Value("64MiB"),
    "What the responses that it holds may take: a part of `[memory] limit`.",
)
.elsewhere(&["memory_limit", "size"]);

pub(in super::super) static OBJECT_MAX: Opt<Size<1>> = Opt::new(
    "object_max",
    Default::Words("16 MiB with a `store`; otherwise 1 MiB"),
    "The longest body that is stored. A longer one is passed on as it comes.",
)
.elsewhere(&["max_object_size"]);

pub(in super::super) static STORE: Opt<Line> = Opt::new(
    "store",
    Default::Words("none: longer bodies aren't stored"),
    "A folder of its own for bodies of `store_from` and more. It is emptied at the start.",
)
.elsewhere(&["disk", "path", "cache_path", "folder"]);

pub(in super::super) static STORE_LIMIT: Opt<Size<{ 1 << 20 }>> = Opt::new(
    "store_limit",
    Default::Value("1GiB"),
    "What the bodies in `store` may take, each in whole blocks of 4 KiB. Beyond it those that are \
     asked for least are evicted; when the disk is full, a body isn't stored.",
)
.elsewhere(&["disk_limit", "max_size"]);

pub(in super::super) static STORE_FROM: Opt<Size<1>> = Opt::new(
    "store_from",
    Default::Value("256KiB"),
    "From this length on a body goes to `store`; shorter ones stay in memory.",
);

pub(in super::super) static STALE_ON_ERROR: Opt<Duration> = Opt::new(
    "stale_on_error",
    Default::Value("0s"),
    "For how long what is stale may be sent while the origin can't be reached, where the response \
     says nothing of it and doesn't forbid it.",
)
.elsewhere(&["grace", "stale_if_error"]);

pub(in super::super) static CONNECT_TIMEOUT: Opt<Timeout> = Opt::new(
    "connect_timeout",
    Default::Value("2s"),
    "How long connecting to the origin may take, TLS included.",
);

pub(in super::super) static ANSWER_TIMEOUT: Opt<Timeout> = Opt::new(
    "answer_timeout",
    Default::Value("30s"),
    "How long the origin may take from the request to the head of its answer; then it is a 504.",
)
.elsewhere(&["read_timeout", "first_byte_timeout", "proxy_read_timeout"]);

pub(in super::super) static BODY_TIMEOUT: Opt<Timeout> = Opt::new(
    "body_timeout",
    Default::Value("30s"),
    "How long the origin may be silent within a body, and a client within the body of its \
     request.",
)
.elsewhere(&["between_bytes_timeout"]);

pub(in super::super) static REQUESTS_MAX: Opt<Count<1, 100_000>> = Opt::new(
    "requests_max",
    Default::Value("512"),
    "How many requests the origin is asked at once; one more is answered 503.",
)
.elsewhere(&["max_connections", "connections"]);

pub(in super::super) static CLIENTS_MAX: Opt<Count<1, 1_000_000>> = Opt::new(
    "clients_max",
    Default::Value("10000"),
    "How many clients are connected at once; one more is answered 503 and disconnected.",
)
.elsewhere(&["maxclients", "max_clients", "connections_max"]);

pub(in super::super) static HEAD_TIMEOUT: Opt<Timeout> = Opt::new(
    "head_timeout",
    Default::Value("10s"),
    "How long a client may take to send the head of a request, and to agree on TLS.",
)
.elsewhere(&["header_timeout", "client_header_timeout"]);

pub(in super::super) static IDLE_TIMEOUT: Opt<Timeout> = Opt::new(
    "idle_timeout",
    Default::Value("60s"),
    "How long a connection without a request is kept.",
)
.elsewhere(&["keepalive_timeout", "keep_alive"]);

pub(in super::super) static SEND_TIMEOUT: Opt<Timeout> = Opt::new(
    "send_timeout",
    Default::Value("30s"),
    "How long a client may take nothing of an answer that is ready; then it is disconnected.",
)
.elsewhere(&["write_timeout"]);

pub(in super::super) static HEADER_BYTES_MAX: Opt<Size<HEADER_BYTES_MIN>> = Opt::new(
    "header_bytes_max",
    Default::Value("64KiB"),
    "The longest head of a request, at most 1MiB; a longer one is answered 431.",
)
.elsewhere(&["large_client_header_buffers", "max_header_size"]);

pub(in super::super) static TRUSTED: Opt<List<Network, 256>> = Opt::new(
    "trusted",
    Default::Words("nobody"),
    "The networks of proxies in front whose X-Forwarded-For, -Proto and -Host are believed: \
     `[\"10.0.0.0/8\"]`. Anybody else's are dropped, and Forwarded whosever it is.",
)
.elsewhere(&["trusted_proxies", "set_real_ip_from"]);

pub(in super::super) static FORWARDED: Opt<Forwarding> = Opt::new(
    "forwarded",
    Default::Value("x-forwarded"),
    "How the origin is told who asked: `x-forwarded` for X-Forwarded-For, -Proto and -Host, \
     `forwarded` for Forwarded (RFC 7239), `none`.",
);

pub(in super::super) static PURGE_TOKEN: Opt<Token> = Opt::new(
    "purge_token",
    Default::Words("none"),
    "What a PURGE must send as `Authorization: Bearer`.",
);

pub(in super::super) static PURGE_FROM: Opt<List<Network, 64>> = Opt::new(
    "purge_from",
    Default::Words("nobody"),
    "The networks that may PURGE without a token, by the address that connects. Behind a proxy \
     on this machine everybody has its address.",
)
.elsewhere(&["purge_acl"]);

pub(in super::super) static EARLY_HINTS: Opt<bool> = Opt::new(
    "early_hints",
    Default::Words("`false`; `true` with `profile = \"conformance\"`"),
    "Whether interim answers of the origin (103 Early Hints) are passed on to clients that speak \
     HTTP/1.1. Some take them for the answer, so it isn't done unasked. Over HTTP/2 it isn't done.",
);

pub(in super::super) static ACCESS_LOG: Opt<bool> = Opt::new(
    "access_log",
    Default::Value("false"),
    "Whether each request is a line of the log, without its query and its fields.",
)
.elsewhere(&["log"]);
