//! `[source.NAME]`: the systems of record, and how hard they may be asked.

use larder_core::Changes;

use super::super::secret::SecretUrl;
use super::super::value::{Count, Timeout};
use super::{Default, Heads, Opt, Section, breaker, feed};

pub(in super::super) static SECTION: Section = Section {
    name: "source",
    heads: Heads::Named,
    about: "A system of record, and how hard it may be asked.",
    options: &[
        &URL.about,
        &CHANGES.about,
        &feed::FEED.about,
        &feed::FEED_NAME.about,
        &feed::FEED_BEHIND_MAX.about,
        &feed::FEED_WAL_BUDGET.about,
        &feed::FEED_CHANGES_MAX.about,
        &CONNECTIONS.about,
        &WRITE_CONNECTIONS.about,
        &CONNECT_TIMEOUT.about,
        &LOAD_TIMEOUT.about,
        &LOADS_MAX.about,
        &LOADS_WAITING_MAX.about,
        &breaker::BREAKER.about,
        &breaker::ERRORS.about,
        &breaker::SHARE.about,
        &breaker::WINDOW.about,
        &breaker::PROBE_AFTER.about,
        &breaker::PROBE_AFTER_MAX.about,
    ],
};

pub(in super::super) static URL: Opt<SecretUrl> = Opt::new(
    "url",
    Default::Required,
    "Where the database is: `postgres://USER@HOST/DATABASE`, `mysql://USER@HOST/DATABASE` or \
     `sqlite:FILE`.",
)
.elsewhere(&["uri", "dsn", "database", "database_url", "connection"]);

pub(in super::super) static CHANGES: Opt<Changes> = Opt::new(
    "changes",
    Default::Value("unknown"),
    "Who may change the data. `unknown`: anyone may, behind larder's back, so that only an \
     answer's age bounds its staleness. `announced`: whoever does invalidates through larder after \
     the commit; from the moment that an invalidation has returned, nothing older is served. \
     `static`: nobody.",
);

pub(in super::super) static CONNECTIONS: Opt<Count<1, 1_000>> =
    Opt::new("connections", Default::Value("16"), "How many connections are kept open at most.")
        .elsewhere(&["pool", "pool_size", "max_connections", "connections_max"]);

pub(in super::super) static WRITE_CONNECTIONS: Opt<Count<1, 1_000>> = Opt::new(
    "write_connections",
    Default::Value("4"),
    "How many more are kept open at most for writes; none before the first one. SQLite has one \
     writer at a time, whatever is said here.",
);

pub(in super::super) static CONNECT_TIMEOUT: Opt<Timeout> = Opt::new(
    "connect_timeout",
    Default::Value("1s"),
    "How long connecting may take. A database that can't be reached should be known soon.",
);

pub(in super::super) static LOAD_TIMEOUT: Opt<Timeout> = Opt::new(
    "load_timeout",
    Default::Value("10s"),
    "How long one load may take; the database is told as well. A load goes on when its callers \
     have given up, so that the next one finds its answer.",
)
.elsewhere(&["timeout", "query_timeout", "statement_timeout"]);

pub(in super::super) static LOADS_MAX: Opt<Count<1, 10_000>> = Opt::new(
    "loads_max",
    Default::Words("as many as `connections`"),
    "How many loads may run at once. More than there are connections would only wait inside.",
)
.elsewhere(&["concurrency", "max_loads"]);

pub(in super::super) static LOADS_WAITING_MAX: Opt<Count<0, 1_000_000>> = Opt::new(
    "loads_waiting_max",
    Default::Value("1024"),
    "How many loads may wait for their turn; one more is shed, with the time after which to ask \
     again.",
)
.elsewhere(&["queue", "queue_size", "max_waiting"]);
