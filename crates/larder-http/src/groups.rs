//! Groups of stored responses, which an origin invalidates together (RFC 9875).
//!
//! It only reads the fields. What else has tags, and how a group becomes one, is the store's.

use http::{HeaderMap, HeaderName, Method};

use crate::structured::{Item, Unstructured, list};

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The most groups of one response. RFC 9875 section 2 asks for 32.
pub const GROUPS_MAX: usize = 64;
/// The longest name of a group, in bytes. RFC 9875 section 2 asks for 32.
pub const GROUP_BYTES_MAX: usize = 256;

/// More than [`GROUPS_MAX`] groups, or a name longer than [`GROUP_BYTES_MAX`], or a field longer
/// than 16 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyGroups;

impl std::fmt::Display for TooManyGroups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {GROUPS_MAX} groups, or a name of more than {GROUP_BYTES_MAX} bytes")
    }
}

impl std::error::Error for TooManyGroups {}

/// The groups that a response belongs to, each once. They are printable ASCII, compared to the
/// character, and mean something only together with the origin of the response's URI: another
/// origin's groups of the same name are other groups.
///
/// A field that is no list of strings is as if it weren't there.
///
/// # Errors
///
/// [`TooManyGroups`]: a response that is kept without some of its groups would miss what strikes
/// them, so it isn't stored (see [`storable`](crate::storable)).
///
/// ```
/// use http::HeaderMap;
/// use larder_http::groups;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("cache-groups", "\"scripts\", \"v2\";x=1".parse().unwrap());
/// assert_eq!(groups(&headers).unwrap(), ["scripts", "v2"]);
/// ```
pub fn groups(headers: &HeaderMap) -> Result<Vec<String>, TooManyGroups> {
    read(headers, &CACHE_GROUPS)
}

/// The groups, of the target's origin, that the response to a request invalidates; none if the
/// method is a safe one. Only what is stored is struck: it doesn't spread to the other groups of
/// what it strikes (RFC 9875 section 2.2.1).
///
/// # Errors
///
/// [`TooManyGroups`]: which ones are meant isn't known then. The RFC leaves it open whether any are
/// struck; who can strike all of the origin keeps what the origin wanted.
///
/// ```
/// use http::{HeaderMap, Method};
/// use larder_http::invalidated_groups;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("cache-group-invalidation", "\"scripts\"".parse().unwrap());
/// assert_eq!(invalidated_groups(&Method::POST, &headers).unwrap(), ["scripts"]);
/// assert!(invalidated_groups(&Method::GET, &headers).unwrap().is_empty());
/// ```
pub fn invalidated_groups(
    method: &Method,
    headers: &HeaderMap,
) -> Result<Vec<String>, TooManyGroups> {
    if method.is_safe() { Ok(Vec::new()) } else { read(headers, &CACHE_GROUP_INVALIDATION) }
}

fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<String>, TooManyGroups> {
    let members = match list(headers, name) {
        Ok(members) => members,
        Err(Unstructured::Malformed) => return Ok(Vec::new()),
        Err(Unstructured::TooMuch) => return Err(TooManyGroups),
    };
    let mut groups: Vec<String> = Vec::new();
    for member in members {
        let Item::String(group) = member else { return Ok(Vec::new()) };
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let fits = groups.len() <= GROUPS_MAX && groups.iter().all(|one| one.len() <= GROUP_BYTES_MAX);
    if fits { Ok(groups) } else { Err(TooManyGroups) }
}
