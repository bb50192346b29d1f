//! Lists in field values: members between commas, over all lines of a field, quoted strings whole.
//!
//! It knows no field. A list that is too long, or that ends within a quoted string, is unreadable:
//! what that means is for the reader to say.

use http::HeaderMap;
use http::header::AsHeaderName;

/// The bytes of a field that are read, over all its lines.
pub(crate) const FIELD_BYTES_MAX: usize = 16 * 1024;
/// The members of a list that are read.
pub(crate) const MEMBERS_MAX: usize = 256;

/// A list that can't be read: too long, or a quoted string doesn't end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The members of the list that a field's lines make together, without the white space around
/// them and without empty ones.
pub(crate) fn members(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> Result<Vec<&[u8]>, Unreadable> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for line in headers.get_all(name) {
        bytes += line.len();
        if bytes > FIELD_BYTES_MAX {
            return Err(Unreadable);
        }
        split(line.as_bytes(), &mut found)?;
    }
    Ok(found)
}

/// The members of one line.
pub(crate) fn split<'a>(line: &'a [u8], found: &mut Vec<&'a [u8]>) -> Result<(), Unreadable> {
    let (mut begun, mut quoted, mut escaped) = (0, false, false);
    for (at, &byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                push(&line[begun..at], found)?;
                begun = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err(Unreadable);
    }
    push(&line[begun..], found)
}

fn push<'a>(member: &'a [u8], found: &mut Vec<&'a [u8]>) -> Result<(), Unreadable> {
    let member = trim(member);
    if member.is_empty() {
        return Ok(());
    }
    if found.len() == MEMBERS_MAX {
        return Err(Unreadable);
    }
    found.push(member);
    Ok(())
}

/// Without the spaces and tabs around it.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether this is a `token` of RFC 9110 section 5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    let marks = b"!#$%&'*+-.^_`|~";
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || marks.contains(b))
}

/// What a token or a quoted string says; none if it is neither.
pub(crate) fn argument(bytes: &[u8]) -> Option<Vec<u8>> {
    let [b'"', inner @ .., b'"'] = bytes else {
        return is_token(bytes).then(|| bytes.to_vec());
    };
    let mut said = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => return None,
            b'\\' => said.push(*rest.next()?),
            _ => said.push(byte),
        }
    }
    Some(said)
}

/// `1*DIGIT`, at most `max`; none if it is anything else.
pub(crate) fn digits(bytes: &[u8], max: u64) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, byte: &u8| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    Some(bytes.iter().fold(0, add).min(max))
}
