//! `[[edge.NAME.rules]]`: what holds for some paths and types.

use std::time::Duration;

use super::super::edge_rule::{FieldName, MediaRange, ParameterName, PathPattern, StatusLifetime};
use super::super::value::List;
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "rules",
    heads: Heads::Each("edge"),
    about: "What holds for some of an edge's paths and types: the first rule that fits. A rule \
            gives lifetimes; it takes no prohibition of the origin away unless it says \
            `override`. A path that two servers may read in two ways (`..`, `%2f`, `\\`) fits no \
            rule, and a page of HTML is given no lifetime by a rule where its path ends as a file \
            of another kind does: `/account/x.css`.",
    options: &[
        &PATH.about,
        &TYPES.about,
        &BYPASS.about,
        &EDGE.about,
        &BROWSER.about,
        &IMMUTABLE.about,
        &STATUSES.about,
        &STALE_WHILE_REVALIDATE.about,
        &STALE_ON_ERROR.about,
        &OVERRIDE.about,
        &QUERY.about,
        &QUERY_IGNORED.about,
        &VARY.about,
    ],
};

pub(in super::super) static PATH: Opt<PathPattern> = Opt::new(
    "path",
    Default::Required,
    "Which paths: `*` is any text without a `/`, `**` any text.",
)
.elsewhere(&["location", "url", "match"]);

pub(in super::super) static TYPES: Opt<List<MediaRange, 32>> = Opt::new(
    "types",
    Default::Words("all"),
    "Which types of content: `[\"image/*\", \"text/css\"]`. Such a rule says nothing of what is \
     asked, only of what comes: it has no `bypass`, no `query` and no \
     `vary`.",
)
.elsewhere(&["content_type", "mime"]);

pub(in super::super) static BYPASS: Opt<bool> = Opt::new(
    "bypass",
    Default::Value("false"),
    "Whether these paths go past the cache: nothing is stored, and nothing stored is sent.",
)
.elsewhere(&["pass", "no_cache"]);

pub(in super::super) static EDGE: Opt<Duration> = Opt::new(
    "edge",
    Default::Words("what the origin says"),
    "For how long a response is fresh here, in the place of what the origin says.",
)
.elsewhere(&["ttl", "edge_ttl", "proxy_cache_valid"]);

pub(in super::super) static BROWSER: Opt<Duration> = Opt::new(
    "browser",
    Default::Words("what the origin says"),
    "For how long a client may take it as fresh: its `max-age`; `0s` is `no-cache`. Never more \
     than what is left of it here.",
)
.elsewhere(&["browser_ttl", "expires"]);

pub(in super::super) static IMMUTABLE: Opt<bool> = Opt::new(
    "immutable",
    Default::Value("false"),
    "Whether what has this path never changes, as where a hash of the content is in its name: \
     fresh for a year, here and in browsers, and not asked for again on a reload (RFC 8246).",
)
.elsewhere(&["hashed"]);

pub(in super::super) static STATUSES: Opt<List<StatusLifetime, 32>> = Opt::new(
    "statuses",
    Default::Words("200, 203, 204, 300, 301, 308, 404 and 410 have the lifetime of `edge`"),
    "Lifetimes of single statuses: `[\"404 10s\", \"301 1d\"]`. With it, \
     `edge` is for 200 alone.",
)
.elsewhere(&["status"]);

pub(in super::super) static STALE_WHILE_REVALIDATE: Opt<Duration> = Opt::new(
    "stale_while_revalidate",
    Default::Words("what the origin says"),
    "For how long beyond its lifetime it is sent while it is validated (RFC 5861).",
)
.elsewhere(&["stale_for", "swr"]);

pub(in super::super) static STALE_ON_ERROR: Opt<Duration> = Opt::new(
    "stale_on_error",
    Default::Words("what the origin says"),
    "For how long beyond its lifetime it is sent while the origin fails (RFC 5861).",
)
.elsewhere(&["stale_if_error", "grace"]);

pub(in super::super) static OVERRIDE: Opt<bool> = Opt::new(
    "override",
    Default::Value("false"),
    "Whether the lifetime holds although the origin says `no-store`, `private` or `no-cache`. What \
     sets a cookie isn't stored even so.",
)
.elsewhere(&["force", "ignore_headers"]);

pub(in super::super) static QUERY: Opt<List<ParameterName, 64>> = Opt::new(
    "query",
    Default::Words("all"),
    "The parameters of the query that count, in any order; all others are dropped before \
     anybody sees them. `[\"\"]` drops all.",
)
.elsewhere(&["query_allow", "params"]);

pub(in super::super) static QUERY_IGNORED: Opt<List<ParameterName, 64>> = Opt::new(
    "query_ignored",
    Default::Words("none"),
    "The parameters of the query that are dropped: `[\"utm_*\"]`.",
)
.elsewhere(&["query_drop"]);

pub(in super::super) static VARY: Opt<List<FieldName, 32>> = Opt::new(
    "vary",
    Default::Words("any"),
    "The fields of requests that a response may vary by; one that varies by another isn't \
     stored.",
)
.elsewhere(&["vary_headers", "vary_allow"]);
