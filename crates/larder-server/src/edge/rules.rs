//! Which rule holds for a request and its response, and what it makes of them.
//!
//! A rule adds to what the origin says a field of our own that is meant for this cache alone
//! (RFC 9213); what the origin said stays as it is, for whoever comes next. What a client is told
//! is written into the answer as it leaves.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, PRAGMA, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use larder_http::{
    Fields, Query, Received, ResponseControl, Rules, Selection, Stored, age_value, effective,
    lifetime,
};

use crate::config::{EdgeConfig, EdgeRule, ParameterName};

/// The field with which a rule speaks to our own cache. Nobody else's is believed, and nobody sees
/// it.
pub(super) const OWN_CONTROL: HeaderName = HeaderName::from_static("larder-cache-control");

/// The endings of paths that name a kind of file, and never a page.
const FILES: [&str; 40] = [
    "avif", "bmp", "css", "csv", "doc", "docx", "eot", "flac", "gif", "gz", "ico", "jar", "jpeg",
    "jpg", "js", "json", "m4a", "map", "mjs", "mp3", "mp4", "ogg", "otf", "pdf", "png", "ppt",
    "pptx", "rss", "svg", "tar", "tif", "tiff", "ttf", "wasm", "webm", "webp", "woff", "woff2",
    "xlsx", "zip",
];

/// The rules of an edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct EdgeRules<'e>(&'e [EdgeRule]);

impl<'e> EdgeRules<'e> {
    pub(super) fn of(config: &'e EdgeConfig) -> Self {
        Self(&config.rules)
    }

    /// The rule for what is asked, and its place.
    pub(super) fn of_request(self, path: &str) -> Option<(usize, &'e EdgeRule)> {
        self.fitting(path).find(|(_, rule)| rule.types.is_empty())
    }

    /// The rule for what came.
    pub(super) fn of_response(self, path: &str, headers: &HeaderMap) -> Option<&'e EdgeRule> {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let fits = |rule: &EdgeRule| {
            let of_type = |value| rule.types.iter().any(|range| range.matches(value));
            rule.types.is_empty() || content_type.is_some_and(of_type)
        };
        self.fitting(path).map(|(_, rule)| rule).find(|rule| fits(rule))
    }

    fn fitting(self, path: &str) -> impl Iterator<Item = (usize, &'e EdgeRule)> {
        let rules = if self.0.is_empty() || is_ambiguous(path) { &[] } else { self.0 };
        let rules = rules.iter().enumerate();
        rules.filter(move |(_, rule)| rule.path.matches(path.as_bytes()))
    }
}

