//! Kinds of values that other crates define: templates of keys and tags, rows and formats, policies
//! and candidates of eviction.

use larder_core::KeyTemplate;
use larder_core::template::TagTemplate;
use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;
use larder_sql::{Format, Rows};

use super::value::{Fault, OptionValue};

impl OptionValue for KeyTemplate {
    const WHAT: &'static str = "a key template";

    fn from_text(text: &str) -> Result<Self, Fault> {
        Self::parse(text).map_err(|error| {
            Fault::new(
                format!("is refused: {error}"),
                "a key looks like \"user:{id:int}\": a name of its own, then typed parameters",
            )
        })
    }
}

impl OptionValue for TagTemplate {
    const WHAT: &'static str = "a tag";

    fn from_text(text: &str) -> Result<Self, Fault> {
        Self::parse(text).map_err(|error| {
            Fault::new(
                format!("is refused: {error}"),
                "a tag looks like \"tenant:{tenant_id}\": text, with parameters of the key and \
                 columns in braces",
            )
        })
    }
}

impl OptionValue for Rows {
    const WHAT: &'static str = "`\"one\"` or `\"many\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "one" => Ok(Self::One),
            "many" => Ok(Self::Many),
            _ => Err(Fault::new("must be \"one\" or \"many\"", "write one of them")),
        }
    }
}

impl OptionValue for Format {
    const WHAT: &'static str = "`\"raw\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "raw" => Ok(Self::Raw),
            _ => Err(Fault::new(
                "must be \"raw\"",
                "leave it out for JSON; with \"raw\" let the statement return one column",
            )),
        }
    }
}

impl OptionValue for PolicyKind {
    const WHAT: &'static str = "one";

    fn range() -> Option<String> {
        let names = Self::ALL.map(|kind| format!("`\"{kind}\"`"));
        Some(format!("of {}", names.join(", ")))
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| match of_redis(text) {
            Some((kind, Candidates::All)) => {
                Fault::new("is in Redis's words", format!("write \"{kind}\""))
            }
            Some((kind, Candidates::Expiring)) => Fault::new(
                "is in Redis's words",
                format!("write `policy = \"{kind}\"` and `candidates = \"expiring\"`"),
            ),
            None => {
                let names = Self::ALL.map(Self::name).join(", ");
                Fault::new("is no policy", format!("write one of {names}"))
            }
        })
    }
}

/// What Redis's `allkeys-lru` and its kin are here.
fn of_redis(text: &str) -> Option<(PolicyKind, Candidates)> {
    let (keys, policy) = text.split_once('-')?;
    let candidates = match keys {
        "allkeys" => Candidates::All,
        "volatile" => Candidates::Expiring,
        _ => return None,
    };
    Some((policy.parse().ok()?, candidates))
}

impl OptionValue for Candidates {
    const WHAT: &'static str = "`\"all\"` or `\"expiring\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "all" => Ok(Self::All),
            "expiring" => Ok(Self::Expiring),
            _ => Err(Fault::new("must be \"all\" or \"expiring\"", "write one of them")),
        }
    }
}
