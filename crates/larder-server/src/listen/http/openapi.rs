//! `/openapi.json`: the listener as OpenAPI 3.1 describes it.
//!
//! The document is written by hand, beside the code that it describes. The tests of the binary walk
//! it and call everything that it names.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use axum::http::{HeaderMap, Uri};
use larder_http::EntityTag;

use super::place::refuse_query;
use super::problem::Problem;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn get(uri: Uri) -> Result<(HeaderMap, &'static str), Problem> {
    refuse_query(&uri)?;
    let kind = "application/json";
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ETAG, EntityTag::of_content(kind, DOCUMENT.as_bytes()).to_value()),
    ];
    Ok((fields.into_iter().collect(), DOCUMENT))
}
