//! `[listen]`: who may connect, where and how.

use super::super::address::Address;
use super::super::http::{HostName, HttpReads};
use super::super::secret::{Password, Token};
use super::super::value::{Count, List, Timeout};
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "listen",
    heads: Heads::One,
    about: "Who may connect, where and how. A listener that isn't named isn't opened. Off \
            loopback (anything but `127.0.0.0/8`, `::1` and `localhost`) each needs its \
            credential, and `plaintext = true`, because this version has no TLS of its own.",
    options: &[
        &RESP.about,
        &HTTP.about,
        &ADMIN.about,
        &PASSWORD.about,
        &TOKEN.about,
        &HTTP_READS.about,
        &HOSTS.about,
        &PLAINTEXT.about,
        &CLIENTS_MAX.about,
        &HEAD_TIMEOUT.about,
        &WORKERS.about,
    ],
};

pub(in super::super) static RESP: Opt<Address> =
    Opt::new("resp", Default::Words("not opened"), "Where clients of the Redis protocol connect.")
        .elsewhere(&["bind", "port", "address", "redis"]);

pub(in super::super) static HTTP: Opt<Address> = Opt::new(
    "http",
    Default::Words("not opened"),
    "Where the caches are resources of HTTP: `GET /cache/NAME/KEY` and `POST /invalidate`, \
     described at `/openapi.json`.",
)
.elsewhere(&["rest", "api"]);

pub(in super::super) static ADMIN: Opt<Address> = Opt::new(
    "admin",
    Default::Words("not opened"),
    "Where metrics, health and purging are, over HTTP.",
)
.elsewhere(&["metrics"]);

pub(in super::super) static PASSWORD: Opt<Password> = Opt::new(
    "password",
    Default::Words("none"),
    "What clients of `resp` give to `AUTH` or `HELLO`. Required off loopback.",
)
.elsewhere(&["requirepass", "auth"]);

pub(in super::super) static TOKEN: Opt<Token> = Opt::new(
    "token",
    Default::Words("none"),
    "What clients of `admin`, and who writes and invalidates over `http`, send as `Authorization: \
     Bearer`. Required off loopback.",
)
.elsewhere(&["bearer", "admin_token"]);

pub(in super::super) static HTTP_READS: Opt<HttpReads> = Opt::new(
    "http_reads",
    Default::Words("`anyone` where `http` is on loopback, else `token`"),
    "Who may read over `http` without the token. What only the token opens is marked `private`, so \
     that no proxy shares it.",
);

/// The most hosts that a listener is known by.
const HOSTS_MAX: u32 = 64;

pub(in super::super) static HOSTS: Opt<List<HostName, HOSTS_MAX>> = Opt::new(
    "hosts",
    Default::Words("the one of `http`"),
    "By which names clients of `http` know it, beside those of this machine (`localhost`, \
     `127.0.0.0/8`, `::1`). A request with another `Host` is refused: a page from elsewhere could \
     otherwise reach it through a name that is made to point here.",
)
.elsewhere(&["server_name", "allowed_hosts"]);

pub(in super::super) static PLAINTEXT: Opt<bool> = Opt::new(
    "plaintext",
    Default::Value("false"),
    "Whether to listen off loopback without TLS: on a network that you trust, or behind \
     something that ends TLS.",
)
.elsewhere(&["insecure"]);

pub(in super::super) static CLIENTS_MAX: Opt<Count<1, 1_000_000>> = Opt::new(
    "clients_max",
    Default::Value("10000"),
    "How many clients of `resp` at once; one more is told `ERR max number of clients reached`, \
     as by Redis. And how many connections of `http`, where one more waits.",
)
.elsewhere(&["maxclients", "max_clients", "connections_max"]);

pub(in super::super) static HEAD_TIMEOUT: Opt<Timeout> = Opt::new(
    "head_timeout",
    Default::Value("10s"),
    "How long a client of `http` may take to send the head of a request, from its first byte on; \
     then it is told 408 and disconnected.",
)
.elsewhere(&["header_timeout", "client_header_timeout"]);

pub(in super::super) static WORKERS: Opt<Count<1, 1_024>> = Opt::new(
    "workers",
    Default::Words("half of the cores, rounded up"),
    "How many threads serve connections.",
)
.elsewhere(&["threads", "io_threads"]);
