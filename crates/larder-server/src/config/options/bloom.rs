//! `[cache.NAME.bloom]`: keys that surely don't exist never reach the database.

use std::time::Duration;

use super::super::value::{Line, Part, Size};
use super::{Default, Heads, Opt, Section};

/// The least that a filter takes, in bytes.
pub(in super::super) const BYTES_MIN: u64 = 1 << 10;

pub(in super::super) static SECTION: Section = Section {
    name: "bloom",
    heads: Heads::Within("cache"),
    about: "A Bloom filter in front of the source: a read of a key that surely doesn't exist is \
            answered without asking the database. It is built from all keys at the start and \
            again when it has become too full or too old. Only where inserts are known: the \
            source has a `feed` that tells the keys of rows, or its `changes` are `\"announced\"` \
            or `\"static\"`, and an insert is announced by its key. Its memory is not part of \
            `[memory] limit`.",
    options: &[&KEYS.about, &FALSE_POSITIVES.about, &BYTES_MAX.about, &REBUILD_AFTER.about],
};

pub(in super::super) static KEYS: Opt<Line> = Opt::new(
    "keys",
    Default::Required,
    "A query that answers with a row for each key, in whose columns the key's parameters stand by \
     name: `SELECT id FROM users`. A key that it leaves out is denied.",
)
.elsewhere(&["query", "sql", "select"]);

pub(in super::super) static FALSE_POSITIVES: Opt<Part> = Opt::new(
    "false_positives",
    Default::Value("0.01"),
    "The part of the keys that don't exist which may get through to the database; at most 0.5.",
)
.elsewhere(&["error_rate", "fpr", "false_positive_rate"]);

pub(in super::super) static BYTES_MAX: Opt<Size<BYTES_MIN>> = Opt::new(
    "bytes_max",
    Default::Value("64MiB"),
    "How much it takes at most, together with the one that is being built. Where that is too \
     little for the part that may get through, more gets through.",
)
.elsewhere(&["memory", "limit", "size"]);

pub(in super::super) static REBUILD_AFTER: Opt<Duration> = Opt::new(
    "rebuild_after",
    Default::Value("24h"),
    "How old it becomes at most. Keys that were deleted leave it only so.",
)
.elsewhere(&["refresh", "interval"]);