/// Whether two servers may read a path in two ways, so that what one takes for a file is a page
/// for the other.
fn is_ambiguous(path: &str) -> bool {
    let bytes = path.as_bytes();
    let is_odd = |at: usize| match bytes[at] {
        b'\\' | b';' => true,
        b'/' => matches!(
            bytes.get(at + 1..).unwrap_or_default(),
            [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
        ),
        b'%' => match bytes.get(at + 1..at + 3) {
            Some([b'0' | b'1' | b'7', _]) => true,
            Some([b'2', low]) => matches!(low, b'3' | b'5' | b'e' | b'E' | b'f' | b'F'),
            Some([b'3', low]) => matches!(low, b'b' | b'B' | b'f' | b'F'),
            Some([b'5', low]) => matches!(low, b'c' | b'C'),
            Some(_) => false,
            None => true,
        },
        _ => false,
    };
    (0..bytes.len()).any(is_odd)
}

/// What of a request counts, by the rules that say so.
#[derive(Clone, Debug)]
pub(super) struct Selections(Box<[Option<Counting>]>);

/// What of a request counts, and which parameters of its query alone.
type Counting = (Arc<Selection>, Query);

impl Selections {
    pub(super) fn of(config: &EdgeConfig) -> Self {
        Self(config.rules.iter().map(selection).collect())
    }

    /// What counts by the rule at this place; `None` where everything does.
    pub(super) fn of_rule(&self, at: usize) -> Option<Arc<Selection>> {
        self.0.get(at)?.as_ref().map(|(selection, _)| Arc::clone(selection))
    }

    /// Which parameters count by the rule at this place.
    pub(super) fn query_of(&self, at: usize) -> Option<&Query> {
        self.0.get(at)?.as_ref().map(|(_, query)| query)
    }
}

fn selection(rule: &EdgeRule) -> Option<Counting> {
    if rule.query.is_none() && rule.query_ignored.is_empty() && rule.vary.is_none() {
        return None;
    }
    let query = match &rule.query {
        Some(names) => Query::only(names.iter().map(ParameterName::as_str)).sorted(),
        None => Query::as_sent().without(rule.query_ignored.iter().map(ParameterName::as_str)),
    };
    let selection = Selection::new().query(query.clone());
    let selection = match &rule.vary {
        Some(fields) => selection.vary_only(fields.iter().cloned()),
        None => selection,
    };
    Some((Arc::new(selection), query))
}

/// Writes what the rules say into what came from the origin, for our own cache.
pub(super) fn instruct(
    rules: EdgeRules<'_>,
    uri: &Uri,
    status: StatusCode,
    headers: &mut HeaderMap,
    (caching, received): (&Rules, Received),
) {
    headers.remove(OWN_CONTROL);
    let Some(rule) = rules.of_response(uri.path(), headers) else { return };
    if is_disguised(uri.path(), headers) {
        return;
    }
    if let Some(told) = instruction(rule, status, headers, (caching, received)) {
        headers.insert(OWN_CONTROL, told);
    }
}

/// Whether a page comes under a name that ends as that of a file, as one does where an origin
/// ignores the end of a path. Nobody means a rule for files to hold for it.
fn is_disguised(path: &str, headers: &HeaderMap) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((_, ending)) = name.rsplit_once('.') else { return false };
    let is_file = FILES.iter().any(|known| ending.eq_ignore_ascii_case(known));
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let is_page = [&b""[..], b"text/html", b"application/xhtml+xml"];
    let is_page = is_page.iter().any(|page| essence.eq_ignore_ascii_case(page));
    let is_data = essence.eq_ignore_ascii_case(b"application/json");
    is_file
        && (is_page || (is_data && !["json", "map"].iter().any(|e| ending.eq_ignore_ascii_case(e))))
}

/// What a rule says of a response, as the value of a field; `None` where the origin's word stands.
fn instruction(
    rule: &EdgeRule,
    status: StatusCode,
    headers: &HeaderMap,
    (caching, received): (&Rules, Received),
) -> Option<HeaderValue> {
    let (control, _) = effective(headers, caching);
    if is_forbidden(&control) && !rule.overrides {
        return None;
    }
    let fresh_for = rule.fresh_for(status);
    let stale = rule.stale_while_revalidate.or(rule.stale_on_error);
    if fresh_for.is_none() && stale.is_none() {
        return None;
    }
    let fresh_for = fresh_for.unwrap_or_else(|| {
        let stored = Stored::new(&HeaderMap::new(), status, headers, received, caching);
        lifetime(&stored, caching)
    });
    // With `s-maxage` it says that others may have what was asked for with an Authorization.
    let name = if control.s_maxage.valid().is_some() { "s-maxage" } else { "max-age" };
    let mut told = format!("{name}={}", fresh_for.as_secs());
    for (is_said, directive) in [
        (control.public, "public"),
        (control.must_revalidate, "must-revalidate"),
        (control.proxy_revalidate, "proxy-revalidate"),
        (control.must_understand && !rule.overrides, "must-understand"),
        (control.immutable || rule.immutable, "immutable"),
    ] {
        if is_said {
            told.push_str(", ");
            told.push_str(directive);
        }
    }
    if !rule.overrides {
        told.push_str(&named(&control));
    }
    for (own, said, directive) in [
        (rule.stale_while_revalidate, control.stale_while_revalidate, "stale-while-revalidate"),
        (rule.stale_on_error, control.stale_if_error, "stale-if-error"),
    ] {
        if let Some(window) = own.or_else(|| said.valid()) {
            // Writing into a text doesn't fail.
            let _ = write!(told, ", {directive}={}", window.as_secs());
        }
    }
    HeaderValue::try_from(told).ok()
}

