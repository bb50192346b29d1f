//! Purges: what is to go, and by whose permission.

use std::net::IpAddr;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Uri};
use subtle::ConstantTimeEq;

use crate::config::EdgeConfig;

/// What a PURGE names instead of its own target.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
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
    if headers.contains_key(CACHE_TAG) {
        let mut tags = Vec::new();
        for line in headers.get_all(CACHE_TAG) {
            let line = line.to_str().map_err(|_| "a tag is text")?;
            let named = line.split(',').map(str::trim).filter(|tag| !tag.is_empty());
            tags.extend(named.map(|tag| PurgeOrder::Tag(tag.to_owned())));
        }
        return match tags.len() {
            0 => Err("Cache-Tag names no tag"),
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
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let token = config
        .purge_token
        .as_ref()
        .zip(given)
        .is_some_and(|(token, given)| bool::from(token.expose().as_bytes().ct_eq(given)));
    token || config.purge_from.iter().any(|network| network.contains(address))
}

/// The two texts that a URL has, by its scheme: who purges one rarely knows by which of them it
/// was asked for.
pub(super) fn schemes(url: &str) -> [String; 2] {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["http", "https"].map(|scheme| format!("{scheme}://{rest}"))
}
