//! `PUT`, `PATCH` and `DELETE` of a row: written as the cache's mode has it, and answered when what
//! that mode promises is true.
//!
//! A condition is judged by what the database holds, and the write is made only if it still holds
//! that: between both nobody can come.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use larder_core::{Media, Value, Write, Written};
use larder_engine::Wrote;
use larder_http::{EntityTag, permits};
use larder_resp::{Row, Statement};
use serde::de::IgnoredAny;

use super::merge_patch::Patch;
use super::place::set_position;
use super::problem::Problem;
use super::{Api, body, content_type};

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Why nothing was written.
enum Unwritten {
    /// A condition isn't fulfilled.
    Unfulfilled,
    /// There is nothing to patch.
    Absent,
    /// The patch doesn't fit what is held.
    Misfit(&'static str),
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let row = api.row(&uri)?;
    row.check(Statement::Store)?;
    let media = api.media(row.cache().name());
    // What is no JSON is bytes, of whatever type.
    if media == Media::Json || !headers.contains_key(CONTENT_TYPE) {
        body::check(&headers, content_type(media), &ACCEPT)?;
    }
    let bytes = body::read(&headers, body, body::VALUE_BYTES_MAX).await?;
    if media == Media::Json {
        check_json(&bytes)?;
    }
    let value = Value { bytes: bytes.clone(), media };
    if !is_conditional(&headers) {
        let wrote = row.put(value).await?;
        return Ok(api.written(&row, StatusCode::NO_CONTENT, &wrote, Some(&bytes)));
    }
    let mut status = StatusCode::NO_CONTENT;
    let change = |held: Option<&Bytes>| {
        status = if held.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
        Ok(Write::Store(value.clone()))
    };
    let wrote = api.update(&row, &headers, change).await?;
    Ok(api.written(&row, status, &wrote, Some(&bytes)))
}

pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let row = api.row(&uri)?;
    row.check(Statement::Store)?;
    if api.media(row.cache().name()) != Media::Json {
        let what = "its values aren't JSON, so there is nothing to merge: PUT it";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    body::check(&headers, MERGE_PATCH, &ACCEPT_PATCH)?;
    let bytes = body::read(&headers, body, body::LIST_BYTES_MAX).await?;
    let patch = Patch::parse(&bytes).map_err(|what| Problem::new(StatusCode::BAD_REQUEST, what))?;
    let change = |held: Option<&Bytes>| {
        let held = held.ok_or(Unwritten::Absent)?;
        patch
            .apply_to_row(held)
            .map(|text| Write::Store(Value::json(text)))
            .map_err(Unwritten::Misfit)
    };
    let wrote = api.update(&row, &headers, change).await?;
    Ok(api.written(&row, StatusCode::NO_CONTENT, &wrote, None))
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = api.row(&uri)?;
    row.check(Statement::Delete)?;
    let wrote = match is_conditional(&headers) {
        false => row.delete().await?,
        true => api.update(&row, &headers, |_| Ok(Write::Delete)).await?,
    };
    Ok(api.written(&row, StatusCode::NO_CONTENT, &wrote, None))
}

fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH)
}

/// The database would refuse it, too, but behind a journal nobody would hear of that.
fn check_json(bytes: &Bytes) -> Result<(), Problem> {
    serde_json::from_slice::<IgnoredAny>(bytes).map(drop).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the content isn't JSON: {error}"))
    })
}

impl Api {
    /// Writes what `change` makes of what is held, if the conditions are fulfilled by that.
    async fn update(
        &self,
        row: &Row,
        headers: &HeaderMap,
        mut change: impl FnMut(Option<&Bytes>) -> Result<Write<Value>, Unwritten>,
    ) -> Result<Wrote<Value>, Problem> {
        let kind = content_type(self.media(row.cache().name()));
        let mut unwritten = Unwritten::Unfulfilled;
        let decide = |held: Option<Value>| {
            let held = held.as_ref().map(|value| &value.bytes);
            let tag = held.map(|content| EntityTag::of_content(kind, content));
            let decided = match permits(headers, tag.as_ref()) {
                true => change(held),
                false => Err(Unwritten::Unfulfilled),
            };
            decided.map_err(|why| unwritten = why).ok()
        };
        match row.update(decide).await? {
            Some(wrote) => Ok(wrote),
            None => Err(match unwritten {
                Unwritten::Unfulfilled => {
                    let what = "it is not what If-Match or If-None-Match says, and nothing was \
                                written: read it again, and decide anew";
                    Problem::new(StatusCode::PRECONDITION_FAILED, what)
                }
                Unwritten::Absent => {
                    let what = "the source has no such row to patch: PUT it";
                    Problem::new(StatusCode::NOT_FOUND, what)
                }
                Unwritten::Misfit(what) => Problem::new(StatusCode::BAD_REQUEST, what),
            }),
        }
    }

    /// What a write is answered with. Its tag is said where it is known: of what was put, only if
    /// that is what is held now, byte by byte (RFC 9110 section 9.3.4).
    fn written(
        &self,
        row: &Row,
        status: StatusCode,
        wrote: &Wrote<Value>,
        put: Option<&Bytes>,
    ) -> Response {
        let mut fields = HeaderMap::new();
        set_position(wrote.position, &mut fields);
        if let Written::Value(value) = &wrote.written
            && put.is_none_or(|put| *put == value.bytes)
        {
            let kind = content_type(self.media(row.cache().name()));
            fields.insert(ETAG, EntityTag::of_content(kind, &value.bytes).to_value());
        }
        (status, fields).into_response()
    }
}
