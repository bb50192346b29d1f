//! Memory divided: what single caches, edges and the plain keys have as their own, and what is left
//! for the pool that all other caches share.
//!
//! Nobody's part is larger than what is there: the parts together are `[memory] limit` or less.
//! What a policy does is not known here.

use std::time::Duration;

use humantime::format_duration;
use larder_core::Window;
use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;

use super::cache::CacheConfig;
use super::document::Written;
use super::edge::EdgeConfig;
use super::findings::{Findings, Reported};
use super::options::memory::PART_BYTES_MIN;
use super::options::{About, Opt, cache as cache_options, edge as edge_options};
use super::options::{memory as options, plain};
use super::scope::Scope;
use super::text::Span;
use super::value::{Size, size_text};

/// A part of memory: how much it may hold, and what leaves first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// What its entries may take, in bytes: keys, values and a stated overhead.
    pub bytes: u64,
    /// What decides which entry is evicted.
    pub policy: PolicyKind,
    /// Which entries may be evicted.
    pub candidates: Candidates,
    /// After how long without a read an entry is forgotten; `None`: never.
    pub idle_for: Option<Duration>,
}

/// What `[memory]` says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) limit: u64,
    policy: PolicyKind,
    candidates: Candidates,
}

/// What `[plain]` says, where plain keys are not refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain {
    bytes: Option<u64>,
    policy: PolicyKind,
    candidates: Candidates,
}

/// Who has memory of its own or shares the pool, each beside its section.
#[derive(Clone, Copy)]
pub(super) struct Owners<'o> {
    pub(super) caches: &'o [(&'o Written, &'o CacheConfig)],
    pub(super) edges: &'o [(&'o Written, &'o EdgeConfig)],
}

/// What the caches without memory of their own share, and what the plain keys have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) shared: Option<MemoryConfig>,
    pub(super) plain: Option<MemoryConfig>,
}

impl Whole {
    pub(super) fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let limit = scope.or_default(written, &options::LIMIT);
        let policy = scope.or_default(written, &options::POLICY);
        let candidates = scope.or_default(written, &options::CANDIDATES);
        Ok(Self { limit: limit?.0, policy: policy?, candidates: candidates? })
    }

    fn part(self, bytes: u64) -> MemoryConfig {
        let Self { policy, candidates, .. } = self;
        MemoryConfig { bytes, policy, candidates, idle_for: None }
    }
}

