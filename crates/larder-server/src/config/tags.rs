//! The tags of a cache: what its entries depend on.
//!
//! A name in a tag may be a column, and only the database knows its columns; so what a tag names
//! is checked when the load is prepared.

use larder_core::template::TagTemplate;

use super::document::Written;
use super::findings::Reported;
use super::options::cache as options;
use super::scope::Scope;

/// A hit after an invalidation looks at all tags of its entry again; up to so many that is
/// nothing.
const TAGS_ENOUGH: usize = 16;

/// The tags that `written` declares.
pub(super) fn resolve(
    written: &Written,
    scope: &mut Scope<'_, '_>,
) -> Result<Vec<TagTemplate>, Reported> {
    let declared = scope.list(written, &options::TAGS)?;
    let mut tags: Vec<TagTemplate> = Vec::new();
    for (tag, at) in declared {
        if tags.contains(&tag) {
            let what = format!("the tag `{tag}` stands twice");
            scope.findings.warning([&at], what, "leave one out");
        } else {
            tags.push(tag);
        }
    }
    if tags.len() > TAGS_ENOUGH {
        scope.findings.warning(
            &written.place(&options::TAGS.about),
            format!("each entry has up to {} tags", tags.len()),
            format!(
                "tag what changes together once: each hit after an invalidation looks at all \
                 tags, and beyond {TAGS_ENOUGH} that shows"
            ),
        );
    }
    Ok(tags)
}
