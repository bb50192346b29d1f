//! Where plain keys live: in memory, or in the Redis that is shared.

use super::document::Written;
use super::findings::{Findings, Reported};
use super::memory::Plain;
use super::options::plain as options;
use super::shared::SharedConfig;

/// The part of memory that plain keys have, and whether they live in the shared Redis: the one or
/// the other, or neither.
type Homes = (Result<Option<Plain>, Reported>, bool);

/// `plain` is the section of that name, and `keys` what it says.
pub(super) fn resolve(
    plain: &Written,
    keys: Result<Option<Plain>, Reported>,
    shared: &Result<Option<SharedConfig>, Reported>,
    findings: &mut Findings<'_>,
) -> Homes {
    let (Ok(Some(_)), Ok(Some(shared))) = (&keys, shared) else { return (keys, false) };
    if shared.is_memcached() {
        return (keys, false);
    }
    for option in options::SECTION.options {
        if option.name != options::ENABLED.about.name && plain.entry(option).is_some() {
            findings.warning(
                &plain.place(option),
                format!("`{}` never applies: plain keys live in [shared]", option.name),
                "leave it out: what is evicted there that Redis decides",
            );
        }
    }
    (Ok(None), true)
}
