//! Under what a request's response is stored: its effective URI (RFC 9110 section 7.1), with the
//! part of its query that counts.
//!
//! Scheme and host are in lower case, a port that says nothing is left out, and the path is as it
//! was sent: an origin that tells `/a` from `/%61` is told apart here too.

use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderMap, Uri};
use larder_core::Key;
use sha2::{Digest, Sha256};

use super::query::Query;

/// A URI that is longer is cut here, and told apart by its hash: keys have 1,024 bytes at most.
const URI_BYTES_MAX: usize = 960;
/// What is kept of one that is longer, so that its prefix can still be purged.
const URI_BYTES_KEPT: usize = 880;
/// The longest name of a host, with its port.
const AUTHORITY_BYTES_MAX: usize = 300;

/// Writes the key of a request into `key`. Returns whether it has one: a request with two hosts,
/// or with one that is none, isn't for a cache.
pub(super) fn write(
    uri: &Uri,
    headers: &HeaderMap,
    scheme: &Scheme,
    query: &Query,
    key: &mut Vec<u8>,
) -> bool {
    let scheme = uri.scheme().unwrap_or(scheme);
    let mut lines = headers.get_all(HOST).iter();
    let host = (lines.next(), lines.next());
    let authority = match (uri.authority(), host) {
        (_, (_, Some(_))) => return false,
        (Some(authority), _) => authority.as_str().as_bytes(),
        (None, (Some(line), None)) => line.as_bytes(),
        (None, (None, None)) => b"",
    };
    if !is_authority(authority) {
        return false;
    }
    key.extend(scheme.as_str().bytes().map(|byte| byte.to_ascii_lowercase()));
    key.extend_from_slice(b"://");
    let port: &[u8] = if *scheme == Scheme::HTTPS { b":443" } else { b":80" };
    let authority = authority.strip_suffix(port).unwrap_or(authority);
    key.extend(authority.iter().map(u8::to_ascii_lowercase));
    let path = uri.path();
    if path.is_empty() {
        key.push(b'/');
    }
    key.extend_from_slice(path.as_bytes());
    if let Some(query) = query.apply(uri.query()) {
        key.push(b'?');
        key.extend_from_slice(query.as_bytes());
    }
    if key.len() > URI_BYTES_MAX {
        shorten(key);
    }
    true
}

/// The key of an absolute URI, as a purge names it; `None` if it is none.
pub(super) fn of_uri(uri: &Uri, query: &Query) -> Option<Key> {
    uri.authority()?;
    let mut key = Vec::with_capacity(128);
    let scheme = uri.scheme()?;
    write(uri, &HeaderMap::new(), scheme, query, &mut key).then(|| Key::new(&key))
}

/// What the key of a URI begins with up to its path: scheme and host.
pub(super) fn origin(key: &[u8]) -> &[u8] {
    let after = key.windows(3).position(|three| three == b"://").map_or(0, |at| at + 3);
    let end = key[after..].iter().position(|&byte| byte == b'/').map_or(key.len(), |at| after + at);
    &key[..end]
}

/// Replaces the end of a long key by a hash of the whole that nobody finds a second text for.
fn shorten(key: &mut Vec<u8>) {
    let hash = Sha256::digest(&*key);
    let text = String::from_utf8_lossy(key);
    let kept = text.floor_char_boundary(URI_BYTES_KEPT);
    key.truncate(kept);
    // No URI that is sent has a fragment, so no other key looks like this.
    key.push(b'#');
    for byte in hash {
        key.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
}

/// Whether these can be a host and a port. Without any it is a request from within the process.
fn is_authority(bytes: &[u8]) -> bool {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~[]:%".contains(byte);
    bytes.len() <= AUTHORITY_BYTES_MAX && bytes.iter().all(belongs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str, host: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(HOST, host.parse().unwrap());
        }
        let mut key = Vec::new();
        let uri = uri.parse().unwrap();
        let written = write(&uri, &headers, &Scheme::HTTP, &Query::as_sent(), &mut key);
        written.then(|| String::from_utf8(key).unwrap())
    }

    #[test]
    fn a_key_is_the_effective_uri() {
        assert_eq!(key("/a?b", Some("X.example:80")).unwrap(), "http://x.example/a?b");
        assert_eq!(key("/%61", Some("x:8080")).unwrap(), "http://x:8080/%61");
        assert_eq!(key("https://Y:443", Some("x")).unwrap(), "https://y/");
        assert_eq!(key("/", None).unwrap(), "http:///");
        for host in ["user@x", "x/y", "x y", &"x".repeat(301)] {
            assert_eq!(key("/", Some(host)), None, "{host}");
        }
    }

    #[test]
    fn a_long_uri_is_known_by_its_hash() {
        let long = |end: char| format!("/{}{end}", "x".repeat(2000));
        let (one, other) = (key(&long('a'), Some("x")), key(&long('b'), Some("x")));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one != other && one.len() <= URI_BYTES_MAX && one.starts_with("http://x/xxx"));
    }

    #[test]
    fn an_origin_is_scheme_and_host() {
        assert_eq!(origin(b"http://x:1/a://b"), b"http://x:1");
        assert_eq!(origin(b"http:///a"), b"http://");
    }
}