/// The directives that concern some fields of a response alone, each behind a comma.
fn named(control: &ResponseControl) -> String {
    let mut told = String::new();
    for (directive, fields) in [("no-cache", &control.no_cache), ("private", &control.private)] {
        let names: Vec<&str> = fields.named().iter().map(HeaderName::as_str).collect();
        if !names.is_empty() {
            // Writing into a text doesn't fail.
            let _ = write!(told, ", {directive}=\"{}\"", names.join(", "));
        }
    }
    told
}

fn is_forbidden(control: &ResponseControl) -> bool {
    control.no_store || control.private == Fields::All || control.no_cache == Fields::All
}

/// Writes into an answer what the rules say to its client, and takes out what was for us.
pub(super) fn tell_browser(
    rules: EdgeRules<'_>,
    path: &str,
    status: StatusCode,
    headers: &mut HeaderMap,
) {
    let own = headers.remove(OWN_CONTROL);
    let Some(rule) = rules.of_response(path, headers) else { return };
    let Some(browser) = rule.browser else { return };
    let is_usual = status.is_success() || status == StatusCode::NOT_MODIFIED;
    let control = ResponseControl::read(headers);
    let keeps_to_itself = is_forbidden(&control) && !rule.overrides;
    if !is_usual || keeps_to_itself || is_disguised_answer(path, status, headers) {
        return;
    }
    let age = age_value(headers);
    let here = own.and_then(|own| told_lifetime(&own)).or(rule.edge);
    let here = here.or_else(|| control.s_maxage.valid()).or_else(|| control.max_age.valid());
    let left = here.map_or(browser, |here| here.saturating_sub(age).min(browser));
    headers.remove(EXPIRES);
    headers.remove(PRAGMA);
    let sets_cookie = headers.contains_key(SET_COOKIE);
    let told = browser_control(&control, rule, (left, age), sets_cookie);
    headers.insert(CACHE_CONTROL, told);
}

/// A 304 has no type of its own: what it confirms was told when it was sent.
fn is_disguised_answer(path: &str, status: StatusCode, headers: &HeaderMap) -> bool {
    status != StatusCode::NOT_MODIFIED && is_disguised(path, headers)
}

/// A client counts the age of an answer against its `max-age`, so what is left is counted from
/// there.
fn browser_control(
    control: &ResponseControl,
    rule: &EdgeRule,
    (left, age): (Duration, Duration),
    sets_cookie: bool,
) -> HeaderValue {
    let mut told = match left.as_secs() {
        0 => "no-cache".to_owned(),
        _ => format!("max-age={}", left.saturating_add(age).as_secs()),
    };
    // A cookie is one client's, and whoever else caches on the way would hand it out.
    told.push_str(if sets_cookie { ", private" } else { "" });
    if !rule.overrides {
        told.push_str(&named(control));
    }
    let left = left.as_secs() > 0;
    for (is_said, directive) in [
        (control.public && !sets_cookie, ", public"),
        (control.must_revalidate, ", must-revalidate"),
        (control.immutable || rule.immutable, ", immutable"),
    ] {
        told.push_str(if is_said && left { directive } else { "" });
    }
    HeaderValue::try_from(told).unwrap_or_else(|_| HeaderValue::from_static("no-cache"))
}

/// The lifetime in what we wrote ourselves.
fn told_lifetime(own: &HeaderValue) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, own.clone());
    let control = ResponseControl::read(&headers);
    control.s_maxage.valid().or_else(|| control.max_age.valid())
}
