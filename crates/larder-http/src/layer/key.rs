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
/// The longest part of a key before its query that counts as a path. Keys are cut behind it, so
/// every key of a path says which one it is.
const PATH_BYTES_MAX: usize = 800;
/// The longest name of a host, with its port.
const AUTHORITY_BYTES_MAX: usize = 300;

/// Writes the key of a request into `key`. Returns whether it has one: a request with two hosts,
/// or with one that is none, isn't for a cache, and neither is one whose URI holds a control
/// character, by which nobody could invalidate it.
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
    if has_control(key) {
        return false;
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

/// What the key of a URI says before its query; `None` where that is too long.
pub(super) fn path(key: &[u8]) -> Option<&[u8]> {
    let end = key.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(key.len());
    (end <= PATH_BYTES_MAX).then(|| &key[..end])
}

/// The same, and the query; `None` where the key was cut in it.
pub(super) fn split(key: &[u8]) -> Option<(&[u8], Option<&str>)> {
    let path = path(key).filter(|_| !key.contains(&b'#'))?;
    let query = key.get(path.len() + 1..).map(std::str::from_utf8).transpose().ok()?;
    Some((path, query))
}

/// What [`split`] has taken apart, with another query.
pub(super) fn join(path: &[u8], query: Option<&str>) -> Vec<u8> {
    let mut key = Vec::with_capacity(path.len() + 32 + query.map_or(0, str::len));
    key.extend_from_slice(path);
    if let Some(query) = query {
        key.push(b'?');
        key.extend_from_slice(query.as_bytes());
    }
    if key.len() > URI_BYTES_MAX {
        shorten(&mut key);
    }
    key
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

/// What the keys that were cut begin with whose URIs may begin with this text; `None` where that is
/// so short that they begin with it, too. It may strike more than what begins with the text.
pub(super) fn prefix_of_cut(text: &str) -> Option<String> {
    let kept = text.floor_char_boundary(URI_BYTES_KEPT);
    (text.len() > URI_BYTES_KEPT).then(|| format!("{}#", &text[..kept]))
}

/// Whether a URI holds a control character. Of these the parser of URIs lets through those that
/// have two bytes, U+0080 to U+009F.
fn has_control(uri: &[u8]) -> bool {
    const LEAD: u8 = 0xc2;
    uri.contains(&LEAD) && uri.windows(2).any(|two| matches!(two, [LEAD, 0x80..=0x9f]))
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
    fn a_path_is_known_from_every_key_that_has_it() {
        let of = |path: usize, query: usize| {
            let key = key(&format!("/{}?{}", "p".repeat(path), "q".repeat(query)), Some("x"));
            key.unwrap().into_bytes()
        };
        for length in [1, 500, 791, 792, 793, 870, 880, 960, 2000] {
            let known = path(&of(length, 1)).map(<[u8]>::to_vec);
            assert_eq!(known.is_some(), length <= 791, "{length}");
            for query in [0, 100, 1000] {
                assert_eq!(path(&of(length, query)).map(<[u8]>::to_vec), known, "{length} {query}");
            }
        }
        assert_eq!(split(b"http://x/a").unwrap(), (&b"http://x/a"[..], None));
        assert_eq!(split(b"http://x/a?").unwrap(), (&b"http://x/a"[..], Some("")));
        assert_eq!(split(b"http://x/a?b?c").unwrap(), (&b"http://x/a"[..], Some("b?c")));
        assert_eq!(split(&of(100, 1000)), None);
        for key in [of(10, 10), of(10, 0)] {
            let (path, query) = split(&key).unwrap();
            assert_eq!(join(path, query), key);
        }
        assert!(join(b"http://x/a", Some(&"q".repeat(3000))).len() <= URI_BYTES_MAX);
    }

    #[test]
    fn an_origin_is_scheme_and_host() {
        assert_eq!(origin(b"http://x:1/a://b"), b"http://x:1");
        assert_eq!(origin(b"http:///a"), b"http://");
    }
}
