//! The directives of a request (RFC 9111 section 5.2.1, RFC 5861 section 4), and Pragma.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use super::{Lifetime, directives};
use crate::fields::members;

/// What a request says of which stored responses it accepts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestControl {
    /// Nothing of it or of its response is to be stored.
    pub no_store: bool,
    /// Nothing that isn't validated. Also set when the field can't be read.
    pub no_cache: bool,
    /// Nothing from the origin.
    pub only_if_cached: bool,
    /// Nothing older.
    pub max_age: Lifetime,
    /// Nothing that is fresh for less.
    pub min_fresh: Lifetime,
    /// What has been stale for no longer than that; without a number, for any time.
    pub max_stale: Option<Duration>,
    /// What has been stale for no longer than that, if the origin fails.
    pub stale_if_error: Lifetime,
}

impl RequestControl {
    /// What a request's Cache-Control says; without one, its Pragma (RFC 9111 section 5.4).
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let mut max_stale = Lifetime::Absent;
        let read = directives(headers, CACHE_CONTROL, |name, argument| match name {
            "no-store" => control.no_store = true,
            "no-cache" => control.no_cache = true,
            "only-if-cached" => control.only_if_cached = true,
            "max-age" => control.max_age.add(argument),
            "min-fresh" => control.min_fresh.add(argument),
            "max-stale" if argument.is_none() => {
                control.max_stale = Some(Duration::MAX);
            }
            "max-stale" => max_stale.add(argument),
            "stale-if-error" => control.stale_if_error.add(argument),
            _ => {}
        });
        if read.is_err() {
            return Self { no_cache: true, no_store: true, ..Self::default() };
        }
        // Twice, or with a number that is none: what permits less.
        control.max_stale = match (control.max_stale, max_stale.or_stale()) {
            (one, None) | (None, one) => one,
            (Some(one), Some(other)) => Some(one.min(other)),
        };
        if !headers.contains_key(CACHE_CONTROL) {
            let pragma = members(headers, PRAGMA).unwrap_or_default();
            control.no_cache = pragma.iter().any(|one| one.eq_ignore_ascii_case(b"no-cache"));
        }
        control
    }
}
