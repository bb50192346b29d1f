//! Validators: entity tags, and dates of modification (RFC 9110 section 8.8).

use http::HeaderMap;
use http::header::{AsHeaderName, DATE, ETAG, HeaderValue, LAST_MODIFIED};
use sha2::{Digest as _, Sha256};

use crate::fields::{FIELD_BYTES_MAX, MEMBERS_MAX};
use crate::{Date, Stored, date_field};

/// An entity tag. Its bytes needn't be text.
///
/// ```
/// use larder_http::EntityTag;
///
/// let weak = EntityTag::parse(b"W/\"1\"").unwrap();
/// let strong = EntityTag::parse(b"\"1\"").unwrap();
/// assert!(weak.is_weakly(&strong) && !weak.is_strongly(&strong));
/// assert!(strong.is_strongly(&strong));
/// assert_eq!(EntityTag::parse(b"1"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    weak: bool,
    opaque: Vec<u8>,
}

impl EntityTag {
    /// Reads one tag; none if it is anything else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::take(text).filter(|(_, rest)| rest.is_empty()).map(|(tag, _)| tag)
    }

    /// The tag of a response; none without one, or with two.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(ETAG).iter();
        let line = lines.next().filter(|_| lines.next().is_none())?;
        Self::parse(crate::fields::trim(line.as_bytes()))
    }

    /// The strong tag of a representation: of the kind of content that it is, and of its bytes.
    ///
    /// Whoever makes it of the same gets the same, in whatever process: it is the beginning of
    /// SHA-256, so nobody can make two contents with one tag.
    ///
    /// ```
    /// use larder_http::EntityTag;
    ///
    /// let tag = EntityTag::of_content("application/json", b"{}");
    /// assert!(tag.is_strongly(&EntityTag::of_content("application/json", b"{}")));
    /// assert!(!tag.is_weakly(&EntityTag::of_content("text/plain", b"{}")));
    /// ```
    #[must_use]
    pub fn of_content(kind: &str, content: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(content);
        let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        Self { weak: false, opaque: hash.finalize()[..16].iter().flat_map(digits).collect() }
    }

    /// The tag at the beginning of `text`, and what follows it.
    fn take(text: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, text) = match text {
            [b'W', b'/', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let text = text.strip_prefix(b"\"")?;
        // No escapes: a backslash is a byte of the tag.
        let end = text.iter().position(|&byte| byte == b'"')?;
        let opaque = &text[..end];
        let valid = opaque.iter().all(|&byte| byte > b' ' && byte != 0x7f);
        valid.then(|| (Self { weak, opaque: opaque.to_vec() }, &text[end + 1..]))
    }

    /// The same tag, and neither is weak.
    #[must_use]
    pub fn is_strongly(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// The same tag, weak or not.
    #[must_use]
    pub fn is_weakly(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// Whether it is weak.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// As a field's value.
    ///
    /// # Panics
    ///
    /// Never: there are no controls in a tag.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        let mut bytes = if self.weak { b"W/\"".to_vec() } else { b"\"".to_vec() };
        bytes.extend_from_slice(&self.opaque);
        bytes.push(b'"');
        HeaderValue::from_bytes(&bytes).expect("neither controls nor spaces are in a tag")
    }
}

/// `*`, or a list of tags.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    Any,
    List(Vec<EntityTag>),
}

impl Tags {
    /// What a field says; none if it can't be read or is too long.
    pub(crate) fn read(headers: &HeaderMap, name: impl AsHeaderName) -> Option<Self> {
        let (mut tags, mut bytes, mut any) = (Vec::new(), 0, false);
        for line in headers.get_all(name) {
            bytes += line.len();
            let mut rest = crate::fields::trim(line.as_bytes());
            any |= rest == b"*";
            while rest != b"*" {
                rest = after(rest, b" \t,");
                if rest.is_empty() {
                    break;
                }
                let (tag, behind) = EntityTag::take(rest)?;
                tags.push(tag);
                rest = after(behind, b" \t");
                if bytes > FIELD_BYTES_MAX || tags.len() > MEMBERS_MAX {
                    return None;
                }
                if !matches!(rest, [] | [b',', ..]) {
                    return None;
                }
            }
        }
        match any {
            true => tags.is_empty().then_some(Self::Any),
            false => Some(Self::List(tags)),
        }
    }
}

fn after<'a>(text: &'a [u8], bytes: &[u8]) -> &'a [u8] {
    &text[text.iter().position(|byte| !bytes.contains(byte)).unwrap_or(text.len())..]
}

/// What tells one representation from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// Its entity tag.
    Tag(EntityTag),
    /// When it was modified.
    Modified(Date),
}

/// When a response says that it was modified.
#[must_use]
pub fn last_modified(stored: &Stored) -> Option<Date> {
    date_field(&stored.headers, LAST_MODIFIED, stored.received.wall)
}

/// Whether its date of modification is a strong validator: it was a minute old when the response
/// was made, so nothing changed twice in its second (RFC 9110 section 8.8.2.2 asks for less).
pub(crate) fn is_modified_strong(stored: &Stored) -> bool {
    let made = date_field(&stored.headers, DATE, stored.received.wall);
    match (made, last_modified(stored)) {
        (Some(made), Some(modified)) => made.since(modified) >= 60,
        _ => false,
    }
}
