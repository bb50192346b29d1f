//! `POST /invalidate`: who wrote to the database elsewhere says here what that touched.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use larder_engine::Invalidation;
use larder_resp::Strikes;
use serde::Deserialize;
use serde_json::json;

use super::place::{refuse_query, set_position};
use super::problem::Problem;
use super::{Api, body};

/// The most names of one request.
const NAMES_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Names {
    keys: Vec<String>,
    tags: Vec<String>,
    caches: Vec<String>,
    prefixes: Vec<String>,
    soft: bool,
}

impl Names {
    /// What a body names, or why it can't be.
    fn read(body: &[u8]) -> Result<Self, String> {
        let names: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        match names.count() {
            1..=NAMES_MAX => Ok(names),
            count => Err(format!(
                "name 1 to {NAMES_MAX} keys, tags, caches and prefixes; these are {count}"
            )),
        }
    }

    fn count(&self) -> usize {
        [&self.keys, &self.tags, &self.caches, &self.prefixes].map(Vec::len).iter().sum()
    }
}

/// Answers when it is carried out everywhere. What can't be is refused before anything is done.
///
/// Only JSON is taken that is called so: a form on somebody's page can send everything else.
pub(super) async fn post(
    State(api): State<Arc<Api>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    refuse_query(&uri)?;
    body::check(&headers, "application/json", &ACCEPT)?;
    let bytes = body::read(&headers, body, body::LIST_BYTES_MAX).await?;
    let names = Names::read(&bytes).map_err(|what| Problem::new(StatusCode::BAD_REQUEST, what))?;
    let strikes = Strikes {
        keys: &names.keys,
        tags: &names.tags,
        caches: &names.caches,
        prefixes: &names.prefixes,
        what: if names.soft { Invalidation::MarkStale } else { Invalidation::Drop },
    };
    let invalidated = api.service.invalidate(&strikes).await?;
    let position = invalidated.position.map(|position| position.to_string());
    let told = json!({ "entries": invalidated.entries, "position": position }).to_string();
    let kinds = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    let mut fields: HeaderMap =
        kinds.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    set_position(invalidated.position, &mut fields);
    Ok((StatusCode::OK, fields, told).into_response())
}

#[cfg(test)]
mod fuzz;
