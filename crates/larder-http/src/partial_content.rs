//! The head of a 206 that is made of a stored response, and what stands between its parts
//! (RFC 9110 section 15.3.7 and 14.6).
//!
//! It makes multipart bodies and reads none: the origin is asked for one range at a time, and what
//! it answers to a client's several is passed on.

use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_RANGE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};

use crate::{Part, Stored};

/// What a 206 carries beside the bytes of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialContent {
    /// Its fields. Age is the caller's to add.
    pub headers: HeaderMap,
    /// What is sent before each part, in order, and behind the last one; nothing if there is one
    /// part, which is the body.
    pub frames: Vec<Bytes>,
}

/// The 206 with these parts of a stored response, whose whole body is `length` bytes long. `parts`
/// is what [`ranges`](crate::ranges) gave, and has a first one.
///
/// Several parts are sent as `multipart/byteranges`, with `boundary` between them: a random number,
/// so that no body holds it, as [`boundary`](crate::boundary) draws one. A client that asked with
/// If-Range has the fields that describe the representation, and isn't sent them again (RFC 9110
/// section 15.3.7).
///
/// # Panics
///
/// If there are no parts: that is a 416, with [`unsatisfied`](crate::unsatisfied).
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use larder_core::Moment;
/// use larder_http::{Date, Part, Received, Rules, Stored, partial_content};
///
/// let (none, now) = (HeaderMap::new(), Moment::from_nanos(0));
/// let received = Received { asked: now, came: now, wall: Date::from_unix(0) };
/// let stored = Stored::new(&none, StatusCode::OK, &none, received, &Rules::shared());
/// let sent = partial_content(&stored, &none, &[Part { first: 2, last: 4 }], 10, 0);
/// assert_eq!(sent.headers["content-range"], "bytes 2-4/10");
/// assert_eq!(sent.headers["content-length"], "3");
/// ```
#[must_use]
pub fn partial_content(
    stored: &Stored,
    request: &HeaderMap,
    parts: &[Part],
    length: u64,
    boundary: u128,
) -> PartialContent {
    let mut headers = stored.headers.clone();
    if request.contains_key(IF_RANGE) {
        for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
            headers.remove(name);
        }
        if headers.contains_key(ETAG) {
            headers.remove(LAST_MODIFIED);
        }
    }
    headers.remove(CONTENT_RANGE);
    let carried: u64 = parts.iter().map(|part| part.bytes()).sum();
    let (mut frames, mut framed) = (Vec::new(), 0);
    match parts {
        [] => panic!("a 206 has a part"),
        [part] => drop(headers.insert(CONTENT_RANGE, part.to_value(length))),
        _ => {
            frames = frames_of(stored, parts, length, boundary);
            framed = frames.iter().map(|frame| frame.len() as u64).sum();
            let kind = format!("multipart/byteranges; boundary={boundary:032x}");
            let kind = HeaderValue::try_from(kind).expect("a word, digits and marks");
            headers.insert(CONTENT_TYPE, kind);
        }
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(carried + framed));
    PartialContent { headers, frames }
}

/// The delimiters, each with its part's own head.
fn frames_of(stored: &Stored, parts: &[Part], length: u64, boundary: u128) -> Vec<Bytes> {
    let kind = stored.headers.get(CONTENT_TYPE);
    let mut frames: Vec<Bytes> = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        let before = if frames.is_empty() { "" } else { "\r\n" };
        let mut frame = format!("{before}--{boundary:032x}\r\n").into_bytes();
        if let Some(kind) = kind {
            frame.extend_from_slice(b"Content-Type: ");
            frame.extend_from_slice(kind.as_bytes());
            frame.extend_from_slice(b"\r\n");
        }
        frame.extend_from_slice(b"Content-Range: ");
        frame.extend_from_slice(part.to_value(length).as_bytes());
        frame.extend_from_slice(b"\r\n\r\n");
        frames.push(frame.into());
    }
    frames.push(format!("\r\n--{boundary:032x}--\r\n").into_bytes().into());
    frames
}
