//! What a cache is and what its operator decided: the choices that the RFCs leave open.

use std::time::Duration;

use http::HeaderName;

/// Who else may see what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Many users: an edge or a reverse proxy.
    Shared,
    /// One user.
    Private,
}

/// Whether a request's own Cache-Control is listened to; RFC 9111 section 5.2.1 leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requests {
    /// Its directives count.
    Obeyed,
    /// They don't, so that no client can make the origin work. `only-if-cached` counts all the
    /// same: it makes less work.
    Ignored,
}

/// Whether a shared cache stores responses with Set-Cookie. RFC 9111 section 7.3 lets them be
/// stored, and warns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCookie {
    /// They are not stored.
    Refused,
    /// They are stored like others, with the field.
    Stored,
}

/// The rules of a cache.
///
/// ```
/// use larder_http::{Requests, Rules};
///
/// let rules = Rules { requests: Requests::Obeyed, ..Rules::shared() };
/// assert_eq!(rules.targets, ["cdn-cache-control"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Who else may see what is stored.
    pub sharing: Sharing,
    /// Whether a request's own Cache-Control is listened to.
    pub requests: Requests,
    /// Whether responses with Set-Cookie are stored by a shared cache.
    pub set_cookie: SetCookie,
    /// The targeted fields that are meant for this cache, the most specific first (RFC 9213
    /// section 2.2).
    pub targets: Vec<HeaderName>,
    /// How much of the time since Last-Modified a response without a lifetime is fresh, in percent.
    /// 0 turns heuristics off.
    pub heuristic_percent: u32,
    /// The longest heuristic lifetime.
    pub heuristic_max: Duration,
    /// For how long a stale response may be used where the origin can't be reached and nothing
    /// forbids or permits it.
    pub stale_unreached: Duration,
}

impl Rules {
    /// An edge: many users, `CDN-Cache-Control`, requests ignored, no Set-Cookie.
    #[must_use]
    pub fn shared() -> Self {
        Self {
            sharing: Sharing::Shared,
            requests: Requests::Ignored,
            set_cookie: SetCookie::Refused,
            targets: vec![HeaderName::from_static("cdn-cache-control")],
            heuristic_percent: 10,
            heuristic_max: Duration::from_secs(24 * 60 * 60),
            stale_unreached: Duration::ZERO,
        }
    }

    /// One user's cache: no targeted fields, requests obeyed, cookies stored.
    #[must_use]
    pub fn private() -> Self {
        Self {
            sharing: Sharing::Private,
            requests: Requests::Obeyed,
            set_cookie: SetCookie::Stored,
            targets: Vec::new(),
            ..Self::shared()
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.sharing == Sharing::Shared
    }
}
