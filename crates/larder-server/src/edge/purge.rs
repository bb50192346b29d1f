//! Purges: what is to go, and by whose permission.

use std::net::IpAddr;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Uri};
use subtle::ConstantTimeEq;

use crate::config::EdgeConfig;

/// What a PURGE names instead of its own target, in either of the fields that responses name their
/// tags in.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// With it a PURGE marks stale.
const SOFT_PURGE: HeaderName = HeaderName::from_static("soft-purge");

/// How many tags one purge may name.
const TAGS_MAX: usize = 256;

/// What is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeOrder {
    /// What is stored for this URL, in all variants, whatever its scheme.
    Url(Uri),
    /// What has this tag.
    Tag(String),
    /// What has a URL that begins so, whatever its scheme.
    Prefix(String),
    /// Everything.
    All,
}

/// What a PURGE asks for, or why it can't be.
pub(super) fn orders(uri: &Uri, headers: &HeaderMap) -> Result<Vec<PurgeOrder>, &'static str> {
    if headers.contains_key(CACHE_TAG) || headers.contains_key(SURROGATE_KEY) {
        let mut tags = Vec::new();
        for (field, between) in [(CACHE_TAG, &[','][..]), (SURROGATE_KEY, &[' ', '\t', ','])] {
            for line in headers.get_all(field) {
                let line = line.to_str().map_err(|_| "a tag is text")?;
                let named = line.split(between).map(str::trim).filter(|tag| !tag.is_empty());
                tags.extend(named.map(|tag| PurgeOrder::Tag(tag.to_owned())));
            }
        }
        return match tags.len() {
            0 => Err("Cache-Tag or Surrogate-Key names no tag"),
            1..=TAGS_MAX => Ok(tags),
            _ => Err("at most 256 tags can be purged at once"),
        };
    }
    let text = uri.to_string();
    Ok(vec![match text.strip_suffix('*') {
        Some(prefix) => PurgeOrder::Prefix(prefix.to_owned()),
        None => PurgeOrder::Url(uri.clone()),
    }])
}

/// Whether a PURGE only marks stale.
pub(super) fn is_soft(headers: &HeaderMap) -> bool {
    headers.get(SOFT_PURGE).is_some_and(|value| value.as_bytes() == b"1")
}

/// Whether whoever connects from `address` may purge.
pub(super) fn is_permitted(headers: &HeaderMap, address: IpAddr, config: &EdgeConfig) -> bool {
    let given = headers.get(AUTHORIZATION);
    let given = given.and_then(|value| {
        // The name of a scheme is read in any case (RFC 9110 section 11.1).
        let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
    });
    let token = config
        .purge_token
        .as_ref()
        .zip(given)
        .is_some_and(|(token, given)| bool::from(token.expose().as_bytes().ct_eq(given)));
    token || config.purge_from.iter().any(|network| network.contains(address))
}

/// The two texts that a URL has, by its scheme: who purges one rarely knows by which of them it
/// was asked for. Its host is in small letters, and without the port that its scheme has anyway.
pub(super) fn schemes(url: &str) -> [String; 2] {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.to_ascii_lowercase();
    let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    // Where no path follows, more of a port may.
    let host = host.strip_suffix(usual).filter(|_| !path.is_empty()).unwrap_or(&host);
    ["http", "https"].map(|scheme| format!("{scheme}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::schemes;

    #[test]
    fn a_url_is_purged_as_it_is_stored() {
        for (url, rest) in [
            ("https://Shop.Example/A/b?C", "shop.example/A/b?C"),
            ("http://shop.example:80/", "shop.example/"),
            ("HTTPS://shop.example:443/a:80", "shop.example/a:80"),
            ("http://shop.example:443/", "shop.example:443/"),
            ("http://shop.example:8080/", "shop.example:8080/"),
            ("http://shop.example:80", "shop.example:80"),
            ("https://shop.ex", "shop.ex"),
        ] {
            assert_eq!(schemes(url), ["http", "https"].map(|scheme| format!("{scheme}://{rest}")));
        }
    }
}
