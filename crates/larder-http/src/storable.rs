//! Whether a response may be stored (RFC 9111 section 3).

use http::header::{AUTHORIZATION, CONTENT_LOCATION, EXPIRES, RANGE, SET_COOKIE, VARY};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::fields::members;
use crate::freshness::is_heuristic;
use crate::reference::{is_same, resolve};
use crate::{
    ContentRange, Fields, Lifetime, Origin, RequestControl, Requests, ResponseControl, Rules,
    SetCookie, effective, groups,
};

/// The statuses whose caching this crate understands, for `must-understand`. 304 isn't among them:
/// it is never an answer by itself.
const UNDERSTOOD: [u16; 17] =
    [200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 421, 451, 501];

/// Why a response isn't stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// Only responses to GET are, and to POST what [`storable_by_post`] says.
    Method,
    /// It is interim, a 304, or a part: see [`storable_part`].
    Status,
    /// It isn't one part, of bytes, of a body of a known length, or it contradicts itself.
    Part,
    /// It is no current representation of the POST's own URI, or doesn't say how long it is fresh.
    Post,
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

/// Whether a whole response to a request with this method and these fields may be stored.
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
    refuse(method != Method::GET, NotStored::Method)?;
    let partial = status == StatusCode::PARTIAL_CONTENT
        || (status == StatusCode::RANGE_NOT_SATISFIABLE && request.contains_key(RANGE));
    let never = status.is_informational() || status == StatusCode::NOT_MODIFIED || partial;
    refuse(never, NotStored::Status)?;
    final_storable(request, status, headers, rules)
}

/// Whether a 206 to a request may be kept as a part of a response (RFC 9111 section 3.3), and which
/// part of which length it is: see [`Partial`](crate::Partial).
///
/// # Errors
///
/// [`NotStored`] is the first reason against it. A body of several parts isn't kept, nor one whose
/// Content-Length isn't that of its Content-Range; nor is one that has no Content-Length and turns
/// out to end elsewhere, unless it broke off.
pub fn storable_part(
    method: &Method,
    request: &HeaderMap,
    headers: &HeaderMap,
    rules: &Rules,
) -> Result<ContentRange, NotStored> {
    refuse(method != Method::GET, NotStored::Method)?;
    let range = ContentRange::of(headers).filter(|_| request.contains_key(RANGE));
    let range = range.ok_or(NotStored::Part)?;
    final_storable(request, StatusCode::PARTIAL_CONTENT, headers, rules)?;
    Ok(range)
}

/// Whether a response to POST may be stored, to answer later GETs of the same URI: a 200 that says
/// how long it is fresh, and whose Content-Location is the target (RFC 9110 section 9.3.3). It
/// never answers a POST. `target` is the request's absolute URI; what is stored for it before is
/// invalidated first, as by every POST.
///
/// # Errors
///
/// [`NotStored`] is the first reason against it.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use larder_http::{Rules, storable_by_post};
///
/// let target = "http://a.example/users?q".parse().unwrap();
/// let (asked, mut headers) = (HeaderMap::new(), HeaderMap::new());
/// headers.insert("cache-control", "max-age=60".parse().unwrap());
/// let rules = Rules::shared();
/// assert!(storable_by_post(&target, &asked, StatusCode::OK, &headers, &rules).is_err());
/// headers.insert("content-location", "/users?q".parse().unwrap());
/// storable_by_post(&target, &asked, StatusCode::OK, &headers, &rules).unwrap();
/// ```
pub fn storable_by_post(
    target: &Uri,
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    rules: &Rules,
) -> Result<(), NotStored> {
    let (control, origin) = effective(headers, rules);
    let mut lines = headers.get_all(CONTENT_LOCATION).iter();
    let line = lines.next().filter(|_| lines.next().is_none());
    let location = line.and_then(|line| resolve(target, line.as_bytes()));
    let own = location.is_some_and(|location| is_same(&location, target));
    let fits = status == StatusCode::OK && own && is_explicit(&control, &origin, headers, rules);
    refuse(!fits, NotStored::Post)?;
    final_storable(request, status, headers, rules)
}

/// Whether a response may be stored as far as neither its method nor its being whole matters.
fn final_storable(
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    rules: &Rules,
) -> Result<(), NotStored> {
    let (control, origin) = effective(headers, rules);
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

fn refuse(when: bool, why: NotStored) -> Result<(), NotStored> {
    if when { Err(why) } else { Ok(()) }
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
    let private = !rules.is_shared() && control.private != Fields::Absent;
    control.public || private || is_explicit(control, origin, headers, rules)
}

/// Whether it says how long it is fresh.
fn is_explicit(
    control: &ResponseControl,
    origin: &Origin,
    headers: &HeaderMap,
    rules: &Rules,
) -> bool {
    let expires = *origin == Origin::CacheControl && headers.contains_key(EXPIRES);
    let shared = rules.is_shared() && control.s_maxage != Lifetime::Absent;
    expires || shared || control.max_age != Lifetime::Absent
}
