//! `[cache.NAME]`: what is cached, and what is promised about it.

use std::time::Duration;

use larder_core::KeyTemplate;
use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;
use larder_sql::{Format, Rows};

use super::super::value::{Line, Size, Timeout};
use super::memory::{PART_BYTES_MIN, POLICY_ELSEWHERE};
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "cache",
    heads: Heads::Named,
    about: "What is cached, and what is promised about it. At least one of `max_staleness` and \
            `fresh_for` must be given: name the window.",
    options: &[
        &KEY.about,
        &LOAD.about,
        &SOURCE.about,
        &ROWS.about,
        &COLUMN.about,
        &MAX_STALENESS.about,
        &FRESH_FOR.about,
        &STALE_FOR.about,
        &MISSING_FOR.about,
        &JITTER.about,
        &DEADLINE.about,
        &MEMORY.about,
        &POLICY.about,
        &CANDIDATES.about,
    ],
};

pub(in super::super) static KEY: Opt<KeyTemplate> = Opt::new(
    "key",
    Default::Required,
    "What the keys look like: `user:{id:int}`. No two caches may share a key.",
)
.elsewhere(&["keys", "pattern", "template"]);

pub(in super::super) static LOAD: Opt<Line> = Opt::new(
    "load",
    Default::Required,
    "The statement that loads a key: `SELECT name FROM users WHERE id = {id}`. What is in braces \
     is bound as a parameter, never pasted.",
)
.elsewhere(&["query", "sql", "select", "statement"]);

pub(in super::super) static SOURCE: Opt<Line> =
    Opt::new("source", Default::Words("the only source"), "The name of the source to load from.")
        .elsewhere(&["database", "db"]);

pub(in super::super) static ROWS: Opt<Rows> = Opt::new(
    "rows",
    Default::Value("one"),
    "`one`: the value is the row, as a JSON object; no row is absence. `many`: it is all rows, as \
     a JSON array, which may be empty.",
);

pub(in super::super) static COLUMN: Opt<Format> = Opt::new(
    "column",
    Default::Words("the row as JSON"),
    "`raw`: the statement returns one column, and its bytes are the value. Only with `rows = \
     \"one\"`.",
)
.elsewhere(&["format"]);

pub(in super::super) static MAX_STALENESS: Opt<Duration> = Opt::new(
    "max_staleness",
    Default::Words("`fresh_for` + `stale_for`"),
    "The promise: a read returns what the source held at some moment not longer ago than this. \
     `0s`: every read asks the source.",
)
.elsewhere(&["max_age", "staleness", "max_stale"]);

pub(in super::super) static FRESH_FOR: Opt<Duration> = Opt::new(
    "fresh_for",
    Default::Words("`max_staleness`"),
    "How long an answer is served as it is.",
)
.elsewhere(&["ttl", "expire", "expires", "expire_after_write", "lifetime"]);

pub(in super::super) static STALE_FOR: Opt<Duration> = Opt::new(
    "stale_for",
    Default::Value("0s"),
    "How much longer it may be served while one refresh runs. Nothing is silently old by \
     default.",
)
.elsewhere(&["swr", "stale_while_revalidate", "grace"]);

pub(in super::super) static MISSING_FOR: Opt<Duration> = Opt::new(
    "missing_for",
    Default::Words("`30s`, at most `max_staleness`"),
    "How long it is remembered that there is no row. Absence is forgotten sooner than presence.",
)
.elsewhere(&["negative_ttl", "null_ttl", "negative"]);

pub(in super::super) static JITTER: Opt<Duration> = Opt::new(
    "jitter",
    Default::Words("a tenth of `fresh_for`, at most `60s`"),
    "How much of `fresh_for` chance may take away, so that what was loaded together isn't \
     loaded again together.",
);

pub(in super::super) static DEADLINE: Opt<Timeout> = Opt::new(
    "deadline",
    Default::Value("10s"),
    "How long one read may wait. The load that it waited for goes on.",
)
.elsewhere(&["timeout", "wait_max", "read_timeout"]);

pub(in super::super) static MEMORY: Opt<Size<PART_BYTES_MIN>> = Opt::new(
    "memory",
    Default::Words("a share of the common pool"),
    "How much of `[memory] limit` it has for itself. Nobody takes room from it then, and it takes \
     none from others.",
)
.elsewhere(&["limit", "size", "max_size", "maxmemory"]);

pub(in super::super) static POLICY: Opt<PolicyKind> = Opt::new(
    "policy",
    Default::Words("as in `[memory]`"),
    "What decides which of its entries is evicted. Only with `memory` of its own.",
)
.elsewhere(POLICY_ELSEWHERE);

pub(in super::super) static CANDIDATES: Opt<Candidates> = Opt::new(
    "candidates",
    Default::Words("as in `[memory]`"),
    "Which of its entries may be evicted. Only with `memory` of its own.",
);
