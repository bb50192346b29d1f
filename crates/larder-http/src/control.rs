//! Cache-Control: its directives, of a response and of a request (RFC 9111 section 5.2).
//!
//! Names in any case, arguments as tokens or quoted strings, over all lines. A quoted string is
//! one thing: what stands in it is no directive. What can't be read forbids to store.

mod request;
mod response;

pub use request::RequestControl;
pub use response::{Fields, ResponseControl};

use std::time::Duration;

use http::HeaderMap;
use http::header::AsHeaderName;

use crate::age::AGE_MAX;
use crate::fields::{Unreadable, argument, digits, is_token, members, trim};

/// A number of seconds that a directive gives.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::{Lifetime, ResponseControl};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("cache-control", "max-age=60, s-maxage='5'".parse().unwrap());
/// let control = ResponseControl::read(&headers);
/// assert_eq!(control.max_age, Lifetime::from_secs(60));
/// assert_eq!(control.s_maxage, Lifetime::Invalid);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// The directive isn't there.
    #[default]
    Absent,
    /// It is there without a number, or twice with two numbers: stale (RFC 9111 section 4.2.1).
    Invalid,
    /// For so long.
    For(Duration),
}

impl Lifetime {
    /// So many seconds, at most 2^31 (RFC 9111 section 1.2.2).
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        Self::For(Duration::from_secs(seconds).min(AGE_MAX))
    }

    /// The time, if there is a valid one.
    #[must_use]
    pub fn valid(self) -> Option<Duration> {
        match self {
            Self::For(time) => Some(time),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// The time, zero for an invalid one; none if the directive is absent.
    #[must_use]
    pub fn or_stale(self) -> Option<Duration> {
        match self {
            Self::Absent => None,
            Self::Invalid => Some(Duration::ZERO),
            Self::For(time) => Some(time),
        }
    }

    /// Takes in one more occurrence of the directive.
    fn add(&mut self, argument: &Argument<'_>) {
        let said = match argument.value().and_then(|said| digits(&said, AGE_MAX.as_secs())) {
            Some(seconds) => Self::from_secs(seconds),
            None => Self::Invalid,
        };
        *self = if *self == Self::Absent || *self == said { said } else { Self::Invalid };
    }
}

/// What stands behind a directive's name.
enum Argument<'a> {
    None,
    /// Behind `=`, as it stands there.
    Some(&'a [u8]),
}

impl Argument<'_> {
    /// Without quotes; none if there is none or it is neither a token nor a quoted string.
    fn value(&self) -> Option<Vec<u8>> {
        match self {
            Self::None => None,
            Self::Some(bytes) => argument(bytes),
        }
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// Calls `each` with every directive of a field, its name in lower case. Members without a name
/// that is a token are passed over.
fn directives<'a>(
    headers: &'a HeaderMap,
    name: impl AsHeaderName,
    mut each: impl FnMut(&str, &Argument<'a>),
) -> Result<(), Unreadable> {
    for member in members(headers, name)? {
        let (name, argument) = match member.iter().position(|&byte| byte == b'=') {
            Some(at) if at > 0 && matches!(member[at - 1], b' ' | b'\t') => {
                // White space before `=`: no argument, but whoever wrote it meant the directive.
                (trim(&member[..at]), Argument::Some(&b""[..]))
            }
            Some(at) => (&member[..at], Argument::Some(&member[at + 1..])),
            None => (member, Argument::None),
        };
        if is_token(name) {
            each(&String::from_utf8_lossy(name).to_ascii_lowercase(), &argument);
        }
    }
    Ok(())
}
