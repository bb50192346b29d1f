//! What a validation's answer, or a further part, does to what is stored (RFC 9111 sections 3.2,
//! 3.4, 4.3.4 and 4.3.5).

use http::header::{
    AGE, AsHeaderName, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderName,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::targeted::effective;
use crate::validator::{EntityTag, is_modified_strong};
use crate::{ContentRange, Received, Rules, Stored, storable_fields};

/// What became of a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freshened {
    /// This is the answer, and is stored in its place if [`storable`](crate::storable) finds
    /// nothing against its new fields; otherwise what is stored goes.
    Updated(Box<Stored>),
    /// The answer is about another one: it stays as it is. If no stored response is the one that
    /// is meant, the 304 can't be used, and the request is sent again without a condition.
    NotThis,
    /// It is known not to be current any more (RFC 9111 section 4.3.5).
    Outdated,
}

/// Freshens a stored response by a 304 to a request with the fields `request`, as it was sent.
///
/// A strong tag in the 304 must be the stored one. A weak one, or a date of modification, must be
/// as the stored one says. A 304 without any of them fits what has none, and what the request
/// asked about alone: there is nothing else that it could be about. A 304 that nobody asked for is
/// no answer, and isn't to be given to this function.
#[must_use]
pub fn freshen(
    stored: &Stored,
    request: &HeaderMap,
    headers: &HeaderMap,
    received: Received,
    rules: &Rules,
) -> Freshened {
    if is_about(stored, request, headers) {
        Freshened::Updated(Box::new(updated(stored, request, headers, received, rules)))
    } else {
        Freshened::NotThis
    }
}

fn is_about(stored: &Stored, request: &HeaderMap, headers: &HeaderMap) -> bool {
    let (ours, theirs) = (EntityTag::of(&stored.headers), EntityTag::of(headers));
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs.is_weak() => ours.is_weakly(&theirs),
        (Some(ours), Some(theirs)) => ours.is_strongly(&theirs),
        (None, Some(_)) => false,
        (_, None) if headers.contains_key(LAST_MODIFIED) => {
            is_equal(&stored.headers, headers, LAST_MODIFIED)
        }
        (None, None) if !stored.headers.contains_key(LAST_MODIFIED) => true,
        (ours, None) => is_asked_alone(stored, ours, request),
    }
}

/// Whether a request's condition names the validator of what is stored, and no other one.
fn is_asked_alone(stored: &Stored, ours: Option<EntityTag>, request: &HeaderMap) -> bool {
    match ours {
        Some(tag) => {
            let mut asked = request.get_all(IF_NONE_MATCH).iter();
            asked.next() == Some(&tag.to_value()) && asked.next().is_none()
        }
        None => {
            let modified = stored.headers.get_all(LAST_MODIFIED).iter();
            !request.contains_key(IF_NONE_MATCH)
                && request.get_all(IF_MODIFIED_SINCE).iter().eq(modified)
        }
    }
}

fn is_equal(one: &HeaderMap, other: &HeaderMap, name: impl AsHeaderName + Clone) -> bool {
    one.get_all(name.clone()).iter().eq(other.get_all(name).iter())
}

/// Freshens a stored response, whole or not, by a 206 to a GET of the same URI (RFC 9111 section
/// 3.4): it is the same representation if both have the same strong validator. Another strong tag
/// says that what is stored is not current any more. A 206 that isn't one part of a body as long as
/// the stored one says nothing about it.
#[must_use]
pub fn freshen_by_part(
    stored: &Stored,
    request: &HeaderMap,
    headers: &HeaderMap,
    received: Received,
    rules: &Rules,
) -> Freshened {
    let length = |range: ContentRange| HeaderValue::from(range.length);
    let told = stored.headers.get(CONTENT_LENGTH);
    match ContentRange::of(headers).map(length) {
        Some(length) if told.is_none_or(|told| *told == length) => {}
        _ => return Freshened::NotThis,
    }
    if !stored.vary.matches(request) {
        return Freshened::NotThis;
    }
    let same = match (EntityTag::of(&stored.headers), EntityTag::of(headers)) {
        (Some(ours), Some(theirs)) if ours.is_weak() || theirs.is_weak() => false,
        (Some(ours), Some(theirs)) if !ours.is_strongly(&theirs) => return Freshened::Outdated,
        (Some(_), Some(_)) => true,
        _ => is_equal(&stored.headers, headers, LAST_MODIFIED) && is_modified_strong(stored),
    };
    if same {
        Freshened::Updated(Box::new(updated(stored, request, headers, received, rules)))
    } else {
        Freshened::NotThis
    }
}

/// Freshens a stored response to GET by a response to HEAD, or finds that it is outdated.
///
/// A HEAD that isn't a 200 says nothing about it.
#[must_use]
pub fn freshen_by_head(
    stored: &Stored,
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    received: Received,
    rules: &Rules,
) -> Freshened {
    if status != StatusCode::OK || stored.status != status || !stored.vary.matches(request) {
        return Freshened::NotThis;
    }
    let told = [ETAG, LAST_MODIFIED, CONTENT_LENGTH].into_iter();
    let same = told
        .filter(|name| headers.contains_key(name))
        .all(|name| is_equal(&stored.headers, headers, name));
    if same {
        Freshened::Updated(Box::new(updated(stored, request, headers, received, rules)))
    } else {
        Freshened::Outdated
    }
}

/// The stored response with the new fields: each that is there replaces all lines of its name,
/// but for those that describe the stored bytes. What isn't there stays, except Age and Date:
/// they are about the message, not about what it carries.
fn updated(
    stored: &Stored,
    request: &HeaderMap,
    headers: &HeaderMap,
    received: Received,
    rules: &Rules,
) -> Stored {
    const OF_THE_BYTES: [HeaderName; 3] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE];
    let mut merged = stored.headers.clone();
    merged.remove(AGE);
    merged.insert(DATE, received.wall.to_value());
    let mut fresh = headers.clone();
    crate::strip_hop_by_hop(&mut fresh);
    for name in fresh.keys().filter(|name| !OF_THE_BYTES.contains(name)) {
        merged.remove(name);
        for line in fresh.get_all(name) {
            merged.append(name.clone(), line.clone());
        }
    }
    let (control, origin) = effective(&merged, rules);
    let headers = storable_fields(&merged, &control, rules);
    let vary = stored.vary.again(&fresh, request);
    Stored { status: stored.status, headers, vary, received, control, origin }
}
