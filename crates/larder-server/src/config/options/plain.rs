//! `[plain]`: keys that belong to no cache.

use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;

use super::super::value::Size;
use super::memory::{PART_BYTES_MIN, POLICY_ELSEWHERE};
use super::{Default, Heads, Opt, Section};

pub(in super::super) static SECTION: Section = Section {
    name: "plain",
    heads: Heads::One,
    about: "Keys that belong to no cache. The literal beginning of a cache's key claims every \
            key that begins so; all others are plain. They have a part of memory for themselves, \
            because what was set should be there: a flood of loads can't push it out.",
    options: &[&ENABLED.about, &MEMORY.about, &POLICY.about, &CANDIDATES.about],
};

pub(in super::super) static ENABLED: Opt<bool> = Opt::new(
    "enabled",
    Default::Value("true"),
    "Whether plain keys can be set and read as in Redis. When false they are refused, so that a \
     mistyped key is an error and not a miss.",
);

pub(in super::super) static MEMORY: Opt<Size<PART_BYTES_MIN>> = Opt::new(
    "memory",
    Default::Words("what caches with memory of their own leave; half of it when others share it"),
    "How much of `[memory] limit` the plain keys have. The caches without memory of their own \
     share what is left. Who sets no plain keys says `enabled = false`, and the caches have it \
     all.",
)
.elsewhere(&["limit", "size", "max_size", "maxmemory"]);

pub(in super::super) static POLICY: Opt<PolicyKind> = Opt::new(
    "policy",
    Default::Value("lru"),
    "What decides which plain key is evicted; never the one that is being set.",
)
.elsewhere(POLICY_ELSEWHERE);

pub(in super::super) static CANDIDATES: Opt<Candidates> = Opt::new(
    "candidates",
    Default::Words("as in `[memory]`"),
    "Which plain keys may be evicted. `expiring`: only those with an expiry; when there is none, \
     what sets more is answered `OOM`, and nothing that is held is lost.",
);
