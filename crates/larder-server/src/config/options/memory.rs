//! `[memory]`: how much this process may hold.

use super::super::value::Size;
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "memory",
    heads: Heads::One,
    about: "How much this process may hold. All caches and the plain keys share one pool, so \
            that hot ones take room from cold ones.",
    options: &[&LIMIT.about],
};

pub(in super::super) static LIMIT: Opt<Size<{ 1 << 20 }>> = Opt::new(
    "limit",
    Default::Value("256MiB"),
    "What entries may take: keys, values and a stated overhead. Beyond it \
     entries are evicted.",
)
.elsewhere(&["maxmemory", "max_memory", "size", "max_size"]);
