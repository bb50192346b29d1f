//! Which fields of a response are kept (RFC 9111 section 3.1).

use http::HeaderMap;
use http::header::{CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING};
use http::header::{HeaderName, UPGRADE};

use crate::fields::members;
use crate::{ResponseControl, Rules};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");

const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHENTICATION_INFO,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the fields that concern one connection, and those that Connection names (RFC 9110
/// section 7.6.1). A list of names that can't be read removes those of its lines that can.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named = members(headers, CONNECTION).unwrap_or_else(|_| {
        let lines = headers.get_all(CONNECTION).iter();
        lines
            .flat_map(|line| line.as_bytes().split(|&b| b == b','))
            .map(crate::fields::trim)
            .collect()
    });
    let named: Vec<_> = named.into_iter().filter_map(|n| HeaderName::from_bytes(n).ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The fields that are stored: all but those of one connection, and those that `no-cache` or, in
/// a shared cache, `private` names. Repeated lines stay as they are.
#[must_use]
pub fn storable_fields(headers: &HeaderMap, control: &ResponseControl, rules: &Rules) -> HeaderMap {
    let mut kept = headers.clone();
    strip_hop_by_hop(&mut kept);
    for name in control.no_cache.named() {
        kept.remove(name);
    }
    if rules.is_shared() {
        for name in control.private.named() {
            kept.remove(name);
        }
    }
    kept
}
