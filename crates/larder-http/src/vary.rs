//! Vary: what of its request a stored response depends on, and which one a request selects
//! (RFC 9111 section 4.1).

use http::header::{ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderName, VARY};
use http::{HeaderMap, HeaderValue};

use crate::Stored;
use crate::age::date_value;
use crate::fields::{FIELD_BYTES_MAX, MEMBERS_MAX, members, trim};

/// The fields that a response may depend on; one that names more matches nothing.
const FIELDS_MAX: usize = 32;

/// Lists in which case and order mean nothing: what is preferred says so by its weight (RFC 9110
/// section 12.5).
const SETS: [HeaderName; 3] = [ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

/// The request's fields that a response depends on, as they were.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::Vary;
///
/// let (mut response, mut request) = (HeaderMap::new(), HeaderMap::new());
/// response.insert("vary", "Accept-Encoding".parse().unwrap());
/// request.insert("accept-encoding", "gzip,br".parse().unwrap());
/// let vary = Vary::new(&response, &request);
/// assert!(!vary.matches(&HeaderMap::new()));
/// request.insert("accept-encoding", "gzip, br".parse().unwrap());
/// assert!(vary.matches(&request));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vary {
    /// None: it depends on what no request's fields tell.
    fields: Option<Vec<(HeaderName, Asked)>>,
}

/// What a request says in a field, in its normal form; none if it isn't there.
type Asked = Option<Vec<u8>>;

impl Vary {
    /// What a response to a request depends on. `*`, a name that is none, more than 32 names, or
    /// 16 KiB in a field make a response that matches no request.
    #[must_use]
    pub fn new(response: &HeaderMap, request: &HeaderMap) -> Self {
        Self { fields: names(response).and_then(|names| fields(names, request)) }
    }

    /// Whether a request is the same in all these fields.
    #[must_use]
    pub fn matches(&self, request: &HeaderMap) -> bool {
        let Some(fields) = &self.fields else { return false };
        fields.iter().all(|(name, before)| {
            // Most clients write a field in one line, and in the same way each time.
            let mut lines = request.get_all(name).iter();
            if let (Some(line), None, Some(before)) = (lines.next(), lines.next(), before)
                && line.as_bytes() == &before[..]
            {
                return true;
            }
            asked(request, name).is_some_and(|now| now == *before)
        })
    }

    /// What depended on these fields, as it was written down.
    pub(crate) fn of(fields: Vec<(HeaderName, Asked)>) -> Self {
        Self { fields: Some(fields) }
    }

    /// The request's fields that it depends on, each with what was asked; none in one that
    /// matches no request.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&HeaderName, Option<&[u8]>)> {
        let fields = self.fields.iter().flatten();
        fields.map(|(name, asked)| (name, asked.as_deref()))
    }

    /// What tells the values of a request in these fields from others, the same in every process;
    /// `None` if there is too much of them. Two that have one fingerprint are still to be compared.
    pub(crate) fn fingerprint(names: &[HeaderName], request: &HeaderMap) -> Option<u64> {
        let mut text = Vec::with_capacity(128);
        for name in names {
            text.extend_from_slice(name.as_str().as_bytes());
            match asked(request, name)? {
                Some(value) => {
                    text.push(b':');
                    text.extend_from_slice(&value);
                }
                None => text.push(b';'),
            }
            text.push(b'\n');
        }
        Some(rapidhash::v3::rapidhash_v3(&text))
    }

    /// Whether it matches no request at all.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.fields.is_none()
    }

    /// The same fields that the response depended on, for another response's Vary.
    pub(crate) fn again(&self, response: &HeaderMap, request: &HeaderMap) -> Self {
        if response.contains_key(VARY) { Self::new(response, request) } else { self.clone() }
    }
}

fn names(response: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut names: Vec<HeaderName> = Vec::new();
    for member in members(response, VARY).ok()? {
        let name = HeaderName::from_bytes(member).ok().filter(|name| name != "*")?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (names.len() <= FIELDS_MAX).then_some(names)
}

fn fields(names: Vec<HeaderName>, request: &HeaderMap) -> Option<Vec<(HeaderName, Asked)>> {
    names.into_iter().map(|name| asked(request, &name).map(|asked| (name, asked))).collect()
}

/// The field's lines as one, in a form that all with the same meaning share (RFC 9111 section 4.1);
/// none if there is too much of it. The normal form of a normal form is itself.
fn asked(request: &HeaderMap, name: &HeaderName) -> Option<Asked> {
    if !request.contains_key(name) {
        return Some(None);
    }
    let lines = || request.get_all(name).iter();
    let bytes: usize = lines().map(HeaderValue::len).sum();
    if bytes > FIELD_BYTES_MAX {
        return None;
    }
    let mut text = Vec::with_capacity(bytes);
    for (at, line) in lines().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        if SETS.contains(name) {
            text.extend(line.as_bytes().iter().filter(|byte| !is_space(**byte)));
        } else {
            add_line(&mut text, trim(line.as_bytes()));
        }
    }
    if SETS.contains(name) { set(text).map(Some) } else { Some(Some(text)) }
}

/// The members in lower case and in order, without the weight that is meant anyway; none if they
/// are too many.
fn set(mut text: Vec<u8>) -> Option<Vec<u8>> {
    text.make_ascii_lowercase();
    let members = text.split(|&byte| byte == b',').map(without_one);
    let mut members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
    members.sort_unstable();
    (members.len() <= MEMBERS_MAX).then(|| members.join(&b","[..]))
}

fn without_one(mut member: &[u8]) -> &[u8] {
    const ONE: [&[u8]; 5] = [b";q=1", b";q=1.", b";q=1.0", b";q=1.00", b";q=1.000"];
    while let Some(rest) = ONE.iter().find_map(|weight| member.strip_suffix(*weight)) {
        member = rest;
    }
    member
}

/// Adds a line without the white space around its commas, but for those within a quoted string:
/// lines of one field may be joined with or without it on their way (RFC 9110 section 5.3). A line
/// in which a quoted string doesn't end is added as it is.
fn add_line(text: &mut Vec<u8>, line: &[u8]) {
    let begun = text.len();
    let (mut quoted, mut escaped, mut separated) = (false, false, false);
    for &byte in line {
        if separated && is_space(byte) {
            continue;
        }
        separated = byte == b',' && !quoted;
        if separated {
            let end = text[begun..].iter().rposition(|before| !is_space(*before));
            text.truncate(begun + end.map_or(0, |end| end + 1));
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        text.push(byte);
    }
    if quoted {
        text.truncate(begun);
        text.extend_from_slice(line);
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The stored response for a request: of those that match, the one with the latest Date, and of
/// several the one that came last.
#[must_use]
pub fn select<'a>(
    stored: impl IntoIterator<Item = &'a Stored>,
    request: &HeaderMap,
) -> Option<&'a Stored> {
    let matching = stored.into_iter().filter(|stored| stored.vary.matches(request));
    matching.max_by_key(|one| (date_value(&one.headers, one.received.wall), one.received.came))
}
