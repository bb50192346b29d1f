//! The member that a cache adds to Cache-Status (RFC 9211).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_core::Moment;

use crate::fields::is_token;
use crate::{Rules, Stored, lifetime};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The characters of a name, key or detail that are written; what is beyond is left out.
const TEXT_MAX: usize = 256;

/// Why a request went to the origin (RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The cache was told not to handle it.
    Bypass,
    /// Its method asks for that.
    Method,
    /// Nothing is stored for its URI.
    UriMiss,
    /// Nothing that is stored for its URI matches its fields.
    VaryMiss,
    /// Nothing was stored that could be used, for another reason.
    Miss,
    /// What is stored could be used, but the request's directives asked for the origin.
    Request,
    /// What is stored is stale.
    Stale,
    /// What is stored isn't all that is asked for.
    Partial,
}

impl Forwarded {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What became of the request: one of both (RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered from what is stored.
    Hit,
    /// Sent to the origin.
    Forwarded {
        /// For which reason.
        why: Forwarded,
        /// What it answered, if that isn't what the client gets.
        status: Option<StatusCode>,
        /// Whether the answer was stored.
        stored: bool,
        /// Whether the request joined another's.
        collapsed: bool,
    },
}

/// What a cache says of how it handled a request.
///
/// ```
/// use http::HeaderMap;
/// use larder_http::{CacheStatus, Outcome};
///
/// let mut headers = HeaderMap::new();
/// let status = CacheStatus { ttl: Some(30), ..CacheStatus::new("larder", Outcome::Hit) };
/// status.append(&mut headers);
/// assert_eq!(headers["cache-status"], "larder; hit; ttl=30");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// The cache's name.
    pub cache: &'a str,
    /// What became of the request.
    pub outcome: Outcome,
    /// The seconds for which it is still fresh; negative if it is stale. See [`ttl`].
    pub ttl: Option<i64>,
    /// Under what it is stored.
    pub key: Option<&'a str>,
    /// Anything else.
    pub detail: Option<&'a str>,
}

impl<'a> CacheStatus<'a> {
    /// A name and an outcome, and nothing else.
    #[must_use]
    pub fn new(cache: &'a str, outcome: Outcome) -> Self {
        Self { cache, outcome, ttl: None, key: None, detail: None }
    }

    /// Adds it behind what caches nearer to the origin said (RFC 9211 section 2).
    ///
    /// Names, keys and details are cut at 256 characters; characters that a structured field
    /// can't hold become `?`.
    ///
    /// # Panics
    ///
    /// Never: what isn't printable was replaced.
    pub fn append(&self, headers: &mut HeaderMap) {
        let mut text = word(self.cache);
        match self.outcome {
            Outcome::Hit => text += "; hit",
            Outcome::Forwarded { why, status, stored, collapsed } => {
                text += &format!("; fwd={}", why.as_str());
                if let Some(status) = status {
                    text += &format!("; fwd-status={}", status.as_u16());
                }
                text += if stored { "; stored" } else { "" };
                text += if collapsed { "; collapsed" } else { "" };
            }
        }
        if let Some(ttl) = self.ttl {
            text += &format!("; ttl={ttl}");
        }
        if let Some(key) = self.key {
            text += &format!("; key={}", quoted(key));
        }
        if let Some(detail) = self.detail {
            text += &format!("; detail={}", word(detail));
        }
        let value = HeaderValue::try_from(text).expect("what isn't printable was replaced");
        headers.append(CACHE_STATUS, value);
    }
}

/// A token if it is one, else a string.
fn word(text: &str) -> String {
    let token = is_token(text.as_bytes()) && text.len() <= TEXT_MAX;
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*');
    if token && begins { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut made = String::from("\"");
    for char in text.chars().take(TEXT_MAX) {
        match char {
            '"' | '\\' => made.extend(['\\', char]),
            ' '..='~' => made.push(char),
            _ => made.push('?'),
        }
    }
    made.push('"');
    made
}

/// The whole seconds for which a stored response is still fresh at `now`; negative if it is stale.
#[must_use]
pub fn ttl(stored: &Stored, now: Moment, rules: &Rules) -> i64 {
    let (lifetime, age) = (lifetime(stored, rules), stored.age(now));
    // Both are at most 2^31 seconds.
    let millis = lifetime.as_millis() as i64 - age.as_millis() as i64;
    millis.div_euclid(1000)
}
