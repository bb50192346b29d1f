//! The age of a stored response (RFC 9111 sections 4.2.3 and 5.1).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, DATE};
use larder_core::Moment;

use crate::fields::{digits, trim};
use crate::{Date, Received, date_field};

/// The longest time that HTTP tells: 2^31 seconds (RFC 9111 section 1.2.2).
pub const AGE_MAX: Duration = Duration::from_secs(1 << 31);

/// What the Age field says: the first member of its first line, zero if that is no number.
#[must_use]
pub fn age_value(headers: &HeaderMap) -> Duration {
    let line = headers.get(AGE).map_or(&b""[..], |line| line.as_bytes());
    let first = trim(line.split(|&byte| byte == b',').next().unwrap_or_default());
    Duration::from_secs(digits(first, AGE_MAX.as_secs()).unwrap_or(0))
}

/// How old a response is at `now`, at least 0 and at most [`AGE_MAX`].
///
/// The calendar is asked only for what its Date claims, once; how long it has been here is told
/// by the clock that doesn't jump.
///
/// ```
/// use http::HeaderMap;
/// use larder_core::Moment;
/// use larder_http::{Date, Received, current_age};
/// use std::time::Duration;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("age", "10".parse().unwrap());
/// let asked = Moment::from_nanos(0);
/// let came = asked + Duration::from_secs(2);
/// let received = Received { asked, came, wall: Date::from_unix(0) };
/// let now = came + Duration::from_secs(5);
/// assert_eq!(current_age(&headers, received, now), Duration::from_secs(17));
/// ```
#[must_use]
pub fn current_age(headers: &HeaderMap, received: Received, now: Moment) -> Duration {
    let apparent = Duration::from_secs(received.wall.since(date_value(headers, received.wall)));
    let corrected = age_value(headers).saturating_add(received.came - received.asked);
    apparent.max(corrected).saturating_add(now - received.came).min(AGE_MAX)
}

/// The response's Date; when it came, if there is none that can be read.
pub(crate) fn date_value(headers: &HeaderMap, came: Date) -> Date {
    date_field(headers, DATE, came).unwrap_or(came)
}
