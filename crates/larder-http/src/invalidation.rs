//! What a request that may change things invalidates (RFC 9111 section 4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::reference::{is_same_origin, resolve};

/// The URIs whose stored responses are no longer to be used without validation, after a response
/// to a request. `target` is the request's absolute URI.
///
/// A method that isn't known to be safe isn't, and what failed changed nothing. Location and
/// Content-Location count on the target's own origin only, so that no one invalidates others'.
/// At most three.
///
/// ```
/// use http::{HeaderMap, Method, StatusCode};
/// use larder_http::invalidated;
///
/// let target = "https://example.org/users/".parse().unwrap();
/// let mut headers = HeaderMap::new();
/// headers.insert("location", "42".parse().unwrap());
/// let struck = invalidated(&Method::POST, &target, StatusCode::CREATED, &headers);
/// assert_eq!(struck, ["https://example.org/users/", "https://example.org/users/42"]);
/// ```
#[must_use]
pub fn invalidated(
    method: &Method,
    target: &Uri,
    status: StatusCode,
    headers: &HeaderMap,
) -> Vec<Uri> {
    let changed = status.is_success() || status.is_redirection();
    if method.is_safe() || !changed {
        return Vec::new();
    }
    let mut struck = vec![target.clone()];
    for name in [LOCATION, CONTENT_LOCATION] {
        let mut lines = headers.get_all(name).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { continue };
        let uri = resolve(target, line.as_bytes());
        if let Some(uri) = uri.filter(|uri| is_same_origin(uri, target) && !struck.contains(uri)) {
            struck.push(uri);
        }
    }
    struck
}
