//! The tags of a response: what it depends on, in the words of its origin.
//!
//! `Cache-Tag` is a list with commas, `Surrogate-Key` one with spaces; both name tags as an
//! invalidation does. `Cache-Groups` (RFC 9875) is a list of strings whose names belong to the
//! response's own origin, so they are kept apart from those of others and from tags.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};
use larder_core::terms::{TAG_BYTES_MAX, TAGS_MAX};

use crate::fields::{FIELD_BYTES_MAX, members};
use crate::{groups, invalidated_groups};

const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// The tags of a response.
pub(super) type Tags = Arc<[Box<str>]>;

/// More tags than an entry may have, one that is too long, or one that is no text: such a response
/// isn't stored, because nobody could invalidate it by all that it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Untaggable;

/// The tags of a response that is stored for a key of this `origin`, each once.
pub(super) fn of(headers: &HeaderMap, origin: &[u8]) -> Result<Tags, Untaggable> {
    let mut tags: Vec<Box<str>> = Vec::new();
    let mut add = |tag: &[u8]| {
        let tag = std::str::from_utf8(tag).map_err(|_| Untaggable)?;
        // Whoever wants to be understood by every CDN names each in both fields.
        if tags.iter().any(|known| **known == *tag) {
            return Ok(());
        }
        if tag.len() > TAG_BYTES_MAX || tags.len() == TAGS_MAX {
            return Err(Untaggable);
        }
        tags.push(tag.into());
        Ok(())
    };
    for tag in members(headers, CACHE_TAG).map_err(|_| Untaggable)? {
        add(tag)?;
    }
    let mut bytes = 0;
    for line in headers.get_all(SURROGATE_KEY) {
        bytes += line.len();
        if bytes > FIELD_BYTES_MAX {
            return Err(Untaggable);
        }
        let words = line.as_bytes().split(|byte| matches!(byte, b' ' | b'\t' | b','));
        words.filter(|word| !word.is_empty()).try_for_each(&mut add)?;
    }
    for group in groups(headers).map_err(|_| Untaggable)? {
        add(group_tag(origin, &group).as_bytes())?;
    }
    Ok(tags.into())
}

/// The tags of the groups that the response to an unsafe request invalidates (RFC 9875 section
/// 3), in the request's own origin; `None` where they are too many to tell.
pub(super) fn invalidated(
    method: &Method,
    headers: &HeaderMap,
    origin: &[u8],
) -> Option<Vec<String>> {
    let groups = invalidated_groups(method, headers).ok()?;
    Some(groups.iter().map(|group| group_tag(origin, group)).collect())
}

/// A group's name within its origin. A tag of a field has no control characters.
fn group_tag(origin: &[u8], group: &str) -> String {
    format!("group\u{1}{}\u{1}{group}", String::from_utf8_lossy(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(lines: &[(&str, &str)]) -> Result<Vec<String>, Untaggable> {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(HeaderName::try_from(*name).unwrap(), line.parse().unwrap());
        }
        of(&headers, b"http://x").map(|tags| tags.iter().map(|tag| String::from(&**tag)).collect())
    }

    #[test]
    fn tags_stand_in_three_fields() {
        let found = tags(&[
            ("cache-tag", "a, b c"),
            ("surrogate-key", "d  e"),
            ("cache-groups", "\"f\\\"\";x=1, \"g\""),
        ]);
        let groups = ["group\u{1}http://x\u{1}f\"", "group\u{1}http://x\u{1}g"];
        assert_eq!(found.unwrap(), ["a", "b c", "d", "e", groups[0], groups[1]]);
        assert_eq!(tags(&[("cache-groups", "\"a\", b")]).unwrap(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_tagged_is_said() {
        let named = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<_>>();
        assert_eq!(tags(&[("surrogate-key", &named(TAGS_MAX + 1).join(" "))]), Err(Untaggable));
        let most = named(TAGS_MAX);
        // In both fields each of them is one tag.
        let twice = [("cache-tag", &*most.join(",")), ("surrogate-key", &most.join(" "))];
        assert_eq!(tags(&twice).unwrap(), most);
        assert_eq!(tags(&[("cache-tag", &"x".repeat(1025))]), Err(Untaggable));
    }
}
