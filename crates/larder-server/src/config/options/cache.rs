//! `[cache.NAME]`: what is cached, and what is promised about it.

use std::time::Duration;

use larder_core::KeyTemplate;
use larder_core::template::TagTemplate;
use larder_engine::{Consistency, Reload};
use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;
use larder_sql::{Format, Rows};

use super::super::value::{Beta, Count, Gathering, Line, List, Part, Size, Timeout};
use super::memory::{PART_BYTES_MIN, POLICY_ELSEWHERE};
use super::{Default, Heads, Opt, Section, write};

/// So many tags an entry may have, and so many may be declared.
const TAGS_MAX: u32 = 128;
const _: () = assert!(TAGS_MAX as usize == larder_core::terms::TAGS_MAX);

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
        &REFRESH_AT.about,
        &XFETCH.about,
        &STALE_ON_ERROR.about,
        &WAIT.about,
        &DEADLINE.about,
        &GATHER.about,
        &RELOAD.about,
        &TAGS.about,
        &MEMORY.about,
        &POLICY.about,
        &CANDIDATES.about,
        &IDLE_FOR.about,
        &SHARED.about,
        &CONSISTENCY.about,
        &SCHEMA.about,
        &write::STORE.about,
        &write::DELETE.about,
        &write::ADD.about,
        &write::WRITE.about,
        &write::INSTALL.about,
        &write::WRITE_TIMEOUT.about,
        &write::COUNTER.about,
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

pub(in super::super) static REFRESH_AT: Opt<Part> = Opt::new(
    "refresh_at",
    Default::Value("0.8"),
    "The part of `fresh_for` after which a read begins a refresh, while it is served what is \
     held: who reads often never waits. `1`: never before the end.",
)
.elsewhere(&["eager_refresh", "eager_refresh_threshold", "refresh_ahead", "refresh_ahead_factor"]);

pub(in super::super) static XFETCH: Opt<Beta> = Opt::new(
    "xfetch",
    Default::Value("1.0"),
    "How much earlier still a refresh may begin, by chance, the longer loads take (XFetch's β), so \
     that many processes don't begin together. `0`: not at all.",
)
.elsewhere(&["beta", "early_expiration_beta"]);

pub(in super::super) static STALE_ON_ERROR: Opt<Duration> = Opt::new(
    "stale_on_error",
    Default::Value("0s"),
    "How long beyond the promise a value may stand in while the source fails, or is slower than \
     `wait`. Such answers say so and are counted. A key whose load failed is loaded again after \
     1 s, then 2 s, and so on up to 30 s.",
)
.elsewhere(&["stale_if_error", "fail_safe", "failsafe", "fail_safe_max_duration"]);

pub(in super::super) static WAIT: Opt<Duration> = Opt::new(
    "wait",
    Default::Value("100ms"),
    "How long a read waits for a load before it takes what may stand in under `stale_on_error`. \
     The load goes on. `0s`: not at all.",
)
.elsewhere(&["soft_timeout", "factory_soft_timeout"]);

pub(in super::super) static DEADLINE: Opt<Timeout> = Opt::new(
    "deadline",
    Default::Value("10s"),
    "How long one read may wait. The load that it waited for goes on.",
)
.elsewhere(&["timeout", "wait_max", "read_timeout"]);

pub(in super::super) static GATHER: Opt<Gathering> = Opt::new(
    "gather",
    Default::Words("each is loaded alone"),
    "Single keys that miss within this time of each other are loaded with one question. The first \
     of them waits so long.",
)
.elsewhere(&["batch_window", "batch_delay", "linger"]);

pub(in super::super) static RELOAD: Opt<Reload> = Opt::new(
    "reload",
    Default::Value("never"),
    "`hot`: an entry that is in use is loaded again as soon as its key is invalidated, by a feed \
     for instance, so that the next reader hardly waits. At once at most half as many as \
     `loads_max` of the source; what doesn't fit, and what a tag, a prefix or a whole cache \
     strikes, is loaded when it is read. Only with a `policy` that knows what is in use: \
     `adaptive`, `cost`, `s3fifo`, `sieve` or `tinylfu`.",
)
.elsewhere(&["refresh_on_invalidate", "refresh_on_change", "reload_on_change"]);

pub(in super::super) static TAGS: Opt<List<TagTemplate, TAGS_MAX>> = Opt::new(
    "tags",
    Default::Words("none"),
    "What an entry depends on: `[\"tenant:{tenant_id}\", \"users\"]`. What is in braces is a \
     parameter of the key, or else a column of the result; a `NULL` makes no tag. \
     `LARDER.INVALIDATE TAGS tenant:7` strikes all that have it, however many. At most 128 for an \
     entry.",
)
.elsewhere(&["tag", "surrogate_keys", "cache_tags", "depends_on"]);

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

pub(in super::super) static IDLE_FOR: Opt<Timeout> = Opt::new(
    "idle_for",
    Default::Words("never"),
    "After how long without a read an entry is forgotten. Only with `memory` of its own.",
)
.elsewhere(&["max_idle", "time_to_idle", "tti", "expire_after_access", "sliding_expiration"]);

pub(in super::super) static SHARED: Opt<bool> = Opt::new(
    "shared",
    Default::Words("`true` where there is a `[shared]`"),
    "Whether its entries are kept in the shared tier too. `false`: only in each larder's memory; \
     what is invalidated the others hear of all the same.",
);

pub(in super::super) static CONSISTENCY: Opt<Consistency> = Opt::new(
    "consistency",
    Default::Value("bounded"),
    "What holds while larders can't hear of each other. `bounded`: once `max_staleness` has passed \
     the source is asked, and with `changes = \"announced\"` an answer may be fresh for longer \
     than that while they can. `eventual`: what is held is served for its lifetime. \
     `guarded`: as bounded, and a write is announced before it is committed, so that the promise \
     counts from the commit and a writer may die anywhere; one round trip more for each write. \
     `strict`: the same, and what can't be announced is refused. The last two need a `[shared]` \
     with a Redis and `changes = \"announced\"`. It means nothing without a `[shared]` that \
     carries announcements.",
)
.elsewhere(&["consistency_level"]);

pub(in super::super) static SCHEMA: Opt<Count<0, 1_000_000_000>> = Opt::new(
    "schema",
    Default::Value("0"),
    "The version of what its values mean. Larders of another don't read them in the shared tier: \
     raise it when `load` returns something else.",
)
.elsewhere(&["version", "schema_version"]);
