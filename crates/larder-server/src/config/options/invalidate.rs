//! `[[cache.NAME.invalidate]]`: what a change of a table touches.

use larder_core::template::TagTemplate;

use super::super::invalidate::RowKey;
use super::super::value::{Line, List};
use super::{Default, Heads, Opt, Section};

/// So many tags one change may strike.
const TAGS_MAX: u32 = 16;

pub(in super::super) static SECTION: Section = Section {
    name: "invalidate",
    heads: Heads::Each("cache"),
    about: "What a change of a table touches, where the source has a `feed` and that can't be seen \
            from `load`, or is less than it seems. Where `load` reads one table by equality with \
            all parameters of the key, nothing has to be said; any other table that it reads \
            drops everything that the cache holds, at each change. What is said here of a table \
            holds instead. A column that may change its value must be told with its old one: \
            `larder check` says where the database has to be told so.",
    options: &[&TABLE.about, &KEY.about, &TAGS.about],
};

pub(in super::super) static TABLE: Opt<Line> =
    Opt::new("table", Default::Required, "The table, as SQL names it: `orders`, or `shop.orders`.");

pub(in super::super) static KEY: Opt<RowKey> = Opt::new(
    "key",
    Default::Words("no single key"),
    "The key that a row belongs to, with the row's columns in braces where the cache's `key` has \
     its parameters: `orders_of:{customer_id}`. What the row was before and what it is now both \
     count.",
);

pub(in super::super) static TAGS: Opt<List<TagTemplate, TAGS_MAX>> = Opt::new(
    "tags",
    Default::Words("no tag"),
    "The tags that are struck, with the row's columns in braces: `[\"tenant:{tenant_id}\"]`. They \
     strike in every cache.",
);
