//! What of a request's fields concerns a hit, read in one pass: most requests have none of them.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PRAGMA, RANGE, UPGRADE,
};
use http::{HeaderMap, Method};

/// What stands in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// It isn't GET, but HEAD.
    pub(super) head: bool,
    /// Directives for caches.
    pub(super) directives: bool,
    /// Conditions, or a range.
    pub(super) conditions: bool,
    /// A range.
    pub(super) range: bool,
    /// Whose request it is.
    pub(super) authorization: bool,
    /// Another protocol.
    pub(super) upgrade: bool,
}

impl Asked {
    /// What a GET or HEAD asks for; `None` for other methods.
    pub(super) fn read(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let head = method == Method::HEAD;
        if !head && method != Method::GET {
            return None;
        }
        let mut asked = Self { head, ..Self::default() };
        for name in headers.keys() {
            if name == CACHE_CONTROL || name == PRAGMA {
                asked.directives = true;
            } else if name == RANGE {
                (asked.range, asked.conditions) = (true, true);
            } else if name == IF_NONE_MATCH
                || name == IF_MODIFIED_SINCE
                || name == IF_RANGE
                || name == IF_MATCH
                || name == IF_UNMODIFIED_SINCE
            {
                asked.conditions = true;
            } else if name == AUTHORIZATION {
                asked.authorization = true;
            } else if name == UPGRADE {
                asked.upgrade = true;
            }
        }
        Some(asked)
    }
}
