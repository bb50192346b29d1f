//! Whether a stored response answers a request: as it is, stale, after a validation, or not at
//! all (RFC 9111 sections 4 and 4.2.4, RFC 5861, RFC 8246).

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use larder_core::Moment;

use crate::{Fields, RequestControl, Requests, Rules, Stored, lifetime};

/// What to do with a stored response that matches a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Send it.
    Fresh,
    /// Send it stale, and validate it beside that.
    WhileRevalidated,
    /// Send it stale: the client accepts that (`max-stale`).
    Accepted,
    /// Ask the origin first.
    Validate {
        /// For which reason.
        why: Why,
    },
    /// Answer 504: it can't be used, and the client wants nothing from the origin.
    Unavailable,
}

/// Why a stored response isn't used as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It says `no-cache`, or since it was stored a 304 said that it mustn't be.
    NoCache,
    /// The request asks for it.
    Request,
    /// It is stale.
    Stale,
}

/// Why the origin didn't answer as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It can't be reached, or broke off.
    Unreached,
    /// It answered with this status.
    Status(StatusCode),
}

/// What to do at `now` with a stored response that the request's URI and fields select.
#[must_use]
pub fn reuse(stored: &Stored, request: &HeaderMap, now: Moment, rules: &Rules) -> Reuse {
    let request = heard(request, rules);
    match judge(stored, &request, now, rules) {
        Reuse::Validate { .. } if request.only_if_cached => Reuse::Unavailable,
        judged => judged,
    }
}

fn judge(stored: &Stored, request: &RequestControl, now: Moment, rules: &Rules) -> Reuse {
    let (age, lifetime) = (stored.age(now), lifetime(stored, rules));
    let control = &stored.control;
    if is_validated_always(stored, rules) {
        return Reuse::Validate { why: Why::NoCache };
    }
    if request.no_cache {
        return Reuse::Validate { why: Why::Request };
    }
    let fresh = lifetime > age;
    let stale_for = age.saturating_sub(lifetime);
    // A reload asks with `max-age=0`, and what is immutable needs none while it is fresh.
    let reload = request.max_age.or_stale() == Some(Duration::ZERO);
    let too_old = request.max_age.or_stale().is_some_and(|max| age > max || max.is_zero());
    let bound = too_old && !(fresh && control.immutable && reload);
    let short = request.min_fresh.or_stale().is_some_and(|min| lifetime < age.saturating_add(min));
    if fresh {
        let asked = bound || short;
        return if asked { Reuse::Validate { why: Why::Request } } else { Reuse::Fresh };
    }
    if is_stale_forbidden(stored, rules) || bound || short {
        return Reuse::Validate { why: Why::Stale };
    }
    if request.max_stale.is_some_and(|max| stale_for <= max) {
        return Reuse::Accepted;
    }
    if control.stale_while_revalidate.valid().is_some_and(|window| stale_for < window) {
        return Reuse::WhileRevalidated;
    }
    Reuse::Validate { why: Why::Stale }
}

/// Whether it may be sent after all, now that the origin failed. Otherwise the failure is the
/// answer: what the origin sent, or a 504.
///
/// `stale-if-error`, of the response or of the request, is about the statuses 500, 502, 503 and
/// 504 and an origin that isn't reached; [`Rules::stale_unreached`] is about the latter only.
#[must_use]
pub fn reuse_after(
    failure: Failure,
    stored: &Stored,
    request: &HeaderMap,
    now: Moment,
    rules: &Rules,
) -> bool {
    let failed = match failure {
        Failure::Unreached => true,
        Failure::Status(status) => matches!(status.as_u16(), 500 | 502 | 503 | 504),
    };
    let request = heard(request, rules);
    if !failed || request.no_cache || is_stale_forbidden(stored, rules) {
        return false;
    }
    let stale_for = stored.age(now).saturating_sub(lifetime(stored, rules));
    let mut windows = [stored.control.stale_if_error, request.stale_if_error].into_iter();
    let permitted = windows.any(|window| window.valid().is_some_and(|max| stale_for < max));
    let ours = rules.stale_unreached;
    permitted || (failure == Failure::Unreached && stale_for < ours)
}

/// Whether the response itself forbids to be used stale (RFC 9111 section 4.2.4). `s-maxage` does
/// in a shared cache, like `proxy-revalidate` (section 5.2.2.10).
fn is_stale_forbidden(stored: &Stored, rules: &Rules) -> bool {
    let control = &stored.control;
    let shared = control.proxy_revalidate || control.s_maxage.or_stale().is_some();
    let always = is_validated_always(stored, rules);
    control.must_revalidate || always || (rules.is_shared() && shared)
}

/// Whether it is never used without validation: it says `no-cache`, or it mustn't have been stored
/// any more since a 304 said so.
fn is_validated_always(stored: &Stored, rules: &Rules) -> bool {
    let control = &stored.control;
    let unstored = control.no_store && !control.must_understand;
    let private = rules.is_shared() && control.private == Fields::All;
    control.no_cache == Fields::All || unstored || private
}

/// What of a request's directives counts.
fn heard(request: &HeaderMap, rules: &Rules) -> RequestControl {
    let control = RequestControl::read(request);
    match rules.requests {
        Requests::Obeyed => control,
        Requests::Ignored => {
            let only_if_cached = control.only_if_cached;
            RequestControl { only_if_cached, ..RequestControl::default() }
        }
    }
}
