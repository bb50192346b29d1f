//! For how long a stored response is fresh (RFC 9111 sections 4.2.1 and 4.2.2).

use std::time::Duration;

use http::StatusCode;
use http::header::{EXPIRES, LAST_MODIFIED};

use crate::age::date_value;
use crate::{AGE_MAX, Origin, Rules, Stored, date_field};

/// The statuses that may be fresh without saying so (RFC 9110 section 15.1).
const HEURISTIC: [u16; 12] = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];

/// The response's freshness lifetime: `s-maxage` in a shared cache, then `max-age`, then Expires,
/// then a part of the time since Last-Modified. At most [`AGE_MAX`].
///
/// What says it in a way that can't be read is stale at once; the next one isn't looked at.
#[must_use]
pub fn lifetime(stored: &Stored, rules: &Rules) -> Duration {
    explicit(stored, rules).unwrap_or_else(|| heuristic(stored, rules)).min(AGE_MAX)
}

/// The lifetime that the response gives itself, if it does.
fn explicit(stored: &Stored, rules: &Rules) -> Option<Duration> {
    let shared = stored.control.s_maxage.or_stale().filter(|_| rules.is_shared());
    if let Some(said) = shared.or(stored.control.max_age.or_stale()) {
        return Some(said);
    }
    if stored.origin != Origin::CacheControl || !stored.headers.contains_key(EXPIRES) {
        return None;
    }
    let came = stored.received.wall;
    let expires = date_field(&stored.headers, EXPIRES, came);
    let left = expires.map_or(0, |expires| expires.since(date_value(&stored.headers, came)));
    Some(Duration::from_secs(left))
}

fn heuristic(stored: &Stored, rules: &Rules) -> Duration {
    let came = stored.received.wall;
    let modified = date_field(&stored.headers, LAST_MODIFIED, came);
    let allowed = is_heuristic(stored.status) || stored.control.public;
    let Some(modified) = modified.filter(|_| allowed) else { return Duration::ZERO };
    let since = date_value(&stored.headers, came).since(modified);
    let part = Duration::from_secs(since) * rules.heuristic_percent.min(100) / 100;
    part.min(rules.heuristic_max)
}

pub(crate) fn is_heuristic(status: StatusCode) -> bool {
    HEURISTIC.contains(&status.as_u16())
}
