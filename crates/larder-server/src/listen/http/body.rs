//! The content of a request: of the kind that is expected, bounded in bytes and in time.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::problem::Problem;

/// The longest value that is written: as long as a database may return one.
pub(super) const VALUE_BYTES_MAX: usize = larder_sql::RESULT_BYTES_MAX;
/// The longest list of what is invalidated, and the longest patch.
pub(super) const LIST_BYTES_MAX: usize = 1024 * 1024;
/// How long a client may take to send it.
const SENT_WITHIN: Duration = Duration::from_secs(30);

/// Checks that a request carries one whole content of this type, and not in another coding.
/// Otherwise it is told what is taken, in the field of this name.
pub(super) fn check(
    headers: &HeaderMap,
    kind: &'static str,
    told: &HeaderName,
) -> Result<(), Problem> {
    if headers.contains_key(CONTENT_RANGE) {
        let what = "only whole contents are taken, without Content-Range";
        return Err(Problem::new(StatusCode::BAD_REQUEST, what));
    }
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let given = lines.next().and_then(|line| line.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    let fits = given.eq_ignore_ascii_case(kind) && lines.next().is_none();
    let what = if headers.contains_key(CONTENT_ENCODING) {
        "content is taken as it is, without Content-Encoding".to_owned()
    } else if !fits {
        format!("send it as Content-Type: {kind}")
    } else {
        return Ok(());
    };
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what);
    Err(problem.with(told.clone(), HeaderValue::from_static(kind)))
}

/// Reads a content of at most so many bytes.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if told.is_some_and(|bytes: usize| bytes > bytes_max) {
        return Err(too_long(bytes_max));
    }
    let read = tokio::time::timeout(SENT_WITHIN, collect(body, bytes_max));
    read.await.unwrap_or_else(|_| {
        let what = format!("the content didn't come within {SENT_WITHIN:?}");
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, what))
    })
}

async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the content broke off: {error}"))
        })?;
        if all.len() + piece.len() > bytes_max {
            return Err(too_long(bytes_max));
        }
        all.extend_from_slice(&piece);
    }
    // In memory of its own size: it may be held for long.
    all.shrink_to_fit();
    Ok(all.into())
}

fn too_long(bytes_max: usize) -> Problem {
    let what = format!("at most {bytes_max} bytes are taken");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what)
}
