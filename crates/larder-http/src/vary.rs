//! Vary: what of its request a stored response depends on, and which one a request selects
//! (RFC 9111 section 4.1).

use http::header::{ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderName, VARY};
use http::{HeaderMap, HeaderValue};

use crate::Stored;
use crate::age::date_value;
use crate::fields::{FIELD_BYTES_MAX, members, trim};

/// The fields that a response may depend on; one that names more matches nothing.
const FIELDS_MAX: usize = 32;

/// Lists whose white space between members means nothing.
const LISTS: [HeaderName; 4] = [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

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

/// What a request says in a field; none if it isn't there.
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
        fields.iter().all(|(name, before)| asked(request, name).is_some_and(|now| now == *before))
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

/// The field's lines as one, and of known lists the members; none if there is too much of it.
fn asked(request: &HeaderMap, name: &HeaderName) -> Option<Asked> {
    if !request.contains_key(name) {
        return Some(None);
    }
    let bytes: usize = request.get_all(name).iter().map(HeaderValue::len).sum();
    if bytes > FIELD_BYTES_MAX {
        return None;
    }
    let lines = || request.get_all(name).iter().map(|line| trim(line.as_bytes())).collect();
    let parts: Vec<&[u8]> =
        if LISTS.contains(name) { members(request, name).ok()? } else { lines() };
    Some(Some(parts.join(&b", "[..])))
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
