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
    IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, VARY,
};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use larder_core::{Answer, Reason, Terms, Tier, Value};
use larder_http::{
    CachePolicy, CacheStatus, Date, EntityTag, Evaluated, Forwarded, Outcome, Part, Ranges,
    Received, Rules, Stored, boundary, evaluate, left, not_modified, partial_content, permits,
    ranges, unsatisfied,
};
use larder_resp::Row;

use super::place::{POSITION, position};
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
    if api.service.engine().shares() {
        // Who insists on a position isn't to be given what a cache on the way has from before it.
        fields.insert(VARY, HeaderValue::from(POSITION));
    }
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
        let policy = self.tagged(policy.within(left(window, answer.current)), row, answer);
        if self.asks_token(&Method::GET) { policy.private() } else { policy }
    }

    /// What of a content is sent, by the request's conditions and ranges.
    fn answer(
        &self,
        method: &Method,
        mut request: HeaderMap,
        tag: &EntityTag,
        fields: HeaderMap,
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
        let with_those_of_now = |mut of_stored: HeaderMap| {
            for name in [AGE, CACHE_STATUS] {
                if let Some(value) = fields.get(&name) {
                    of_stored.insert(name, value.clone());
                }
            }
            of_stored
        };
        match evaluate(method, &request, &stored) {
            Evaluated::NotModified => {
                let unchanged = with_those_of_now(not_modified(&stored));
                return Ok((StatusCode::NOT_MODIFIED, unchanged).into_response());
            }
            Evaluated::Send if *method == Method::GET => match ranges(&request, length) {
                Ranges::Unsatisfiable => {
                    let what = format!("there are {length} bytes");
                    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, what);
                    return Err(problem.with(CONTENT_RANGE, unsatisfied(length)));
                }
                Ranges::Parts(parts) => {
                    let sent = partial_content(&stored, &request, &parts, length, boundary());
                    let content = content_of(&content, &parts, &sent.frames);
                    let fields = with_those_of_now(sent.headers);
                    let content = Body::from(content);
                    return Ok((StatusCode::PARTIAL_CONTENT, fields, content).into_response());
                }
                Ranges::Whole => {}
            },
            Evaluated::Send | Evaluated::SendWhole | Evaluated::Forward => {}
        }
        Ok((ok, fields, Body::from(content)).into_response())
    }

    /// With the tags by which an edge forgets the answer: the key, that of the cache, and those
    /// that the cache declares, as far as a CDN takes them for tags and they have room.
    fn tagged(&self, policy: CachePolicy, row: &Row, answer: &Answer<Value>) -> CachePolicy {
        let key = str::from_utf8(row.key().as_bytes()).unwrap_or_default();
        let cache = tag_of_cache(row.cache().name());
        let values = self.values(row.cache().name());
        let terms = values.map(|values| values.terms.of(row.key(), answer.value.as_ref()));
        let mut declared: Vec<&str> =
            terms.iter().flat_map(Terms::tags).map(|tag| &**tag).collect();
        // The same answer has the same fields.
        declared.sort_unstable();
        policy.tag_what_fits([key, &cache].into_iter().chain(declared))
    }
}

/// What is sent of a content: its parts, with what stands around them.
fn content_of(content: &Bytes, parts: &[Part], frames: &[Bytes]) -> Bytes {
    // They lie within the content, whose length is a usize.
    let bytes = |part: &Part| content.slice(part.first as usize..=part.last as usize);
    if let ([part], []) = (parts, frames) {
        return bytes(part);
    }
    let mut sent = Vec::new();
    let mut frames = frames.iter();
    for part in parts {
        frames.next().into_iter().for_each(|frame| sent.extend_from_slice(frame));
        sent.extend_from_slice(&bytes(part));
    }
    frames.for_each(|frame| sent.extend_from_slice(frame));
    sent.into()
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
