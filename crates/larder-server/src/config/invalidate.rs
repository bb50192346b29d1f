//! `[[cache.NAME.invalidate]]` resolved: what a change of a table touches.

use std::fmt;

use larder_core::KeyTemplate;
use larder_core::template::TagTemplate;

use super::cache::Known;
use super::document::{Document, Written};
use super::findings::{Findings, Reported};
use super::options::invalidate as options;
use super::scope::Scope;
use super::value::{Fault, OptionValue};
use super::{CacheConfig, inner};

/// What a change of one table touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidate {
    /// The table, as SQL names it.
    pub table: String,
    /// The columns that stand where the key of the cache has its parameters; `None` when no single
    /// key is touched.
    pub columns: Option<Vec<String>>,
    /// The tags that are struck, with columns in braces.
    pub tags: Vec<TagTemplate>,
}

/// A key with columns of a row in braces.
#[derive(Clone, Debug)]
pub(super) struct RowKey(TagTemplate);

impl OptionValue for RowKey {
    const WHAT: &'static str = "a key with columns";

    fn from_text(text: &str) -> Result<Self, Fault> {
        TagTemplate::parse(text).map(Self).map_err(|_| {
            Fault::new(
                "is no key with columns",
                "write the cache's `key` with columns of the table in braces: \
                 \"orders_of:{customer_id}\"",
            )
        })
    }
}

/// What one section says, before it is held against its cache.
pub(super) struct Given {
    table: String,
    key: Option<TagTemplate>,
    tags: Vec<TagTemplate>,
}

/// One section, the place of its cache, and what it says.
pub(super) type OfCache<'d> = (&'d Written, usize, Result<Given, Reported>);

/// What all of `document` say; `declared` are the sections of all caches. Nothing is held against
/// a cache before [`check`].
pub(super) fn resolve_all<'d>(
    document: &'d Document,
    declared: &[&Written],
    scope: &mut Scope<'_, '_>,
) -> Vec<OfCache<'d>> {
    inner::sections(document, &options::SECTION, declared)
        .map(|(written, cache)| (written, cache, read(written, scope)))
        .collect()
}

/// Gives each of the `caches` what was `resolved` for it.
pub(super) fn check(
    resolved: Vec<OfCache<'_>>,
    caches: &mut [CacheConfig],
    sources: &[Known<'_>],
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let mut fault = None;
    for (written, at, given) in resolved {
        let Some(cache) = caches.get_mut(at) else { continue };
        let is_fed = sources.get(cache.source).is_some_and(|source| source.is_fed);
        match given.and_then(|given| given.resolve(written, cache, is_fed, findings)) {
            Ok(invalidate) => cache.invalidate.push(invalidate),
            Err(reported) => fault = Some(reported),
        }
    }
    fault.map_or(Ok(()), Err)
}

fn read(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Given, Reported> {
    let table = scope.required(written, &options::TABLE);
    let key = scope.get(written, &options::KEY);
    let tags = scope.list(written, &options::TAGS);
    Ok(Given {
        table: table?.0,
        key: key?.map(|key| key.0),
        tags: tags?.into_iter().map(|(tag, _)| tag).collect(),
    })
}

impl Given {
    fn resolve(
        self,
        written: &Written,
        cache: &CacheConfig,
        is_fed: bool,
        findings: &mut Findings<'_>,
    ) -> Result<Invalidate, Reported> {
        let Self { table, key, tags } = self;
        if !is_fed {
            return Err(findings.error(
                &written.at,
                "nobody tells of changes of tables: the source of this cache has no `feed`",
                "declare it in the source, for instance `feed = \"logical\"`, or leave this out",
            ));
        }
        if cache.invalidate.iter().any(|other| other.table == table) {
            return Err(findings.error(
                &written.value(&options::TABLE.about),
                format!("what a change of this table touches is said twice for {}", cache.name),
                "say it once, with `key`, `tags` or both",
            ));
        }
        let columns = key.map(|key| columns(written, &cache.key, &key, findings)).transpose()?;
        Ok(Invalidate { table, columns, tags })
    }
}

impl fmt::Display for Invalidate {
    /// In words, as a report says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a change of {} touches ", self.table)?;
        let key = self.columns.as_ref().map(|columns| match columns.is_empty() {
            true => "the key".to_owned(),
            false => format!("the key of its {}", columns.join(", ")),
        });
        let tags = self.tags.iter().map(|tag| format!("the tag {tag}"));
        let touched: Vec<_> = key.into_iter().chain(tags).collect();
        match touched.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&touched.join(" and ")),
        }
    }
}

/// The columns that stand in `key` where `template` has its parameters.
fn columns(
    written: &Written,
    template: &KeyTemplate,
    key: &TagTemplate,
    findings: &mut Findings<'_>,
) -> Result<Vec<String>, Reported> {
    template.names_in(key).map_err(|mismatch| {
        findings.error(
            &written.value(&options::KEY.about),
            mismatch.to_string(),
            "write the cache's `key` with columns of the table in braces",
        )
    })
}
