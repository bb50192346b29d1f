//! Content-Range: which bytes of a body a message carries (RFC 9110 section 14.4).

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};

use crate::Part;
use crate::fields::{digits, trim};

/// Some bytes of a body whose length is known.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::{ContentRange, Part};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("content-range", "bytes 0-4/10".parse().unwrap());
/// let range = ContentRange::of(&headers).unwrap();
/// assert_eq!((range.part, range.length), (Part { first: 0, last: 4 }, 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes that the message carries. They lie within `length`.
    pub part: Part,
    /// The length of the whole body, in bytes.
    pub length: u64,
}

impl ContentRange {
    /// What the field says; none if it is absent, there twice or malformed, in another unit than
    /// bytes, of an unknown length, or beyond it. None, too, if the message has several parts, or
    /// if its Content-Length says that it carries more or less than that: one of both is wrong, and
    /// nothing tells which.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(CONTENT_RANGE).iter();
        let line = lines.next().filter(|_| lines.next().is_none())?;
        let range = Self::parse(line.as_bytes()).filter(|_| !is_multipart(headers))?;
        let mut told = headers.get_all(CONTENT_LENGTH).iter();
        told.all(|told| number(trim(told.as_bytes())) == Some(range.part.bytes())).then_some(range)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (unit, text) = cut(text, b' ')?;
        let (part, length) = cut(text, b'/')?;
        let (first, last) = cut(part, b'-')?;
        let part = Part { first: number(first)?, last: number(last)? };
        let length = number(length)?;
        let valid = unit.eq_ignore_ascii_case(b"bytes") && part.first <= part.last;
        (valid && part.last < length).then_some(Self { part, length })
    }
}

fn is_multipart(headers: &HeaderMap) -> bool {
    const MULTIPART: &[u8] = b"multipart/byteranges";
    let begins = |line: &[u8]| {
        line.get(..MULTIPART.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(MULTIPART))
    };
    headers.get_all(CONTENT_TYPE).iter().any(|line| begins(line.as_bytes()))
}

/// What stands before and behind the first `at`.
fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let found = text.iter().position(|&byte| byte == at)?;
    Some((&text[..found], &text[found + 1..]))
}

/// A number that isn't cut off.
fn number(text: &[u8]) -> Option<u64> {
    digits(text, u64::MAX).filter(|&number| number < u64::MAX)
}
