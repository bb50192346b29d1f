//! Heads written as text, and a clock in whole seconds.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use larder_core::Moment;
use larder_http::{Date, NotStored, Received, Requests, Reuse, Rules, Stored};

/// Sun, 06 Nov 1994 08:49:37 GMT.
pub(crate) const WALL: i64 = 784_111_777;

/// Fields, one a line, in Latin-1.
pub(crate) fn fields(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.trim_start().split_once(':').expect("a colon");
        let bytes: Vec<u8> = value.trim().chars().map(|char| char as u8).collect();
        let name = HeaderName::from_bytes(name.as_bytes()).expect("written in a test");
        headers.append(name, HeaderValue::from_bytes(&bytes).expect("written in a test"));
    }
    headers
}

/// `seconds` after the response came.
pub(crate) fn at(seconds: u64) -> Moment {
    Moment::from_nanos(1_000_000_000_000) + Duration::from_secs(seconds)
}

pub(crate) fn received(seconds: u64) -> Received {
    let now = at(seconds);
    Received { asked: now, came: now, wall: Date::from_unix(WALL + seconds as i64) }
}

pub(crate) fn date(seconds: i64) -> String {
    Date::from_unix(WALL + seconds).to_string()
}

pub(crate) fn stored(text: &str) -> Stored {
    stored_by(text, &Rules::shared())
}

pub(crate) fn stored_by(text: &str, rules: &Rules) -> Stored {
    stored_for("", text, rules)
}

pub(crate) fn stored_for(request: &str, text: &str, rules: &Rules) -> Stored {
    Stored::new(&fields(request), StatusCode::OK, &fields(text), received(0), rules)
}

/// A shared cache that listens to its clients.
pub(crate) fn obeying() -> Rules {
    Rules { requests: Requests::Obeyed, ..Rules::shared() }
}

pub(crate) fn reuse(stored: &Stored, request: &str, seconds: u64, rules: &Rules) -> Reuse {
    larder_http::reuse(stored, &fields(request), at(seconds), rules)
}

/// For how many seconds a response is fresh in a shared cache.
pub(crate) fn lifetime(text: &str) -> u64 {
    larder_http::lifetime(&stored(text), &Rules::shared()).as_secs()
}

/// Whether a shared cache stores a 200 to GET.
pub(crate) fn storable(request: &str, response: &str) -> Result<(), NotStored> {
    storable_as(StatusCode::OK, request, response)
}

pub(crate) fn storable_as(
    status: StatusCode,
    request: &str,
    response: &str,
) -> Result<(), NotStored> {
    let rules = Rules::shared();
    larder_http::storable(&Method::GET, &fields(request), status, &fields(response), &rules)
}
