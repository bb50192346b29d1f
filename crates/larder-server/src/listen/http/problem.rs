//! Errors as HTTP has them: problem details (RFC 9457).
//!
//! larder's own errors keep their kind, whose word and status stand in the one table of
//! [`ErrorKind`](larder_core::ErrorKind); beside them is what only HTTP can do wrong.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use larder_core::{Error, ErrorKind};
use serde_json::{Map, Value};

/// What is answered instead of what was asked for.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// What larder says of it, where it is larder's.
    error: Option<Error>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of HTTP; `detail` says what it is and, where it can, what to do.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), error: None, fields: Vec::new() }
    }

    /// With one more field.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = StatusCode::from_u16(error.kind().http_status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            detail: error.chain(),
            error: Some(error),
            fields: Vec::new(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        let mut say = |name: &str, value: Value| body.insert(name.to_owned(), value);
        // Which problem it is say `status` and `code`: there is no page of its own for each.
        say("type", "about:blank".into());
        say("title", self.status.canonical_reason().unwrap_or("Error").into());
        say("status", self.status.as_u16().into());
        say("detail", self.detail.into());
        let error = self.error.as_ref();
        if let Some(code) = error.map(Error::kind).map(ErrorKind::code) {
            say("code", code.into());
        }
        if let Some(key) = error.and_then(Error::key) {
            say("key", key.into());
        }
        let text = Value::Object(body).to_string();
        let mut response = (self.status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = error.and_then(Error::retry_delay) {
            // In whole seconds, and none is too early.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        for (name, value) in self.fields {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use futures_util::StreamExt as _;
    use serde_json::json;

    use super::*;

    fn shown(problem: Problem) -> (Response, Value) {
        let (parts, body) = problem.into_response().into_parts();
        let piece = body.into_data_stream().next().now_or_never().flatten();
        let text = piece.and_then(Result::ok).unwrap_or_default();
        (
            Response::from_parts(parts, ().into_response().into_body()),
            serde_json::from_slice(&text).unwrap(),
        )
    }

    #[test]
    fn each_kind_has_the_word_and_the_status_of_the_one_table() {
        for kind in ErrorKind::all() {
            let error = Error::new(kind, "so it is").for_key("user:1");
            let (response, body) = shown(error.into());
            assert_eq!(response.status().as_u16(), kind.http_status());
            let expected = json!({
                "type": "about:blank",
                "title": response.status().canonical_reason(),
                "status": kind.http_status(),
                "detail": "so it is",
                "code": kind.code(),
                "key": "user:1",
            });
            assert_eq!(body, expected);
            assert_eq!(response.headers().get(RETRY_AFTER), None);
        }
    }

    #[test]
    fn when_to_come_back_is_never_too_early() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (60_000, "60")] {
            let error = Error::new(ErrorKind::Shed, "full");
            let (response, _) = shown(error.retry_after(Duration::from_millis(millis)).into());
            assert_eq!(response.headers()[RETRY_AFTER], seconds, "{millis}");
        }
    }

    #[test]
    fn what_only_http_knows_has_no_word_of_larders() {
        let (response, body) = shown(Problem::new(StatusCode::NOT_FOUND, "nothing"));
        assert_eq!((&body["code"], &body["key"]), (&Value::Null, &Value::Null));
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
}
