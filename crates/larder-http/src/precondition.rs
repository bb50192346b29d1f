//! A client's own conditions, judged by a stored response that may be used (RFC 9111 section
//! 4.3.2, RFC 9110 section 13).

use http::header::{
    CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, HeaderName, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderMap, Method, StatusCode};

use crate::age::date_value;
use crate::validator::{EntityTag, Tags, is_modified_strong};
use crate::{Stored, date_field, last_modified};

/// What a request's conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// The stored response is the answer, and its ranges if it is asked for some.
    Send,
    /// The stored response is the answer, whole: what If-Range holds is another one.
    SendWhole,
    /// The client has it: [`not_modified`].
    NotModified,
    /// Not for a cache to judge: to the origin, with its conditions.
    Forward,
}

/// Judges a request's conditions by the stored response that answers it.
///
/// If-Match and If-Unmodified-Since are the origin's to judge (RFC 9111 section 4.3.2).
/// If-None-Match counts before If-Modified-Since. What can't be read isn't fulfilled.
#[must_use]
pub fn evaluate(method: &Method, request: &HeaderMap, stored: &Stored) -> Evaluated {
    if request.contains_key(IF_MATCH) || request.contains_key(IF_UNMODIFIED_SINCE) {
        return Evaluated::Forward;
    }
    // Conditions are about what a 200 carries.
    if stored.status != StatusCode::OK || (method != Method::GET && method != Method::HEAD) {
        return Evaluated::Send;
    }
    let unchanged = if request.contains_key(IF_NONE_MATCH) {
        has_any(request, stored)
    } else {
        is_unmodified(request, stored)
    };
    if unchanged {
        Evaluated::NotModified
    } else if request.contains_key(RANGE) && !is_same_for_range(request, stored) {
        Evaluated::SendWhole
    } else {
        Evaluated::Send
    }
}

/// Whether If-Match and If-None-Match let a write of a resource go on, at its origin: `current` is
/// the tag of what it is now, none where there is nothing (RFC 9110 sections 13.1.1, 13.1.2). If
/// not, the answer is 412.
///
/// What can't be read isn't fulfilled: a write that was meant to be conditional isn't made
/// without its condition.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::{EntityTag, permits};
///
/// let now = EntityTag::parse(b"\"2\"");
/// let mut request = HeaderMap::new();
/// request.insert("if-match", "\"1\"".parse().unwrap());
/// assert!(!permits(&request, now.as_ref()));
/// request.insert("if-match", "\"2\"".parse().unwrap());
/// assert!(permits(&request, now.as_ref()));
/// ```
#[must_use]
pub fn permits(request: &HeaderMap, current: Option<&EntityTag>) -> bool {
    let matches = !request.contains_key(IF_MATCH)
        || match (Tags::read(request, IF_MATCH), current) {
            (_, None) | (None, _) => false,
            (Some(Tags::Any), Some(_)) => true,
            (Some(Tags::List(tags)), Some(now)) => tags.iter().any(|one| one.is_strongly(now)),
        };
    let differs = !request.contains_key(IF_NONE_MATCH)
        || match (Tags::read(request, IF_NONE_MATCH), current) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(Tags::Any), Some(_)) => false,
            (Some(Tags::List(tags)), Some(now)) => !tags.iter().any(|one| one.is_weakly(now)),
        };
    matches && differs
}

fn has_any(request: &HeaderMap, stored: &Stored) -> bool {
    let tag = EntityTag::of(&stored.headers);
    match (Tags::read(request, IF_NONE_MATCH), tag) {
        (Some(Tags::Any), _) => true,
        (Some(Tags::List(tags)), Some(tag)) => tags.iter().any(|one| one.is_weakly(&tag)),
        _ => false,
    }
}

/// Judged by Last-Modified; without one by Date, or by when it came.
fn is_unmodified(request: &HeaderMap, stored: &Stored) -> bool {
    let came = stored.received.wall;
    let Some(since) = date_field(request, IF_MODIFIED_SINCE, came) else { return false };
    last_modified(stored).unwrap_or_else(|| date_value(&stored.headers, came)) <= since
}

/// Whether If-Range is absent or names this very representation: the same strong tag, or the same
/// strong date of modification.
fn is_same_for_range(request: &HeaderMap, stored: &Stored) -> bool {
    let mut lines = request.get_all(IF_RANGE).iter();
    let Some(line) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    if let Some(tag) = EntityTag::parse(line.as_bytes()) {
        return EntityTag::of(&stored.headers).is_some_and(|own| own.is_strongly(&tag));
    }
    let date = date_field(request, IF_RANGE, stored.received.wall);
    date.is_some() && date == last_modified(stored) && is_modified_strong(stored)
}

/// The fields of a 304 for a stored response: those that a 200 would have and that a cache
/// behind this one needs (RFC 9110 section 15.4.5). Without a tag, Last-Modified is among them.
/// Age is the caller's to add.
#[must_use]
pub fn not_modified(stored: &Stored) -> HeaderMap {
    const KEPT: [HeaderName; 6] = [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY];
    let tagged = stored.headers.contains_key(ETAG);
    let modified = (!tagged).then_some(LAST_MODIFIED);
    let mut headers = HeaderMap::new();
    for name in KEPT.into_iter().chain(modified) {
        for line in stored.headers.get_all(&name) {
            headers.append(name.clone(), line.clone());
        }
    }
    headers
}
