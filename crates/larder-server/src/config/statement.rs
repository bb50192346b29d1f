//! The statement of a cache against its key, as far as that goes without asking the database.

use larder_core::Source;
use larder_sql::{Database, Load, SqlSource, Warning};

use super::document::Written;
use super::findings::{Findings, Reported};
use super::options::cache::{GATHER, KEY, LOAD};

/// Checks that `database` could be asked for `load`. Whether it knows the tables and columns,
/// only itself can say.
pub(super) fn check(
    written: &Written,
    database: &Database,
    load: Load,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let at = written.value(&LOAD.about);
    let source = SqlSource::new(database, load).map_err(|error| {
        findings.error(
            &at,
            error.to_string(),
            "a load is one query, in which the key's parameters stand in braces: \
             \"SELECT name FROM users WHERE id = {id}\"",
        )
    })?;
    if let Some(entry) = written.entry(&GATHER.about)
        && source.batch_max() == 1
    {
        findings.warning(
            [&entry.key],
            "`gather` never applies: `load` binds nothing, so there is no question for many keys",
            "leave it out",
        );
    }
    for warning in source.warnings() {
        let (what, cure) = match warning {
            Warning::Unused(parameter) => {
                let name = parameter.name;
                (
                    format!(
                        "`load` ignores {{{name}}}, so keys that differ only in it hold the same \
                         value more than once"
                    ),
                    "use it in `load`, or take it out of `key`",
                )
            }
            other => (other.to_string(), "see whether this is meant"),
        };
        let key = written.value(&KEY.about);
        findings.warning(at.iter().chain(&key), what, cure);
    }
    Ok(())
}
