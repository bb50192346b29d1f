//! All keys together: no key may belong to two caches.

use larder_core::KeyTemplate;

use super::document::Written;
use super::findings::{Findings, Reported};
use super::options::cache::KEY;

/// Checks that no key matches two templates. Each stands beside the section that declares it;
/// those that could not be read have been reported.
pub(super) fn check(
    keys: &[(&Written, Result<KeyTemplate, Reported>)],
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let mut keys: Vec<_> =
        keys.iter().filter_map(|(written, key)| Some((*written, key.as_ref().ok()?))).collect();
    // Two templates can only share a key when one's prefix begins with the other's: in this
    // order, those stand right behind it.
    keys.sort_by_key(|(_, key)| key.prefix());
    let mut checked = Ok(());
    for (at, (one, key)) in keys.iter().enumerate() {
        let behind = &keys[at + 1..];
        for (other, other_key) in
            behind.iter().take_while(|(_, other)| other.prefix().starts_with(key.prefix()))
        {
            let Some(example) = key.overlaps(other_key) else {
                continue;
            };
            let (earlier, later) =
                if one.at.as_ref().map(|at| at.start) < other.at.as_ref().map(|at| at.start) {
                    (one, other)
                } else {
                    (other, one)
                };
            let places = [later, earlier].map(|written| written.place(&KEY.about));
            checked = Err(findings.error(
                places.iter().flatten(),
                format!(
                    "`{example}` would be a key of both {} and {}",
                    later.header(),
                    earlier.header()
                ),
                "begin the keys of each cache with a prefix of its own, or give their parameters \
                 types that no text has in common",
            ));
        }
    }
    checked
}
