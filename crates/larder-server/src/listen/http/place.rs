//! From a URI to the row that it names.
//!
//! `/cache/NAME/KEY`: the key is the rest of the path, slashes included, percent-decoded once. A
//! row has one key and one spelling of it, and no query: what would be answered alike must not be
//! kept under many names by the caches between.

use std::str::FromStr as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use larder_core::bus::Position;
use larder_core::percent_decode;
use larder_resp::Row;

use super::Api;
use super::problem::Problem;

/// Carries positions: of what was written or invalidated in an answer; in a request, of what must
/// have been.
pub(super) const POSITION: HeaderName = HeaderName::from_static("larder-position");

impl Api {
    /// The row that a URI names.
    pub(super) fn row(&self, uri: &Uri) -> Result<Row, Problem> {
        refuse_query(uri)?;
        let path = uri.path().strip_prefix("/cache/").unwrap_or_default();
        let (name, key) = path.split_once('/').unwrap_or((path, ""));
        let name = decoded(name)?;
        let declared = self.service.keyspace().cache(name.as_bytes());
        let declared = declared.map_err(|what| Problem::new(StatusCode::NOT_FOUND, what))?;
        Ok(Row::of(&self.service, declared, &decoded(key)?)?)
    }
}

/// Nothing here takes a query.
pub(super) fn refuse_query(uri: &Uri) -> Result<(), Problem> {
    if uri.query().is_none() {
        return Ok(());
    }
    let what = "no resource here takes a query: a question mark of a key is written %3F";
    Err(Problem::new(StatusCode::BAD_REQUEST, what))
}

fn decoded(text: &str) -> Result<String, Problem> {
    percent_decode(text).ok_or_else(|| {
        let what = "the path isn't percent-encoded UTF-8";
        Problem::new(StatusCode::BAD_REQUEST, what)
    })
}

/// The position that a request insists on.
pub(super) fn position(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let mut lines = headers.get_all(&POSITION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let position = line.to_str().ok().and_then(|text| Position::from_str(text.trim()).ok());
    if position.is_none() || lines.next().is_some() {
        let what = "Larder-Position is what one answer carried: eight hexadecimal digits, a dash \
                    and a number";
        return Err(Problem::new(StatusCode::BAD_REQUEST, what));
    }
    Ok(position)
}

/// Sets the position of an answer, if there is one.
pub(super) fn set_position(position: Option<Position>, headers: &mut HeaderMap) {
    // Digits and a dash are a header's value.
    if let Some(value) = position.and_then(|at| HeaderValue::try_from(at.to_string()).ok()) {
        headers.insert(POSITION, value);
    }
}
