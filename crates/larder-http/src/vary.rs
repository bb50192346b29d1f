//! Vary: what of its request a stored response depends on, and which one a request selects
//! (RFC 9111 section 4.1).

use http::header::{ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderName, VARY};
use http::{HeaderMap, HeaderValue};

use crate::Stored;
use crate::age::date_value;
use crate::fields::{FIELD_BYTES_MAX, members, trim};

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

/// What a request says in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// It isn't there.
    Nothing,
    /// It is one line, and this is its normal form.
    Line(HeaderValue, Vec<u8>),
    /// It is several lines, and this is their normal form together.
    Lines(Vec<u8>),
}

impl Asked {
    /// What a request says; none if it is too much.
    fn new(request: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut lines = request.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Some(Self::Nothing),
            (Some(line), None) => Some(Self::Line(line.clone(), normal(request, name)?)),
            (Some(_), Some(_)) => normal(request, name).map(Self::Lines),
        }
    }

    /// Whether a request says the same. Most say it in the same bytes.
    fn is(&self, request: &HeaderMap, name: &HeaderName) -> bool {
        let mut lines = request.get_all(name).iter();
        match (self, lines.next(), lines.next()) {
            (Self::Nothing, now, _) => now.is_none(),
            (_, None, _) => false,
            (Self::Line(line, _), Some(now), None) if line == now => true,
            (Self::Line(_, text) | Self::Lines(text), ..) => {
                normal(request, name).is_some_and(|now| now == *text)
            }
        }
    }
}

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
        fields.iter().all(|(name, before)| before.is(request, name))
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
    names.into_iter().map(|name| Asked::new(request, &name).map(|asked| (name, asked))).collect()
}

/// The field's lines as one, in a form that others with the same meaning share (RFC 9111 section
/// 4.1); none if there is too much of it.
fn normal(request: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let lines = || request.get_all(name).iter();
    if lines().map(HeaderValue::len).sum::<usize>() > FIELD_BYTES_MAX {
        return None;
    }
    if SETS.contains(name) {
        let mut members: Vec<_> = members(request, name).ok()?.into_iter().map(choice).collect();
        members.sort_unstable();
        return Some(members.join(&b","[..]));
    }
    let lines: Vec<Vec<u8>> = lines().map(|line| without_space(trim(line.as_bytes()))).collect();
    Some(lines.join(&b","[..]))
}

/// A member in lower case, without white space, and without the weight that is meant anyway.
fn choice(member: &[u8]) -> Vec<u8> {
    let mut text = member.to_ascii_lowercase();
    text.retain(|byte| !matches!(byte, b' ' | b'\t'));
    for weight in [&b";q=1.000"[..], b";q=1.00", b";q=1.0", b";q=1.", b";q=1"] {
        if text.ends_with(weight) {
            text.truncate(text.len() - weight.len());
        }
    }
    text
}

/// A line without the white space around its commas, but for those within a quoted string: lines
/// of one field may be joined with or without it on their way (RFC 9110 section 5.3). A line in
/// which a quoted string doesn't end stays as it is.
fn without_space(line: &[u8]) -> Vec<u8> {
    let (mut text, mut quoted, mut escaped) = (Vec::with_capacity(line.len()), false, false);
    for &byte in line {
        let space = matches!(byte, b' ' | b'\t');
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                let end = text.iter().rposition(|before| !matches!(before, b' ' | b'\t'));
                text.truncate(end.map_or(0, |end| end + 1));
            }
            _ if space && !quoted && text.last() == Some(&b',') => continue,
            _ => {}
        }
        text.push(byte);
    }
    if quoted { line.to_vec() } else { text }
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
