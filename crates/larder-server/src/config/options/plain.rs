//! `[plain]`: keys that belong to no cache.

use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "plain",
    heads: Heads::One,
    about: "Keys that belong to no cache. The literal beginning of a cache's key claims every \
            key that begins so; all others are plain.",
    options: &[&ENABLED.about],
};

pub(in super::super) static ENABLED: Opt<bool> = Opt::new(
    "enabled",
    Default::Value("true"),
    "Whether plain keys can be set and read as in Redis. When false they are refused, so that a \
     mistyped key is an error and not a miss.",
);