impl Plain {
    /// `None` when plain keys are refused.
    pub(super) fn resolve(
        written: &Written,
        whole: Result<Whole, Reported>,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Option<Self>, Reported> {
        let enabled = scope.or_default(written, &plain::ENABLED);
        let bytes = scope.get(written, &plain::MEMORY);
        let policy = scope.or_default(written, &plain::POLICY);
        let candidates = scope.get(written, &plain::CANDIDATES);
        let (enabled, bytes, policy) = (enabled?, bytes?, policy?);
        let candidates = candidates?.map_or_else(|| Ok(whole?.candidates), Ok)?;
        if enabled {
            return Ok(Some(Self { bytes: bytes.map(|bytes| bytes.0), policy, candidates }));
        }
        for option in [&plain::MEMORY.about, &plain::POLICY.about, &plain::CANDIDATES.about] {
            if let Some(entry) = written.entry(option) {
                scope.findings.warning(
                    [&entry.key],
                    format!("`{}` never applies: plain keys are refused", option.name),
                    "leave it out, or set `enabled = true`",
                );
            }
        }
        Ok(None)
    }

    fn part(self, bytes: u64) -> MemoryConfig {
        let Self { policy, candidates, .. } = self;
        MemoryConfig { bytes, policy, candidates, idle_for: None }
    }
}

/// What a cache has as its own; `None` when it shares the pool.
pub(super) fn own(
    written: &Written,
    whole: Result<Whole, Reported>,
    scope: &mut Scope<'_, '_>,
) -> Result<Option<MemoryConfig>, Reported> {
    let bytes = scope.get(written, &cache_options::MEMORY);
    let policy = scope.get(written, &cache_options::POLICY);
    let candidates = scope.get(written, &cache_options::CANDIDATES);
    let idle_for = scope.get(written, &cache_options::IDLE_FOR);
    let Some(Size(bytes)) = bytes? else {
        let policy = "or set `policy` in [memory] for all caches that share it";
        let candidates = "or set `candidates` in [memory] for all caches that share it";
        let idle_for = "or leave it out: what isn't read is evicted when room is needed";
        return alone(written, &cache_options::POLICY, policy, scope.findings)
            .and(alone(written, &cache_options::CANDIDATES, candidates, scope.findings))
            .and(alone(written, &cache_options::IDLE_FOR, idle_for, scope.findings))
            .map(|()| None);
    };
    let (policy, candidates, whole) = (policy?, candidates?, whole?);
    Ok(Some(MemoryConfig {
        bytes,
        policy: policy.unwrap_or(whole.policy),
        candidates: candidates.unwrap_or(whole.candidates),
        idle_for: idle_for?.map(|idle_for| idle_for.0),
    }))
}

/// What decides which entries of a cache are evicted, unless that was reported: of its `own`
/// memory, or of the pool's.
pub(super) fn policy(
    own: &Result<Option<MemoryConfig>, Reported>,
    whole: Result<Whole, Reported>,
) -> Option<PolicyKind> {
    match own {
        Ok(Some(own)) => Some(own.policy),
        Ok(None) => whole.ok().map(|whole| whole.policy),
        Err(_) => None,
    }
}

/// Says that `idle_for` never applies where everything is gone sooner anyway.
pub(super) fn warn_of_idle(
    written: &Written,
    own: &MemoryConfig,
    window: &Window,
    findings: &mut Findings<'_>,
) {
    let lasts = window.fresh_for.saturating_add(window.stale_for).min(window.max_staleness);
    let held = lasts.saturating_add(window.stale_on_error).max(window.missing_for);
    if own.idle_for.is_some_and(|idle_for| idle_for >= held) {
        findings.warning(
            &written.place(&cache_options::IDLE_FOR.about),
            format!(
                "`idle_for` never applies: no entry lasts longer than {}",
                format_duration(held)
            ),
            "make it shorter, or leave it out",
        );
    }
}

/// Refuses an option of a cache that has no `memory` of its own. `or` is another cure.
fn alone<T>(
    written: &Written,
    option: &Opt<T>,
    or: &str,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let About { name, .. } = option.about;
    let Some(entry) = written.entry(&option.about) else {
        return Ok(());
    };
    let article = if name.starts_with('i') { "an" } else { "a" };
    Err(findings.error(
        [&entry.key],
        format!(
            "{} has {article} `{name}` of its own, and no `memory` of its own",
            written.header()
        ),
        format!("add for instance `memory = \"16MiB\"`, {or}"),
    ))
}

/// Divides the whole. `memory` and `plain_keys` are the sections `[memory]` and `[plain]`.
pub(super) fn divide(
    (memory, whole): (&Written, Whole),
    (plain_keys, plain): (&Written, Option<Plain>),
    Owners { caches, edges }: Owners<'_>,
    findings: &mut Findings<'_>,
) -> Result<Parts, Reported> {
    let own = |cache: &CacheConfig| cache.memory.map_or(0, |memory| memory.bytes);
    let given = caches.iter().map(|(_, cache)| own(cache));
    let given = given.chain(edges.iter().map(|(_, edge)| edge.memory));
    let given = given.fold(0, u64::saturating_add);
    let shares = caches.iter().any(|(_, cache)| cache.memory.is_none());
    let needs = Needs {
        given: given.saturating_add(plain.and_then(|plain| plain.bytes).unwrap_or(0)),
        shared: if shares { PART_BYTES_MIN } else { 0 },
        plain: if plain.is_some_and(|plain| plain.bytes.is_none()) { PART_BYTES_MIN } else { 0 },
    };
    if needs.sum() > whole.limit {
        let mut at: Vec<Span> = caches
            .iter()
            .filter_map(|(written, _)| written.value(&cache_options::MEMORY.about))
            .collect();
        at.extend(
            edges.iter().filter_map(|(written, _)| written.value(&edge_options::MEMORY.about)),
        );
        at.extend(plain_keys.value(&plain::MEMORY.about));
        at.extend(memory.value(&options::LIMIT.about));
        return Err(findings.error(&at, needs.lack(whole.limit), needs.cure()));
    }
    let left = whole.limit - given;
    let plain = plain.map(|plain| {
        let all = if shares { left / 2 } else { left };
        plain.part(plain.bytes.unwrap_or(all))
    });
    let left = left - plain.map_or(0, |plain| plain.bytes);
    let shared = shares.then(|| whole.part(left));
    let parts = Parts { shared, plain };
    if shared.is_none() {
        warn_of_the_rest((memory, whole), left, parts, caches, findings);
    }
    Ok(parts)
}

/// Says what of `[memory]` has no use where no cache shares the pool: the `left` bytes, a policy.
fn warn_of_the_rest(
    (memory, whole): (&Written, Whole),
    left: u64,
    parts: Parts,
    caches: &[(&Written, &CacheConfig)],
    findings: &mut Findings<'_>,
) {
    if left > 0 && !(caches.is_empty() && parts.plain.is_none()) {
        findings.warning(
            &memory.place(&options::LIMIT.about),
            format!(
                "{} of `limit` can't be used: nothing shares what is nobody's own",
                size_text(left)
            ),
            format!("set it to \"{}\", or give more `memory`", size_text(whole.limit - left)),
        );
    }
    if caches.is_empty()
        && let Some(entry) = memory.entry(&options::POLICY.about)
    {
        findings.warning(
            [&entry.key],
            "`policy` of [memory] never applies: it is for caches, and there is none",
            "plain keys have their own: set `policy` in [plain]",
        );
    }
}

/// What the limit must have room for, in bytes.
struct Needs {
    /// What caches and plain keys were given as their own.
    given: u64,
    /// What the pool needs at least, if a cache needs the pool.
    shared: u64,
    /// What plain keys need at least, if it wasn't said how much they have.
    plain: u64,
}

impl Needs {
    fn sum(&self) -> u64 {
        self.given.saturating_add(self.shared).saturating_add(self.plain)
    }

    /// What is wrong, when that is more than the limit.
    fn lack(&self, limit: u64) -> String {
        let (given, all) = (size_text(self.given), size_text(limit));
        let who = match (self.shared > 0, self.plain > 0) {
            (true, true) => "the caches without memory of their own, and for the plain keys",
            (true, false) => "the caches without memory of their own",
            (false, true) => "the plain keys",
            (false, false) => {
                return format!("{given} are given as somebody's own, and `limit` is {all}");
            }
        };
        format!(
            "{given} are given as somebody's own, and `limit` is {all}: nothing is left for {who}"
        )
    }

    fn cure(&self) -> String {
        const MIB: u64 = 1 << 20;
        let enough = self.sum().div_ceil(MIB).saturating_mul(MIB);
        let mut cure = format!("set `limit` to \"{}\" or more, or give less", size_text(enough));
        if self.plain > 0 {
            cure.push_str("; who sets no plain keys says `enabled = false` in [plain]");
        }
        cure
    }
}
