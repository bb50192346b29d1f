//! `[cache.NAME.warm]`: what is loaded before anybody asks.

use super::super::value::{Count, Line};
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "warm",
    heads: Heads::Within("cache"),
    about: "What the cache is filled with before anybody asks for it: the keys of `last_run`, then \
            those of `log`, then those of `query`; at least one of them must be given. It fills \
            free room only, and pauses while the source fails. See [warming](warming.md).",
    options: &[
        &LAST_RUN.about,
        &LOG.about,
        &QUERY.about,
        &KEYS_MAX.about,
        &LOADS_MAX.about,
        &PER_SECOND.about,
        &READY_WAITS.about,
    ],
};

pub(in super::super) static LAST_RUN: Opt<Line> = Opt::new(
    "last_run",
    Default::Words("nothing is saved"),
    "A file in which the cache's hottest keys are saved every 10 minutes and at shutdown, and read \
     at the next start. Each cache has its own. Keys of another `key` are not taken.",
)
.elsewhere(&["state", "hot_keys", "save"]);

pub(in super::super) static LOG: Opt<Line> = Opt::new(
    "log",
    Default::Words("none"),
    "A file with a key on each line: those first that are there most often, so a log of requests \
     will do, or a list. What is no key of this cache is left out.",
)
.elsewhere(&["file", "keys", "access_log"]);

pub(in super::super) static QUERY: Opt<Line> = Opt::new(
    "query",
    Default::Words("none"),
    "A query that answers with a row for each key, the most wanted first, in whose columns the \
     key's parameters stand by name: `SELECT id FROM users ORDER BY last_seen DESC`.",
)
.elsewhere(&["sql", "select", "statement"]);

pub(in super::super) static KEYS_MAX: Opt<Count<1, 10_000_000>> = Opt::new(
    "keys_max",
    Default::Value("100000"),
    "How many keys are taken, and how many are saved, at most. They are in memory meanwhile.",
)
.elsewhere(&["limit", "count"]);

pub(in super::super) static LOADS_MAX: Opt<Count<1, 10_000>> = Opt::new(
    "loads_max",
    Default::Words("a tenth of the source's `loads_max`, at least 1"),
    "How many questions it asks the source at once, each for as many keys as the source takes.",
)
.elsewhere(&["concurrency"]);

pub(in super::super) static PER_SECOND: Opt<Count<1, 1_000_000_000>> = Opt::new(
    "per_second",
    Default::Words("as many as come"),
    "How many keys it loads in a second, on average, at most.",
)
.elsewhere(&["rate", "rate_limit"]);

pub(in super::super) static READY_WAITS: Opt<bool> = Opt::new(
    "ready_waits",
    Default::Value("false"),
    "Whether `/ready` waits until the warming is over, however it ended.",
)
.elsewhere(&["wait"]);
