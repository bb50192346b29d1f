//! What a cache shares with other larders, resolved.

use larder_core::Changes;
use larder_engine::Consistency;

use super::document::Written;
use super::findings::{Findings, Reported};
use super::options::cache as options;
use super::scope::Scope;
use super::shared::SharedConfig;
use super::value::{Fault, OptionValue};

/// What a cache shares with other larders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheSharing {
    /// Whether its entries are kept in the shared tier too.
    pub in_tier: bool,
    /// Whether others hear of its invalidations, and it of theirs.
    pub has_bus: bool,
    /// What holds while they can't hear of each other.
    pub consistency: Consistency,
    /// The version of what its values mean.
    pub schema: u32,
}

impl CacheSharing {
    /// Whether a stream of changes vouches for its entries, if its source's data is changed so.
    pub(super) fn vouches(&self, changes: Option<Changes>) -> bool {
        self.has_bus
            && self.consistency != Consistency::Eventual
            && changes.is_some_and(|changes| changes != Changes::Unknown)
    }
}

/// `changes` says who changes the data, unless the source was reported.
pub(super) fn resolve(
    written: &Written,
    shared: &Result<Option<SharedConfig>, Reported>,
    (changes, is_fed): (Option<Changes>, bool),
    scope: &mut Scope<'_, '_>,
) -> Result<CacheSharing, Reported> {
    let in_tier = scope.get(written, &options::SHARED);
    let consistency = scope.or_default(written, &options::CONSISTENCY);
    let schema = scope.or_default(written, &options::SCHEMA);
    let (in_tier, consistency, schema) = (in_tier?, consistency?, schema?);
    // A section that can't be read was reported where it stands.
    let alone = matches!(shared, Ok(None));
    let shared = shared.as_ref().ok().and_then(Option::as_ref);
    let is_guarded = matches!(consistency, Consistency::Guarded | Consistency::Strict);
    let in_tier = in_tier.unwrap_or(true);
    if is_guarded && is_fed {
        return Err(scope.findings.error(
            &written.place(&options::CONSISTENCY.about),
            "guarded and strict announce every change before it is committed, and with a `feed` \
             anyone may change the data: the feed tells of it from the commit on",
            "leave `consistency` out: with a feed the promise counts from the commit",
        ));
    }
    if is_guarded && (alone || shared.is_some()) {
        check_guarded(written, shared, in_tier, changes, scope.findings)?;
    }
    for option in [&options::SHARED.about, &options::CONSISTENCY.about, &options::SCHEMA.about] {
        if alone && written.entry(option).is_some() {
            scope.findings.warning(
                &written.place(option),
                format!("`{}` never applies: there is no `[shared]`", option.name),
                "declare it: [shared] with its `url`, or leave this out",
            );
        }
    }
    Ok(CacheSharing {
        in_tier: in_tier && shared.is_some(),
        has_bus: shared.is_some_and(SharedConfig::has_bus),
        consistency,
        schema: schema.0 as u32,
    })
}

/// Whether a write can be announced before it is committed.
fn check_guarded(
    written: &Written,
    shared: Option<&SharedConfig>,
    in_tier: bool,
    changes: Option<Changes>,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let (what, cure) = match shared {
        None => (
            "guarded and strict keep a writer's word in a shared tier, and there is no `[shared]`",
            "declare it: [shared] with the `url` of a Redis, or leave `consistency` out",
        ),
        Some(shared) if shared.is_memcached() => (
            "guarded and strict need a shared tier that knows intents, and Memcached doesn't: \
             nobody would keep a writer's word when it dies",
            "share through Redis, or leave `consistency` out",
        ),
        Some(_) if !in_tier => (
            "guarded and strict keep a writer's word in the shared tier, and with `shared = \
             false` this cache isn't there",
            "leave `shared` out, or leave `consistency` out",
        ),
        Some(_) if changes.is_some_and(|changes| changes != Changes::Announced) => (
            "guarded and strict announce every change before it is committed, and `changes` of the \
             source doesn't say that all are announced",
            "set `changes = \"announced\"` in the source if all writes are made or announced \
             through larder, or leave `consistency` out",
        ),
        Some(_) => return Ok(()),
    };
    Err(findings.error(&written.place(&options::CONSISTENCY.about), what, cure))
}

impl OptionValue for Consistency {
    const WHAT: &'static str = "`\"eventual\"`, `\"bounded\"`, `\"guarded\"` or `\"strict\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "bounded" => Ok(Self::Bounded),
            "eventual" => Ok(Self::Eventual),
            "guarded" => Ok(Self::Guarded),
            "strict" => Ok(Self::Strict),
            _ => Err(Fault::new(
                "must be \"eventual\", \"bounded\", \"guarded\" or \"strict\"",
                "for instance `consistency = \"bounded\"`",
            )),
        }
    }
}
