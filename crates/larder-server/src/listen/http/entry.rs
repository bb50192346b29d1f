//! `GET` and `HEAD` of a row: what is held of it or loaded, as a resource that caches may keep.
//!
//! `max-age` is what is left of the cache's window, counted from this answer on; so `Age` is 0, and
//! whoever subtracts it subtracts nothing twice. How old the entry is says `Cache-Status`.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, AGE, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE,
};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use larder_core::{Answer, Reason, Tier, Value};
use larder_http::{
    CachePolicy, CacheStatus, Date, EntityTag, Evaluated, Forwarded, Outcome, Ranges, Received,
    Rules, Stored, evaluate, left, not_modified, permits, ranges, unsatisfied,
};
use larder_resp::Row;

use super::place::position;
use super::problem::Problem;
use super::{Api, content_type};
use crate::edge::tag_of_cache;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = api.row(&uri)?;
    let answer = row.ask(position(&headers)?).await?;
    let kind = content_type(api.media(row.cache().name()));
    let content = answer.value.as_ref().map_or_else(Bytes::new, |value| value.bytes.clone());
    let tag = EntityTag::of_content(kind, &content);
    let mut fields = HeaderMap::new();
    api.policy(&row, &answer).write(&tag, &mut fields);
    fields.insert(AGE, HeaderValue::from(0));
    status(&row, &answer, &mut fields);
    if answer.value.is_none() {
        // Others may remember the absence for as long as it is known to be right.
        fields.remove(ETAG);
        let what = "the source has no such row";
        let mut problem = Problem::new(StatusCode::NOT_FOUND, what).into_response();
        problem.headers_mut().extend(fields);
        return Ok(problem);
    }
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    api.answer(&method, headers, &tag, fields, content)
}

impl Api {
    /// For how long others may keep an answer, and by which tags they forget it: for what is left
    /// of the window; behind the token, only who sent it.
    fn policy(&self, row: &Row, answer: &Answer<Value>) -> CachePolicy {
        let window = row.cache().window();
        let policy = CachePolicy::browser(window.max_staleness);
        let policy = tagged(policy.within(left(window, answer.current)), row);
        if self.asks_token(&Method::GET) { policy.private() } else { policy }
    }

    /// What of a content is sent, by the request's conditions and ranges.
    fn answer(
        &self,
        method: &Method,
        mut request: HeaderMap,
        tag: &EntityTag,
        mut fields: HeaderMap,
        content: Bytes,
    ) -> Result<Response, Problem> {
        let mut condition = HeaderMap::new();
        for line in request.get_all(IF_MATCH) {
            condition.append(IF_MATCH, line.clone());
        }
        if !permits(&condition, Some(tag)) {
            let what = "it is another one now than If-Match names";
            return Err(Problem::new(StatusCode::PRECONDITION_FAILED, what));
        }
        // When a row was modified isn't known, so conditions on that are ignored (RFC 9110
        // sections 13.1.3 and 13.1.4).
        for judged in [IF_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
            request.remove(judged);
        }
        let now = self.service.engine().clock().now();
        let wall = self.service.engine().clock().wall().duration_since(UNIX_EPOCH);
        let wall = wall.ok().and_then(|since| i64::try_from(since.as_secs()).ok());
        let wall = Date::from_unix(wall.unwrap_or_default());
        let received = Received { asked: now, came: now, wall };
        let (ok, rules) = (StatusCode::OK, Rules::private());
        let stored = Stored::new(&request, ok, &fields, received, &rules);
        let length = content.len() as u64;
        let part = match evaluate(method, &request, &stored) {
            Evaluated::NotModified => {
                let mut unchanged = not_modified(&stored);
                for name in [AGE, CACHE_STATUS] {
                    if let Some(value) = fields.remove(&name) {
                        unchanged.insert(name, value);
                    }
                }
                return Ok((StatusCode::NOT_MODIFIED, unchanged).into_response());
            }
            Evaluated::Send if *method == Method::GET => match ranges(&request, length) {
                Ranges::Unsatisfiable => {
                    let what = format!("there are {length} bytes");
                    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, what);
                    return Err(problem.with(CONTENT_RANGE, unsatisfied(length)));
                }
                // Several are answered with the whole, as a server may.
                Ranges::Parts(parts) => <[_; 1]>::try_from(parts).ok().map(|[part]| part),
                Ranges::Whole => None,
            },
            Evaluated::Send | Evaluated::SendWhole | Evaluated::Forward => None,
        };
        let Some(part) = part else { return Ok((ok, fields, Body::from(content)).into_response()) };
        fields.insert(CONTENT_RANGE, part.to_value(length));
        // Both lie within the content, whose length is a usize.
        let sent = content.slice(part.first as usize..=part.last as usize);
        Ok((StatusCode::PARTIAL_CONTENT, fields, Body::from(sent)).into_response())
    }
}

/// With the tags by which an edge forgets the answer: that of the cache, and the key, if a CDN
/// takes it for one.
fn tagged(policy: CachePolicy, row: &Row) -> CachePolicy {
    let key = str::from_utf8(row.key().as_bytes()).unwrap_or_default();
    let cache = tag_of_cache(row.cache().name());
    [key, &cache].into_iter().fold(policy, |policy, tag| policy.clone().tag(tag).unwrap_or(policy))
}

/// Says what the engine answered.
fn status(row: &Row, answer: &Answer<Value>, fields: &mut HeaderMap) {
    let forwarded = |stored, collapsed| Outcome::Forwarded {
        why: Forwarded::Miss,
        status: None,
        stored,
        collapsed,
    };
    let outcome = match (answer.tier, answer.reason) {
        (Tier::Source, Reason::Loaded) => forwarded(true, false),
        (Tier::Source, Reason::Joined) => forwarded(true, true),
        (Tier::Source, Reason::Uncached) => forwarded(false, false),
        _ => Outcome::Hit,
    };
    let (promised, current) = (row.cache().window().max_staleness, answer.current);
    let ttl = match promised.checked_sub(current) {
        Some(left) => i64::try_from(left.as_secs()).ok(),
        // A part of a second behind the window is behind it.
        None => i64::try_from((current - promised).as_secs()).ok().map(|late| -late - 1),
    };
    let detail = format!(
        "tier={} reason={} age_ms={} current_ms={}",
        answer.tier.as_str(),
        answer.reason.as_str(),
        answer.age.as_millis(),
        current.as_millis(),
    );
    let key = String::from_utf8_lossy(row.key().as_bytes());
    let status = CacheStatus {
        ttl,
        key: Some(&key),
        detail: Some(&detail),
        ..CacheStatus::new("larder", outcome)
    };
    status.append(fields);
}
