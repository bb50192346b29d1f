//! The request that validates stored responses (RFC 9111 section 4.3.1).

use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};

use crate::validator::EntityTag;
use crate::{Stored, Validator, last_modified};

/// The stored responses whose tags one request carries; those beyond aren't asked about.
const TAGS_MAX: usize = 32;

/// What a stored response can be validated with: its tag, else its date of modification.
#[must_use]
pub fn validates_with(stored: &Stored) -> Option<Validator> {
    let tag = EntityTag::of(&stored.headers).map(Validator::Tag);
    tag.or_else(|| last_modified(stored).map(Validator::Modified))
}

/// Makes a client's request one that asks whether what is stored is still good. `stored` is the
/// one that matches it, `others` are further ones of the same URI.
///
/// The client's own conditions are removed: they are judged with [`evaluate`](crate::evaluate)
/// by what is stored afterwards. All other fields stay, so what Vary names is as it was asked.
/// Returns whether there is a condition now; without one, the answer is a whole response.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use larder_core::Moment;
/// use larder_http::{Date, Received, Rules, Stored, condition};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("etag", "\"1\"".parse().unwrap());
/// let now = Moment::from_nanos(0);
/// let received = Received { asked: now, came: now, wall: Date::from_unix(0) };
/// let mut request = HeaderMap::new();
/// let stored = Stored::new(&request, StatusCode::OK, &headers, received, &Rules::shared());
/// assert!(condition(&mut request, &stored, []));
/// assert_eq!(request["if-none-match"], "\"1\"");
/// ```
pub fn condition<'a>(
    request: &mut HeaderMap,
    stored: &'a Stored,
    others: impl IntoIterator<Item = &'a Stored>,
) -> bool {
    for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
        request.remove(name);
    }
    let mut tags: Vec<EntityTag> = Vec::new();
    for one in std::iter::once(stored).chain(others) {
        if let Some(tag) = EntityTag::of(&one.headers).filter(|tag| !tags.contains(tag)) {
            tags.push(tag);
        }
        if tags.len() == TAGS_MAX {
            break;
        }
    }
    let values: Vec<_> = tags.iter().map(EntityTag::to_value).collect();
    let list = values.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
    if !list.is_empty()
        && let Ok(list) = HeaderValue::from_bytes(&list)
    {
        request.insert(IF_NONE_MATCH, list);
    }
    // The origin's own spelling, for one that compares texts.
    if last_modified(stored).is_some()
        && let Some(line) = stored.headers.get(LAST_MODIFIED)
    {
        request.insert(IF_MODIFIED_SINCE, line.clone());
    }
    request.contains_key(IF_NONE_MATCH) || request.contains_key(IF_MODIFIED_SINCE)
}
