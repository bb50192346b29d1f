//! What the sections within a cache or an edge have in common: whose they are; and a query for the
//! keys of a cache.

use larder_sql::SqlKeys;

use super::cache::{CacheConfig, Known};
use super::document::{Document, Written};
use super::findings::{Findings, Reported};
use super::options::{About, Section};

/// The sections of this kind, each with the place of its owner among those that are `declared`.
pub(super) fn sections<'d>(
    document: &'d Document,
    section: &'static Section,
    declared: &[&Written],
) -> impl Iterator<Item = (&'d Written, usize)> {
    document.named(section).map(|written| {
        let at = declared.iter().position(|owner| owner.name == written.name);
        // A section within another one is read with that one.
        (written, at.unwrap_or(usize::MAX))
    })
}

/// Reports what keeps `sql` from listing the keys of `cache`, as far as that is known without
/// asking its database. Nothing is known of a source that was reported itself.
pub(super) fn check_query(
    (written, option): (&Written, &About),
    sql: &str,
    cache: &CacheConfig,
    source: &Known<'_>,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let Some(database) = source.database else { return Ok(()) };
    SqlKeys::new(database, &cache.key, sql).map(drop).map_err(|error| {
        findings.error(
            &written.value(option),
            error.to_string(),
            "write a query whose columns are the key's parameters: \"SELECT id FROM users\"",
        )
    })
}
