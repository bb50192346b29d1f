//! `[memory]`: how much this process may hold, and what leaves when that is reached.

use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;

use super::super::value::Size;
use super::{Default, Heads, Opt, Section};

/// The least that a part of memory may be: less would hold nothing worth a part of its own.
pub(in super::super) const PART_BYTES_MIN: u64 = 64 << 10;

/// What other systems call `policy`.
pub(super) const POLICY_ELSEWHERE: &[&str] =
    &["maxmemory_policy", "maxmemory-policy", "eviction", "eviction_policy", "evict"];

pub(in super::super) static SECTION: Section = Section {
    name: "memory",
    heads: Heads::One,
    about: "How much this process may hold, and what leaves when that is reached. What caches and \
            the plain keys have as their own is part of it; all other caches share one pool, so \
            that hot ones take room from cold ones.\n\n\
            What leaves first, by `policy`:\n\n\
            - `lru`: what was not used for longest. `lfu`: what was used least often. `fifo`: what \
            is oldest. `random`: anything.\n\
            - `sieve`, `s3fifo`: what is new and was not used again soon.\n\
            - `tinylfu`: what is new, unless it was asked for more often than what it would push \
            out.\n\
            - `cost`: what is used seldom for the room that it takes and was loaded quickly.\n\
            - `adaptive`: what one of several such rules says, of which small trials show that it \
            suits the reads best.",
    options: &[&LIMIT.about, &POLICY.about, &CANDIDATES.about],
};

pub(in super::super) static LIMIT: Opt<Size<{ 1 << 20 }>> = Opt::new(
    "limit",
    Default::Value("256MiB"),
    "What entries may take, all together: keys, values and a stated overhead. Beyond it entries \
     are evicted.",
)
.elsewhere(&["maxmemory", "max_memory", "size", "max_size"]);

pub(in super::super) static POLICY: Opt<PolicyKind> = Opt::new(
    "policy",
    Default::Value("adaptive"),
    "What decides which entry of a cache is evicted. With `lru` and `lfu` every hit takes a lock.",
)
.elsewhere(POLICY_ELSEWHERE);

pub(in super::super) static CANDIDATES: Opt<Candidates> = Opt::new(
    "candidates",
    Default::Value("all"),
    "Which entries may be evicted. `expiring`: only those that expire at some time; when there is \
     none, what is new isn't held. Entries of caches always expire, so it matters to plain keys.",
);
