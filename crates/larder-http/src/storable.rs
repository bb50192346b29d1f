//! Whether a response may be stored (RFC 9111 section 3).

use http::header::{AUTHORIZATION, EXPIRES, RANGE, SET_COOKIE, VARY};
use http::{HeaderMap, Method, StatusCode};

use crate::fields::members;
use crate::freshness::is_heuristic;
use crate::{
    Fields, Lifetime, Origin, RequestControl, Requests, ResponseControl, Rules, SetCookie,
    effective, groups,
};

/// The statuses whose caching this crate understands, for `must-understand`. 206 isn't among
/// them, because what is stored here is whole; nor is 304, which is never an answer by itself.
const UNDERSTOOD: [u16; 16] =
    [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 421, 451, 501];

/// Why a response isn't stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// Only responses to GET are.
    Method,
    /// It is interim, partial, or a 304.
    Status,
    /// `must-understand`, and its status isn't understood.
    NotUnderstood,
    /// `no-store`, or a Cache-Control that can't be read.
    NoStore,
    /// The request says `no-store`.
    RequestNoStore,
    /// `private`, and this cache is shared.
    Private,
    /// The request has an Authorization, and the response doesn't permit it to be shared.
    Authorization,
    /// It sets a cookie, and the rules refuse that.
    SetCookie,
    /// It depends on more than the request's fields.
    VaryAny,
    /// It belongs to more groups than are kept.
    Groups,
    /// Nothing says that it may be: no lifetime, not `public`, and no status of the usual ones.
    Unsaid,
}

/// Whether a response to a request with this method and these fields may be stored.
///
/// # Errors
///
/// [`NotStored`] is the first reason against it.
///
/// ```
/// use http::{HeaderMap, Method, StatusCode};
/// use larder_http::{NotStored, Rules, storable};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("cache-control", "private, max-age=60".parse().unwrap());
/// let asked = HeaderMap::new();
/// let edge = storable(&Method::GET, &asked, StatusCode::OK, &headers, &Rules::shared());
/// assert_eq!(edge, Err(NotStored::Private));
/// storable(&Method::GET, &asked, StatusCode::OK, &headers, &Rules::private()).unwrap();
/// ```
pub fn storable(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    rules: &Rules,
) -> Result<(), NotStored> {
    let (control, origin) = effective(headers, rules);
    let refuse = |when: bool, why: NotStored| if when { Err(why) } else { Ok(()) };
    refuse(method != Method::GET, NotStored::Method)?;
    let partial = status == StatusCode::PARTIAL_CONTENT
        || (status == StatusCode::RANGE_NOT_SATISFIABLE && request.contains_key(RANGE));
    let never = status.is_informational() || status == StatusCode::NOT_MODIFIED || partial;
    refuse(never, NotStored::Status)?;
    if control.must_understand {
        refuse(!UNDERSTOOD.contains(&status.as_u16()), NotStored::NotUnderstood)?;
    } else {
        refuse(control.no_store, NotStored::NoStore)?;
    }
    let obeyed = rules.requests == Requests::Obeyed;
    refuse(obeyed && RequestControl::read(request).no_store, NotStored::RequestNoStore)?;
    if rules.is_shared() {
        refuse(control.private == Fields::All, NotStored::Private)?;
        let guarded = request.contains_key(AUTHORIZATION) && !may_be_shared(&control);
        refuse(guarded, NotStored::Authorization)?;
        let cookie = sets_cookie(headers, &control) && rules.set_cookie == SetCookie::Refused;
        refuse(cookie, NotStored::SetCookie)?;
    }
    let vary = members(headers, VARY);
    refuse(
        vary.is_err() || vary.is_ok_and(|names| names.contains(&&b"*"[..])),
        NotStored::VaryAny,
    )?;
    refuse(groups(headers).is_err(), NotStored::Groups)?;
    let said = is_said(&control, &origin, headers, rules);
    refuse(!said && !is_heuristic(status), NotStored::Unsaid)
}

/// Whether the response permits a shared cache to reuse what was asked for with an Authorization
/// (RFC 9111 section 3.5). A malformed `s-maxage` permits nothing.
fn may_be_shared(control: &ResponseControl) -> bool {
    control.public || control.must_revalidate || control.s_maxage.valid().is_some()
}

/// Whether a cookie would be kept with it.
fn sets_cookie(headers: &HeaderMap, control: &ResponseControl) -> bool {
    let mut left_out = control.no_cache.named().iter().chain(control.private.named());
    headers.contains_key(SET_COOKIE) && !left_out.any(|name| *name == SET_COOKIE)
}

/// Whether the response itself says that it may be stored.
fn is_said(control: &ResponseControl, origin: &Origin, headers: &HeaderMap, rules: &Rules) -> bool {
    let expires = *origin == Origin::CacheControl && headers.contains_key(EXPIRES);
    let shared = rules.is_shared() && control.s_maxage != Lifetime::Absent;
    let private = !rules.is_shared() && control.private != Fields::Absent;
    control.public || expires || shared || private || control.max_age != Lifetime::Absent
}
