//! What a cache shares with other larders, resolved.

use larder_core::Changes;
use larder_engine::Consistency;

use super::document::Written;
use super::findings::Reported;
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
            && self.consistency == Consistency::Bounded
            && changes.is_some_and(|changes| changes != Changes::Unknown)
    }
}

pub(super) fn resolve(
    written: &Written,
    shared: &Result<Option<SharedConfig>, Reported>,
    scope: &mut Scope<'_, '_>,
) -> Result<CacheSharing, Reported> {
    let in_tier = scope.get(written, &options::SHARED);
    let consistency = scope.or_default(written, &options::CONSISTENCY);
    let schema = scope.or_default(written, &options::SCHEMA);
    let (in_tier, consistency, schema) = (in_tier?, consistency?, schema?);
    // A section that can't be read was reported where it stands.
    let alone = matches!(shared, Ok(None));
    let shared = shared.as_ref().ok().and_then(Option::as_ref);
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
        in_tier: in_tier.unwrap_or(true) && shared.is_some(),
        has_bus: shared.is_some_and(SharedConfig::has_bus),
        consistency,
        schema: schema.0 as u32,
    })
}

impl OptionValue for Consistency {
    const WHAT: &'static str = "`\"bounded\"` or `\"eventual\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "bounded" => Ok(Self::Bounded),
            "eventual" => Ok(Self::Eventual),
            "guarded" | "strict" => Err(Fault::new(
                "needs writes through larder, which this version doesn't have yet",
                "\"bounded\" is the strongest that it keeps",
            )),
            _ => Err(Fault::new(
                "must be \"bounded\" or \"eventual\"",
                "for instance `consistency = \"bounded\"`",
            )),
        }
    }
}
